"""What a log file is, whatever its name is now: the hash of its first bytes, decompressed.

A fingerprint only saves work. It covers as many bytes as there were (up to `HEAD_BYTES`), and grows
with the file until then. Beside it stands the *tail*: the hash of the last bytes before the
checkpoint, so that a file which was truncated and has grown past the old offset, or begins with the
same banner, is known to be another one and is read from its start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.reading.lines import Position

HEAD_BYTES = 1024
TAIL_BYTES = 256


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of a file's first `size_bytes` bytes (decompressed), in hexadecimal."""

    size_bytes: int
    digest: str

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with `head` (at least `HEAD_BYTES` of it, or all) is this one."""
        return len(head) >= self.size_bytes and digest(head[: self.size_bytes]) == self.digest


def fingerprint_of(head: bytes) -> Fingerprint:
    """Name a file by its first bytes."""
    covered = head[:HEAD_BYTES]
    return Fingerprint(len(covered), digest(covered))


def digest(data: bytes) -> str:
    """Return the hash used throughout: 128 bits are far beyond chance."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def tail_of(before: bytes) -> str:
    """Return the hash of the last `TAIL_BYTES` of what stands before an offset."""
    return digest(before[-TAIL_BYTES:])


class Recent:
    """Remember the newest bytes of what passes through, to hash those before a checkpoint."""

    def __init__(self, position: Position, before: bytes) -> None:
        """Start at a position, with the bytes before it as far as they are known.

        The tail at the position is kept whenever the bytes move on, however long the line after it.
        """
        offset = position.offset
        self._position = position
        self._kept: tuple[int, str | None] = (offset, tail_of(before))
        self._start = offset - len(before)
        self._older = b""
        self._newer = before

    def through(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass chunks on; the last two are remembered."""
        for chunk in chunks:
            self._kept = (self._position.offset, self.tail_before(self._position.offset))
            self._start += len(self._older)
            self._older, self._newer = self._newer, chunk
            yield chunk

    def tail_before(self, offset: int) -> str | None:
        """Return the tail at an offset; `None` where it was never kept and is out of reach."""
        if offset == self._kept[0]:
            return self._kept[1]
        first = max(0, offset - TAIL_BYTES) - self._start
        if first < 0:
            return None
        return tail_of((self._older + self._newer)[first : offset - self._start])
