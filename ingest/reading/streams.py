"""Compressed streams, one after another in a file, with nothing swallowed.

The standard library's bz2 and lzma files take whatever stands after a first good stream for padding
and end there without a word. Here every byte is accounted for: the next stream, padding where the
format has it, or damage.
"""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Callable
from typing import IO

INPUT_BYTES = 64 * 1024


Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor


class Streams(io.RawIOBase):
    """The concatenated contents of all streams of a compressed file.

    `padding` is a byte that may stand between streams and after the last; none if it is empty.
    """

    def __init__(self, raw: IO[bytes], start: Callable[[], Decompressor], padding: bytes = b"") -> None:
        """Read from an open file; `start` makes the decompressor of a stream."""
        self._raw = raw
        self._start = start
        self._padding = padding
        self._current: Decompressor | None = None
        self._ahead = b""

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; 0 at the end of a file that is whole.

        Raises:
            EOFError: the file stops in the middle of a stream.
            OSError, lzma.LZMAError: it is damaged.
        """
        while True:
            if self._current is None and not self._begin():
                return 0
            data = self._more(len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _begin(self) -> bool:
        """Start the next stream; false at the end of the file."""
        while True:
            self._ahead = (self._ahead or self._raw.read(INPUT_BYTES)).lstrip(self._padding)
            if self._ahead:
                self._current = self._start()
                return True
            self._ahead = self._raw.read(INPUT_BYTES)
            if not self._ahead:
                return False

    def _more(self, size: int) -> bytes:
        current = self._current
        if current is None:
            return b""
        if current.needs_input and not self._ahead:
            self._ahead = self._raw.read(INPUT_BYTES)
            if not self._ahead:
                raise EOFError
        given, self._ahead = (self._ahead, b"") if current.needs_input else (b"", self._ahead)
        data = current.decompress(given, size)
        if current.eof:
            self._ahead, self._current = current.unused_data + self._ahead, None
        return data


def bzip2_streams(raw: IO[bytes]) -> IO[bytes]:
    """Open a bzip2 file."""
    return io.BufferedReader(Streams(raw, bz2.BZ2Decompressor))


def xz_streams(raw: IO[bytes]) -> IO[bytes]:
    """Open an xz file, whose streams may be padded with NULs."""
    return io.BufferedReader(Streams(raw, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), b"\0"))
