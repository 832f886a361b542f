"""From chunks to blocks of whole lines, which are not cut into lines unless they must be.

A chunk that is not plain text (it has a hole, or a byte order mark in the middle), or has a line beyond the
limit, is cut into lines by `ingest.reading.lines`. Lines are counted only when a number is needed: in a log
without markers counting would take longer than searching it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ingest import memory
from ingest.reading.encoding import UTF_8_MARK, Encoding
from ingest.reading.lines import (
    SAMPLE_BYTES,
    Line,
    Position,
    Rest,
    last_line,
    narrow_lines,
)

_MAX_LOOKS = 500
"""How often a byte order mark is searched by its first byte, before it is searched as a whole: few other
characters have that byte, and a search for one byte is faster."""


class LinePlace(NamedTuple):
    """Where a line is: its offset, and its number as a physical and as a logical line."""

    offset: int
    number: int
    ordinal: int


class Cuts(NamedTuple):
    """Where the lines of a block are in the file, if its text doesn't show it.

    `raw` is the block as it is in the file, and `ends` are the indexes in it after each physical line.
    `firsts` are the numbers (from 0) of the physical lines that begin a logical one, and at the end how many
    physical lines there are.
    """

    raw: bytes
    ends: Sequence[int]
    firsts: Sequence[int]
    newline_bytes: int


class Block:
    """Whole logical lines of a log from an offset on; `data` is their text as UTF-8, a newline after each.

    Lines that are to be read one by one come in `lines`. In a block that is not `complete`, the lines have
    no newline in the file, or may still go on.
    """

    def __init__(self, numbering: Numbering, offset: int, data: bytes, cuts: Cuts | None = None) -> None:
        """Count no line before one is asked for."""
        self.offset, self.data = offset, data
        self.lines: Sequence[Line] = ()
        self.complete = True
        self._numbering, self._cuts = numbering, cuts
        self._before = -1  # the number of physical lines before the block; -1: not asked for yet
        self._counted = self._passed = 0  # an index of `data`, and the number of lines before it

    @classmethod
    def of(cls, lines: Sequence[Line], numbering: Numbering, complete: bool = True) -> Block:
        """Make a block of lines; the position is past them already."""
        block = cls(numbering, lines[0].offset, b"".join(line.data + b"\n" for line in lines))
        block.lines, block.complete = lines, complete
        return block

    def _count(self, start: int) -> int:
        """Return how many lines are before the one that begins at an index of `data`."""
        if start < self._counted:
            self._counted = self._passed = 0
        part = self.data[self._counted : start]
        self._passed += len(part) - len(part.replace(b"\n", b""))  # see `newlines_in`
        self._counted = start
        return self._passed

    def _first(self, start: int) -> int:
        """Return the number, from 0, of the physical line that begins at an index of `data`."""
        passed = self._count(start)
        return passed if self._cuts is None else self._cuts.firsts[passed]

    def offset_at(self, start: int) -> int:
        """Return the offset of the line that begins at an index of `data`."""
        if self._cuts is None:
            return self.offset + start
        first = self._first(start)
        return self.offset + (self._cuts.ends[first - 1] if first else 0)

    def place(self, start: int) -> LinePlace:
        """Return where the line is that begins at an index of `data`; asking in order is fastest."""
        if self._before < 0:
            self._before = self._numbering.before(self.offset)
        passed, before = self._count(start), self._before
        ordinal = before - self._numbering.joined + passed + 1
        if self._cuts is None:
            return tuple.__new__(LinePlace, (self.offset + start, before + passed + 1, ordinal))
        return LinePlace(self.offset_at(start), before + self._first(start) + 1, ordinal)

    def sample(self, start: int) -> bytes:
        """Return how the line at an index begins in the file, without its terminator."""
        if self._cuts is None:
            return self.data[start : self.data.find(b"\n", start)].rstrip(b"\r")[:SAMPLE_BYTES]
        raw, ends, _, newline_bytes = self._cuts
        first = self._first(start)
        begin = ends[first - 1] if first else 0
        return raw[begin : min(ends[first] - newline_bytes, begin + SAMPLE_BYTES)]

    def line(self, start: int, end: int) -> Line:
        """Return the line between two indexes of `data`, to be read by itself."""
        data, (offset, number, ordinal) = self.data[start : end - 1].rstrip(b"\r"), self.place(start)
        if self._cuts is None:
            return Line(offset, self.offset + end, number, ordinal, data, end - start - 1)
        raw, first, end_offset = self.sample(start), self._first(start), self.offset_at(end)
        newlines = (self._first(end) - first) * self._cuts.newline_bytes
        return Line(offset, end_offset, number, ordinal, data, end_offset - offset - newlines, raw=raw)

    def each(self) -> Iterator[Line]:
        """Yield the lines, to be read one by one, and move the position past them."""
        if self.lines:
            yield from self.lines
            return
        start = 0
        while start < len(self.data):
            end = self.data.find(b"\n", start) + 1
            yield self.line(start, end)
            start = end
        self.advance()

    def advance(self) -> None:
        """Move the position past all lines; count them if that was begun or can't be done later."""
        if self.lines:
            return
        if self._cuts is not None:
            raw, _, firsts, _ = self._cuts
            end, number = self.offset + len(raw), self._numbering.before(self.offset) + firsts[-1]
            self._numbering.counted(end, number, firsts[-1] - len(firsts) + 1)
        else:
            end = self.offset + len(self.data)
            if self._before >= 0 or not self._numbering.can_recount:
                self._numbering.counted(end, self.place(len(self.data)).number - 1)
        self._numbering.move(end)


class Numbering:
    """The numbers of lines, counted when one is needed, and the position, which is kept up to date.

    `recount` reads the file again to count the newlines between two offsets. `None` where it can't be read
    again: then all lines are counted as they pass.
    """

    def __init__(self, position: Position, recount: Callable[[int, int], int] | None) -> None:
        """Start at a position."""
        self.position = position
        self._recount = recount
        self._offset = position.offset if position.counted_offset is None else position.counted_offset
        self._number = position.number
        self._wrapped = position.number - position.ordinal
        self.joined = self._wrapped  # the number of physical lines so far that continue a logical one

    def join(self, in_pieces: int) -> None:
        """Note how many lines so far were further pieces of a container's lines."""
        self.joined = self._wrapped + in_pieces

    @property
    def can_recount(self) -> bool:
        """Whether lines can be counted later."""
        return self._recount is not None

    def before(self, offset: int) -> int:
        """Return how many lines are before an offset at which a line begins; ask in order."""
        if self._offset < offset and self._recount is not None:
            self.counted(offset, self._number + self._recount(self._offset, offset))
        return self._number

    def counted(self, offset: int, number: int, wrapped: int = 0) -> None:
        """Note the number of lines before an offset, and how many more of them were wrapped."""
        self._offset, self._number = offset, number
        self._wrapped += wrapped
        self.joined += wrapped

    def move(self, offset: int) -> None:
        """Move the position to an offset at which a line begins."""
        position = self.position
        position.offset = offset
        position.number, position.ordinal = self._number, self._number - self._wrapped
        position.counted_offset = None if self._offset == offset else self._offset

    def before_lines(self) -> None:
        """Count all lines before the position, before lines are read one by one."""
        self.before(self.position.offset)
        self.move(self.position.offset)

    def pass_lines(self) -> None:
        """Take over the position to which reading one by one has led."""
        position = self.position
        wrapped = position.number - position.ordinal - self._wrapped
        self.counted(position.offset, position.number, wrapped)


def split_blocks(
    chunks: Iterable[bytes], numbering: Numbering, encoding: Encoding, wanted: Callable[[bytes], bool]
) -> Iterator[Block | None]:
    """Yield the blocks of a log whose encoding has newlines of one byte.

    The consumer moves the position past each (`Block.advance`). A `None` comes after each chunk, so that the
    consumer can act even if no line ends in it. A last line without a newline comes only if it is wanted.
    """
    rest, position = Rest(), numbering.position
    offset = position.offset
    for chunk in chunks:
        if rest.add(chunk):
            data = rest.take()
            if (
                len(data) <= memory.MAX_LINE_BYTES
                and not (rest.dropped or rest.hole)
                and _is_plain_text(data)
            ):
                end = data.rfind(b"\n") + 1
                rest.keep(data[end:], 1)
                yield Block(numbering, offset, data[:end])
                offset += end
            else:
                yield from _by_line(data, rest, numbering)
                offset = position.offset
        yield None
    yield from _by_line(rest.take(), rest, numbering)
    for line in last_line(rest, position, encoding):
        if line.is_cut or wanted(line.data):
            numbering.before_lines()
            number = position.number + 1
            yield Block.of([line._replace(number=number, ordinal=number)], numbering, complete=False)


def _by_line(data: bytes, rest: Rest, numbering: Numbering) -> Iterator[Block]:
    rest.give_back(data)
    if b"\n" in data:
        numbering.before_lines()
    lines = list(narrow_lines(rest, numbering.position))
    if lines:
        numbering.pass_lines()
        yield Block.of(lines, numbering)


def _is_plain_text(block: bytes) -> bool:
    """Whether a block holds neither a NUL nor a byte order mark."""
    if b"\0" in block:
        return False
    at = block.find(UTF_8_MARK[:1])
    for _ in range(_MAX_LOOKS):
        if at < 0 or block.startswith(UTF_8_MARK, at):
            return at < 0
        at = block.find(UTF_8_MARK[:1], at + 1)
    return UTF_8_MARK not in block
