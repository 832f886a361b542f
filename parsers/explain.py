"""The explanation of how a line is read: its prefix, its family, and where that stops matching.

`parsers.line` alone decides what a line says; this explains it to a person, and need not be fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from parsers import escalation
from parsers.escapes import without_escapes
from parsers.event import FALLBACK, FULL, NUMBER, NUMBER_OR_NONE, PERCENT, TEXT, TRUTH, Kind
from parsers.family import Family, Shape
from parsers.line import parts_of, prefixed_of
from parsers.numbers import DECIMAL
from parsers.prefix import Prefixed
from parsers.records import Malformed, Record, Stamp
from parsers.registry import FAMILIES
from parsers.template import Template

_PATTERNS = {PERCENT: rf"({DECIMAL}|nan)%"}


def _event_form(kinds: Mapping[str, Kind]) -> str:
    values = " ".join(f"{key}={_PATTERNS.get(kind, kind.quick)}" for key, kind in kinds.items())
    return rf"\[TokenEstimationV2\] {values.removesuffix(TEXT.quick)}([^=]+)"  # the model is never empty


_EVENTS = (_event_form(FULL), _event_form(FALLBACK))
"""Both forms of the event line. The parser cuts lines at their keys; these show how far a line matches."""

_ESCALATIONS = tuple(re.sub(r"\?P<\w+>", "", form) + ".*" for form in escalation.FORMS)
_FORMS = {"event": _EVENTS, "escalation": _ESCALATIONS, "token_escalation": _ESCALATIONS}
_EXCERPT = 30
"""How many characters are shown from where a line stops matching."""

_GROUPS = {
    NUMBER.quick: "a number",
    "([0-9]": "a number",
    "[0-9]": "digits",
    NUMBER_OR_NONE.quick: "a number or None",
    TRUTH.quick: "True, False or None",
    r"(\[": "a list in brackets",
}
"""What a group expects, by the beginning of its pattern; the longest beginning counts."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a message stops matching its family: after `reached` characters.

    `expected` says what should be there instead of `found`, which is empty at the message's end.
    """

    reached: int
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a line is read.

    `prefix` names the kind of its prefix, and `prefix_length` is its length in characters; it is 0 in a JSON
    object, where indexes are those of the message. `family` is the family whose opening the message has,
    `record` is what was read, and `stop` where the message stops matching. `why` is the reason if a line
    gives no record.
    """

    prefix: str
    prefix_length: int
    stamp: Stamp | None
    message: str
    family: str | None = None
    record: Record | None = None
    stop: Stop | None = None
    why: str | None = None


def explain(line: bytes, container_logs: bool = True, template: Template | None = None) -> Explanation:
    """Explain a line (UTF-8, without its terminator), as `parse_line` reads it."""
    plain = without_escapes(line)
    prefixed = prefixed_of(plain, template)
    message = prefixed.message.decode("utf-8", "replace")
    before = len(plain.decode("utf-8", "replace")) - len(message)
    in_json = prefixed.outer and line.startswith(b"{")
    is_own = template is not None and prefixed != prefixed_of(plain, None)
    about = (_kind_of(prefixed, in_json, is_own), 0 if in_json else before, prefixed.stamp, message)
    family = family_of(prefixed.message)
    part = parts_of(line, container_logs, template)[0]
    parsed = part.parsed
    if family is None:
        return Explanation(*about, why=_misplaced(message) or "no family of lines opens like this")
    if parsed is not None and not isinstance(parsed.record, Malformed):
        return Explanation(*about, family.name, parsed.record)
    if parsed is not None:
        return Explanation(*about, family.name, parsed.record, stop_in(family, message))
    stop = stop_in(family, message)
    if stop is None and part.is_cut:
        why = "another line begins within it, so that its last value may be cut"
    elif stop is None and family.needs_prefix:
        why = "it counts only behind a prefix; what stands bare may be a model's answer"
    else:
        why = "it opens like this family and goes on otherwise"
    return Explanation(*about, family.name, None, stop, why)


def _kind_of(prefixed: Prefixed, in_json: bool, is_own: bool) -> str:
    if not prefixed.outer:
        return "the executor's own" if prefixed.inner else "none that is known"
    kind = "that of --prefix" if is_own else "an object of JSON" if in_json else "a container's or journal's"
    return kind + (" around the executor's own" if prefixed.inner else "")


@cache
def _openings() -> re.Pattern[bytes]:
    return re.compile("|".join(f"({family.opening})" for family in FAMILIES).encode())


def family_of(message: bytes) -> Family | None:
    """Return the family whose opening a message, without its prefix, begins with."""
    found = _openings().match(message)
    return None if found is None or found.lastindex is None else FAMILIES[found.lastindex - 1]


def _misplaced(message: str) -> str | None:
    """Return a message if a marker is in a place where it doesn't count."""
    places = [
        (message.find(marker), marker)
        for family in FAMILIES
        for marker in family.markers
        if marker in message
    ]
    if not places:
        return None
    at, marker = min(places)
    return f"`{marker}` counts only directly behind the prefix; here {at:,} characters stand before it"


def stop_in(family: Family, message: str) -> Stop | None:
    """Return where a message stops matching its family's pattern; `None` if it matches as a whole.

    If the family has several forms, the one that matches furthest counts.
    """
    text = message.rstrip()
    forms = _FORMS.get(family.name) or ((family.read.pattern,) if isinstance(family.read, Shape) else ())
    stops = [_stop(alternative, text) for form in forms for alternative in _alternatives(form)]
    if not stops or None in stops:
        return None
    return max((stop for stop in stops if stop is not None), key=lambda stop: stop.reached)


@cache
def _beginnings(pattern: str) -> list[tuple[int, re.Pattern[str]]]:
    """Return the beginnings of a pattern that are valid patterns, with their ends, the longest first."""
    found = []
    for end in range(len(pattern), 0, -1):
        with suppress(re.error):  # cut within a group or a repetition
            found.append((end, re.compile(pattern[:end], re.ASCII)))
    return found


def _alternatives(pattern: str) -> Iterator[str]:
    """Yield a pattern for each alternative of its groups without a value: `(?:a|b)`, `(?:a)?`."""
    start = pattern.find("(?:")
    if start < 0:
        yield pattern
        return
    ends, depth = [start + 2], 0
    for found in _BRACKETS.finditer(pattern, start):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0 or (depth == 1 and found[0] == "|"):
            ends.append(found.start())
        if depth == 0:
            break
    rest = pattern[ends[-1] + 1 :]
    choices = [pattern[begin + 1 : end] for begin, end in pairwise(ends)]
    if rest.startswith("?"):
        choices, rest = [*choices, ""], rest[1:]
    for choice in choices:
        yield from _alternatives(pattern[:start] + choice + rest)


def _stop(pattern: str, text: str) -> Stop | None:
    """Match ever shorter beginnings of a pattern; `None` where all of it matches all of a text."""
    beginnings = _beginnings(pattern)
    if beginnings[0][1].fullmatch(text):
        return None
    for end, beginning in beginnings:
        if (found := beginning.match(text)) is not None:
            return Stop(found.end(), text[found.end() :][:_EXCERPT], _expected(pattern, end))
    return Stop(0, text[:_EXCERPT], _expected(pattern, 0))


_BRACKETS = re.compile(r"\\.|\[\^?(?:\\.|[^\]\\])*\]|[()|]")
"""What opens, divides and closes groups, without brackets in escapes and character classes."""

_LITERALS = re.compile(r"(?:(?:\\[^\w\s]|[\w =:,/'-])(?![?*+{]))+")
"""Literal text in a pattern, some of it escaped."""


def _expected(pattern: str, at: int) -> str:
    """Return what a pattern expects at an index: a whole literal, or what a group stands for."""
    if at >= len(pattern):
        return "the end of the line"
    for found in _LITERALS.finditer(pattern):
        if found.start() <= at < found.end():
            return f"`{found[0].replace(chr(92), '')}`"
    begins = [group for group in _GROUPS if pattern.startswith(group, at)]
    return _GROUPS[max(begins, key=len)] if begins else "text"
