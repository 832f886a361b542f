"""Ingest runs as rows: one for each invocation; one that was killed stays unfinished."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from ingest.storing.transactions import immediate

_Values = Mapping[str, str | int | None]


def begin_run(connection: sqlite3.Connection, values: _Values) -> int:
    """Store that an ingest has begun; return the id of its row."""
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    with immediate(connection):
        made = connection.execute(f"INSERT INTO ingest_runs ({names}) VALUES ({places})", values)
    return made.lastrowid or 0


def end_run(connection: sqlite3.Connection, ingest_run_id: int, values: _Values) -> None:
    """Store how an ingest has ended."""
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    with immediate(connection):
        connection.execute(
            f"UPDATE ingest_runs SET {assignments} WHERE ingest_run_id = :ingest_run_id",
            {**values, "ingest_run_id": ingest_run_id},
        )
