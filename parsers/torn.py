"""Torn lines: where another line begins within a line.

If a writer is killed in the middle of a line and the next one appends to the same file, two lines are in one.
The second begins at one of the executor's own prefixes (a date, a time and a level), alone or after a
container's; at text that is printed without a prefix, if it can't be a part of a name; or at a JSON object
after another. This module also finds out whether the second line is only quoted. It doesn't read the lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from parsers.prefix import INNER, SURE, SYSLOG, WITH_OFFSET, WITHOUT_YEAR, own_line_at

PRINTED = (
    r"\[(?:drain_one_phase|PROBE)\] |\[TokenEstimationV2\] (?:predicted_output=|Failed to write )"
    r"|\{\"(?:log|timestamp)\":"
    r"|Traceback \(most recent call last\):|Fatal Python error: |Exception (?:ignored in: |in thread )"
    r"|nohup: (?:ignoring|redirecting|appending) |faiss library not installed;|={20}"
)
"""The beginnings of lines printed without a prefix; no name of a run, a phase or a model goes on so."""

_WARNING = r"\.py:\d{1,6}: [A-Za-z]{0,60}Warning: "
_PICTURE = (
    rb"(?=[\x80-\xff])(?<=[^\s\x80-\xff])(?:[\x80-\xff]++ (?:REQUIRED DELIVERABLES:|Run ')"
    rb"|(?:(?:\xe2[\x98-\x9e][\x80-\xbf]|\xf0\x9f[\x80-\xbf]{2})(?:\xef\xb8\x8f)?)++ (?=[A-Z]))"
)
"""A picture at the head of a printed line, directly after other text, or what a capture has made of it."""

_PATH_AT_END = re.compile(rb"(?:[A-Za-z]:\\|/)[^:]*\Z")
_INNER = re.compile(INNER.encode())
_DIGIT = re.compile(rb"\d")
_OUTER_AT_END = re.compile(rf"(?:{SURE})\Z".encode())
_INNER_AT_END = re.compile(rf"(?:{INNER})\Z".encode())
_QUOTED_AT_END = re.compile("(?:[\"'`\u2018-\u201f\u00ab\u00bb]|\\\\[nrt])\\Z")
_MAX_PREFIX = 240
"""How many bytes before an index are searched: no prefix is longer."""

_OBJECT = re.compile(
    rb"\{\s*\"(?:log|timestamp|message|level|stream|time|MESSAGE|__REALTIME_TIMESTAMP)\"\s*:"
)
_MAX_OBJECTS = 64
_CLOSINGS = ('"}', "}", '":0}', ":0}", "0}", '"":0}')
"""Texts that may be missing at the end of an object that was cut."""


@cache
def _begins() -> re.Pattern[bytes]:
    """Find where another line may begin: at its time, at a warning after its path, or at its first text."""
    printed = (_WARNING.encode(), PRINTED.encode(), _PICTURE, SYSLOG.encode())
    return re.compile(rb"(?P<time>%b)|(?P<warning>%b)|%b|%b|%b" % (WITHOUT_YEAR.encode(), *printed))


@cache
def _with_offset() -> re.Pattern[bytes]:
    return re.compile(WITH_OFFSET.encode())


class Tear(NamedTuple):
    """The index at which another line begins, and whether it is only quoted there."""

    start: int
    is_quoted: bool


def is_quoted(text: bytes, index: int) -> bool:
    r"""Whether a quotation mark, or an escape such as `\\n`, is directly before an index."""
    return _QUOTED_AT_END.search(text[max(0, index - 4) : index].decode("utf-8", "ignore")) is not None


def own_prefix_before(text: bytes, index: int) -> int | None:
    """Return where one of the executor's own prefixes begins that ends at an index; `None` if none does."""
    first = max(0, index - _MAX_PREFIX)
    found = _INNER_AT_END.search(text[first:index])
    return None if found is None else first + found.start()


def tears(message: bytes, before: Callable[[], bytes]) -> Iterator[Tear]:
    """Yield where other lines begin within a message; all text after a quoted one is quoted, too.

    `before` returns the text before the line's own prefix. If the same text, but for its digits, is before
    another prefix, it belongs to the other line, too.
    """
    like: bytes | None = None
    done = 0
    for found in _begins().finditer(message):
        place = _line_at(message, done, found)
        if place is None:
            continue
        begin, end = place
        first = max(done, begin - _MAX_PREFIX)
        outer = _OUTER_AT_END.search(message[first:begin])
        begin = begin if outer is None else first + outer.start()
        like = _DIGIT.sub(b"0", before()) if like is None else like
        if like and _DIGIT.sub(b"0", message[max(first, begin - len(like)) : begin]) == like:
            begin -= len(like)
        yield Tear(begin, is_quoted(message, begin))
        done = end


def _line_at(message: bytes, done: int, found: re.Match[bytes]) -> tuple[int, int] | None:
    """Return where another line's prefix begins and ends, after index `done`; `None` if there is no line.

    For a line that is printed without a prefix these are the bounds of its first text.
    """
    start, end = found.span()
    if found.lastgroup == "warning":
        first = max(done, start - _MAX_PREFIX)
        path = _PATH_AT_END.search(message[first:start])
        return None if path is None or first + path.start() <= done else (first + path.start(), end)
    if found.lastgroup != "time":
        return None if start <= done or _INNER.match(message, end) else (start, end)
    start -= len("2025")
    if start < done:
        return None
    begin, own_end = own_line_at(message, start)
    if own_end is not None:
        return begin, own_end
    prefix = _with_offset().match(message, start)
    return None if prefix is None else prefix.span()


class Object(NamedTuple):
    """A JSON object within a line: its index, its text, and whether its message was cut."""

    start: int
    text: bytes
    is_cut: bool


def objects(line: bytes) -> list[Object]:
    """Return the JSON objects of a line that holds several; none if it is another line."""
    starts = [found.start() for found in _OBJECT.finditer(line)][: _MAX_OBJECTS + 1]
    if not starts or starts[0] or len(starts) > _MAX_OBJECTS:
        return []
    found, start = [], 0
    while start < len(line):
        end = _whole_at(line, start)
        is_torn = end is None
        if end is None:
            end = next((place for place in starts if place > start), len(line))
        text = closed(line[start:end]) if is_torn else line[start:end]
        if text is None:
            return []
        found.append(Object(start, text, is_torn and _is_cut(line[start:end])))
        start = end
    return found if len(found) > 1 else []


def _whole_at(line: bytes, start: int) -> int | None:
    """Return the end of an object that begins at an index; `None` if it is not whole."""
    text = line[start:].decode("latin-1")  # a byte is a character: indexes stay what they are
    try:
        _, length = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return start + length


def closed(part: bytes) -> bytes | None:
    """Return an object that was cut, completed so that it is valid JSON; `None` if that is not possible."""
    text = re.sub(r"\\u[0-9a-fA-F]{0,3}\Z", "", part.decode("utf-8", "replace"))
    if (len(text) - len(text.rstrip("\\"))) % 2:
        text = text[:-1]
    for closing in _CLOSINGS:
        closed = text.rstrip(", ") + closing if closing == "}" else text + closing
        try:
            json.loads(closed)
        except (ValueError, RecursionError):
            continue
        return closed.encode()
    return None


def _is_cut(part: bytes) -> bool:
    """Whether an object was cut within its message: further text would change the message."""

    def message(end: bytes) -> object:
        try:
            entry = json.loads((part + end).decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
        return next((entry[key] for key in ("log", "message", "MESSAGE") if key in entry), None)

    return message(b'"}') != message(b'0"}')
