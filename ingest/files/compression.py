"""Compressed files: recognised by their bytes, unpacked by the libraries' own decompressors.

A file may hold many streams, one after another. Some libraries' file classes take anything after a first
good stream for padding and end there silently. Here every byte is accounted for: the next stream, padding
if the format allows it, or damage. A file that unpacks to far more than any log is damaged too.
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
"""How much of a file is read at once. Once a block of this size was freed, glibc keeps smaller ones for
reuse; else it would map the memory of every chunk anew, which takes a quarter of the time."""

FIRST_BYTES = 4 * 1024
"""How much a stream is given first, then twice as much each time. What is left after its end is copied, so
a file of many tiny streams would otherwise be copied over and over."""

GIVEN_BYTES = 64 * 1024
"""How much it is given at most. Most logs unpack to a whole `logfile.CHUNK_BYTES` of it."""

MAX_UNPACKED_BYTES = 1 << 30
"""What any file may unpack to, however small it is: that takes seconds."""

MAX_UNPACKED_RATIO = 1_100
"""How many times its size on disk a file may unpack to beyond that. gzip can't reach 1,033; real logs stay
below 100; bzip2, xz and zstd bombs reach thousands to millions."""

MAX_DICTIONARY_BYTES = 256 << 20
"""Memory that an xz file may ask for; `xz -9` asks for 65 MiB, a header may claim 4 GiB."""

_GZIP_MEMBER = 31
"""zlib's `wbits` for the largest window and gzip's header and trailer, which it checks."""


class Inflating:
    """A member of a gzip file, unpacked by `zlib` or `zlib_ng`, with the interface of other decompressors.

    Damage always shows after the last byte that can be unpacked, whichever module unpacks and however the
    input is cut. So a checkpoint that was made before the damage is reached again.
    """

    def __init__(self, module: Any) -> None:
        """Begin a member."""
        self._error: type[Exception] = module.error
        self._member = module.decompressobj(wbits=_GZIP_MEMBER)
        self.needs_input, self.eof, self.unused_data = True, False, b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return the next bytes. Those before damage come first, though zlib drops them when it finds it."""
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
            found += member.decompress(b"")  # a byte that was given before may hold several characters
            for place in range(len(data)):
                found += member.decompress(data[place : place + 1])
        return found


class Compression(NamedTuple):
    """How one compression is recognised, and what unpacks it.

    `magic` is a pattern of a file's first bytes. The first of `modules` that is installed is used, and
    `package` provides one. `start` begins a stream with the module, and `error` is the name of the exception
    that it raises beside OSError. `padding` is a byte that may follow a stream, if the format has one.
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
"""To add a compression, add an entry here, and the suffix of its files to `listing.COMPRESSED`."""


def compression_of(head: bytes) -> str | None:
    """Return the name of a file's compression by its first bytes; `None` if it has none."""
    names = (
        name for name, compression in COMPRESSIONS.items() if re.match(compression.magic, head, re.DOTALL)
    )
    return next(names, None)


def decompressed(file: io.RawIOBase, name: str, path: str, size_bytes: int) -> IO[bytes]:
    """Open the decompressed bytes of a file of `size_bytes`, which can be read by line as well.

    Raises:
        LogUnreadable: no module that unpacks it is installed.
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
        """Return true: this can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; return 0 at the end of a whole file.

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
        """Return at most `size` of the next bytes of a stream; none if it needs more input first."""
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
        """Skip the padding before another stream; return false if there is none, at the end of the file."""
        while given := self._given():
            rest = given.lstrip(self._padding)
            if rest:
                self._block.seek(-len(rest), io.SEEK_CUR)
                self._step = FIRST_BYTES
                return True
        return False

    def _given(self) -> bytes:
        """Return the next bytes of the file, more each time; none at its end."""
        given = self._block.read(self._step)
        if not given:
            self._block = io.BytesIO(self._file.read(INPUT_BYTES) or b"")
            given = self._block.read(self._step)
        self._step = min(GIVEN_BYTES, 2 * self._step)
        return given
