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
from typing import IO, Protocol

INPUT_BYTES = 1024 * 1024
"""How much of a file is read at once. Once a piece of memory of this size was given back, glibc keeps
smaller ones; else it fetches the memory of every chunk anew, which takes a quarter of the time."""

GIVEN_BYTES = 64 * 1024
"""How much of that a stream is given at once. Logs unpack to a whole `logfile.CHUNK_BYTES` of it, mostly."""

FIRST_BYTES = 4 * 1024
"""How much a stream is given first, then twice as much each time. What stands behind its end is copied,
so a file of many tiny streams would otherwise be copied over and over."""

ASIDE_BYTES = 512
"""How much is looked at once for the end of what is passed over: a name, padding."""

MAX_UNPACKED_BYTES = 1 << 30
"""What any file may unpack to, however small it is: seconds of work."""

MAX_UNPACKED_RATIO = 1_100
"""How many times its size on disk a file may unpack to beyond that. gzip can't reach 1,033, and so needs
no guard; real logs stay below 100; bzip2, xz and zstd bombs reach thousands to millions."""

MAX_DICTIONARY_BYTES = 256 << 20
"""Memory that an xz file may ask for; `xz -9` asks for 65 MiB, a header may claim 4 GiB."""


Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor


class Blocks:
    """What comes next of a file: large blocks, of which what was not used is given back."""

    def __init__(self, raw: IO[bytes]) -> None:
        """Read from an open file."""
        self._raw = raw
        self._block = b""
        self._place = 0
        self._size = FIRST_BYTES

    def begin(self, padding: bytes) -> bool:
        """Pass the padding before another stream; false where there is none, at the end of the file."""
        self._size = FIRST_BYTES
        while found := self.upto(ASIDE_BYTES):
            behind = found.lstrip(padding)
            if behind:
                self.give_back(len(behind))
                return True
        return False

    def more(self) -> bytes:
        """Return the next bytes of a stream, more each time; nothing at the end of the file."""
        found = self.upto(self._size)
        self._size = min(GIVEN_BYTES, 2 * self._size)
        return found

    def upto(self, size: int) -> bytes:
        """Return at most `size` bytes; nothing at the end of the file."""
        if self._place == len(self._block):
            self._block, self._place = self._raw.read(INPUT_BYTES), 0
        found = self._block[self._place : self._place + size]
        self._place += len(found)
        return found

    def give_back(self, size: int) -> None:
        """Take back the last bytes of what was returned last."""
        self._place -= size

    def exactly(self, size: int) -> bytes:
        """Return `size` bytes, or all that are left.

        Raises:
            EOFError: there are fewer.
        """
        found = self.upto(size)
        while len(found) < size:
            further = self.upto(size - len(found))
            if not further:
                raise EOFError
            found += further
        return found


class Stream(Protocol):
    """One compressed stream of a file."""

    eof: bool
    """Whether all of it was returned, and checked."""

    def more(self, size: int) -> bytes:
        """Return at most `size` of the next bytes, and nothing where more input is needed first.

        Raises:
            EOFError: the file stops in the middle of the stream.
            OSError, lzma.LZMAError: it is damaged.
        """


class Streams(io.RawIOBase):
    """The concatenated contents of all streams of a compressed file.

    `padding` is a byte that may stand between streams and after the last; none if it is empty.
    """

    def __init__(self, raw: IO[bytes], start: Callable[[Blocks], Stream], padding: bytes = b"") -> None:
        """Read from an open file; `start` begins a stream at its first byte."""
        self._blocks = Blocks(raw)
        self._start = start
        self._padding = padding
        self._current: Stream | None = None

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
            if self._current is None:
                if not self._blocks.begin(self._padding):
                    return 0
                self._current = self._start(self._blocks)
            data = self._current.more(len(buffer))
            if self._current.eof:
                self._current = None
            if data:
                buffer[: len(data)] = data
                return len(data)


class Unpacking:
    """A stream that a decompressor of the standard library unpacks and checks."""

    def __init__(self, blocks: Blocks, decompressor: Decompressor) -> None:
        """Begin a stream."""
        self._blocks = blocks
        self._decompressor = decompressor
        self.eof = False

    def more(self, size: int) -> bytes:
        """Return the next bytes; see `Stream`."""
        decompressor, given = self._decompressor, b""
        if decompressor.needs_input:
            given = self._blocks.more()
            if not given:
                raise EOFError
        try:
            data = decompressor.decompress(given, size)
        except lzma.LZMAError as error:
            if "limit" not in str(error):
                raise
            asked = f"asks for more than {MAX_DICTIONARY_BYTES >> 20} MiB of memory to be unpacked"
            raise OSError(asked) from error
        self.eof = decompressor.eof
        if self.eof:
            self._blocks.give_back(len(decompressor.unused_data))
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
    return buffered(Bounded(stream, size_bytes, damage))


def buffered(stream: io.RawIOBase) -> IO[bytes]:
    """Let a decompressed stream be read by line as well."""
    return io.BufferedReader(stream, GIVEN_BYTES)


def bzip2_streams(raw: IO[bytes]) -> Streams:
    """Open a bzip2 file."""
    return Streams(raw, lambda blocks: Unpacking(blocks, bz2.BZ2Decompressor()))


def xz_streams(raw: IO[bytes]) -> Streams:
    """Open an xz file, whose streams may be padded with NULs."""

    def start(blocks: Blocks) -> Unpacking:
        return Unpacking(blocks, lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_DICTIONARY_BYTES))

    return Streams(raw, start, b"\0")
