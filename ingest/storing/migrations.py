"""The schema's history: `schema.sql` as it is now, and what made older databases into it.

sqlite-utils records each migration in the transaction that makes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.storing.library import new_migrations

if TYPE_CHECKING:
    from sqlite_utils import Database


def m001_initial(db: Database) -> None:
    """Make the tables and views of `schema.sql`."""
    for statement in schema_statements():
        db.conn.execute(statement)


_OLD_PROVISIONAL = (
    """
    UPDATE event_sightings SET line_cut = 1 WHERE EXISTS (
        SELECT 1 FROM log_sources AS source
        WHERE source.source_id = event_sightings.source_id
            AND event_sightings.byte_offset >= source.byte_offset
            AND source.remembered LIKE '%"provisional":true%'
    )
    """,
    """
    UPDATE log_sources SET remembered = json_remove(remembered, '$.last_marker')
    WHERE remembered LIKE '%"provisional":true%'
        AND json_extract(remembered, '$.last_marker.offset') >= byte_offset
    """,
    """
    UPDATE log_sources SET remembered = json_set(remembered, '$.provisional', json_object(
        'sample', json_object('offset', byte_offset, 'size_bytes', 0, 'digest', :nothing),
        'end_offset', CASE WHEN compression IS NULL THEN size_bytes ELSE 1 << 60 END
    ))
    WHERE remembered LIKE '%"provisional":true%'
    """,
)
"""How a stored unterminated line is recognised now: by a sample of it; the first version had none."""

_DIGEST_OF_NOTHING = "cae66941d9efbd404e4d88758ea67670"
"""What a sample of no bytes has as its digest. A migration is history: it writes what it always wrote."""


def m002_doubts(db: Database) -> None:
    """Keep what resolves doubts: real paths, ends of files just written, lines that were cut."""
    add_columns(
        db.conn,
        ("log_sources", "real_path", "TEXT"),
        ("log_sources", "ending", "TEXT"),
        ("event_sightings", "line_cut", "INTEGER NOT NULL DEFAULT 0"),
    )
    for statement in _OLD_PROVISIONAL:
        db.conn.execute(statement, {"nothing": _DIGEST_OF_NOTHING})
    db.conn.execute(
        "CREATE INDEX IF NOT EXISTS event_sightings_cut ON event_sightings (event_id) WHERE line_cut = 1"
    )
    db.conn.execute(
        "CREATE INDEX IF NOT EXISTS token_estimation_v2_events_timestamp "
        "ON token_estimation_v2_events (timestamp)"
    )


def m003_keys_in_time(db: Database) -> None:
    """Let keys begin with their event's time, so that neighbours in time are neighbours in the index."""
    db.conn.execute(
        "UPDATE token_estimation_v2_events SET event_key = STRFTIME('%Y%m%d%H%M%S', timestamp) || event_key "
        "WHERE INSTR(event_key, ':') = 25"
    )


_HORIZON = (
    "CREATE TABLE IF NOT EXISTS event_horizon "
    "(one INTEGER PRIMARY KEY CHECK (one = 1), kept_from TEXT NOT NULL)"
)


def m004_housekeeping(db: Database) -> None:
    """Keep from when on events are kept, what of each source is not, and where it was read."""
    add_columns(
        db.conn,
        ("log_sources", "pruned_sightings", "INTEGER NOT NULL DEFAULT 0"),
        ("log_sources", "pruned_rejects", "INTEGER NOT NULL DEFAULT 0"),
        ("log_sources", "host", "TEXT"),
    )
    db.conn.execute(_HORIZON)


def add_columns(connection: sqlite3.Connection, *columns: tuple[str, str, str]) -> None:
    """Add the columns (table, name, kind) that are not there yet; `schema.sql` may have made them."""
    for table, column, kind in columns:
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if column not in known:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def m005_labels(db: Database) -> None:
    """Let a source have the label that a person gives to the logs of a folder."""
    add_columns(db.conn, ("log_sources", "label", "TEXT"))


_NO_COUNTERS = """
UPDATE log_sources SET remembered = json_set(remembered, '$.counters', json_object())
WHERE state <> 'imported' AND json_valid(remembered) AND json_type(remembered) = 'object'
    AND json_type(remembered, '$.counters') IS NULL
"""
_NOT_COUNTED = """
UPDATE log_sources SET remembered = json_set(
    remembered, '$.counters.quoted_lines', NULL, '$.counters.unread_lines', NULL
)
WHERE state <> 'imported' AND json_valid(remembered) AND json_type(remembered, '$.counters') = 'object'
"""
"""Sources that were read before: nobody knows what of their lines was quoted or not understood."""


def m006_unclaimed(db: Database) -> None:
    """Count the marker's other occurrences, and keep the prefix of one's own that a source is read with."""
    add_columns(
        db.conn,
        ("log_sources", "quoted_lines", "INTEGER"),
        ("log_sources", "unread_lines", "INTEGER"),
        ("log_sources", "prefix", "TEXT"),
    )
    db.conn.execute(_NO_COUNTERS)
    db.conn.execute(_NOT_COUNTED)


def m007_problems(db: Database) -> None:
    """Keep which logs can't be read, so that each is reported once."""
    db.conn.execute(
        "CREATE TABLE IF NOT EXISTS log_problems "
        "(path TEXT NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL, first_seen TEXT NOT NULL, "
        "last_seen TEXT NOT NULL, PRIMARY KEY (path, code)) WITHOUT ROWID"
    )


_NEW_VIEWS = ("v_token_estimation_runs", "v_token_estimation_phases", "v_token_estimation_days")


def m008_views(db: Database) -> None:
    """Make the views per run, per phase and per day."""
    for statement in schema_statements():
        for name in _NEW_VIEWS:
            if f"CREATE VIEW {name} AS" in statement:
                db.conn.execute(f"DROP VIEW IF EXISTS {name}")
                db.conn.execute(statement)


def m009_facts(db: Database) -> None:
    """Keep what each place says itself, and name events by what can be read."""
    columns = {row[1] for row in db.conn.execute("PRAGMA table_info(event_sightings)")}
    if "own_values" in columns:  # `schema.sql` made it
        return
    from ingest.storing.facts_migration import give_places_their_word  # noqa: PLC0415 - done once

    give_places_their_word(db.conn)


def m010_own_values(db: Database) -> None:
    """Let one index tell what the places of an event say: each different text is one seek."""
    db.conn.execute("DROP INDEX IF EXISTS event_sightings_own")
    db.conn.execute("DROP INDEX IF EXISTS event_sightings_event")
    db.conn.execute("CREATE INDEX event_sightings_event ON event_sightings (event_id, own_values)")


MIGRATION_SET = "tokentail"
"""The name under which sqlite-utils records our migrations."""

MIGRATIONS = (
    m001_initial,
    m002_doubts,
    m003_keys_in_time,
    m004_housekeeping,
    m005_labels,
    m006_unclaimed,
    m007_problems,
    m008_views,
    m009_facts,
    m010_own_values,
)
"""Every migration, in its order. What they are called is recorded, and must never change."""

KNOWN_MIGRATIONS = frozenset(migration.__name__ for migration in MIGRATIONS)
"""Their names: a database that has another one was made by a newer version."""


def applied_migrations(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the names of our migrations that a database has; none, where nobody recorded any."""
    if not has_table(connection, "_sqlite_migrations"):
        return frozenset()
    rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", [MIGRATION_SET])
    return frozenset(name for (name,) in rows)


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a database has a table."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, [name]).fetchone() is not None


def apply_migrations(db: Database) -> None:
    """Make what a database lacks, inside the caller's transaction."""
    migrations = new_migrations(MIGRATION_SET)
    for migration in MIGRATIONS:
        migrations()(migration)
    migrations.apply(db)


def schema_statements() -> Iterator[str]:
    """Yield the statements of `schema.sql`."""
    from importlib.resources import files  # noqa: PLC0415 - a seventh of an idle ingest, which makes no schema

    yield from _statements(files("ingest").joinpath("schema.sql").read_text(encoding="utf-8"))


def _statements(script: str) -> Iterator[str]:
    """Cut a script into statements: `executescript` would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
