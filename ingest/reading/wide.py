"""From chunks of a UTF-16 capture to blocks of whole logical lines, of which few are ever looked at.

A chunk is decoded and cut at once. Where no line in it teaches anything about the width, only those
that may go on with the next are looked at, as `ingest.reading.wrap` would. What is no plain text (a
hole, a mark, half a character, a line of one byte a character), or wider than all before, comes line
by line.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, compress
from typing import NamedTuple

from ingest.reading.encoding import Encoding, begins_strangely
from ingest.reading.lines import (
    MAX_LINE_BYTES,
    SAMPLE_BYTES,
    Line,
    Position,
    Rest,
    every_line,
    last_line,
    wide_lines,
)
from ingest.reading.sifting import Sifted
from ingest.reading.wrap import Joiner, is_new, units_in

_BEYOND = "\u0100"
"""A line that begins with this or anything behind it may be one of one byte a character, or a mark."""


class WideBlock(NamedTuple):
    """Whole logical lines of a UTF-16 file, `offset` is that of the first, `data` their text as UTF-8.

    `raw` is the same as it is in the file, `ends` the indexes in it after each physical line, `firsts`
    the numbers (from 0) of those that begin a logical one, and last how many there are.
    """

    offset: int
    data: bytes
    raw: bytes
    ends: Sequence[int]
    firsts: Sequence[int]

    def sample(self, start: int) -> bytes:
        """Return how the line at an index of `raw` begins in the file."""
        end = self.ends[bisect_right(self.ends, start)] - 2
        return self.raw[start : min(end, start + SAMPLE_BYTES)]

    def placed(self, sifted: list[Sifted]) -> Iterator[tuple[list[Sifted], int]]:
        """Yield what was sifted out of `data` with its indexes in `raw`, and how many joins are before it."""
        part: list[Sifted] = []
        joins = 0
        for one in sifted:
            first = self.firsts[one.lines]
            if first - one.lines != joins:
                if part:
                    yield part, joins
                part, joins = [], first - one.lines
            start, end = self.ends[first - 1] if first else 0, self.ends[self.firsts[one.lines + 1] - 1]
            part.append(tuple.__new__(one.__class__, (start, end, *one[2:])))
        if part:
            yield part, joins

    def pass_by(self, position: Position) -> None:
        """Move a position past all lines."""
        position.offset = self.offset + len(self.raw)
        position.number += len(self.ends)
        position.ordinal += len(self.firsts) - 1


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
    return WideBlock(joiner.position.offset, text.encode(), raw, ends, firsts)


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
