"""Adopting the executor's own database: what it needs to be one of ours, or only what that would be."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from ingest.errors import DatabaseUnusable
from ingest.storing.adoption import Adoption
from ingest.storing.database import (
    EVENTS_TABLE,
    StrPath,
    immediate,
    open_unchecked,
    opened_as_it_is,
    require_database,
)
from ingest.storing.ingest_runs import ingest_lock
from ingest.storing.migrations import applied_migrations, has_table
from ingest.storing.upgrading import temporary_copy


@dataclass(frozen=True, slots=True)
class AdoptedDatabase:
    """What was done, or would be; `rows` are the executor's own. No `steps`: it was ours already."""

    rows: int
    steps: list[str]


def adopt(database: StrPath, wait_seconds: float = 0.0) -> AdoptedDatabase:
    """Let logs be read into the executor's own database, whose rows stay as they are.

    Raises:
        DatabaseUnusable: it has no table of events, or one of another kind; nothing was changed.
        DatabaseBusy: see `ingest.storing.database`.
    """
    require_database(database)
    with ingest_lock(database, wait_seconds), open_unchecked(database) as connection:
        return _adopted(connection, database)


def preview(database: StrPath) -> AdoptedDatabase:
    """Return what `adopt` would do, tried on a temporary copy; nothing is locked or changed.

    Raises:
        DatabaseUnusable: as `adopt`.
    """
    require_database(database)
    with (
        opened_as_it_is(database, not_ours=True) as connection,
        temporary_copy(connection, database) as copy,
    ):
        return _adopted(copy, database)


def _adopted(connection: sqlite3.Connection, database: StrPath) -> AdoptedDatabase:
    if applied_migrations(connection):
        return AdoptedDatabase(_rows(connection), [])
    if not has_table(connection, EVENTS_TABLE):
        raise DatabaseUnusable(
            f"{database}: has no table {EVENTS_TABLE}, so it is no executor's database: nothing to adopt"
        )
    connection.execute("PRAGMA legacy_alter_table = ON")  # views that name a table don't hinder it
    with immediate(connection):
        before = _rows(connection)
        adoption = Adoption(connection, database)
        adoption.adopt()
        if _rows(connection) != before:
            raise DatabaseUnusable(f"{database}: rows were lost on the way; nothing was changed")
    return AdoptedDatabase(before, adoption.steps)


def _rows(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute(f"SELECT COUNT(*) FROM {EVENTS_TABLE}").fetchone()
    return int(count)
