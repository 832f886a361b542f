"""Transactions that write, and what a person can do about what hinders them."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.errors import DatabaseBusy, DatabaseUnusable

BUSY_SECONDS = 30.0
"""How long a transaction waits for another writer, such as a query tool, before it gives up."""


@contextmanager
def immediate(connection: sqlite3.Connection, keep: bool = True) -> Iterator[None]:
    """Hold one write transaction: commit everything inside, or nothing of it; without `keep` nothing, always.

    The deferred transaction of most libraries would die of "database is locked" when two processes
    read and then write.
    """
    _patiently(connection, "BEGIN IMMEDIATE")
    try:
        yield
        _patiently(connection, "COMMIT" if keep else "ROLLBACK")  # in a rollback journal readers hold it up
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Execute a statement as soon as others let it, within `BUSY_SECONDS`."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
        else:
            return


@contextmanager
def explained(path: str | os.PathLike[str], not_ours: bool = False) -> Iterator[None]:
    """Turn what SQLite raises into what a person can act on; a mistake of ours stays what it is.

    One that is `not_ours` is only read, and was not named by --db.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorname", "")
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise DatabaseBusy(
                f"{path}: database is locked by another program for more than {BUSY_SECONDS:.0f} s: "
                "try again when it is done"
            ) from error
        for start, advice in _ADVICE.items():
            if code.startswith(start):
                told = f"{path}: {error}"
                raise DatabaseUnusable(told if not_ours else f"{told}: {advice}") from error
        raise


_ADVICE = {
    "SQLITE_NOTADB": "it is not a SQLite database, and was left as it is: choose another with --db",
    "SQLITE_CORRUPT": "restore a copy, or ingest the logs into a new one with --db; it was not deleted",
    "SQLITE_READONLY": "make it and its folder writable, or choose another with --db",
    "SQLITE_PERM": "make it and its folder writable, or choose another with --db",
    "SQLITE_CANTOPEN": "does its folder exist, and may you write there? Choose another place with --db",
    "SQLITE_FULL": "free some space and run the command again; nothing is lost or doubled",
    "SQLITE_IOERR": "the disk failed to read or write it; run the command again when it is mended",
}
