"""Out of a block of lines those that say something, read without knowing what is around them.

Nothing here depends on any other block. What the lines mean together is the linker's.
"""

from __future__ import annotations

from datetime import date
from hashlib import blake2b
from typing import Any, NamedTuple

from ingest.reading.lines import newlines_in
from ingest.reading.markers import find_markers
from ingest.reading.zone import Zone
from parsers.line import may_be_listed, read_message
from parsers.quick import Ending, Endings, Shaped, match_event, match_prefix, shaped
from parsers.records import (
    Escalation,
    EstimationEvent,
    Malformed,
    Noted,
    Record,
    RequiredList,
)
from parsers.registry import EVENT_MARKER

_NEAR = 400
"""How far from its line's start a marker may stand to be looked at at once, bytes."""

_MAX_DAYS = 10_000
"""How many days are remembered: a hostile log may name every one there is."""

_BRACKET = ord("[")
_WITH_CARE = (EstimationEvent, Malformed, Noted, Escalation)


class SiftedEvent(NamedTuple):
    """An event line in its usual form. `start` and `end` are indexes in the block, `lines` are before it.

    `key` is its key while its phase is unknown, `timestamp` its time as the database writes it.
    """

    start: int
    end: int
    lines: int
    key: str
    timestamp: str
    timestamp_text: str
    predicted: int
    actual: int
    smape: float
    ending: Ending


class SiftedContext(NamedTuple):
    """A context line behind the executor's own prefix; `logged` begins with its time: see `Zone.seconds`."""

    start: int
    end: int
    lines: int
    record: Record
    logged: bytes


class SiftedLine(NamedTuple):
    """Any other line that may say something, as it is, without its terminator.

    It may hold no marker: then it says something only directly below a line of a list.
    """

    start: int
    end: int
    lines: int
    data: bytes


Sifted = SiftedEvent | SiftedContext | SiftedLine


class _Days(dict[bytes, bool]):
    """Whether there is a day, by `YYYY-MM-DD`."""

    def __missing__(self, text: bytes) -> bool:
        if len(self) >= _MAX_DAYS:
            self.clear()
        try:
            date.fromisoformat(text.decode("ascii"))
        except ValueError:
            self[text] = False
        else:
            self[text] = True
        return self[text]


class Sifter:
    """Sift blocks of logs whose local times are of one zone."""

    def __init__(self, zone: Zone) -> None:
        """Remember what was looked up, from block to block."""
        self.zone = zone
        self._endings = Endings()
        self._days = _Days()

    def sift(self, data: bytes) -> list[Sifted]:
        """Return the lines of a block that may say something; it holds whole lines of plain text."""
        sifted: list[Sifted] = []
        done, lines = self._listed(data, 0, 0, sifted)
        for marker, found, _ in find_markers(data):
            if found < done:
                continue
            start = data.rfind(b"\n", done, found) + 1 or done
            if start > done:
                lines += newlines_in(data[done:start])
            event = match_event(data, start) if marker == EVENT_MARKER else None
            if event is not None:
                one = self._event(event.groups(), start, event.end(), lines)
                if one is not None:
                    sifted.append(one)
                    done = one.end
                    lines += 1
                    continue
            done = data.find(b"\n", found) + 1
            other: SiftedContext | SiftedLine | None = None
            if found - start <= _NEAR and (shape := shaped(marker)) is not None:
                other = self._shaped(data, start, done, lines, shape)
            other = other or self._context(data, start, done, lines, marker)
            lines += 1
            if other is not None:
                sifted.append(other)
                if not isinstance(other, SiftedContext) or isinstance(other.record, RequiredList):
                    done, lines = self._listed(data, done, lines, sifted)
        return sifted

    def _event(self, groups: tuple[Any, ...], start: int, end: int, lines: int) -> SiftedEvent | None:
        bracketed, other, milliseconds, predicted, actual, smape, rest = groups
        ending = self._endings[rest]
        second = bracketed or other
        minute = self.zone.minute(second[:16])
        if ending is None or minute is None:
            return None
        _, shown, shown_bytes, digits = minute
        text = second.decode("ascii")
        seconds = text[17:]
        fraction = "000000"
        if milliseconds is not None:
            fraction = f"{milliseconds.decode('ascii')}000"
            text = f"{text},{fraction[:3]}"
        moment = shown_bytes + second[17:]
        content = b"\x1f".join((moment, predicted, actual, b"False", smape, ending.identity))
        key = f"{digits}{seconds}{blake2b(content, digest_size=12).hexdigest()}:@{fraction}"
        numbers = (int(predicted), int(actual), float(smape))
        values = (start, end, lines, key, f"{shown}{seconds}.{fraction}", text, *numbers, ending)
        return tuple.__new__(SiftedEvent, values)

    def _shaped(self, data: bytes, start: int, end: int, lines: int, shape: Shaped) -> SiftedContext | None:
        matches, build = shape
        found = matches(data[start : end - 1].decode("utf-8", "replace").rstrip())
        if found is None:
            return None
        record = build(*found.groups())
        logged = self._logged(data, start)
        if record is None or logged is None:
            return None
        return tuple.__new__(SiftedContext, (start, end, lines, record, logged))

    def _context(
        self, data: bytes, start: int, end: int, lines: int, marker: int
    ) -> SiftedContext | SiftedLine | None:
        prefix = match_prefix(data, start, end)
        if prefix is not None:
            record = read_message(data, prefix.end(), end - 1, marker)
            if record is None:
                return None
            if not isinstance(record, _WITH_CARE):
                logged = self._logged(data, start)
                if logged is not None:
                    return tuple.__new__(SiftedContext, (start, end, lines, record, logged))
        return SiftedLine(start, end, lines, data[start : end - 1].rstrip(b"\r"))

    def _logged(self, data: bytes, start: int) -> bytes | None:
        """Return when a line was logged that begins here with an executor prefix; `None`: on no such day."""
        if data[start] == _BRACKET:
            start += 1
        return data[start : start + 23] if self._days[data[start : start + 10]] else None

    def _listed(self, data: bytes, start: int, lines: int, sifted: list[Sifted]) -> tuple[int, int]:
        """Add the lines from an index on that may go on with a list; return where they end.

        `lines` are before the first of them; how many are before what follows is returned, too.
        """
        while start < len(data):
            end = data.find(b"\n", start) + 1
            text = data[start : end - 1].rstrip(b"\r")
            if not may_be_listed(text):
                break
            sifted.append(SiftedLine(start, end, lines, text))
            start, lines = end, lines + 1
        return start, lines
