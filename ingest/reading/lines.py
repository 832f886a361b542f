"""From chunks of bytes to lines with their offsets, in bounded memory.

A line is bytes without its terminator, plus the offset of its start. A line longer than the limit
is cut and its true length kept; it is never buffered whole. Whether a last
line without its newline is read yet is decided in `ingest.reading.scan`.

A hole is a run of NULs. A writer that goes on at its old offset after a truncation leaves one at the head, a
file that was made large in advance has one at its end, a power cut leaves one anywhere. A hole ends a line;
at the end of the file it is left unread, since it may be filled yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ingest import memory
from ingest.files.logfile import Sample, sample_of
from ingest.reading.encoding import (
    UTF_8_MARK,
    UTF_16,
    Encoding,
    cut_wide,
    encoding_of_rest,
    is_utf16_in_utf8,
    without_mark,
)
from parsers.event import MARKER

SAMPLE_BYTES = 256
"""Bytes at a line's start that a sample covers; the line's time is among them."""

_MARKERS = (MARKER.encode(), b"\0".join(bytes([byte]) for byte in MARKER.encode()))
"""The event's marker with one byte a character, and with two, in either order."""

_MARKER_REACH = 2 * len(MARKER) - 1
"""The most bytes of a marker that may be on one side of a cut."""

_HOLE = re.compile(rb"\0{16,}")
"""No line holds so many NULs: quoted UTF-16 and binary numbers have shorter runs of them."""


def newlines_in(data: bytes) -> int:
    """Count newlines; up to Python 3.12 `bytes.count` is slower, since it looks at each byte by itself."""
    return len(data) - len(data.replace(b"\n", b""))


class Line(NamedTuple):
    """One line of a log file.

    `offset` and `end_offset` are bytes of the decompressed file, `end_offset` after the terminator.
    `number` is the physical line's, `ordinal` the logical line's; both count from 1 and differ only where
    lines were wrapped or in pieces. `data` is UTF-8 without the terminator, and `size_bytes` the length of
    the line before it was cut. `terminated` is false for a last line without a newline. `foreign` lines are
    not in the encoding of their file. `raw` is how the line begins in the file, where `data` differs.
    `dropped_markers` counts the event's markers beyond the cut. `joints` has the index of `data` at which
    each joined piece begins, with its offset. `is_torn` is set where the line's end is missing for good.
    """

    offset: int
    end_offset: int
    number: int
    ordinal: int
    data: bytes
    size_bytes: int
    terminated: bool = True
    foreign: bool = False
    raw: bytes = b""
    dropped_markers: int = 0
    joints: tuple[tuple[int, int], ...] = ()
    is_torn: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether `data` is only the beginning of the line."""
        return self.size_bytes > memory.MAX_LINE_BYTES

    def offset_at(self, index: int) -> int:
        """Return the offset of an index of `data`, in a line that was not wrapped."""
        for start, offset in reversed(self.joints):
            if start <= index:
                return offset + index - start
        if self.raw and not self.joints and not self.data.startswith(self.raw):  # two bytes a unit
            return self.offset + len(self.data[:index].decode("utf-8", "replace").encode("utf-16-le"))
        return self.offset + index

    def sample(self) -> Sample:
        """Return a sample of the line's beginning as it is in the file."""
        return sample_of(self.offset, (self.raw or self.data)[:SAMPLE_BYTES])


@dataclass(slots=True)
class Position:
    """The point up to which a source was read: its offset, and how many lines are before it.

    If `counted_offset` is not `None`, lines are counted only up to there. Those after it hold no marker, and
    counting them would take longer than searching them.
    """

    offset: int = 0
    number: int = 0
    ordinal: int = 0
    counted_offset: int | None = None


class Rest:
    """A line whose end was not read yet: its bytes up to the limit, and what is beyond and before them.

    `dropped` is the number of bytes beyond the limit, of which only the event's markers are counted, and
    `hole` the number of NULs before the line. Small reads are joined only when a newline comes, or the limit
    is passed: a line that comes byte by byte takes no longer than one that comes at once.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.dropped = 0
        self.hole = 0
        self._markers = 0
        self._end = b""  # the last dropped bytes: a marker may go on in the next ones

    def add(self, chunk: bytes) -> bool:
        """Add a chunk; return whether it is time to look for lines."""
        self._pieces.append(chunk)
        self._size += len(chunk)
        return b"\n" in chunk or self._size > 2 * memory.MAX_LINE_BYTES

    def take(self) -> bytes:
        """Remove the kept bytes and return them."""
        block = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._size = [], 0
        return block

    def give_back(self, block: bytes) -> None:
        """Keep again bytes that were taken."""
        self._pieces, self._size = [block], len(block)

    def keep(self, carry: bytes, step: int) -> None:
        """Keep the beginning of a line up to the limit, and its end if that may be half a newline."""
        if len(carry) > memory.MAX_LINE_BYTES:
            half = len(carry) % step
            end = len(carry) - half
            self._drop(carry, end)
            self.dropped += end - memory.MAX_LINE_BYTES
            carry = carry[: memory.MAX_LINE_BYTES] + carry[end:]
        self._pieces, self._size = [carry], len(carry)

    def _drop(self, line: bytes, end: int) -> None:
        before = self._end or line[memory.MAX_LINE_BYTES - _MARKER_REACH : memory.MAX_LINE_BYTES]
        dropped = line[memory.MAX_LINE_BYTES : end]
        for marker in _MARKERS:
            self._markers += (before[1 - len(marker) :] + dropped).count(marker)
        self._end = (before + dropped)[-_MARKER_REACH:]

    def dropped_markers(self, line: bytes) -> int:
        """Return how many markers were dropped of a line that ends now; begin to count for the next line."""
        if len(line) > memory.MAX_LINE_BYTES or self._end:
            self._drop(line, len(line))
        count, self._markers, self._end = self._markers, 0, b""
        return count


def last_line(rest: Rest, position: Position, encoding: Encoding) -> Iterator[Line]:
    """Yield the last line, which has no newline; the position stays before it."""
    carry, start = rest.take(), position.offset + rest.hole
    line_encoding = encoding_of_rest(carry, encoding)
    data = line_encoding.as_utf8(carry).rstrip(b"\r")
    if len(carry) >= len(line_encoding.newline):
        size, foreign = len(carry) + rest.dropped, line_encoding is not encoding
        number, ordinal = position.number + 1, position.ordinal + 1
        raw = carry[:SAMPLE_BYTES] if encoding.is_wide or foreign else b""
        markers = rest.dropped_markers(carry)
        yield Line(start, start + size, number, ordinal, data, size, False, foreign, raw, markers)


def narrow_lines(rest: Rest, position: Position) -> Iterator[Line]:
    """Cut the lines of a file with newlines of one byte, and move the position past each."""
    block = rest.take()
    holes = b"\0" in block or UTF_8_MARK in block
    *lines, carry = block.split(b"\n")
    offset, number, ordinal = position.offset, position.number, position.ordinal
    for line in lines:
        start, size = offset + rest.hole, len(line) + rest.dropped
        offset = start + size + 1
        rest.hole = rest.dropped = 0
        number += 1
        ordinal += 1
        for data, place, raw in _parts(line) if holes else ((line, 0, b""),):
            part_size = size if len(line) < size else len(raw or data)
            kept, first = data[: memory.MAX_LINE_BYTES].rstrip(b"\r"), start + place
            markers = rest.dropped_markers(data) if part_size > memory.MAX_LINE_BYTES else 0
            yield Line(first, offset, number, ordinal, kept, part_size, True, bool(raw), raw, markers)
    position.offset, position.number, position.ordinal = offset, number, ordinal
    if holes and not rest.dropped:
        rest.hole += len(carry) - len(carry := carry.lstrip(b"\0"))
    rest.keep(carry, 1)


def _parts(line: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield each part between the holes of a line, its index, and for UTF-16 its bytes as in the file."""
    start = 0
    for end, following in (*((hole.start(), hole.end()) for hole in _HOLE.finditer(line)), (len(line), 0)):
        data = without_mark(line[start:end].lstrip(b"\0"))
        place, start = end - len(data), following
        if is_utf16_in_utf8(data):
            yield UTF_16.as_utf8(data), place, data
        elif data or not following:
            yield data, place, b""


def wide_lines(rest: Rest, position: Position, encoding: Encoding) -> Iterator[Line]:
    """Cut the lines of a UTF-16 file, and move the position past each."""
    block = rest.take()
    reached, offset = 0, position.offset
    number, ordinal = position.number, position.ordinal
    for start, end, line_encoding in cut_wide(block, encoding):
        first = offset + start - reached
        size = end - start + rest.dropped
        reached = end + len(line_encoding.newline)
        offset = first + size + len(line_encoding.newline)
        rest.dropped = 0
        number += 1
        ordinal += 1
        data = block[start:end]
        text = line_encoding.as_utf8(data[: memory.MAX_LINE_BYTES])[: memory.MAX_LINE_BYTES].rstrip(b"\r")
        foreign, raw = line_encoding is not encoding, data[:SAMPLE_BYTES]
        markers = rest.dropped_markers(data) if size > memory.MAX_LINE_BYTES else 0
        yield Line(first, offset, number, ordinal, text, size, True, foreign, raw, markers)
    position.offset, position.number, position.ordinal = offset, number, ordinal
    rest.keep(block[reached:], 2)
