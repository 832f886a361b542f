"""Transactions that write, and what a person can do about what hinders them."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.storing.explaining import explanation

BUSY_SECONDS = 30.0
"""How long a transaction waits for another writer, such as a query tool, before it gives up."""


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold one write transaction: commit everything inside, or nothing of it.

    The deferred transaction of most libraries would die of "database is locked" when two processes
    read and then write.
    """
    _patiently(connection, "BEGIN IMMEDIATE")
    try:
        yield
        _patiently(connection, "COMMIT")  # in a rollback journal readers hold it up
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
def explained(path: str | os.PathLike[str], not_ours: bool = False, reading: bool = False) -> Iterator[None]:
    """Turn what SQLite raises into what a person can act on; a mistake of ours stays what it is.

    One that is `not_ours` was not named by --db; `reading` says that nothing is written to it.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        told = explanation(path, error, not_ours, reading)
        if told is None:
            raise
        raise told from error
