"""Standard input: what comes through it will not come again, and may be long in coming.

While nothing comes an empty chunk says so, so that what came before can be stored meanwhile.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from typing import IO

from ingest.files.logfile import CHUNK_BYTES, reading

WAIT_SECONDS = 1.0
"""How long to wait at a time; and how long what came may wait to be stored."""


def piped_chunks(stream: IO[bytes], path: str) -> Iterator[bytes]:
    """Yield what comes, when it comes, up to `CHUNK_BYTES`; nothing where nothing came for a while.

    Raises:
        LogUnreadable: it can't be read.
    """
    read = getattr(stream, "read1", stream.read)
    while True:
        with reading(path):
            waiting = not _is_readable(stream)
            chunk = b"" if waiting else read(CHUNK_BYTES)
        if not chunk and not waiting:
            return
        yield chunk


def _is_readable(stream: IO[bytes]) -> bool:
    """Wait until there is something to read, or the end; Windows can't be asked, so there a read waits."""
    if sys.platform == "win32":
        return True
    return bool(select.select([stream], [], [], WAIT_SECONDS)[0])
