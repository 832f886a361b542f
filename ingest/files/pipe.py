"""Standard input: bytes that come only once, and perhaps slowly.

While nothing comes, an empty chunk is yielded, so that what came before can be stored meanwhile. A signal
counts as the pipe's end: it takes effect once all that came before it is stored.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from tempfile import SpooledTemporaryFile
from typing import IO

from ingest.errors import LogUnreadable
from ingest.files.logfile import CHUNK_BYTES, LogFile, Sample, reading, running_digest
from ingest.stopping import Stopping

_LOOK_SECONDS = 0.1
"""How long to wait for bytes before an empty chunk is yielded, and before a signal is noticed."""

_MOST_HELD_BYTES = 1 << 20
"""How much is still read after a signal, if it is in the pipe."""

_MOST_KEPT_IN_MEMORY_BYTES = 4 << 20


class Pipe:
    """The bytes of standard input, until it ends or a signal comes."""

    def __init__(self, stream: IO[bytes], stopping: Stopping) -> None:
        """Begin to read."""
        self._stream = stream
        self._stopping = stopping
        self._held_bytes = _MOST_HELD_BYTES
        self._kept: SpooledTemporaryFile[bytes] | None = None
        self._size_bytes, self._hash = 0, running_digest()

    def sample(self) -> Sample:
        """Return a sample of all that `chunks` has yielded."""
        return Sample(0, self._size_bytes, self._hash.hexdigest())

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield what was kept, then what comes, up to `CHUNK_BYTES` at once; an empty chunk if nothing comes.

        Raises:
            LogUnreadable: it can't be read.
        """
        with reading(path):
            while (chunk := self._again() or self._next()) is not None:
                self._size_bytes += len(chunk)
                self._hash.update(chunk)
                yield chunk

    def kept_chunks(self, path: str) -> Iterator[bytes]:
        """Yield what comes, and keep it: `chunks` will yield it once more.

        Raises:
            LogUnreadable: it can't be read or kept.
        """
        with reading(path), self._keeping() as kept:
            while (chunk := self._next()) is not None:
                kept.write(chunk)
                yield chunk

    @contextmanager
    def _keeping(self) -> Iterator[IO[bytes]]:
        self._kept = SpooledTemporaryFile(_MOST_KEPT_IN_MEMORY_BYTES)  # noqa: SIM115 - closed when it was read
        try:
            yield self._kept
        finally:
            self._kept.seek(0)

    def _again(self) -> bytes:
        if self._kept is None:
            return b""
        chunk = self._kept.read(CHUNK_BYTES)
        if not chunk:
            self._kept.close()
            self._kept = None
        return chunk

    def _next(self) -> bytes | None:
        """Return the next bytes; an empty chunk if none come for a while; `None` at the end."""
        if self._stopping.is_asked:
            if self._held_bytes <= 0 or not self._is_readable(0):
                return None
            chunk = self._read()
            self._held_bytes -= len(chunk)
            return chunk or None
        return (self._read() or None) if self._is_readable(_LOOK_SECONDS) else b""

    def _read(self) -> bytes:
        read = getattr(self._stream, "read1", self._stream.read)
        return bytes(read(CHUNK_BYTES) or b"")

    def _is_readable(self, wait_seconds: float) -> bool:
        """Wait until there is something to read, or the end. Windows can't: there a read itself waits."""
        if sys.platform == "win32":
            return True
        return bool(select.select([self._stream], [], [], wait_seconds)[0])


@contextmanager
def piped(log: LogFile) -> Iterator[LogFile]:
    """Open standard input; a signal that comes meanwhile ends it, and takes effect after that.

    Raises:
        LogUnreadable: it is closed.
    """
    if sys.stdin is None:  # closed by whoever started us
        raise LogUnreadable("standard input is closed: name a log, or let a program write into a pipe")
    stream, stopping = sys.stdin.buffer, Stopping()
    with stopping if _may_hold(stream) else nullcontext():
        yield replace(log, pipe=Pipe(stream, stopping))
    stopping.check()


def _may_hold(stream: IO[bytes]) -> bool:
    """Whether signals can wait: not while a read can't be interrupted, and not needed if stdin is a file."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return False
    return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
