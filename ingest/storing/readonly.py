"""Databases on file systems that are mounted read-only: opened as immutable, and checked for changes.

Somebody else may have the same disk mounted writable. What was read while the file changed may hold half of a
change, so that is an error.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ingest.errors import DatabaseUnusable

StrPath = str | os.PathLike[str]
_Form = tuple[int, int, bytes]


def is_on_readonly_disk(path: StrPath) -> bool:
    """Whether a database is where nothing can be written, and all that was committed stands in its file."""
    if sys.platform == "win32" or os.path.exists(f"{os.fspath(path)}-wal"):
        return False
    with suppress(OSError):
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    return False  # there is none yet


@contextmanager
def unchanged(path: StrPath) -> Iterator[None]:
    """Check that a database was not written while it was read.

    Raises:
        DatabaseUnusable: it was.
    """
    before = _form(path)
    try:
        yield
    except sqlite3.DatabaseError:
        _check(path, before)
        raise
    _check(path, before)


def _check(path: StrPath, before: _Form | None) -> None:
    if _form(path) != before:
        raise DatabaseUnusable(
            f"{os.fspath(path)}: written from elsewhere while it was read here, where its disk is mounted "
            "read-only: read a copy that `backup` makes there, or run the command again"
        )


def _form(path: StrPath) -> _Form | None:
    """Return size, time of change, and SQLite's own counter of changes (bytes 24 to 27)."""
    if os.path.exists(f"{os.fspath(path)}-wal"):
        return None
    with open(path, "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        return found.st_size, found.st_mtime_ns, file.read(28)[24:]
