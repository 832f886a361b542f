"""Databases of an older version: upgraded for good, or read in a temporary copy that is upgraded.

For a copy nothing is locked and nothing of the database itself is changed, so an older program that is
writing to it goes on, and a file that may only be read can be.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

from ingest.errors import DatabaseUnusable
from ingest.storing.database import (
    Remark,
    StrPath,
    is_current,
    open_for_writing,
    opened_as_it_is,
    require_database,
    require_ours,
    unsaid,
)
from ingest.storing.ingest_runs import ingest_lock
from ingest.storing.library import as_database
from ingest.storing.migrations import MIGRATIONS, applied_migrations, apply_migrations

REWRITING = "m009_facts"
"""The migration that writes every event anew."""

_GROWTH = 1.25
"""What the journal of that migration takes at most, for each byte of the database: it grows meanwhile."""

COPIED_PAGES = 2_000
"""Pages that are copied at once: between two steps a signal is heard."""


def upgrade(database: StrPath, wait_seconds: float = 0.0, remark: Remark = unsaid) -> list[str]:
    """Apply every migration that a database lacks; return their names, in their order.

    `remark` is called with how much room it takes, before anything is written.

    Raises:
        DatabaseUnusable: it isn't there, holds nothing of ours, or can't be written.
        DatabaseBusy: another ingest, or another writer, holds it.
    """
    require_database(database)
    with ingest_lock(database, wait_seconds):
        with opened_as_it_is(database) as connection:
            is_current(connection, database)
            require_ours(connection, database)
            before = applied_migrations(connection)
        if REWRITING not in before:
            room = os.path.getsize(database) * _GROWTH / 1e6
            text = f"every event is written anew: that takes up to {room:,.1f} MB beside it meanwhile"
            remark(f"{database}: {text}")
        with open_for_writing(database):
            return [migration.__name__ for migration in MIGRATIONS if migration.__name__ not in before]


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
        f"with room for {size / 1e6:,.1f} MB, or upgrade the database itself with `tokentail upgrade`"
    )
