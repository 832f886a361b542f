"""Upgrading: a database of an older version becomes one of this version, for good."""

from __future__ import annotations

import os

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
from ingest.storing.migrations import MIGRATIONS, applied_migrations

REWRITING = "m009_facts"
"""The migration that writes every event anew."""

_GROWTH = 1.25
"""What the journal of that migration takes at most, for each byte of the database: it grows meanwhile."""


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
