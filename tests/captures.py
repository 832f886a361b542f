"""Logs as bytes on a disk: hard-wrapped PowerShell captures, and compressed rotations."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
from collections.abc import Callable

from executor_log import Log

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def wrapped(line: str, width: int, words: bool) -> list[str]:
    """Break a line at a width: after the last space that fits, which stays above, or hard."""
    pieces = []
    while len(line) > width:
        place = line.rfind(" ", 0, width) + 1 if words else 0
        place = place or width
        pieces.append(line[:place])
        line = line[place:]
    return [*pieces, line]


def capture(
    log: Log,
    width: int,
    words: bool = True,
    big_endian: bool = False,
    opening: bool = True,
    shows_width: bool = False,
) -> bytes:
    """Return a log as Windows PowerShell 5.1 writes it: UTF-16 with a mark, CRLF, wrapped.

    `opening` puts the lines above it that PowerShell makes of the first line on standard error. With
    `shows_width` a line that can only be wrapped comes first: before one did, values may be in doubt.
    """
    lines = [line.rendered() for line in log.lines]
    if shows_width:
        lines.insert(0, f"[2025-12-29 19:40:01] DEBUG: {'w' * width}")
    lines = [
        piece for line in [*(_OPENING if opening else ()), *lines] for piece in wrapped(line, width, words)
    ]
    mark, codec = (codecs.BOM_UTF16_BE, "utf-16-be") if big_endian else (codecs.BOM_UTF16_LE, "utf-16-le")
    return mark + "".join(f"{line}\r\n" for line in lines).encode(codec)


_OPENING = (
    "python : [2025-12-29 19:40:01] INFO: Applying pre-emptive encoding fix...",
    "At C:\\Temp\\ps-script.ps1:7 char:44",
    "+ ... PATH=src; python -m dotenv run -- python src/autonomous_ex ...",
    "    + CategoryInfo          : NotSpecified: ([2025-12-29 19:...:String) [], RemoteException",
    "    + FullyQualifiedErrorId : NativeCommandError",
    " ",
)
