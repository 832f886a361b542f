"""Custom prefixes, as templates of named parts: `{time} {word} | `.

A part matches up to the text that follows it in the template, without backtracking, so that any template
takes time linear in the length of the line. `template_of` is the other direction: from a line that is not
understood to a template that would read it.
"""

from __future__ import annotations

import re
from functools import cache

from parsers.prefix import Prefixed, stamp_of

MAX_LENGTH = 200
"""The most characters of a template, and of a prefix."""

_TIME = (
    r"\d{4}[-/.]\d\d[-/.]\d\d[ T_]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
    r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
    r"|\d\d:\d\d:\d\d(?:[.,]\d{1,9})?|\d{9,11}\.\d{1,9}"
)
PARTS = {"time": "2025-12-29 19:40:02", "word": "worker-3", "number": "7", "level": "INFO", "text": "a b"}
"""The names of parts, each with an example."""

_PART = re.compile(r"\{(\w*)\}")
_WORD = re.compile(r"[^\W_][\w./@-]*")


class TemplateMistake(ValueError):
    """An invalid template; the message says why, and what is allowed."""


class Template:
    """A custom prefix, which is before a message, or before the executor's own prefix.

    Raises:
        TemplateMistake: it has no part, an unknown one, or two with nothing between them.
    """

    def __init__(self, text: str) -> None:
        """Compile a template, and test it with a sample of itself."""
        self.text = text
        self._match = re.compile(_pattern(text).encode()).match
        sample = _PART.sub(lambda found: PARTS[found[1]], text).encode()
        if self.split(sample + b"[x") is None:
            raise TemplateMistake(f"{text!r} can't match even {sample.decode()!r}: put a mark between parts")

    def split(self, line: bytes) -> Prefixed | None:
        """Cut the prefix off a line; `None` if it has another."""
        found = self._match(line)
        if found is None:
            return None
        time = found.groupdict().get("time")
        return Prefixed(stamp_of(time.decode()) if time else None, line[found.end() :], outer=True)


@cache
def template(text: str) -> Template:
    """Return a template by its text.

    Raises:
        TemplateMistake: see `Template`.
    """
    return Template(text)


def _pattern(text: str) -> str:
    if len(text) > MAX_LENGTH or not text.isprintable():
        raise TemplateMistake(f"must be one line of at most {MAX_LENGTH} characters")
    pieces = _PART.split(text)
    if len(pieces) == 1:
        raise TemplateMistake(f"{text!r} has no part: it is made of {{{'}, {'.join(PARTS)}}}")
    pattern = _literal(pieces[0])
    for number, (name, literal) in enumerate(zip(pieces[1::2], pieces[2::2], strict=True)):
        if name not in PARTS:
            raise TemplateMistake(f"unknown part {{{name}}}: known are {{{'}, {'.join(PARTS)}}}")
        is_last = 2 * number + 3 == len(pieces)
        if not literal and not is_last:
            raise TemplateMistake(f"nothing stands between {{{name}}} and the part behind it")
        first_time = name == "time" and "(?P<time>" not in pattern
        pattern += _part(name, literal[:1] or "[", first_time) + _literal(literal, is_last)
    return pattern


def _literal(text: str, is_last: bool = False) -> str:
    """Return the pattern of a text between parts; a space matches several, but not at the template's end."""
    kept = len(text.rstrip(" ")) if is_last else len(text)
    return re.sub(r"(?:\\ )+", " ++", re.escape(text[:kept])) + " " * (len(text) - kept)


def _part(name: str, following: str, first_time: bool) -> str:
    stop = re.escape(following)
    match name:
        case "time":
            return f"(?P<time>{_TIME})" if first_time else f"(?:{_TIME})"
        case "number":
            return r"\d++"
        case "level":
            return "[A-Za-z]++"
        case "word":
            return rf"[^\s{stop}]++"
    return rf"[^\n{stop}]++"


def template_of(head: bytes) -> str | None:
    """Return a template of the text before a message; `None` if there is none."""
    text = head.decode("utf-8", "replace")
    if not text or len(text) > MAX_LENGTH or not text.isprintable() or "{" in text or text[-1] in "\"'`":
        return None
    pieces = re.split(f"({_TIME})", text)
    shape = "".join(
        "{time}" if number % 2 else _WORD.sub("{word}", piece) for number, piece in enumerate(pieces)
    )
    try:
        found = template(shape).split(head + b"[x")
    except TemplateMistake:
        return None
    return shape if found is not None and found.message == b"[x" else None
