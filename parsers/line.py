"""One line in, what it says out: the prefix and the families put together.

Markers count only directly after the prefix: real logs quote whole other logs inside one line, and
dump raw model output, which may contain anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from parsers import event
from parsers.family import PHASE_TAG
from parsers.prefix import INNER, JSON, OUTER, POWERSHELL, Prefixed, split_prefix
from parsers.records import EstimationEvent, Malformed, Record, Stamp
from parsers.registry import FAMILIES

# Most lines are read without these, so they are compiled when they are needed.
Match = Callable[..., re.Match[bytes] | None]


@cache
def _opening() -> Match:
    """Find the family of a message: its number is that of the last group."""
    return re.compile("|".join(f"({family.opening})" for family in FAMILIES).encode()).match


def _factored() -> str:
    """Write the alternation of all openings so that what they share is matched once."""
    tagged, bracketed, other = [], [], []
    for family in FAMILIES:
        if family.opening.startswith(PHASE_TAG):
            tagged.append(family.opening.removeprefix(PHASE_TAG))
        elif family.opening.startswith(r"\["):
            bracketed.append(family.opening.removeprefix(r"\["))
        else:
            other.append(family.opening)
    in_tag = PHASE_TAG.removeprefix(r"\[") + f"(?:{'|'.join(tagged)})"
    return rf"\[(?:{'|'.join(bracketed)}|{in_tag})|{'|'.join(other)}"


@cache
def _wanted() -> Match:
    pattern = rf"(?:{POWERSHELL})?+(?:(?:{INNER})?+(?:{_factored()})|{OUTER}|{JSON})"
    return re.compile(pattern.encode()).match


def is_wanted(line: bytes) -> bool:
    """Cheap test of a line's first bytes: false for every line that `parse_line` would not understand."""
    return _wanted()(line) is not None


_LISTED = "|".join(family.opening for family in FAMILIES if not family.markers)
_MAY_BE_LISTED = re.compile(
    rf"(?:{POWERSHELL})?+(?:(?:{INNER})?+(?:{_LISTED})|(?P<container>{OUTER}|{JSON}))".encode()
)


def may_be_listed(line: bytes) -> bool:
    """Whether a line, if it stands directly below a list, may go on with it: it is indented, at least."""
    found = _MAY_BE_LISTED.match(line)
    return found is not None and (found["container"] is None or b"   " in line or b'"  ' in line)


_EVENT_MARKER = event.MARKER.encode()


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """What a line says, and when it was logged (`None` where the line has no usable time)."""

    stamp: Stamp | None
    record: Record


def parse_line(line: bytes, container_logs: bool = True) -> ParsedLine | None:
    """Read a line (UTF-8, without its terminator; invalid bytes are replaced); `None` if it is nothing.

    `container_logs` is false in a log whose lines have the executor's own prefix inside that of a
    container: there a line without it was printed, as a bare one is elsewhere.
    """
    prefixed = split_prefix(line)
    if not container_logs and not prefixed.inner:
        prefixed = Prefixed(None, prefixed.message)
    opening = _opening()(prefixed.message)
    if opening is None or opening.lastindex is None:
        return None
    family = FAMILIES[opening.lastindex - 1]
    if family.needs_prefix and not prefixed.found:
        return None
    record = family.read(prefixed.message.decode("utf-8", "replace"))
    if isinstance(record, EstimationEvent) and prefixed.stamp is None:
        record = Malformed("no timestamp")
    return None if record is None else ParsedLine(prefixed.stamp, record)


def shows_both_prefixes(line: bytes) -> bool:
    """Whether a line has the executor's own prefix inside that of a container."""
    prefixed = split_prefix(line)
    return prefixed.inner and prefixed.outer


def is_event_line(line: bytes) -> bool:
    """Whether the start of a line, however it goes on, is that of an event line."""
    return split_prefix(line).message.startswith(_EVENT_MARKER)


def is_whole_event(line: bytes) -> bool:
    """Whether a line is an event, as it stands."""
    parsed = parse_line(line)
    return parsed is not None and isinstance(parsed.record, EstimationEvent)
