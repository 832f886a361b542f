"""Bytes of a file remembered by their place and their hash: enough to know whether they are still there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

TAIL_BYTES = 256
"""How many bytes tell how something ends."""


def digest(data: bytes) -> str:
    """Return the hash used throughout: 128 bits are far beyond chance."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def running_digest() -> hashlib.blake2b:
    """Begin the same hash of what comes in pieces."""
    return hashlib.blake2b(digest_size=16)


@dataclass(frozen=True, slots=True)
class Sample:
    """Some bytes of a source: where they begin, how many they are, their hash."""

    offset: int
    size_bytes: int
    digest: str

    @property
    def end_offset(self) -> int:
        """The offset after the last of these bytes."""
        return self.offset + self.size_bytes


def sample_of(offset: int, data: bytes) -> Sample:
    """Remember bytes by their hash."""
    return Sample(offset, len(data), digest(data))
