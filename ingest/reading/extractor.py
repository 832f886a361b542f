"""From a block of lines to the records in it, read family by family.

One automaton finds the lines that hold a marker. All lines of one family are then read by one call of one
pattern, prefix and message together, in C. A line that its family's pattern doesn't read is left to
`parsers.line.parse_line`, which agrees with the patterns on every line; a property test checks that.

No block depends on another one here. What the lines mean together is left to the linker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

from ahocorasick_rs import BytesAhoCorasick, MatchKind

from ingest.identity import digest_of
from ingest.reading.zone import Zone
from parsers import event
from parsers.escapes import ESCAPE, without_escapes
from parsers.event import AttributesCache
from parsers.family import Shape
from parsers.line import may_be_listed, shows_both_prefixes
from parsers.prefix import OWN, OWN_WITH_TIME, unwrapped
from parsers.records import EstimationEvent, Record
from parsers.registry import EVENT_MARKER, FAMILIES, MARKERS
from parsers.template import Template

Found = tuple[int, int, int]
"""Which marker was found, and the indexes where it begins and ends."""

_BYTES_OF_TEXT = (b'"MESSAGE":[', b'"MESSAGE": [', b'"MESSAGE" : [', b'"MESSAGE" :[')
"""How the journal writes a message that is no plain text: its bytes, as numbers. No marker is found in it."""

_AUTOMATON = BytesAhoCorasick((*MARKERS, *_BYTES_OF_TEXT), matchkind=MatchKind.LeftmostFirst)


def find_markers(block: bytes) -> list[Found]:
    """Return where markers are in a block, in order; one that overlaps the marker before it is left out.

    Numbers after those of the markers are of `_BYTES_OF_TEXT`: a marker may be hidden in such a line.
    """
    found: list[Found] = _AUTOMATON.find_matches_as_indexes(block)
    return found


def has_marker(line: bytes) -> bool:
    """Whether a line holds a marker, once its escapes are removed."""
    return bool(find_markers(without_escapes(line)))


class ExtractedEvent(NamedTuple):
    """An event line in its usual form.

    `stem` is the beginning of its key, `timestamp` its time as the database writes it.
    """

    stem: str
    timestamp: str
    timestamp_text: str
    payload: EstimationEvent


Extracted = tuple[int, int, Record | ExtractedEvent | bytes, str]
"""A line: the indexes in its block where it begins and ends, its content, and the executor's own prefix.

The content is a record, an event in its usual form, or the bytes of the line without its terminator. Such
bytes are to be read by `parse_line`; without a marker they count only directly below a line of a list.
"""

_EVENT = FAMILIES.index(event.FAMILY)
_LISTED = len(FAMILIES)
"""The number, after those of the families, of lines that are to be read one by one: those below the head of a
list, which hold no marker, those that hold the event's marker as well, and those that may hide one."""

_OF_MARKER = [number for number, family in enumerate(FAMILIES) for _ in family.markers]
_OF_MARKER += [_LISTED] * len(_BYTES_OF_TEXT)

_BRACKET = ord("[")


@cache
def _pattern(number: int) -> re.Pattern[str] | None:
    """Return the pattern that reads a family's joined lines: one row a line, with empty groups if it fails.

    It matches a newline only at its end. The first group is the prefix, and the second one is never empty;
    those of events begin with their time, in one of two groups. `None` where lines are to be read one by one.
    """
    family = FAMILIES[number] if number < _LISTED else None
    if family is event.FAMILY:
        message = OWN_WITH_TIME + event.WHOLE
    elif family is not None and isinstance(family.read, Shape):
        prefix = OWN if family.needs_prefix else f"(?:{OWN})?+"
        message = rf"({prefix})(?:{family.read.quick_pattern})(?u:[^\S\n]*)"
    else:
        return None
    return re.compile(rf"(?:{message}|.*)\n", re.ASCII)


def _rows(number: int, lines: list[bytes]) -> list[tuple[str, ...]]:
    """Read the lines of a family: one row a line, an empty one where a line is to be read by itself."""
    pattern = _pattern(number) if lines else None
    if pattern is None:
        return [()] * len(lines)
    text = b"".join(lines).decode("utf-8", "replace")
    if "\r" in text and "\r" in (text := text.replace("\r\n", "\n")):  # it overwrites what stands before it
        return [_row(pattern, line) for line in lines]
    rows = pattern.findall(text)
    if len(rows) != len(lines):  # it would shift all that is behind it
        rows = [_row(pattern, line) for line in lines]
    return rows


def _row(pattern: re.Pattern[str], line: bytes) -> tuple[str, ...]:
    text = line.removesuffix(b"\n").rstrip(b"\r").decode("utf-8", "replace")
    return () if "\r" in text else pattern.findall(f"{text}\n")[0]


class Extractor:
    """Extract the records of blocks whose local times are in one zone; what is looked up is cached."""

    def __init__(self, zone: Zone) -> None:
        """Begin with empty caches."""
        self.zone = zone
        self._attributes = AttributesCache()

    def extract(
        self, data: bytes, container_logs: bool = True, template: Template | None = None
    ) -> Iterator[Extracted]:
        """Yield the lines that may say something of a block of plain text, which holds whole lines.

        `container_logs` and `template` as for `parse_line`.
        """
        plain = without_escapes(data) if ESCAPE in data else data
        places, lines = _found(plain, container_logs, template)
        if plain is not data:
            places = _as_logged(places, plain, data)
        rows = [iter(_rows(number, some)) for number, some in enumerate(lines)]
        builders = _BUILDERS
        for number, start, end in places:
            row = next(rows[number])
            if number != _EVENT and row and row[1]:
                record = builders[number](*row[1:])
                if record is not None:
                    yield start, end, record, row[0]
                continue
            event = self._event(row) if number == _EVENT and row and row[2] else None
            yield start, end, event or data[start : end - 1].rstrip(b"\r"), ""

    def _event(self, row: tuple[str, ...]) -> ExtractedEvent | None:
        bracketed, other, predicted, actual, smape, rest = row
        text = bracketed or other
        attributes, moment = self._attributes[rest], self.zone.utc_text(text[:19])
        if attributes is None or moment is None:
            return None
        fraction = (text[20:] + "000000")[:6] if len(text) > 19 else "000000"
        digest = digest_of(f"False\x1f{smape}\x1f{attributes.identity}")
        stem = f"{moment} {predicted} {actual} {digest}"
        values = (int(predicted), int(actual), False, float(smape), *attributes.values)
        payload = tuple.__new__(EstimationEvent, values)
        return tuple.__new__(ExtractedEvent, (stem, f"{moment}.{fraction}", text, payload))


def _nothing(*_: Any) -> None:
    raise AssertionError("a family that is read line by line gave a row")


_BUILDERS = [family.read.build if isinstance(family.read, Shape) else _nothing for family in FAMILIES]
_BEGINS_LIST = {[family.name for family in FAMILIES].index("required_list"), _LISTED}
"""Below a line that holds such a marker, anywhere, a list may go on."""


def _found(
    data: bytes, container_logs: bool, template: Template | None = None
) -> tuple[list[tuple[int, int, int]], list[list[bytes]]]:
    """Find the lines that may say something, without a container's prefix.

    The first line of a block that has both prefixes is left as it is: reading it by itself notes that.

    Returns:
        For each line the number of its family and the indexes where it begins and ends; and the lines of
        each family, with their newlines.
    """
    places: list[tuple[int, int, int]] = []
    lines: list[list[bytes]] = [[] for _ in range(_LISTED + 1)]
    rfind, find = data.rfind, data.find
    seen_both, asked = False, 0  # how many of the places were asked whether they show both prefixes
    start = end = 0  # of the newest line that holds a marker
    done = _add_listed(data, 0, places, lines[_LISTED], template)
    for marker, at, _ in find_markers(data):
        number = _OF_MARKER[marker]
        if at >= done:
            start = rfind(b"\n", done, at) + 1 or done
            done = end = find(b"\n", at) + 1
            line = data[start:done]
            if (
                data[start] != _BRACKET
                and line[10:11] != b" "
                and (inner := unwrapped(line[:-1].rstrip(b"\r"), container_logs))
            ):
                if inner[1]:
                    line = inner[0] if seen_both else line
                    seen_both, container_logs = True, False
                elif not _any_shows_both(data, places[asked:]):
                    line, asked = inner[0], len(places) + 1
                else:
                    container_logs = False
            lines[number].append(line)
            places.append((number, start, done))
        elif marker == EVENT_MARKER and at < end:  # it is counted, whatever the line says
            _read_by_itself(places, lines, start)
        if number in _BEGINS_LIST and at < end:
            done = _add_listed(data, done, places, lines[_LISTED], template)
    return places, lines


def _any_shows_both(data: bytes, places: Sequence[tuple[int, int, int]]) -> bool:
    """Whether any of the lines at some places, which are read by themselves, has both prefixes."""
    return any(shows_both_prefixes(data[start : end - 1].rstrip(b"\r")) for _, start, end in places)


def _read_by_itself(places: list[tuple[int, int, int]], lines: list[list[bytes]], start: int) -> None:
    """Leave the newest line with a marker, which begins at an index, to be read by itself."""
    index = len(places) - 1
    while places[index][1] != start:  # those of a list stand below it
        index -= 1
    number, _, end = places[index]
    if number != _LISTED:
        lines[_LISTED].append(lines[number].pop())
        places[index] = (_LISTED, start, end)


def _as_logged(places: list[tuple[int, int, int]], plain: bytes, data: bytes) -> list[tuple[int, int, int]]:
    """Return where lines are in a block as logged, given where they are without its escapes."""
    ends = [0, *accumulate(len(line) + 1 for line in data.split(b"\n"))]
    logged, reached, passed = [], 0, 0
    for number, start, _ in places:
        passed += plain.count(b"\n", reached, start)
        reached = start
        logged.append((number, ends[passed], ends[passed + 1]))
    return logged


def _add_listed(
    data: bytes,
    start: int,
    places: list[tuple[int, int, int]],
    lines: list[bytes],
    template: Template | None,
) -> int:
    """Add the lines from an index on that may go on with a list; return where they end."""
    while start < len(data):
        end = data.find(b"\n", start) + 1
        if not may_be_listed(data[start : end - 1].rstrip(b"\r"), template):
            break
        lines.append(data[start:end])
        places.append((_LISTED, start, end))
        start = end
    return start
