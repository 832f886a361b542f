"""Merging: other databases into ours, as if one ingest had read all of their logs.

Each database is merged in one transaction, and only read itself. If it is of an older version, or has an
earlier cutoff, a temporary copy of it is upgraded or pruned first.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from ingest.errors import DatabaseUnusable, TokentailError, UsageMistake
from ingest.linking.timestamps import moment_of
from ingest.storing.database import (
    StrPath,
    immediate,
    is_current,
    is_unused,
    open_for_writing,
    opened_as_it_is,
    remove_database,
)
from ingest.storing.ingest_runs import ingest_lock
from ingest.storing.merged_sources import (
    SourceMatcher,
    copy_sources,
    host_of,
    read_in_two_zones,
    source_rows,
)
from ingest.storing.retention import cutoff_of, move_cutoff, prune_stored
from ingest.storing.store import Store
from ingest.storing.temporary_copy import upgraded_copy

_EXECUTORS_ROWS = "SELECT COUNT(*) FROM token_estimation_v2_events WHERE event_key IS NULL"


@dataclass(frozen=True, slots=True)
class MergedDatabase:
    """What was merged from one database; `sources_further` were known, and had been read further there."""

    database: str
    sources: int
    sources_new: int
    sources_further: int
    events: int
    events_new: int
    events_updated: int
    events_dropped: int


@dataclass(slots=True)
class Merged:
    """What a merge did; `problems` name the databases that could not be merged, all others were."""

    databases: list[MergedDatabase] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def merge(others: Sequence[StrPath], database: StrPath, wait_seconds: float = 0.0) -> Merged:
    """Merge other databases into one, which is made if it isn't there and any of them can be merged.

    Raises:
        UsageMistake: all of them are the database itself; nothing was changed.
        DatabaseBusy, DatabaseUnusable: see `ingest.storing.database`.
    """
    itself = [other for other in others if os.path.realpath(other) == os.path.realpath(database)]
    problems = [f"{os.fspath(other)}: the database itself, which --db names: name others" for other in itself]
    if len(itself) == len(others):
        raise UsageMistake("; ".join(problems))
    merged = Merged(problems=problems)
    with ingest_lock(database, wait_seconds):
        is_new = not os.path.exists(database)
        with open_for_writing(database, is_unused(database)) as db:
            _merge([other for other in others if other not in itself], db.conn, merged)
        if is_new and not merged.databases:
            remove_database(database)
    return merged


def _merge(others: Sequence[StrPath], ours: sqlite3.Connection, merged: Merged) -> None:
    host, store = host_of(ours) or platform.node(), Store(ours)
    for other in others:
        try:
            with _readable(other, cutoff_of(ours)) as theirs:
                merged.databases.append(_merge_into(store, theirs, os.fspath(other), host, merged.notes))
        except TokentailError as error:
            merged.problems.append(f"{error}" if os.fspath(other) in str(error) else f"{other}: {error}")


@contextmanager
def _readable(other: StrPath, cutoff: str | None) -> Iterator[sqlite3.Connection]:
    """Open another database as this version would have written it, and as far back as ours goes.

    Raises:
        DatabaseUnusable: it isn't there, was made by a newer version, or is none of ours.
    """
    if not os.path.isfile(other):
        what = "a folder, not a" if os.path.isdir(other) else "no such"
        raise DatabaseUnusable(f"{os.fspath(other)}: {what} database: name one that is there")
    with opened_as_it_is(other, not_ours=True) as connection:
        connection.execute("BEGIN")  # one moment of it, whatever is ingested meanwhile
        current = is_current(connection, other, not_ours=True)
        if current and (cutoff is None or cutoff <= (cutoff_of(connection) or "")):
            yield connection
            return
        with upgraded_copy(connection, other) as copy:
            if cutoff is not None:
                with immediate(copy):
                    prune_stored(copy, move_cutoff(copy, moment_of(cutoff)))
            yield copy


def _merge_into(
    store: Store, theirs: sqlite3.Connection, other: str, host: str, notes: list[str]
) -> MergedDatabase:
    ours = store.connection
    with store.transaction():
        cutoff = cutoff_of(theirs)
        if cutoff is not None and cutoff > (cutoff_of(ours) or ""):
            prune_stored(ours, move_cutoff(ours, moment_of(cutoff)))
        known = {source_id for (source_id,) in ours.execute("SELECT source_id FROM log_sources")}
        sources = SourceMatcher(ours, theirs, host)
        matches = {row["source_id"]: sources.match(row) for row in source_rows(theirs, "ORDER BY source_id")}
        copied = {their_id: match.source_id for their_id, match in matches.items() if match.is_copied}
        further = known.intersection(copied.values())
        stored = copy_sources(ours, theirs, copied)
        (events,) = theirs.execute("SELECT COUNT(*) FROM token_estimation_v2_events").fetchone()
    _remark(ours, theirs, other, {match.source_id for match in matches.values()}, notes)
    return MergedDatabase(
        database=other,
        sources=len(matches),
        sources_new=len({match.source_id for match in matches.values()} - known),
        sources_further=len(further),
        events=events,
        events_new=stored.events_new,
        events_updated=stored.events_updated,
        events_dropped=stored.events_deleted,
    )


def _remark(
    ours: sqlite3.Connection,
    theirs: sqlite3.Connection,
    other: str,
    brought: Collection[int],
    notes: list[str],
) -> None:
    for found in read_in_two_zones(ours, brought):
        their_row, our_row = found.theirs, found.ours
        name = "" if our_row["path"] == their_row["path"] else f", by the name {our_row['path']}"
        shift = timedelta(seconds=found.least_seconds)
        apart = f", {shift} apart" if found.least_seconds == found.most_seconds else ""
        notes.append(
            f"{other}: {their_row['path']} was read as {their_row['timezone']} there "
            f"and as {our_row['timezone']} here{name}: "
            f"{found.events:,} of its events are at two times{apart}; "
            f"`tokentail sources forget {their_row['source_id']}` takes the one of there out, "
            f"`tokentail sources forget {our_row['source_id']}` the one of here"
        )
    (executors_rows,) = theirs.execute(_EXECUTORS_ROWS).fetchone()
    if executors_rows:
        notes.append(f"{other}: {executors_rows} rows of the executor's own that no log told were left out")
