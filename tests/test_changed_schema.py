"""A schema that somebody changed: one sentence names what is gone and brings it back."""

from __future__ import annotations

import gzip
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from conftest import EXAMPLES, Tokentail
from event_lines import anchor_message, event_message, logged
from faults.tables import events
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing.schema import own_columns, own_tables
from ingest.summary import IngestOptions

TABLE = "token_estimation_v2_events"
NEWS = "".join(
    f"{logged(line, at='2026-02-03 04:05:06')}\n" for line in (anchor_message("p"), event_message())
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of the examples."""
    database = tmp_path_factory.mktemp("made") / "telemetry.db"
    ingest([str(EXAMPLES / "logs")], database, IngestOptions("ingest", zone_named("UTC")))
    return database


@pytest.fixture
def database(made: Path, tmp_path: Path) -> Path:
    """Return a copy of it, beside a log with something new."""
    (tmp_path / "news.log").write_text(NEWS)
    shutil.copy(made, tmp_path / "t.db")
    return tmp_path / "t.db"


def change(database: Path, script: str) -> None:
    """Change a database as another program would."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(script)


def ingested(called: Tokentail) -> str:
    """Ingest something new, in vain; return the one sentence that says why."""
    done = called("ingest", "news.log", "--tz", "UTC", "--db", "t.db")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def works(called: Tokentail) -> None:
    """Assert that the same ingest goes well now, and is what it would have been."""
    done = called("ingest", "news.log", "--tz", "UTC", "--db", "t.db")
    assert (done.returncode, "1 event new" in done.stdout) == (0, True), done.stderr
    assert called("verify", "--db", "t.db").returncode == 0


def test_extracted_column_is_named_and_comes_back(called: Tokentail, database: Path) -> None:
    """`sqlite-utils extract` of a column: the statements of the sentence undo it."""
    before = events(database)
    with closing(sqlite3.connect(database)) as connection:
        Database(connection).table(TABLE).extract("model")
    said = ingested(called)
    assert f"table {TABLE} has no column model" in said
    for statement in re.findall(r"`((?:ALTER|UPDATE)[^`]+)`", said):
        change(database, statement)
    kept = [{name: row[name] for name in own_columns(TABLE) if name in row} for row in events(database)]
    assert kept == [{name: row[name] for name in own_columns(TABLE) if name in row} for row in before]
    works(called)


@pytest.mark.parametrize(
    ("table", "column"), [(TABLE, "category"), ("log_sources", "remembered"), ("ingest_runs", "problems")]
)
def test_renamed_column_is_named_and_comes_back(
    called: Tokentail, database: Path, table: str, column: str
) -> None:
    """`transform --rename`: the command of the sentence renames it back."""
    with closing(sqlite3.connect(database)) as connection:
        Database(connection).table(table).transform(rename={column: "mine"})
    said = ingested(called)
    assert f"table {table} has no column {column}" in said
    assert f"`sqlite-utils transform t.db {table} --rename mine {column}`" in said
    with closing(sqlite3.connect(database)) as connection:
        Database(connection).table(table).transform(rename={"mine": column})
    works(called)


COMMANDS = (
    *(("ingest", "news.log"), ("follow", "news.log", "--until-idle", "30"), ("status",), ("verify",)),
    *(("merge", "made.db"), ("sources",), ("rejects",), ("export", "--full"), ("report",)),
    *(("prune", "--older-than", "2026-01-13"), ("backfill", "--full", "news.log")),
)


@pytest.mark.parametrize(
    ("table", "column"),
    {
        "events": (TABLE, "model"),
        "sources": ("log_sources", "encoding"),
        "sightings": ("event_sightings", "line_number"),
        "horizon": ("event_horizon", "kept_from"),
    }.values(),
    ids=["events", "sources", "sightings", "horizon"],
)
def test_no_command_has_a_traceback_where_a_column_is_gone(
    called: Tokentail, made: Path, database: Path, table: str, column: str
) -> None:
    """Whatever needs the column says what is gone, at once; whatever doesn't is right without it."""
    shutil.copy(made, database.with_name("made.db"))
    change(database, f"ALTER TABLE {table} RENAME COLUMN {column} TO mine")
    failed = 0
    for command in COMMANDS:
        done = called(*command, "--db", "t.db")
        if done.returncode != 0:
            assert done.returncode == 1
            assert f"table {table} has no column {column} any more" in done.stderr
            failed += 1
    assert failed >= 4


def test_dropped_table_and_dropped_index_are_named(called: Tokentail, database: Path) -> None:
    """A table is recognised by its name, and an index by the statement that makes it again."""
    whole = database.read_bytes()
    change(database, "DROP TABLE rejected_lines")
    assert "its table rejected_lines is gone" in called("rejects", "--db", "t.db").stderr
    database.write_bytes(whole)
    change(
        database,
        "CREATE TABLE bare AS SELECT * FROM log_problems; DROP TABLE log_problems; "
        "ALTER TABLE bare RENAME TO log_problems",
    )
    database.with_name("bad.log.gz").write_bytes(gzip.compress(b"a log")[:10] + b"damaged" * 9)
    said = called("backfill", "--full", EXAMPLES / "logs", "bad.log.gz", "--db", "t.db").stderr
    assert "no unique index on path, code" in said
    (statement,) = re.findall(r"`(CREATE UNIQUE INDEX [^`]+)`", said)
    change(database, statement)
    assert called("backfill", "--full", EXAMPLES / "logs", "--db", "t.db").returncode == 0


@pytest.mark.parametrize("table", list(own_tables()))
def test_column_of_ones_own_is_let_be(called: Tokentail, database: Path, table: str) -> None:
    """Everything works beside it, in a merge too, and it is not taken for a newer version's."""
    change(database, f"ALTER TABLE {table} ADD COLUMN my_note TEXT")
    for command in (
        *(("ingest", "news.log", "--tz", "UTC"), ("backfill", "--full", EXAMPLES / "logs", "--tz", "UTC")),
        *(("verify",), ("status",), ("export", "--full"), ("prune", "--older-than", "2026-01-13")),
    ):
        done = called(*command, "--db", "t.db")
        assert done.returncode == 0, done.stderr
    merged = called("merge", "t.db", "--db", "all.db")
    assert (merged.returncode, merged.stderr) == (0, "")
    assert len(events(database.with_name("all.db"))) == len(events(database))


@pytest.mark.parametrize(
    ("script", "words"),
    {
        "harmless": ("CREATE TRIGGER t BEFORE INSERT ON ingest_runs BEGIN SELECT 1; END", None),
        "index": (
            "CREATE UNIQUE INDEX only_one ON ingest_runs (version)",
            "unique index on version that is not tokentail's",
        ),
    }.values(),
    ids=["harmless", "index"],
)
def test_what_keeps_our_rows_out_is_named(
    called: Tokentail, database: Path, script: str, words: str | None
) -> None:
    """An index of somebody else's that refuses a row is named; what refuses none is let be."""
    change(database, script)
    if words is None:
        works(called)
    else:
        assert words in ingested(called)
