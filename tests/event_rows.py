"""Events as rows: databases with chosen events in them, for tests of what is computed from rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from sqlite_utils import Database

from ingest.storing.database import open_for_writing

HOSTILE = "\x1b[31mred\x1b[0m\r\n\x9b2J\u202e<script>alert(1)</script>"
"""A name that no terminal, page or spreadsheet should obey."""

Row = dict[str, Any]

_NUMBERS = count()
_PLAIN: Row = {
    "run_id": "run-1",
    "phase_id": "phase-1",
    "timestamp": "2026-01-14 09:00:00.000000",
    "category": "docs",
    "complexity": "low",
    "deliverable_count": 3,
    "deliverables_json": "[]",
    "predicted_output_tokens": 1000,
    "actual_output_tokens": 800,
    "selected_budget": 4096,
    "actual_max_tokens": None,
    "success": 1,
    "truncated": 0,
    "model": "model-1",
    "created_at": "2026-01-14 10:00:00.000000",
    "timestamp_text": "2026-01-14 09:00:00",
    "actual_is_total": 0,
    "estimated_deliverable_count": None,
    "deliverables_source": None,
    "deliverables_complete": 0,
}


def event_row(**columns: object) -> Row:
    """Return an event's row with these columns changed, and a key of its own."""
    if unknown := columns.keys() - _PLAIN.keys() - {"event_key"}:
        raise KeyError(*unknown)
    return {**_PLAIN, "event_key": f"event-{next(_NUMBERS)}", **columns}


def insert(db: Database, rows: Iterable[Row]) -> None:
    """Put events into a database."""
    for row in rows:
        names = ", ".join(row)
        db.conn.execute(f"INSERT INTO token_estimation_v2_events ({names}) VALUES (:{', :'.join(row)})", row)


def stored(database: Path, rows: Iterable[Row]) -> Path:
    """Make a database with these events."""
    with open_for_writing(database) as db:
        db.conn.execute("BEGIN")
        insert(db, rows)
        db.conn.execute("COMMIT")
    return database


@contextmanager
def holding(db: Database, rows: Iterable[Row]) -> Iterator[None]:
    """Put events into a database for a while."""
    db.conn.execute("BEGIN")
    try:
        insert(db, rows)
        yield
    finally:
        db.conn.execute("ROLLBACK")


def strict(text: str) -> dict[str, Any]:
    """Read one JSON object in which no NaN and no Infinity is."""

    def refuse(name: str) -> NoReturn:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


@contextmanager
def refusing(database: Path, condition: str) -> Iterator[None]:
    """Have SQLite refuse each event row that meets a condition about `NEW`, while the block runs."""
    with open_for_writing(database) as db:
        db.execute(
            f"CREATE TRIGGER refusing BEFORE INSERT ON token_estimation_v2_events WHEN {condition} "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    yield
    with open_for_writing(database) as db:
        db.execute("DROP TRIGGER refusing")
