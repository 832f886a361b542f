"""Compressed streams, one after another in a file, with nothing swallowed and no bomb let off.

The standard library's bz2 and lzma files take whatever stands after a first good stream for padding
and end there without a word. Here every byte is accounted for: the next stream, padding where the
format has it, or damage. What unpacks to far more than any log is damage too.
"""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Callable
from typing import IO

INPUT_BYTES = 64 * 1024

MAX_UNPACKED_BYTES = 1 << 30
"""What any file may unpack to, however small it is: seconds of work."""

MAX_UNPACKED_RATIO = 1_100
"""How many times its size on disk a file may unpack to beyond that. gzip can't reach 1,033, and so needs
no guard; real logs stay below 100; bzip2, xz and zstd bombs reach thousands to millions."""

MAX_DICTIONARY_BYTES = 256 << 20
"""Memory that an xz file may ask for; `xz -9` asks for 65 MiB, a header may claim 4 GiB."""


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
        try:
            data = current.decompress(given, size)
        except lzma.LZMAError as error:
            if "limit" not in str(error):
                raise
            asked = f"asks for more than {MAX_DICTIONARY_BYTES >> 20} MiB of memory to be unpacked"
            raise OSError(asked) from error
        if current.eof:
            self._ahead, self._current = current.unused_data + self._ahead, None
        return data


class Bounded(io.RawIOBase):
    """A decompressed stream that ends as damage where it has unpacked more than any log would."""

    def __init__(self, stream: io.RawIOBase, size_bytes: int, damage: type[Exception] = OSError) -> None:
        """Read what a file of `size_bytes` on disk unpacks to; `damage` is what its library raises."""
        self._stream = stream
        self._limit = max(MAX_UNPACKED_BYTES, MAX_UNPACKED_RATIO * size_bytes)
        self._size_bytes = size_bytes
        self._damage = damage
        self._unpacked = 0

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; 0 at the end.

        Raises:
            EOFError: the file stops in the middle of a stream.
            OSError: it is damaged, or unpacks to too much.
        """
        if self._unpacked > self._limit:
            raise OSError(
                f"unpacks to more than {self._limit:,} bytes, as no log of {self._size_bytes:,} bytes does"
            )
        try:
            count = self._stream.readinto(buffer) or 0
        except self._damage as error:
            raise OSError(str(error)) from error
        self._unpacked += count
        return count


def bounded(stream: io.RawIOBase, size_bytes: int, damage: type[Exception] = OSError) -> IO[bytes]:
    """Guard a decompressed stream against bombs; see `Bounded`."""
    return io.BufferedReader(Bounded(stream, size_bytes, damage))


def bzip2_streams(raw: IO[bytes]) -> Streams:
    """Open a bzip2 file."""
    return Streams(raw, bz2.BZ2Decompressor)


def xz_streams(raw: IO[bytes]) -> Streams:
    """Open an xz file, whose streams may be padded with NULs."""
    return Streams(raw, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_DICTIONARY_BYTES), b"\0")
