"""Compressed files: told by their bytes, unpacked by the libraries' own decompressors.

A file may hold many streams, one after another. The libraries' own files take whatever stands after a
first good stream for padding, some of them, and end there without a word. Here every byte is accounted
for: the next stream, padding where the format has it, or damage. What unpacks to far more than any log
is damage too.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import IO, Any, NamedTuple

from ingest.errors import LogUnreadable

INPUT_BYTES = 1024 * 1024
"""How much of a file is read at once. Once a piece of memory of this size was given back, glibc keeps
smaller ones; else it fetches the memory of every chunk anew, which takes a quarter of the time."""

FIRST_BYTES = 4 * 1024
"""How much a stream is given first, then twice as much each time. What stands behind its end is copied,
so a file of many tiny streams would otherwise be copied over and over."""

GIVEN_BYTES = 64 * 1024
"""How much it is given at most. Logs unpack to a whole `logfile.CHUNK_BYTES` of it, mostly."""

MAX_UNPACKED_BYTES = 1 << 30
"""What any file may unpack to, however small it is: seconds of work."""

MAX_UNPACKED_RATIO = 1_100
"""How many times its size on disk a file may unpack to beyond that. gzip can't reach 1,033; real logs stay
below 100; bzip2, xz and zstd bombs reach thousands to millions."""

MAX_DICTIONARY_BYTES = 256 << 20
"""Memory that an xz file may ask for; `xz -9` asks for 65 MiB, a header may claim 4 GiB."""

_GZIP_MEMBER = 31
"""What zlib calls the largest window, and a header and a trailer of gzip's, which it checks."""


class Inflating:
    """A member of a gzip file, unpacked by `zlib` or its like, with the interface of the other decompressors.

    Damage has one place, whichever module unpacks and however the file is cut: behind the last byte that
    can be unpacked. So a checkpoint that was made before damage is reached again.
    """

    def __init__(self, module: Any) -> None:
        """Begin a member."""
        self._error: type[Exception] = module.error
        self._member = module.decompressobj(wbits=_GZIP_MEMBER)
        self.needs_input, self.eof, self.unused_data = True, False, b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return the next bytes; those before damage first, since zlib drops them where it finds it."""
        data = self._member.unconsumed_tail + data
        before = self._member.copy()
        try:
            found = bytes(self._member.decompress(data, max_length))
            self.needs_input = len(found) < max_length
        except self._error:
            found, self._member, self.needs_input = self._until_damage(before, data), before, False
            if not found:
                raise
        self.eof, self.unused_data = self._member.eof, self._member.unused_data
        return found

    def _until_damage(self, member: Any, data: bytes) -> bytes:
        found = b""
        with suppress(self._error):
            found += member.decompress(b"")  # a byte that was taken may hold several letters
            for place in range(len(data)):
                found += member.decompress(data[place : place + 1])
        return found


class Compression(NamedTuple):
    """How one compression is told, and what unpacks it.

    `magic` is a pattern of a file's first bytes. Of `modules` the first that is installed is taken, else
    `package` is what brings one: `start` begins a stream with it, and `error` is the name of what it raises
    beside OSError. `padding` is a byte that may stand between streams and after the last, if any.
    """

    magic: bytes
    modules: tuple[str, ...]
    start: Callable[[Any], Any]
    error: str = ""
    padding: bytes = b""
    package: str = ""


_BZIP2 = rb"BZh[1-9](?:1AY&|\x17rE8|.{0,3}\Z)"  # text may begin with the letters
_ZSTD = ("compression.zstd", "backports.zstd", "pyzstd")

COMPRESSIONS = {
    "gzip": Compression(rb"\x1f\x8b", ("zlib_ng.zlib_ng", "zlib"), Inflating, "error", b"\0"),
    "bzip2": Compression(_BZIP2, ("bz2",), lambda bz2: bz2.BZ2Decompressor()),
    "xz": Compression(
        rb"\xfd7zXZ\0",
        ("lzma",),
        lambda lzma: lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_DICTIONARY_BYTES),
        "LZMAError",
        b"\0",
    ),
    "zstd": Compression(
        rb"\x28\xb5\x2f\xfd",
        _ZSTD,
        lambda zstd: zstd.ZstdDecompressor(),
        "ZstdError",
        package="backports.zstd",
    ),
}
"""A new one is an entry here, and the ending of its files in `names.COMPRESSED`."""


def compression_of(head: bytes) -> str | None:
    """Tell how a file is compressed by its first bytes."""
    told = (name for name, one in COMPRESSIONS.items() if re.match(one.magic, head, re.DOTALL))
    return next(told, None)


def decompressed(file: io.RawIOBase, name: str, path: str, size_bytes: int) -> IO[bytes]:
    """Open the decompressed bytes of a file of `size_bytes`, which can be read by line as well.

    Raises:
        LogUnreadable: what reads it is not installed.
    """
    compression = COMPRESSIONS[name]
    for module in compression.modules:
        with suppress(ImportError):
            unpacked = Unpacked(file, compression, importlib.import_module(module), size_bytes)
            return io.BufferedReader(unpacked, GIVEN_BYTES)
    advice = ""
    if compression.package:
        from ingest.extras import install_command  # noqa: PLC0415 - it is missing seldom

        advice = f": {install_command([compression.package])}"
    raise LogUnreadable(f"{path}: compressed with {name}, which this Python can't read{advice}")


class Unpacked(io.RawIOBase):
    """The concatenated contents of all streams of a compressed file."""

    def __init__(self, file: io.RawIOBase, compression: Compression, module: Any, size_bytes: int) -> None:
        """Read from an open file of `size_bytes` on disk."""
        self._file = file
        self._start = partial(compression.start, module)
        self._errors = (OSError, getattr(module, compression.error, OSError))
        self._padding = compression.padding
        self._size_bytes = size_bytes
        self._most_bytes = max(MAX_UNPACKED_BYTES, MAX_UNPACKED_RATIO * size_bytes)
        self._unpacked_bytes = 0
        self._current: Any = None
        self._block = io.BytesIO()
        self._step = FIRST_BYTES

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; 0 at the end of a file that is whole.

        Raises:
            EOFError: the file stops in the middle of a stream.
            OSError: it is damaged, or unpacks to too much.
        """
        if self._unpacked_bytes > self._most_bytes:
            much = f"unpacks to more than {self._most_bytes:,} bytes"
            raise OSError(f"{much}, as no log of {self._size_bytes:,} bytes does")
        data = b""
        while not data:
            if self._current is None and not self._goes_on():
                return 0
            data = self._more(len(buffer))
        buffer[: len(data)] = data
        self._unpacked_bytes += len(data)
        return len(data)

    def _more(self, size: int) -> bytes:
        """Return at most `size` of the next bytes of a stream; nothing where more input is needed first."""
        stream = self._current = self._current or self._start()
        given = self._given() if stream.needs_input else b""
        if stream.needs_input and not given:
            raise EOFError
        try:
            data: bytes = stream.decompress(given, size)
        except self._errors as error:
            limit = f"asks for more than {MAX_DICTIONARY_BYTES >> 20} MiB of memory to be unpacked"
            raise OSError(limit if "limit" in str(error) else str(error)) from error
        if stream.eof:
            self._block.seek(-len(stream.unused_data), io.SEEK_CUR)
            self._current = None
        return data

    def _goes_on(self) -> bool:
        """Pass the padding before another stream; false where there is none, at the end of the file."""
        while given := self._given():
            behind = given.lstrip(self._padding)
            if behind:
                self._block.seek(-len(behind), io.SEEK_CUR)
                self._step = FIRST_BYTES
                return True
        return False

    def _given(self) -> bytes:
        """Return the next bytes of the file, more each time; nothing at its end."""
        given = self._block.read(self._step)
        if not given:
            self._block = io.BytesIO(self._file.read(INPUT_BYTES) or b"")
            given = self._block.read(self._step)
        self._step = min(GIVEN_BYTES, 2 * self._step)
        return given
