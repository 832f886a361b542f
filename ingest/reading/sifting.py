"""Out of a block of lines those that say something, read family by family.

One automaton finds the lines that hold a marker. All lines of one family are then read by one call of one
pattern, prefix and message together, in C. A line that its family's pattern doesn't read is left to
`parsers.line.parse_line`, which agrees with the patterns on every line; a property test says so.

Nothing here depends on any other block. What the lines mean together is the linker's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

from ingest.reading.markers import find_markers
from ingest.reading.zone import Zone
from parsers import event
from parsers.event import Ending, Endings
from parsers.family import Shape
from parsers.line import may_be_listed
from parsers.prefix import OWN, OWN_WITH_TIME, unwrapped
from parsers.records import Record
from parsers.registry import FAMILIES


class SiftedEvent(NamedTuple):
    """An event line in its usual form.

    `key` is its key while its phase is unknown, `timestamp` its time as the database writes it.
    """

    key: str
    timestamp: str
    timestamp_text: str
    predicted: int
    actual: int
    smape: float
    ending: Ending


Sifted = tuple[int, int, Record | SiftedEvent | bytes, str]
"""A line: the indexes in its block where it begins and ends, what it says, and the executor's own prefix.

What it says is a record, an event in its usual form, or the line as it is, without its terminator: that is to
be read by itself, and says something only directly below a line of a list if it holds no marker.
"""

_OF_MARKER = [number for number, family in enumerate(FAMILIES) for _ in family.markers]
_EVENT = FAMILIES.index(event.FAMILY)
_LISTED = len(FAMILIES)
"""Lines below the head of a list, which hold no marker, come after the families."""

_BRACE, _BRACKET = ord("{"), ord("[")


@cache
def _pattern(number: int) -> re.Pattern[str] | None:
    """Return what reads the lines of a family, joined: each gives one row, of empty groups if it is another.

    Nothing in it matches a newline but at its end. The first group is the prefix, the second one is never
    empty; those of events begin with their time, in one of two groups. `None` where each line is to be
    read by itself.
    """
    family = FAMILIES[number] if number < _LISTED else None
    if family is event.FAMILY:
        message = OWN_WITH_TIME + event.WHOLE
    elif family is not None and isinstance(family.read, Shape):
        prefix = OWN if family.needs_prefix else f"(?:{OWN})?+"
        message = rf"({prefix})(?:{family.read.pattern})(?u:[^\S\n]*)"
    else:
        return None
    return re.compile(rf"(?:{message}|.*)\n", re.ASCII)


def _rows(number: int, lines: list[bytes]) -> list[tuple[str, ...]]:
    """Read the lines of a family: one row a line; none where each is to be read by itself."""
    pattern = _pattern(number) if lines else None
    if pattern is None:
        return [()] * len(lines)
    rows = pattern.findall(b"".join(lines).decode("utf-8", "replace"))
    if len(rows) != len(lines):  # it would shift all that is behind it
        rows = [pattern.findall(line.decode("utf-8", "replace"))[0] for line in lines]
    return rows


class Sifter:
    """Sift blocks of logs whose local times are of one zone."""

    def __init__(self, zone: Zone) -> None:
        """Remember what was looked up, from block to block."""
        self.zone = zone
        self._endings = Endings()

    def sift(self, data: bytes, container_logs: bool = True) -> Iterator[Sifted]:
        """Yield the lines of a block that may say something; it holds whole lines of plain text.

        `container_logs` as for `parse_line`.
        """
        places, lines = _found(data, container_logs)
        rows = [iter(_rows(number, some)) for number, some in enumerate(lines)]
        builders = _BUILDERS
        for number, start, end in places:
            row = next(rows[number])
            if number != _EVENT and row and row[1]:
                record = builders[number](*row[1:])
                if record is not None:
                    yield start, end, record, row[0]
                continue
            event = self._event(row) if number == _EVENT and row[2] else None
            yield start, end, event or data[start : end - 1].rstrip(b"\r"), ""

    def _event(self, row: tuple[str, ...]) -> SiftedEvent | None:
        bracketed, other, predicted, actual, smape, rest = row
        text = bracketed or other
        ending, moment = self._endings[rest], self.zone.utc_text(text[:19])
        if ending is None or moment is None:
            return None
        fraction = (text[20:] + "000000")[:6] if len(text) > 19 else "000000"
        content = "\x1f".join((moment, predicted, actual, "False", smape, ending.identity))
        digest = blake2b(content.encode(), digest_size=12).hexdigest()
        digits = moment.replace("-", "").replace(":", "").replace(" ", "")
        key = f"{digits}{digest}:@{fraction}"
        numbers = (int(predicted), int(actual), float(smape))
        values = (key, f"{moment}.{fraction}", text, *numbers, ending)
        return tuple.__new__(SiftedEvent, values)


def _nothing(*_: Any) -> None:
    raise AssertionError("a family that is read line by line gave a row")


_BUILDERS = [family.read.build if isinstance(family.read, Shape) else _nothing for family in FAMILIES]
_HEAD = [family.name for family in FAMILIES].index("required_list")


def _found(data: bytes, container_logs: bool) -> tuple[list[tuple[int, int, int]], list[list[bytes]]]:
    """Find the lines that may say something; of those in a container's, take what stands in them.

    The first of a block that has both prefixes is left to be read by itself, which remembers that.

    Returns:
        Of each the number of its family, and the indexes where it begins and ends; and the lines of each
        family, with their newlines.
    """
    places: list[tuple[int, int, int]] = []
    lines: list[list[bytes]] = [[] for _ in range(_LISTED + 1)]
    rfind, find = data.rfind, data.find
    seen_both = False
    done = _add_listed(data, 0, places, lines[_LISTED])
    for marker, at, _ in find_markers(data):
        if at < done:
            continue
        number = _OF_MARKER[marker]
        start = rfind(b"\n", done, at) + 1 or done
        done = find(b"\n", at) + 1
        line = data[start:done]
        if data[start] != _BRACKET and (inner := unwrapped(line[:-1].rstrip(b"\r"), container_logs)):
            line = inner[0] if seen_both or not inner[1] else line
            if inner[1]:
                seen_both, container_logs = True, False
        lines[number].append(line)
        places.append((number, start, done))
        if number == _HEAD or data[start] == _BRACE:  # in an object it may hold another marker before its own
            done = _add_listed(data, done, places, lines[_LISTED])
    return places, lines


def _add_listed(data: bytes, start: int, places: list[tuple[int, int, int]], lines: list[bytes]) -> int:
    """Add the lines from an index on that may go on with a list; return where they end."""
    while start < len(data):
        end = data.find(b"\n", start) + 1
        if not may_be_listed(data[start : end - 1].rstrip(b"\r")):
            break
        lines.append(data[start:end])
        places.append((_LISTED, start, end))
        start = end
    return start
