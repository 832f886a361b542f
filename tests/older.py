"""Databases as an older version left them: rejects that are events to this one, or less of a schema."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database


def forget_how_to_read(database: Path, offsets: set[tuple[str, int]]) -> None:
    """Turn sightings (name of the log, offset) into the rejects that an older version would have kept."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        for row in connection.execute(
            "SELECT s.*, path, remembered, log_sources.byte_offset AS end_offset "
            "FROM event_sightings AS s JOIN log_sources USING (source_id)"
        ).fetchall():
            if (Path(row["path"]).name, row["byte_offset"]) in offsets:
                _reject(connection, row)
        connection.execute(
            "DELETE FROM token_estimation_v2_events "
            "WHERE event_id NOT IN (SELECT event_id FROM event_sightings)"
        )
        connection.commit()


def _reject(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    place = (row["source_id"], row["byte_offset"])
    line = Path(row["path"]).read_bytes()[row["byte_offset"] :].split(b"\n", 1)[0]
    text = line.rstrip(b"\r").decode("utf-8", "backslashreplace")[:4000]
    connection.execute("DELETE FROM event_sightings WHERE source_id = ? AND byte_offset = ?", place)
    connection.execute(
        "INSERT INTO rejected_lines VALUES (?, ?, ?, 'unknown shape', ?)", [*place, row["line_number"], text]
    )
    remembered = json.loads(row["remembered"])
    if row["byte_offset"] < row["end_offset"]:
        (stored,) = connection.execute(
            "SELECT remembered FROM log_sources WHERE source_id = ?", [row["source_id"]]
        ).fetchone()
        remembered = json.loads(stored)
        counters = remembered["counters"]
        counters["sightings"] -= 1
        counters["rejects"] = counters.get("rejects", 0) + 1
    connection.execute(
        "UPDATE log_sources SET sightings = sightings - 1, rejects = rejects + 1, remembered = ? "
        "WHERE source_id = ?",
        [json.dumps(remembered), row["source_id"]],
    )


def forget_migration(database: Path) -> None:
    """Make a database one of the version before labels, which no program of this one has read."""
    with closing(sqlite3.connect(database)) as connection:
        Database(connection).table("log_sources").transform(drop={"label"})
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'm005_labels'")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
