"""From chunks to blocks of whole lines, most of which are never cut.

What is not plain text (a hole, a byte order mark in the middle) or has a line beyond the limit comes
line by line, as `ingest.reading.lines` cuts it. Lines are counted no sooner than their numbers are
needed: in a log without a marker counting them would take longer than finding that out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ingest.reading.encoding import Encoding
from ingest.reading.lines import (
    MAX_LINE_BYTES,
    SAMPLE_BYTES,
    Line,
    Position,
    Rest,
    Wanted,
    last_line,
    narrow_lines,
    newlines_in,
)
from ingest.reading.markers import is_plain_text


class Place(NamedTuple):
    """Where a line is: its offset, and its number as a physical and as a logical line."""

    offset: int
    number: int
    ordinal: int


class Block:
    """Whole lines of plain text; `offset` is that of the first."""

    __slots__ = ("_counted", "_number", "_numbering", "data", "offset")

    def __init__(self, offset: int, data: bytes, numbering: Numbering) -> None:
        """Count no line yet."""
        self.offset, self.data = offset, data
        self._numbering = numbering
        self._number, self._counted = 0, -1

    def offset_at(self, start: int) -> int:
        """Return the offset of the line that begins at an index of `data`."""
        return self.offset + start

    def place(self, start: int) -> Place:
        """Return where the line is that begins at an index of `data`; indexes are asked for in order."""
        counted = self._counted
        if counted < 0:
            self._number, counted = self._numbering.before(self.offset) + 1, 0
        self._number = number = self._number + newlines_in(self.data[counted:start])
        self._counted = start
        return tuple.__new__(Place, (self.offset + start, number, number - self._numbering.joined))

    def sample(self, start: int) -> bytes:
        """Return how the line at an index begins in the file, without its terminator."""
        return self.data[start : self.data.find(b"\n", start)].rstrip(b"\r")[:SAMPLE_BYTES]

    def pass_by(self) -> None:
        """Move the position past all lines; count them where that was begun, or can't be done later."""
        end = len(self.data)
        if self._counted >= 0 or not self._numbering.can_recount:
            _, number, _ = self.place(end)
            self._numbering.counted(self.offset + end, number - 1)
        self._numbering.move(self.offset + end)


class Numbering:
    """The numbers of lines, counted where one is needed, and the position, which is kept up to date.

    `recount` counts the newlines between two offsets anew, from the file; `None` where it can't be read
    again: then all lines are counted as they pass.
    """

    def __init__(self, position: Position, recount: Callable[[int, int], int] | None) -> None:
        """Start at a position."""
        self.position = position
        self._recount = recount
        self._offset = position.offset if position.counted_offset is None else position.counted_offset
        self._number = position.number
        self.joined = 0  # so many of them were no logical lines of their own

    @property
    def can_recount(self) -> bool:
        """Whether lines can be counted later."""
        return self._recount is not None

    def before(self, offset: int) -> int:
        """Return how many lines are before an offset at which one begins, and all counted ones end."""
        if self._offset < offset and self._recount is not None:
            self.counted(offset, self._number + self._recount(self._offset, offset))
        return self._number

    def counted(self, offset: int, number: int) -> None:
        """Take note that so many lines are before an offset."""
        self._offset, self._number = offset, number

    def move(self, offset: int) -> None:
        """Move the position to an offset at which a line begins."""
        position = self.position
        position.offset = offset
        position.number = position.ordinal = self._number
        position.counted_offset = None if self._offset == offset else self._offset

    def before_lines(self) -> None:
        """Count all that is before the position: line by line from here."""
        self.before(self.position.offset)
        self.move(self.position.offset)

    def pass_lines(self) -> None:
        """Take note of where line by line has led the position."""
        self.counted(self.position.offset, self.position.number)


def split_blocks(
    chunks: Iterable[bytes], numbering: Numbering, encoding: Encoding, wanted: Wanted
) -> Iterator[Block | Line | None]:
    """Yield blocks, and lines where there can be none; move the position past the lines.

    The consumer moves it past a block (`Block.pass_by`). After each chunk comes a `None`. The
    last line comes with `terminated` false where no newline ends it and it is wanted.
    """
    rest, position = Rest(), numbering.position
    offset = position.offset
    for chunk in chunks:
        if rest.add(chunk):
            data = rest.take()
            if len(data) <= MAX_LINE_BYTES and not (rest.dropped or rest.hole) and is_plain_text(data):
                end = data.rfind(b"\n") + 1
                rest.keep(data[end:], 1)
                yield Block(offset, data[:end], numbering)
                offset += end
            else:
                rest.give_back(data)
                yield from _lines(data, rest, numbering, encoding, wanted)
                offset = position.offset
        yield None
    data = rest.take()
    rest.give_back(data)
    yield from _lines(data, rest, numbering, encoding, wanted)
    for line in last_line(rest, position, encoding, wanted):
        numbering.before_lines()
        yield line._replace(number=position.number + 1, ordinal=position.ordinal + 1)


def _lines(
    data: bytes, rest: Rest, numbering: Numbering, encoding: Encoding, wanted: Wanted
) -> Iterator[Line]:
    if b"\n" not in data:  # no line ends here, so none is passed
        yield from narrow_lines(rest, numbering.position, encoding, wanted)
        return
    numbering.before_lines()
    yield from narrow_lines(rest, numbering.position, encoding, wanted)
    numbering.pass_lines()
