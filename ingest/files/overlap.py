"""Reading a file that may be truncated and written anew at any moment.

Each read begins with the newest bytes that were read before: if others stand there now, what follows
belongs to another generation of the file and is never joined to what came before. The same holds at
the end, where a file that has become shorter shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from ingest.files.logfile import CHUNK_BYTES, reading
from ingest.files.rewritten import Rewritten

OVERLAP_BYTES = 256
"""Bytes that are read twice: enough to hold the time of a log line, few enough to cost nothing."""


def overlapping_chunks(stream: IO[bytes], path: str, newest: bytes) -> Iterator[bytes]:
    """Yield what is left of a plain file; `newest` are the bytes before the place where it stands.

    Raises:
        Rewritten: the file was truncated or written anew meanwhile.
        LogUnreadable: it can't be read.
    """
    newest = newest[-OVERLAP_BYTES:]
    while True:
        with reading(path):
            stream.seek(-len(newest), 1)
            again = stream.read(len(newest) + CHUNK_BYTES)
        if not again.startswith(newest):
            raise Rewritten
        if len(again) == len(newest):
            return
        chunk = again[len(newest) :]
        newest = again[-OVERLAP_BYTES:]
        yield chunk
