"""Ingest runs as rows: one for each invocation, and one for each log that could not be read when last tried.

One that was killed stays unfinished.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ingest.files.paths import shown
from ingest.linking.timestamps import time_text
from ingest.notices import Notice
from ingest.storing.transactions import immediate
from ingest.version import program_version

STANDING_CODES = frozenset({"unreadable", "damaged", "unfinished", "not-a-log", "vanished", "folder"})
"""Codes of what is wrong with a log, or a folder of logs, until somebody mends it."""


def begin_run(connection: sqlite3.Connection, command: str, timezone: str, counts: Mapping[str, int]) -> int:
    """Store that an ingest has begun; return the id of its row."""
    values: dict[str, str | int] = {
        "command": command,
        "started_at": _now(),
        "timezone": timezone,
        "host": platform.node(),
        "version": program_version(),
        **counts,
    }
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    with immediate(connection):
        made = connection.execute(f"INSERT INTO ingest_runs ({names}) VALUES ({places})", values)
    return made.lastrowid or 0


def end_run(
    connection: sqlite3.Connection,
    ingest_run_id: int,
    counts: Mapping[str, int],
    exit_code: int | None,
    is_well: bool = True,
) -> None:
    """Store how an ingest has ended; or, without an exit code, that a follow goes on, and is well."""
    values: dict[str, str | int | None] = {**counts}
    if is_well:
        values |= {"finished_at": _now(), "exit_code": exit_code}
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    with immediate(connection):
        connection.execute(
            f"UPDATE ingest_runs SET {assignments} WHERE ingest_run_id = :ingest_run_id",
            {**values, "ingest_run_id": ingest_run_id},
        )


def keep_problems(
    connection: sqlite3.Connection, notices: Sequence[Notice], paths: Sequence[str]
) -> frozenset[tuple[str, str | None]]:
    """Keep which logs at or below some paths can't be read now; return the keys of what was known before.

    Whoever tells the rest tells each once, however often it is tried.
    """
    found = {notice.key: notice for notice in notices if notice.code in STANDING_CODES and notice.path}
    query = "SELECT code, path FROM log_problems"
    known = {(code, path) for code, path in connection.execute(query) if _is_below(path, paths)}
    if not (found or known):
        return frozenset()
    now, gone = _now(), known - found.keys()
    with immediate(connection):
        connection.executemany("DELETE FROM log_problems WHERE code = ? AND path = ?", gone)
        connection.executemany(
            "INSERT INTO log_problems VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (path, code) DO UPDATE SET text = excluded.text, last_seen = excluded.last_seen",
            [(notice.path, notice.code, notice.text, now, now) for notice in found.values()],
        )
    return frozenset(known & found.keys())


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(os.path.join(folder, "")) for folder in map(shown, folders))


def _now() -> str:
    return time_text(datetime.now(UTC))
