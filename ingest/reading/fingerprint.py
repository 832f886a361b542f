"""What a log file is, whatever its name is now: the hash of its first bytes, decompressed.

A fingerprint only saves work. It covers as many bytes as there were (up to `HEAD_BYTES`), and grows
with the file until then. Beside it stands the *tail*: the hash of the last bytes before the
checkpoint, so that a file which was truncated and has grown past the old offset, or begins with the
same banner, is known to be another one and is read from its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ingest.files.sample import TAIL_BYTES, digest
from ingest.reading.lines import Position

HEAD_BYTES = 1024

_KEPT_BYTES = 2 * TAIL_BYTES
"""Bytes before the newest chunk that are remembered: some lines are told a few bytes after their end."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of a file's first `size_bytes` bytes (decompressed), in hexadecimal."""

    size_bytes: int
    digest: str

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with `head` (at least `HEAD_BYTES` of it, or all) is this one."""
        return len(head) >= self.size_bytes and digest(head[: self.size_bytes]) == self.digest


def fingerprint_of(head: bytes) -> Fingerprint:
    """Name a file by its first bytes; a hole behind them may be filled yet."""
    covered = head[:HEAD_BYTES]
    covered = covered.rstrip(b"\0") or covered
    return Fingerprint(len(covered), digest(covered))


def tail_of(before: bytes) -> str:
    """Return the hash of the last `TAIL_BYTES` of what stands before an offset."""
    return digest(before[-TAIL_BYTES:])


class Recent:
    """Remember the newest bytes of what passes through, to hash those before a checkpoint."""

    def __init__(self, position: Position, before: bytes) -> None:
        """Start at a position, with the bytes before it as far as they are known.

        The tail at the position is kept whenever the bytes move on, however long the line after it.
        """
        self._position = position
        self._kept: tuple[int, str | None] = (position.offset, tail_of(before))
        self._before = before
        self._chunk = b""
        self._start = position.offset - len(before)

    def through(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass chunks on; the last one is remembered, and what stands before it."""
        for chunk in chunks:
            self._kept = (self._position.offset, self.tail_before(self._position.offset))
            end = self._start + len(self._before) + len(self._chunk)
            self._before = (self._before + self._chunk[-_KEPT_BYTES:])[-_KEPT_BYTES:]
            self._chunk = chunk
            self._start = end - len(self._before)
            yield chunk

    def tail_before(self, offset: int) -> str | None:
        """Return the tail at an offset; `None` where it was never kept and is out of reach."""
        if offset == self._kept[0]:
            return self._kept[1]
        first, end = max(0, offset - TAIL_BYTES) - self._start, offset - self._start
        if first < 0:
            return None
        split = len(self._before)  # a chunk is large: it is not copied for its hash
        return tail_of(self._before[first:end] + self._chunk[max(0, first - split) : max(0, end - split)])
