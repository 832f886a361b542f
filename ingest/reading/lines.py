"""From chunks of bytes to lines with their offsets, in bounded memory.

A line is bytes without its terminator, plus the offset of its start. A line longer than the limit
is cut and its true length kept; it is never buffered whole. NULs at the head of a line are dropped:
a writer that goes on at its old offset after a truncation leaves a hole of them, and the line after
the hole is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ingest.reading.encoding import UTF_16, Encoding, cut_wide, is_utf16_in_utf8

MAX_LINE_BYTES = 1 << 20
"""Longest line that is kept whole; the longest in several hundred real logs had 319,000 bytes."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log file.

    `offset` and `end_offset` are bytes of the decompressed file, `end_offset` after the terminator.
    `number` is the physical line's, `ordinal` the logical line's; both count from 1 and differ only
    in captures that were wrapped. `data` is UTF-8 without terminator, `size_bytes` what the line
    really had where it was cut. `terminated` is false for the rest of a file that may still grow.
    `foreign` lines are not in the encoding of their file.
    """

    offset: int
    end_offset: int
    number: int
    ordinal: int
    data: bytes
    size_bytes: int
    terminated: bool = True
    foreign: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether `data` is only the beginning of the line."""
        return self.size_bytes > MAX_LINE_BYTES


@dataclass(slots=True)
class Position:
    """The point up to which a source was read: its offset, and how many lines are before it."""

    offset: int = 0
    number: int = 0
    ordinal: int = 0


class _Rest:
    """Of the line that is under way: what is kept, and how much of it is not.

    Small reads are put together only when a newline comes, or there is too much to keep: a line that
    comes byte by byte takes no longer than one that comes at once.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.dropped = 0

    def add(self, chunk: bytes) -> bool:
        """Keep a chunk; return whether it is time to look for lines."""
        self._pieces.append(chunk)
        self._size += len(chunk)
        return b"\n" in chunk or self._size > 2 * MAX_LINE_BYTES

    def take(self) -> bytes:
        """Hand out what was kept."""
        block = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._size = [], 0
        return block

    def keep(self, carry: bytes, step: int) -> None:
        """Keep the beginning of a line, as much as is ever needed, and an end that may be half a newline."""
        if len(carry) > MAX_LINE_BYTES:
            half = len(carry) % step
            self.dropped += len(carry) - MAX_LINE_BYTES - half
            carry = carry[:MAX_LINE_BYTES] + carry[len(carry) - half :]
        self._pieces, self._size = [carry], len(carry)


Wanted = Callable[[bytes], object]


def split_lines(
    chunks: Iterable[bytes], position: Position, encoding: Encoding, wanted: Wanted
) -> Iterator[Line]:
    """Yield the wanted lines and the overlong ones, and move `position` past every whole line.

    `chunks` begin at `position`. The last line comes with `terminated` false where no newline ends
    it; `position` stays at its start.
    """
    whole_lines = _wide_lines if encoding.is_wide else _narrow_lines
    rest = _Rest()
    for chunk in chunks:
        if rest.add(chunk):
            yield from whole_lines(rest, position, encoding, wanted)
    yield from whole_lines(rest, position, encoding, wanted)
    carry = rest.take()
    if carry and (rest.dropped or wanted(carry)):
        size = len(carry) + rest.dropped
        data = encoding.as_utf8(carry).rstrip(b"\r")
        end, number, ordinal = position.offset + size, position.number + 1, position.ordinal + 1
        yield Line(position.offset, end, number, ordinal, data, size, terminated=False)


def _narrow_lines(rest: _Rest, position: Position, _: Encoding, wanted: Wanted) -> Iterator[Line]:
    """Cut what is there of a file with one byte a character; most lines are passed over."""
    block = rest.take()
    holes = b"\0" in block
    *lines, carry = block.split(b"\n")
    offset, number, ordinal = position.offset, position.number, position.ordinal
    dropped, rest.dropped = rest.dropped, 0 if lines else rest.dropped
    for line in lines:
        data, foreign = line, False
        size, dropped = len(line) + dropped, 0
        start, offset = offset, offset + size + 1
        number += 1
        ordinal += 1
        if holes:
            data = line.lstrip(b"\0")
            hole = len(line) - len(data)
            start, size = start + hole, size - hole
            if foreign := is_utf16_in_utf8(data):
                data = UTF_16.as_utf8(data)
        if size > MAX_LINE_BYTES or wanted(data):
            position.offset, position.number, position.ordinal = offset, number, ordinal
            yield Line(start, offset, number, ordinal, _kept(data), size, foreign=foreign)
    position.offset, position.number, position.ordinal = offset, number, ordinal
    if holes and not rest.dropped:
        position.offset += len(carry) - len(carry := carry.lstrip(b"\0"))
    rest.keep(carry, 1)


def _wide_lines(rest: _Rest, position: Position, encoding: Encoding, wanted: Wanted) -> Iterator[Line]:
    """Cut what is there of a UTF-16 file."""
    block = rest.take()
    reached = 0
    for start, end, one in cut_wide(block, encoding):
        reached = end + len(one.newline)
        size, rest.dropped = end - start + rest.dropped, 0
        offset = position.offset
        position.offset += size + len(one.newline)
        position.number += 1
        position.ordinal += 1
        data = block[start:end]
        if size > MAX_LINE_BYTES or wanted(data):
            text = _kept(one.as_utf8(data[:MAX_LINE_BYTES]))
            number, ordinal = position.number, position.ordinal
            yield Line(offset, position.offset, number, ordinal, text, size, foreign=one is not encoding)
    rest.keep(block[reached:], 2)


def _kept(data: bytes) -> bytes:
    return data[:MAX_LINE_BYTES].rstrip(b"\r")
