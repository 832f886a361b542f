"""Pruning: a retention cutoff, before which nothing is kept, now or whenever an old log is read again."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlite_utils import Database

from ingest.errors import DatabaseBusy, DatabaseUnusable, UsageMistake
from ingest.linking.timestamps import time_text
from ingest.storing import writes
from ingest.storing.database import (
    EVENTS_TABLE,
    Remark,
    StrPath,
    explained,
    immediate,
    open_for_reading,
    open_for_writing,
    opened_as_it_is,
    require_database,
    unsaid,
)
from ingest.storing.ingest_runs import ingest_lock
from ingest.storing.migrations import has_table
from ingest.storing.retention import count_old, cutoff_of, move_cutoff, moved_cutoff, prune_stored


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was pruned; `kept_from` is the cutoff (UTC), `freed_bytes` how much smaller the file is now.

    `events_before` is how many events there were. `trouble` is why the file was not made smaller, though the
    rows are gone.
    """

    kept_from: str
    events: int
    sightings: int
    rejects: int
    escalations: int
    freed_bytes: int = 0
    trouble: str | None = None
    events_before: int = 0

    @property
    def is_all(self) -> bool:
        """Whether no event is left of those that there were."""
        return 0 < self.events_before == self.events


def prune(
    database: StrPath,
    moment: datetime,
    wait_seconds: float = 0.0,
    vacuum: bool = True,
) -> Pruned:
    """Delete what is older than a moment (aware), for good; the cutoff is never moved back.

    Raises:
        UsageMistake: the moment is in the future.
        DatabaseBusy, DatabaseUnusable: see `ingest.storing.database`.
    """
    _check_past(moment)
    require_database(database)
    with ingest_lock(database, wait_seconds), open_for_writing(database, makes=False) as db:
        with immediate(db.conn):
            before = _count(db)
            kept_from = move_cutoff(db.conn, moment)
            done = _pruned(kept_from, prune_stored(db.conn, kept_from), before)
        if not vacuum or not done.events + done.rejects + done.escalations:
            return done
        return _vacuumed(db, database, done)


def preview(database: StrPath, moment: datetime, remark: Remark = unsaid) -> Pruned:
    """Return what `prune` would delete; nothing is locked or changed.

    Raises:
        UsageMistake: the moment is in the future.
        DatabaseUnusable: see `ingest.storing.database`.
    """
    _check_past(moment)
    with open_for_reading(database, remark) as db:
        db.conn.execute("BEGIN")  # one moment of the database, whatever is ingested meanwhile
        kept_from = moved_cutoff(db.conn, moment)
        return _pruned(kept_from, count_old(db.conn, kept_from), _count(db))


def _pruned(kept_from: str, gone: dict[str, int], before: int) -> Pruned:
    counts = (gone["events"], gone["sightings"], gone["rejects"], gone["escalations"])
    return Pruned(kept_from, *counts, events_before=before)


def _count(db: Database) -> int:
    return int(db.conn.execute(f"SELECT COUNT(*) FROM {EVENTS_TABLE}").fetchone()[0])


def _check_past(moment: datetime) -> None:
    if moment > datetime.now(UTC):
        raise UsageMistake(
            f"--older-than {moment:%Y-%m-%d %H:%M} UTC is in the future, so everything would go: "
            "name an earlier time"
        )


def leaves_nothing(database: StrPath, moment: datetime) -> bool:
    """Whether no event would be left if those from before a moment (aware) of the past went.

    Of a database that has none, a first cutoff would leave nothing of what comes; a later one changes little.

    Raises:
        DatabaseUnusable: see `ingest.storing.database`.
    """
    if moment > datetime.now(UTC) or not os.path.isfile(database):
        return False
    with opened_as_it_is(database) as connection:
        if not has_table(connection, EVENTS_TABLE):
            return False
        (newest,) = connection.execute(f"SELECT MAX(timestamp) FROM {EVENTS_TABLE}").fetchone()
        if newest is None:
            return not (has_table(connection, "event_horizon") and cutoff_of(connection))
    return bool(newest < time_text(moment.replace(microsecond=0)))


def _vacuumed(db: Database, database: StrPath, done: Pruned) -> Pruned:
    before, trouble = os.path.getsize(database), None
    try:
        with explained(database):
            db.conn.execute("VACUUM")
            db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (DatabaseBusy, DatabaseUnusable) as error:
        trouble = str(error)
    freed = max(0, before - os.path.getsize(database))
    return replace(done, freed_bytes=freed, trouble=trouble)


def clear(database: StrPath, wait_seconds: float = 0.0) -> str | None:
    """Clear the cutoff, so that events of any time are kept; return where it was, `None` if there was none.

    What was pruned comes back only when its log is read from its start.

    Raises:
        DatabaseBusy, DatabaseUnusable: see `ingest.storing.database`.
    """
    require_database(database)
    with (
        ingest_lock(database, wait_seconds),
        open_for_writing(database, makes=False) as db,
        immediate(db.conn),
    ):
        before = cutoff_of(db.conn)
        writes.clear_cutoff(db.conn)
        return before
