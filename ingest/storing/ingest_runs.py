"""Ingest runs as rows: one for each invocation; one that was killed stays unfinished."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime

from ingest.linking.timestamps import time_text
from ingest.storing.transactions import immediate
from ingest.version import program_version


def begin_run(connection: sqlite3.Connection, command: str, done: Mapping[str, int | str]) -> int:
    """Store that an ingest has begun; return the id of its row."""
    values: dict[str, str | int] = {
        "command": command,
        "started_at": _now(),
        "host": platform.node(),
        "version": program_version(),
        **done,
    }
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    with immediate(connection):
        made = connection.execute(f"INSERT INTO ingest_runs ({names}) VALUES ({places})", values)
    return made.lastrowid or 0


def end_run(
    connection: sqlite3.Connection,
    ingest_run_id: int,
    done: Mapping[str, int | str],
    exit_code: int | None,
    is_well: bool = True,
) -> None:
    """Store how an ingest has ended; or, without an exit code, that a follow goes on, and is well."""
    values: dict[str, str | int | None] = {**done}
    if is_well:
        values |= {"finished_at": _now(), "exit_code": exit_code}
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    with immediate(connection):
        connection.execute(
            f"UPDATE ingest_runs SET {assignments} WHERE ingest_run_id = :ingest_run_id",
            {**values, "ingest_run_id": ingest_run_id},
        )


def _now() -> str:
    return time_text(datetime.now(UTC))
