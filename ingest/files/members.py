"""The members of a gzip file, unpacked by zlib itself or by a faster module that knows its interface.

Every member is checked against its own CRC and length. Damage has one place, whichever module unpacks
and however the file is cut into blocks: behind the last byte that can be unpacked. So a checkpoint that
was made before damage is reached again.
"""

from __future__ import annotations

import struct
import zlib
from types import ModuleType
from typing import IO

from ingest.files.streams import ASIDE_BYTES, Blocks, Streams

MAGIC = b"\x1f\x8b"
_DEFLATE = 8
_HAS_CHECKSUM, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 2, 4, 8, 16
_RAW = -zlib.MAX_WBITS  # header and trailer are read here: zlib would swallow what stands before damage there


class Member:
    """One member of a gzip file; see `streams.Stream`."""

    def __init__(self, blocks: Blocks, module: ModuleType) -> None:
        """Begin a member behind its header.

        Raises:
            EOFError: the file stops in it.
            OSError: it is none.
        """
        _pass_header(blocks)
        self._blocks = blocks
        self._module = module
        self._inflating = module.decompressobj(wbits=_RAW)
        self._crc = 0
        self._size_bytes = 0
        self._damage: Exception | None = None
        self._step = 0
        self.eof = False

    def more(self, size: int) -> bytes:
        """Return the next bytes; see `streams.Stream`."""
        if self._inflating.eof:
            self._check()
            return b""
        given = self._blocks.more()
        data = self._inflated(given, size)
        self._crc = self._module.crc32(data, self._crc)
        self._size_bytes += len(data)
        if not data and not given and not self._inflating.eof:
            raise EOFError
        return data

    def _inflated(self, given: bytes, size: int) -> bytes:
        """Unpack some bytes; those that weren't used are given back.

        What is unpacked in one call is lost where the call finds damage, so from then on there are
        ever smaller ones, down to the last byte that is good.
        """
        while True:
            used = given if self._damage is None else given[: self._step]
            before = self._inflating.copy()
            try:
                data: bytes = self._inflating.decompress(used, size)
                break
            except self._module.error as error:
                if not used:
                    raise OSError(str(error)) from error
                self._inflating, self._damage, self._step = before, error, len(used) // 2
        if self._damage is not None and not self._step and not data:
            raise OSError(str(self._damage)) from self._damage
        left = self._inflating.unused_data or self._inflating.unconsumed_tail
        self._blocks.give_back(len(given) - len(used) + len(left))
        return data

    def _check(self) -> None:
        crc, size_bytes = struct.unpack("<II", self._blocks.exactly(8))
        if crc != self._crc:
            raise OSError(f"CRC check failed {crc:#x} != {self._crc:#x}")
        if size_bytes != self._size_bytes & 0xFFFFFFFF:
            raise OSError("Incorrect length of data produced")
        self.eof = True


def gzip_members(raw: IO[bytes], module: ModuleType) -> Streams:
    """Open a gzip file, whose members may be padded with NULs; `module` unpacks, as `zlib` does."""
    return Streams(raw, lambda blocks: Member(blocks, module), b"\0")


def _pass_header(blocks: Blocks) -> None:
    magic = blocks.upto(1) + blocks.upto(1)
    if magic == MAGIC[:1]:
        raise EOFError
    if magic != MAGIC:
        raise OSError(f"Not a gzipped file ({magic!r})")
    method, flags = struct.unpack("<BB6x", blocks.exactly(8))
    if method != _DEFLATE:
        raise OSError("Unknown compression method")
    if flags & _HAS_EXTRA:
        blocks.exactly(int.from_bytes(blocks.exactly(2), "little"))
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            _pass_text(blocks)
    if flags & _HAS_CHECKSUM:
        blocks.exactly(2)


def _pass_text(blocks: Blocks) -> None:
    """Pass a name, of any length, and the NUL that ends it."""
    while found := blocks.upto(ASIDE_BYTES):
        _, ended, behind = found.partition(b"\0")
        if ended:
            blocks.give_back(len(behind))
            return
