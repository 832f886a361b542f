"""A database of an older version, read in a temporary copy that is upgraded.

Nothing is locked and nothing of the database itself is changed, so an older program that is writing to it
goes on, and a file that may only be read can be.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

from ingest.errors import DatabaseUnusable
from ingest.files.paths import quoted
from ingest.storing.library import as_database
from ingest.storing.migrations import apply_migrations
from ingest.storing.readonly import StrPath

COPIED_PAGES = 2_000
"""Pages that are copied at once: between two steps a signal is heard."""


@contextmanager
def upgraded_copy(connection: sqlite3.Connection, path: StrPath) -> Iterator[sqlite3.Connection]:
    """Open a copy of an open database that has every migration; it is deleted at the end.

    Raises:
        DatabaseUnusable: there is no place for the copy.
    """
    with temporary_copy(connection, path) as copy:
        copy.execute("BEGIN")
        apply_migrations(as_database(copy))
        copy.execute("COMMIT")
        yield copy


@contextmanager
def temporary_copy(connection: sqlite3.Connection, path: StrPath) -> Iterator[sqlite3.Connection]:
    """Open a copy of an open database, of one moment, for whatever is to be tried on it.

    Raises:
        DatabaseUnusable: there is no place for the copy.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="tokentail-")
    except OSError as error:
        raise _no_place(path, error.strerror or "no folder may be written") from error
    with folder, closing(sqlite3.connect(os.path.join(folder.name, "copy.db"), isolation_level=None)) as copy:
        try:
            copy.execute("PRAGMA journal_mode = OFF")
            connection.backup(copy, pages=COPIED_PAGES)
            copy.execute("PRAGMA journal_mode = OFF")  # the copy has the mode of what was copied
        except sqlite3.OperationalError as error:
            if not getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR")):
                raise
            raise _no_place(path, f"{folder.name} takes no more: {error}") from error
        yield copy


def _no_place(path: StrPath, reason: str) -> DatabaseUnusable:
    size = os.path.getsize(path)
    return DatabaseUnusable(
        f"{os.fspath(path)}: a temporary copy of it could not be made ({reason}): set TMPDIR to a folder "
        f"with room for {size / 1e6:,.1f} MB, or upgrade the database itself with `tokentail upgrade "
        f"{quoted(path)}`"
    )
