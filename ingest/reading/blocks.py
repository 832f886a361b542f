"""From chunks to blocks of whole lines, most of which are never cut.

What is not plain text (a hole, a byte order mark in the middle) or has a line beyond the limit comes
line by line, as `ingest.reading.lines` cuts it. Lines are counted no sooner than their numbers are
needed: in a log without a marker counting them would take longer than finding that out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
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


class Block(NamedTuple):
    """Whole lines of plain text; `offset` is that of the first."""

    offset: int
    data: bytes

    @property
    def end_offset(self) -> int:
        """The offset after the last line."""
        return self.offset + len(self.data)

    def sample(self, start: int) -> bytes:
        """Return how the line at an index begins, without its terminator."""
        return self.data[start : self.data.find(b"\n", start)].rstrip(b"\r")[:SAMPLE_BYTES]


class Numbering:
    """The numbers of lines, and the position, which is kept up to date.

    `recount` counts the newlines between two offsets anew, from the file; `None` where it can't be read
    again: then all lines are counted as they pass.
    """

    def __init__(self, position: Position, recount: Callable[[int, int], int] | None) -> None:
        """Start at a position."""
        self.position = position
        self._recount = recount
        self._offset = position.offset if position.counted_offset is None else position.counted_offset
        self._number = position.number

    def before(self, offset: int) -> int:
        """Return how many lines are before an offset at which one begins."""
        if self._offset < offset and self._recount is not None:
            self._number += self._recount(self._offset, offset)
            self._offset = offset
        return self._number

    def pass_block(self, block: Block, last_number: int, last_end: int) -> None:
        """Move the position past a block; its last line that mattered has a number and ends at an index.

        An index of 0 says that none did.
        """
        offset, number = block.end_offset, last_number
        if last_end or self._recount is None:
            number = last_number if last_end else self._number
            number += newlines_in(block.data[last_end:])
            self._offset, self._number = offset, number
        position = self.position
        if self._recount is None:
            position.number = position.ordinal = number
        elif last_end:
            position.number = position.ordinal = last_number
            position.counted_offset = block.offset + last_end
        elif position.counted_offset is None:
            position.counted_offset = block.offset
        position.offset = offset
        if position.counted_offset == offset:
            position.counted_offset = None

    def before_lines(self) -> None:
        """Count all that is before the position: line by line from here."""
        position = self.position
        position.number = position.ordinal = self.before(position.offset)
        position.counted_offset = None

    def pass_lines(self, before: Position, last: Line | None) -> None:
        """Take note of where line by line has led from a position, and which line mattered last."""
        position = self.position
        self._offset, self._number = position.offset, position.number
        if self._recount is None:
            return
        number, counted = before.number, before.counted_offset
        if counted is None:
            counted = before.offset
        if last is not None:
            number, counted = last.number, last.end_offset
        position.number = position.ordinal = number
        position.counted_offset = None if counted == position.offset else counted


def split_blocks(
    chunks: Iterable[bytes], numbering: Numbering, encoding: Encoding, wanted: Wanted
) -> Iterator[Block | Line | None]:
    """Yield blocks, and lines where there can be none; move the position past the lines.

    The consumer moves it past a block (`Numbering.pass_block`). After each chunk comes a `None`. The
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
                yield Block(offset, data[:end])
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
        number = numbering.before(position.offset) + 1
        yield line._replace(number=number, ordinal=number)


def _lines(
    data: bytes, rest: Rest, numbering: Numbering, encoding: Encoding, wanted: Wanted
) -> Iterator[Line]:
    position, last = numbering.position, None
    if b"\n" not in data:  # no line ends here, so none is passed
        yield from narrow_lines(rest, position, encoding, wanted)
        return
    before = replace(position)
    numbering.before_lines()
    for line in narrow_lines(rest, position, encoding, wanted):
        last = line
        yield line
    numbering.pass_lines(before, last)
