"""Backup: one moment of a database that is written, checked, whole under its name or not there."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from conftest import EXAMPLES, Tokentail
from event_rows import event_row, insert
from faults.scenarios.versions import make_older
from faults.tables import check_invariants, rows_as_stored
from ingest.backup import back_up
from ingest.errors import DatabaseUnusable, Unwritable
from ingest.storing.database import open_for_writing


@pytest.fixture
def database(tmp_path: Path, called: Tokentail) -> Path:
    """Return the database of the examples."""
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    return tmp_path / "telemetry.db"


def test_copy_is_the_database_and_says_so(database: Path, called: Tokentail) -> None:
    """All rows, one file, in which an ingest goes on; the permissions are the database's."""
    database.chmod(0o640)
    done = called("backup", "copy.db")
    copy = database.with_name("copy.db")
    assert done.stdout.splitlines()[0].startswith("26 events, ")
    assert rows_as_stored(copy) == rows_as_stored(database)
    check_invariants(copy)
    assert sorted(path.name for path in database.parent.glob("*copy*")) == ["copy.db"]
    assert sys.platform == "win32" or stat.S_IMODE(copy.stat().st_mode) == 0o640
    assert "nothing new" in called("ingest", EXAMPLES / "logs", "--db", "copy.db").stdout


def test_nothing_is_overwritten_unasked(database: Path, called: Tokentail) -> None:
    """A file that is there stays, the database always does; --force replaces an older copy."""
    copy = database.with_name("copy.db")
    copy.write_text("precious")
    assert called("backup", "copy.db").returncode == 1
    assert copy.read_text() == "precious"
    assert called("backup", "copy.db", "--force").returncode == 0
    assert rows_as_stored(copy) == rows_as_stored(database)
    for name in ("telemetry.db", "telemetry.db-wal", "./telemetry.db"):
        assert called("backup", name, "--force").returncode == 2
    database.with_name("folder").mkdir()
    for name in ("folder", "nowhere/copy.db"):
        assert called("backup", name, "--force").returncode == 1
    assert list(database.parent.glob(".tokentail-*")) == []


def test_copy_of_a_database_that_is_written_is_of_one_moment(tmp_path: Path) -> None:
    """Two rows at a time are written all the while: a copy never has one of them alone."""
    database, stop = tmp_path / "telemetry.db", threading.Event()
    with open_for_writing(database):
        pass

    def write() -> None:
        with open_for_writing(database) as db:
            while not stop.is_set():
                db.conn.execute("BEGIN")
                insert(db, [event_row(run_id="x" * 5_000), event_row(run_id="y" * 5_000)])
                db.conn.execute("COMMIT")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(8):
            events = back_up(database, tmp_path / f"{number}.db").events
            assert events is not None
            assert events % 2 == 0
    finally:
        stop.set()
        writer.join()
    with closing(sqlite3.connect(tmp_path / "7.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_older_and_foreign_databases_are_copied_as_they_are(database: Path, tmp_path: Path) -> None:
    """Before an upgrade, or an adoption, a copy is what is wanted."""
    make_older(database)
    assert back_up(database, tmp_path / "older.db").events == 26
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as connection:
        connection.execute("CREATE TABLE a (b)")
    assert back_up(tmp_path / "foreign.db", tmp_path / "copy.db").events is None


def test_damaged_database_gives_no_copy(database: Path, tmp_path: Path) -> None:
    """The damage is named, and nothing stands under the copy's name; an older copy stays."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    content = bytearray(database.read_bytes())
    content[8192 * 3 : 8192 * 6] = os.urandom(8192 * 3)
    database.write_bytes(content)
    (tmp_path / "copy.db").write_text("the last good one")
    with pytest.raises(DatabaseUnusable, match=r"telemetry\.db: "):
        back_up(database, tmp_path / "copy.db", force=True)
    assert (tmp_path / "copy.db").read_text() == "the last good one"
    assert list(tmp_path.glob(".tokentail-*")) == []
    with pytest.raises(Unwritable):
        back_up(database, tmp_path / "copy.db")
