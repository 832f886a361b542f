"""What another database holds, into ours: the facts of each source, where they stand.

Everything here happens inside a transaction of the caller's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping

from ingest.reading.batch import Sighting
from ingest.storing import writes
from ingest.storing.escalations import Said, keep_placeless
from ingest.storing.rows import ESCALATION_COLUMNS, READ_COLUMNS, fact_of, fact_of_row
from ingest.storing.store import Stored, Writing

BATCH = 5_000
"""Sightings that are added at once."""

_FACTS = f"""
SELECT byte_offset, line_number, own_values, {", ".join(f"event.{name}" for name in READ_COLUMNS)}
FROM event_sightings JOIN token_estimation_v2_events AS event USING (event_id)
WHERE source_id = ? ORDER BY byte_offset
"""
_REJECTS = "SELECT byte_offset, line_number, reason, line FROM rejected_lines WHERE source_id = ?"
_ESCALATIONS = f"""
SELECT byte_offset, line_number, own_values, {", ".join(ESCALATION_COLUMNS)}
FROM escalation_sightings JOIN token_budget_escalation_events USING (event_id)
WHERE source_id = ? ORDER BY byte_offset
"""
_DECLARED = (
    "SELECT run_id, phase_id, deliverables_json, deliverables_complete FROM phase_deliverables "
    "WHERE source_id = ?"
)


def take_in(ours: sqlite3.Connection, theirs: sqlite3.Connection, sources: Mapping[int, int]) -> Stored:
    """Let sources of ours hold what those of another database do (theirs to ours), and nothing else."""
    writing, stored = Writing(ours), Stored()
    writing.begin()
    for source_id in sources.values():
        writing.take_away(source_id)
    for their_id, source_id in sources.items():
        _declare(ours, theirs, their_id, source_id, writing)
    for their_id, source_id in sources.items():
        for batch in _batches(theirs, their_id):
            writing.put_sightings(source_id, batch, stored)
        rejects = [(source_id, *row) for row in theirs.execute(_REJECTS, [their_id])]
        writes.insert_rejects(ours, rejects)
        writing.add_escalations(_escalations(theirs, their_id, source_id))
    stored = writing.finish(stored)
    keep_placeless(ours, theirs)
    return stored


def _declare(
    ours: sqlite3.Connection, theirs: sqlite3.Connection, their_id: int, source_id: int, writing: Writing
) -> None:
    rows = theirs.execute(_DECLARED, [their_id]).fetchall()
    if rows:
        writes.insert_declared(ours, [(source_id, *row) for row in rows])
        writing.declare_again({(run, phase) for run, phase, *_ in rows})


def _batches(theirs: sqlite3.Connection, source_id: int) -> Iterator[list[Sighting]]:
    rows = theirs.execute(_FACTS, [source_id])
    while some := rows.fetchmany(BATCH):
        yield [_sighting(*row) for row in some]


def _sighting(offset: int, line_number: int, own: str | None, *values: object) -> Sighting:
    of_row = fact_of_row(dict(zip(READ_COLUMNS, values, strict=True)))
    return Sighting(offset, line_number, fact_of(of_row, own))


def _escalations(theirs: sqlite3.Connection, their_id: int, source_id: int) -> Iterator[Said]:
    for offset, line_number, own, *values in theirs.execute(_ESCALATIONS, [their_id]):
        row = dict(zip(ESCALATION_COLUMNS, values, strict=True)) if own is None else json.loads(own)
        yield source_id, offset, line_number, row
