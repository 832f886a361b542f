"""One ingest at a time for each database, across processes.

The operating system holds the lock and gives it back when its holder ends, however it ends, so a
killed process never blocks the next one. The lock file beside the database stays; its content only
tells who the holder is.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ingest.errors import DatabaseBusy, DatabaseUnusable

POLL_SECONDS = 0.05

if sys.platform == "win32":
    import msvcrt

    _FAR_OFF = 1 << 30  # the byte that is locked, beyond the text, which others may then still read

    def _try_lock(file: IO[str]) -> bool:
        file.seek(_FAR_OFF)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def ingest_lock(database: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the database's ingest lock.

    Raises:
        DatabaseBusy: another process still holds it after `wait_seconds`.
        DatabaseUnusable: no lock file can be made beside the database.
    """
    path = Path(os.path.realpath(database) + ".lock")
    try:
        file = path.open("a+", encoding="ascii", errors="replace")
    except OSError as error:
        raise DatabaseUnusable(
            f"{database}: can't write beside it ({error.strerror}): choose another place with --db"
        ) from error
    with file:
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(file):
            if time.monotonic() >= deadline:
                raise DatabaseBusy(_busy(database, file))
            time.sleep(POLL_SECONDS)
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _busy(database: Path, file: IO[str]) -> str:
    file.seek(0)
    pid = file.readline(20).strip()
    holder = f"another ingest (pid {pid})" if pid.isdigit() else "another ingest"
    return f"{database}: {holder} holds the database; --wait SECONDS waits for it"
