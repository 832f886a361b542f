"""From chunks of a UTF-16 capture to blocks of whole logical lines, of which few are ever looked at.

A chunk is decoded and cut at once. Where no line in it teaches anything about the width, only those
that may go on with the next are looked at, as `ingest.reading.wrap` would. What is no plain text (a
hole, a mark, half a character, a line of one byte a character), or wider than all before, comes line
by line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, compress

from ingest.reading.blocks import Place
from ingest.reading.encoding import Encoding, begins_strangely
from ingest.reading.lines import (
    MAX_LINE_BYTES,
    SAMPLE_BYTES,
    Line,
    Position,
    Rest,
    every_line,
    last_line,
    newlines_in,
    wide_lines,
)
from ingest.reading.wrap import Joiner, is_new, units_in

_BEYOND = "\u0100"
"""A line that begins with this or anything behind it may be one of one byte a character, or a mark."""


class WideBlock:
    """Whole logical lines of a UTF-16 file, `offset` is that of the first, `data` their text as UTF-8.

    `raw` is the same as it is in the file, `ends` the indexes in it after each physical line, `firsts`
    the numbers (from 0) of those that begin a logical one, and last how many there are.
    """

    def __init__(
        self, position: Position, data: bytes, raw: bytes, ends: Sequence[int], firsts: Sequence[int]
    ) -> None:
        """Begin at a position, which is moved by `pass_by`."""
        self.offset = position.offset
        self.data, self.raw = data, raw
        self._position, self._ends, self._firsts = position, ends, firsts
        self._counted, self._lines = 0, 0

    def _first(self, start: int) -> int:
        """Return the number of the physical line that begins the logical one at an index of `data`."""
        if start < self._counted:
            self._counted = self._lines = 0
        self._lines += newlines_in(self.data[self._counted : start])
        self._counted = start
        return self._firsts[self._lines]

    def _raw_at(self, first: int) -> int:
        return self._ends[first - 1] if first else 0

    def offset_at(self, start: int) -> int:
        """Return the offset of the line that begins at an index of `data`."""
        return self.offset + self._raw_at(self._first(start))

    def place(self, start: int) -> Place:
        """Return where the line is that begins at an index of `data`."""
        first = self._first(start)
        number, ordinal = self._position.number + first + 1, self._position.ordinal + self._lines + 1
        return Place(self.offset + self._raw_at(first), number, ordinal)

    def sample(self, start: int) -> bytes:
        """Return how the line at an index of `data` begins in the file."""
        first = self._first(start)
        begin, end = self._raw_at(first), self._ends[first] - 2
        return self.raw[begin : min(end, begin + SAMPLE_BYTES)]

    def pass_by(self) -> None:
        """Move the position past all lines."""
        self._position.offset = self.offset + len(self.raw)
        self._position.number += len(self._ends)
        self._position.ordinal += len(self._firsts) - 1


def split_wide(
    chunks: Iterable[bytes], joiner: Joiner, encoding: Encoding
) -> Iterator[WideBlock | Line | None]:
    """Yield blocks, and logical lines where there can be none; `chunks` begin at the joiner's position.

    The consumer moves the position past a block (`WideBlock.pass_by`). After each chunk comes a
    `None`. The last line has `terminated` false where no newline ends it, or it may still go on.
    Lines that may go on are cut again with the next chunk, but no more than came with the last one:
    so what comes byte by byte takes no longer.
    """
    rest, physical = Rest(), replace(joiner.position)
    for chunk in chunks:
        if rest.add(chunk):
            data, start = rest.take(), physical.offset
            in_one_piece = not (rest.dropped or joiner.is_waiting)
            block = _block(data, len(chunk), joiner, encoding) if in_one_piece else None
            if block is not None and block.raw:
                yield block
                physical = replace(joiner.position)
            if block is not None:
                rest.keep(data[len(block.raw) :], 2)
            else:
                rest.give_back(data)
                for line in wide_lines(rest, physical, encoding, every_line):
                    yield from joiner.take(line)
                waiting = data[joiner.position.offset - start :]
                if in_one_piece and not rest.dropped and len(waiting) <= len(chunk):
                    joiner.forget()
                    rest.give_back(waiting)
                    physical = replace(joiner.position)
        yield None
    for last_lines in (wide_lines, last_line):
        for line in last_lines(rest, physical, encoding, every_line):
            yield from joiner.take(line)
    yield from joiner.rest()


def _block(data: bytes, most_left: int, joiner: Joiner, encoding: Encoding) -> WideBlock | None:
    """Cut the whole logical lines off the beginning of what is there, as many as there are.

    `None` where they must be looked at one by one, or more than `most_left` bytes of whole lines would
    be left.
    """
    raw = data[: _end_of_lines(data, encoding.newline)]
    cut = _cut(raw, encoding) if raw and len(data) <= MAX_LINE_BYTES else None
    if cut is None:
        return None
    lines, ends = cut
    may_go_on = joiner.width.may_go_on(lines)
    if may_go_on is None:
        return None
    last = len(lines) - 1
    waits = bool(may_go_on) and may_go_on[-1] == last
    goes_on = {number for number in may_go_on if number < last and not is_new(lines[number + 1].encode())}
    if waits:  # it is left for the next chunk, with all that goes on in it
        while last - 1 in goes_on:
            last -= 1
        start = ends[last - 1] if last else 0
        if len(raw) - start > most_left:
            return None
        raw = raw[:start]
        del lines[last:], ends[last:]
        goes_on = {number for number in goes_on if number < last}
    begins, newlines = [True] * (len(lines) + 1), ["\n"] * len(lines)
    for number in goes_on:
        begins[number + 1], newlines[number] = False, ""
    text = "".join(chain.from_iterable(zip(lines, newlines, strict=True)))
    firsts = list(compress(range(len(begins)), begins))
    return WideBlock(joiner.position, text.encode(), raw, ends, firsts)


def _cut(raw: bytes, encoding: Encoding) -> tuple[list[str], list[int]] | None:
    """Cut whole physical lines; return them, and the indexes after them; `None` if any is no plain text."""
    try:
        text = raw.decode(encoding.name)
    except UnicodeDecodeError:
        return None
    lines = text.split("\n")[:-1]
    if "\0" in text:
        return None
    units = map(len, lines) if 2 * len(text) == len(raw) else map(units_in, lines)
    ends = list(accumulate(2 * count + 2 for count in units))
    if max(lines) >= _BEYOND:
        for number, line in enumerate(lines):
            if line >= _BEYOND and begins_strangely(raw, ends[number - 1] if number else 0, encoding):
                return None
    return [line.rstrip("\r") for line in lines] if "\r" in text else lines, ends


def _end_of_lines(data: bytes, newline: bytes) -> int:
    """Return where the last whole line of a chunk ends; newlines stand at even indexes."""
    end = data.rfind(newline)
    while end % 2 and end >= 0:
        end = data.rfind(newline, 0, end + 1)
    return end + 2 if end >= 0 else 0
