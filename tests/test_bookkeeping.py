"""Bookkeeping that was edited by hand: found when a run begins, named, and mended by a full backfill."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from conftest import EXAMPLES, Tokentail
from faults.tables import check_invariants, events, tables
from ingest.errors import DatabaseUnusable
from ingest.follow import follow
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions
from test_no_room import Ear

LOGS = EXAMPLES / "logs"
EVENTS = "token_estimation_v2_events"
EDITS = {
    "no sources": "DELETE FROM log_sources",
    "a source less": "DELETE FROM log_sources WHERE source_id = 2",
    "other sources": "UPDATE log_sources SET source_id = source_id + 100",
    "no sightings": "DELETE FROM event_sightings",
    "a source's sightings less": "DELETE FROM event_sightings WHERE source_id = 3",
    "no rejects": "DELETE FROM rejected_lines",
    "no events": f"DELETE FROM {EVENTS}",
    "the newest events less": f"DELETE FROM {EVENTS} WHERE event_id > 20",
    "counters": "UPDATE log_sources SET sightings = sightings + 1 WHERE source_id = 1",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of the examples."""
    database = tmp_path_factory.mktemp("made") / "t.db"
    ingest([str(LOGS)], database, IngestOptions("ingest", zone_named("UTC")))
    return database


@pytest.fixture
def database(made: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copy(made, tmp_path / "t.db"))


def edit(database: Path, script: str) -> None:
    """Edit a database by hand."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(script)


@pytest.mark.parametrize("script", EDITS.values(), ids=EDITS)
def test_edited_bookkeeping_is_named_and_mended(
    called: Tokentail, made: Path, database: Path, script: str
) -> None:
    """An ingest reads nothing and says what can't be; `backfill --full` makes it what it was."""
    edit(database, script)
    before = tables(database)
    refused = called("ingest", LOGS, "--tz", "UTC", "--db", database)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "changed by hand, or restored in part" in refused.stderr
    assert "`tokentail backfill --full LOGS" in refused.stderr
    assert tables(database) == before
    assert called("verify", "--db", database).returncode == 1
    mended = called("backfill", "--full", LOGS, "--tz", "UTC", "--db", database)
    assert (mended.returncode, "mended, by reading all logs again" in mended.stderr) == (0, True)
    assert tables(database) == tables(made)
    check_invariants(database)
    assert called("verify", LOGS, "--db", database).returncode == 0
    again = called("ingest", LOGS, "--tz", "UTC", "--db", database)
    assert (again.returncode, again.stdout.startswith("nothing new")) == (0, True)


@pytest.mark.parametrize("table", ["log_sources", "event_sightings", EVENTS])
def test_older_backup_of_one_table(called: Tokentail, made: Path, database: Path, table: str) -> None:
    """A table that was put back from before some logs were read doesn't go with the others."""
    older = database.with_name("older.db")
    ingest([str(LOGS / "samples.txt")], older, IngestOptions("ingest", zone_named("UTC")))
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ATTACH ? AS older", [str(older)])
        connection.execute(f"DELETE FROM main.{table}")
        connection.execute(f"INSERT INTO main.{table} SELECT * FROM older.{table}")
        connection.commit()
    assert called("ingest", LOGS, "--tz", "UTC", "--db", database).returncode == 1
    assert called("backfill", "--full", LOGS, "--tz", "UTC", "--db", database).returncode == 0
    assert tables(database) == tables(made)


def test_events_whose_log_is_gone_stay(called: Tokentail, database: Path, tmp_path: Path) -> None:
    """Mending deletes no event: its log may be gone, and then it could not be read again."""
    logs = tmp_path / "logs"
    logs.mkdir()
    shutil.copy(LOGS / "samples.txt", logs)
    before = events(database)
    edit(database, "DELETE FROM log_sources")
    assert called("backfill", "--full", logs, "--tz", "UTC", "--db", database).returncode == 0
    assert events(database) == before
    assert called("ingest", logs, "--tz", "UTC", "--db", database).returncode == 0


def test_events_without_rows_are_told_by_verify(called: Tokentail, database: Path) -> None:
    """Single events that were deleted by hand are no reason to stop, and a difference."""
    edit(database, f"DELETE FROM {EVENTS} WHERE event_id IN (3, 4)")
    done = called("verify", "--db", database, "--json")
    assert done.returncode == 1
    assert "sightings are of events that have no row" in json.loads(done.stdout)["differences"][0]
    assert called("backfill", "--full", LOGS, "--tz", "UTC", "--db", database).returncode == 0
    assert called("verify", LOGS, "--db", database).returncode == 0


def test_follow_does_not_wait_for_it(database: Path) -> None:
    """Waiting doesn't help: a follow ends, as an ingest does."""
    edit(database, EDITS["no sources"])
    with pytest.raises(DatabaseUnusable, match="changed by hand"):
        follow([str(LOGS)], database, IngestOptions("follow", zone_named("UTC")), Ear(), 30)
