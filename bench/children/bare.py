"""The floor: the very tuples of a database of ours, by one `executemany`. `bare MODE ROWS DATABASE SCHEMA`.

Only the columns that have a value are bound: who writes it by hand leaves the others to be NULL.
It times the statements and the commit alone, and says so in its last line; loading the rows is not
counted. `insert` makes the database, `both` writes the sightings as well, `upsert` finds all rows there.
"""

from __future__ import annotations

import pickle
import sqlite3
import sys
import time
from pathlib import Path

EVENTS, SIGHTINGS = "token_estimation_v2_events", "event_sightings"


def main() -> None:
    """Write the rows, and say how long it took."""
    mode, rows_path, database, schema = sys.argv[1], *map(Path, sys.argv[2:5])
    with rows_path.open("rb") as file:
        rows: dict[str, tuple[list[str], list[tuple[object, ...]]]] = pickle.load(file)  # noqa: S301  our own
    connection = sqlite3.connect(database)
    if mode != "upsert":
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(schema.read_text(encoding="utf-8"))
    connection.execute("PRAGMA synchronous = NORMAL")
    began = time.perf_counter()
    if mode == "upsert":
        _upsert(connection, *rows[EVENTS])
    else:
        for table in (EVENTS, SIGHTINGS) if mode == "both" else (EVENTS,):
            columns, values = rows[table]
            connection.executemany(_insert(table, columns), values)
    connection.commit()
    print(f'{{"seconds": {time.perf_counter() - began:.6f}}}')


def _insert(table: str, columns: list[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _upsert(connection: sqlite3.Connection, columns: list[str], values: list[tuple[object, ...]]) -> None:
    place = columns.index("event_id")
    names = [name for name in columns if name != "event_id"]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names)
    connection.executemany(
        f"{_insert(EVENTS, names)} ON CONFLICT(event_key) DO UPDATE SET {changes}",
        (row[:place] + row[place + 1 :] for row in values),
    )


if __name__ == "__main__":
    main()
