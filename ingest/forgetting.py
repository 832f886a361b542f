"""List and forget sources: events without another sighting are deleted with them, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from ingest.errors import UsageMistake
from ingest.files.paths import STANDARD_INPUT, stored_path
from ingest.storing.database import (
    Remark,
    StrPath,
    immediate,
    open_for_reading,
    open_for_writing,
    require_database,
    unsaid,
)
from ingest.storing.ingest_runs import ingest_lock
from ingest.storing.store import forget_source

_SOURCES = """
SELECT source_id, path, real_path, host, state, timezone, marker_lines, last_seen,
    sightings - pruned_sightings AS sightings, rejects - pruned_rejects AS rejects,
    pruned_sightings + pruned_rejects AS pruned,
    (
        SELECT COUNT(*)
        FROM (SELECT DISTINCT event_id FROM event_sightings AS s WHERE s.source_id = source.source_id) AS seen
        WHERE NOT EXISTS (
            SELECT 1 FROM event_sightings AS other
            WHERE other.event_id = seen.event_id AND other.source_id <> source.source_id
        )
    ) AS events_alone
FROM log_sources AS source ORDER BY path, source_id
"""

_SEEN = """
WITH chosen AS (SELECT value AS source_id FROM json_each(?)),
seen AS (
    SELECT DISTINCT event_id FROM event_sightings WHERE source_id IN (SELECT source_id FROM chosen)
)
SELECT COUNT(*), COALESCE(SUM(
    NOT EXISTS (
        SELECT 1 FROM event_sightings AS other
        WHERE other.event_id = seen.event_id AND other.source_id NOT IN (SELECT source_id FROM chosen)
    )
), 0)
FROM seen JOIN token_estimation_v2_events USING (event_id)
"""
"""How many events some sources have, and how many of these no other source has."""

_DECLARED = "SELECT COUNT(*) FROM phase_deliverables WHERE source_id IN (SELECT value FROM json_each(?))"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten; `events_kept` of the sources' events stay, since other sources have them, too.

    `phases` are those whose imported deliverables went with their sources.
    """

    sources: list[Row]
    events: int
    sightings: int
    rejects: int
    events_kept: int
    phases: int


def listed_sources(database: StrPath, remark: Remark = unsaid) -> list[Row]:
    """Return all sources of a database; `events_alone` are those that no other source has.

    Raises:
        DatabaseUnusable: see `ingest.storing.database`.
    """
    with open_for_reading(database, remark) as db:
        return list(db.query(_SOURCES))


def forget(names: Sequence[str], database: StrPath, wait_seconds: float = 0.0) -> Forgotten:
    """Forget sources, by their ids or their paths (a folder: all below it), all or none.

    Raises:
        UsageMistake: a name is that of no source; nothing was changed.
        DatabaseBusy, DatabaseUnusable: see `ingest.storing.database`.
    """
    require_database(database)
    with (
        ingest_lock(database, wait_seconds),
        open_for_writing(database, makes=False) as db,
        immediate(db.conn),
    ):
        found = _found(names, db)
        for source in found.sources:
            forget_source(db.conn, source["source_id"])
    return found


def preview(names: Sequence[str], database: StrPath, remark: Remark = unsaid) -> Forgotten:
    """Return what `forget` would forget; nothing is locked or changed.

    Raises:
        UsageMistake: a name is that of no source.
        DatabaseUnusable: see `ingest.storing.database`.
    """
    with open_for_reading(database, remark) as db:
        db.conn.execute("BEGIN")  # one moment of the database, whatever is ingested meanwhile
        return _found(names, db)


def _found(names: Sequence[str], db: Database) -> Forgotten:
    chosen = _chosen(names, list(db.query(_SOURCES)))
    chosen_ids = json.dumps([source["source_id"] for source in chosen])
    seen, alone = db.conn.execute(_SEEN, [chosen_ids]).fetchone()
    sightings, rejects = (sum(source[name] for source in chosen) for name in ("sightings", "rejects"))
    (phases,) = db.conn.execute(_DECLARED, [chosen_ids]).fetchone()
    return Forgotten(chosen, alone, sightings, rejects, seen - alone, phases)


def _chosen(names: Sequence[str], sources: list[Row]) -> list[Row]:
    chosen: dict[int, Row] = {}
    for name in names:
        found = [source for source in sources if _is_named(source, name)]
        if not found:
            raise UsageMistake(f"{name}: no source is at this path or has this id: see `tokentail sources`")
        if name == STANDARD_INPUT and len(found) > 1:
            raise UsageMistake(_many_pipes(found))
        chosen |= {source["source_id"]: source for source in found}
    return list(chosen.values())


def _many_pipes(found: Sequence[Row]) -> str:
    each = "; ".join(
        f"{source['source_id']} (last read {source['last_seen'][:16]}, {source['marker_lines']:,} marker "
        f"lines, {source['events_alone']:,} events only there)"
        for source in found
    )
    return f"-: {len(found)} pipes were read, so name by their ids those to forget: {each}"


def _is_named(source: Row, name: str) -> bool:
    if name.isascii() and name.isdigit():
        return bool(source["source_id"] == int(name))
    if name == STANDARD_INPUT:
        return bool(source["path"] == STANDARD_INPUT)
    path = stored_path(name)
    at = {source["path"], source["real_path"]} - {None}
    return bool(at & {name, path}) or any(place.startswith(os.path.join(path, "")) for place in at)
