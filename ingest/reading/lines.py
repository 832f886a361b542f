"""From chunks of bytes to lines with their offsets, in bounded memory.

A line is bytes without its terminator, plus the offset of its start. A line longer than the limit
is cut and its true length kept; it is never buffered whole. NULs at the head of a line are dropped:
a writer that goes on at its old offset after a truncation leaves a hole of them, and the line after
the hole is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MAX_LINE_BYTES = 1 << 20
"""Longest line that is kept whole; the longest in several hundred real logs had 319,000 bytes."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log file.

    `offset` and `end_offset` are bytes of the decompressed file, `end_offset` after the terminator.
    `number` is the physical line's, `ordinal` the logical line's; both count from 1 and differ only
    in captures that were wrapped. `data` is UTF-8 without terminator, `size_bytes` what the line
    really had where it was cut. `terminated` is false for the rest of a file that may still grow.
    """

    offset: int
    end_offset: int
    number: int
    ordinal: int
    data: bytes
    size_bytes: int
    terminated: bool = True

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


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file's bytes are text: the codec, its byte order mark, its newline."""

    name: str
    mark: bytes
    newline: bytes

    @property
    def is_wide(self) -> bool:
        """Whether every character takes at least two bytes."""
        return len(self.newline) == 2

    def as_utf8(self, data: bytes) -> bytes:
        """Return a line as UTF-8; what is invalid is replaced where it must be decoded."""
        return data.decode(self.name, "replace").encode() if self.is_wide else data


UTF_8 = Encoding("utf-8", b"", b"\n")
ENCODINGS = (
    UTF_8,
    Encoding("utf-8-sig", b"\xef\xbb\xbf", b"\n"),
    Encoding("utf-16-le", b"\xff\xfe", b"\n\0"),
    Encoding("utf-16-be", b"\xfe\xff", b"\0\n"),
)


def encoding_of(head: bytes) -> Encoding:
    """Tell a file's encoding by its byte order mark; a NUL byte alone says nothing."""
    return next((one for one in reversed(ENCODINGS) if head.startswith(one.mark)), UTF_8)


def may_be_half_a_mark(head: bytes) -> bool:
    """Whether all there is of a file may be the beginning of a byte order mark."""
    return any(len(head) < len(one.mark) and one.mark.startswith(head) for one in ENCODINGS)


def encoding_named(name: str) -> Encoding:
    """Return the encoding that a source was first read with."""
    return next(one for one in ENCODINGS if one.name == name)


def split_lines(
    chunks: Iterable[bytes],
    position: Position,
    encoding: Encoding,
    wanted: Callable[[bytes], object],
) -> Iterator[Line]:
    """Yield the wanted lines and the overlong ones, and move `position` past every whole line.

    `chunks` begin at `position`. The last line comes with `terminated` false where no newline ends
    it; `position` stays at its start.
    """
    newline, step = encoding.newline, len(encoding.newline)
    carry, dropped = b"", 0  # of the line that is under way: what is kept, how much is not
    for chunk in chunks:
        block = carry + chunk
        holes = step == 1 and b"\0" in block
        *lines, carry = _split(block, newline)
        offset, number, ordinal = position.offset, position.number, position.ordinal
        for data in lines:
            size, dropped = len(data) + dropped, 0
            start, offset = offset, offset + size + step
            number += 1
            ordinal += 1
            if holes and data.startswith(b"\0"):
                hole = len(data) - len(data := data.lstrip(b"\0"))
                start, size = start + hole, size - hole
            if size > MAX_LINE_BYTES or wanted(data):
                position.offset, position.number, position.ordinal = offset, number, ordinal
                kept = encoding.as_utf8(data[:MAX_LINE_BYTES]).rstrip(b"\r")
                yield Line(start, offset, number, ordinal, kept, size)
        position.offset, position.number, position.ordinal = offset, number, ordinal
        if holes and not dropped and carry.startswith(b"\0"):
            position.offset += len(carry) - len(carry := carry.lstrip(b"\0"))
        if len(carry) > MAX_LINE_BYTES:
            half = len(carry) % step  # of a character, which may turn out to be the newline
            dropped += len(carry) - MAX_LINE_BYTES - half
            carry = carry[:MAX_LINE_BYTES] + carry[len(carry) - half :]
    if carry and (dropped or wanted(carry)):
        size = len(carry) + dropped
        data = encoding.as_utf8(carry).rstrip(b"\r")
        end, number, ordinal = position.offset + size, position.number + 1, position.ordinal + 1
        yield Line(position.offset, end, number, ordinal, data, size, terminated=False)


def _split(block: bytes, newline: bytes) -> list[bytes]:
    """Cut at newlines; those of two bytes count only at an even place, between characters."""
    if len(newline) == 1:
        return block.split(newline)
    pieces, start, place = [], 0, block.find(newline)
    while place >= 0:
        if place % 2:
            place = block.find(newline, place + 1)
            continue
        pieces.append(block[start:place])
        start = place + 2
        place = block.find(newline, start)
    pieces.append(block[start:])
    return pieces
