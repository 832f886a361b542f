"""How a file is compressed, told by its bytes, and what reads it."""

from __future__ import annotations

import importlib
import io
import re
import zlib
from types import ModuleType
from typing import IO

from ingest.errors import LogUnreadable
from ingest.files.members import MAGIC, gzip_members
from ingest.files.streams import bounded, buffered, bzip2_streams, xz_streams

_MAGIC = {
    "gzip": MAGIC,
    "bzip2": b"BZh",  # and a digit and what follows it, see `compression_of`
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
}
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&|\x17rE8|.{0,3}\Z)", re.DOTALL)


def compression_of(head: bytes) -> str | None:
    """Tell how a file is compressed by its first bytes."""
    found = next((name for name, magic in _MAGIC.items() if head.startswith(magic)), None)
    if found == "bzip2" and not _BZIP2.match(head):  # text may begin with the letters
        return None
    return found


def decompressed(file: io.RawIOBase, compression: str, path: str, size_bytes: int) -> IO[bytes]:
    """Open the decompressed bytes of a file of `size_bytes`.

    Raises:
        LogUnreadable: what reads it is not installed.
    """
    raw = io.BufferedReader(file)
    if compression == "gzip":
        return buffered(gzip_members(raw, inflating_module()))
    if compression == "bzip2":
        return bounded(bzip2_streams(raw), size_bytes)
    if compression == "xz":
        return bounded(xz_streams(raw), size_bytes)
    for name in ("compression.zstd", "backports.zstd", "pyzstd"):
        try:
            zstd = importlib.import_module(name)
        except ImportError:
            continue
        return bounded(zstd.open(raw), size_bytes, zstd.ZstdError)
    raise LogUnreadable(
        f"{path}: compressed with zstd, which this Python can't read: pip install backports.zstd"
    )


def inflating_module() -> ModuleType:
    """Return what unpacks gzip files: zlib-ng where the extra `fast` is installed, else zlib."""
    try:
        return importlib.import_module("zlib_ng.zlib_ng")
    except ImportError:
        return zlib
