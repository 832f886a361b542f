"""One ingest at a time for each database, whatever becomes of the one that holds the lock."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import ingest
from ingest.errors import DatabaseBusy, DatabaseUnusable
from ingest.storing.lock import ingest_lock

HOLD = """
import sys, time
from pathlib import Path
from ingest.storing.lock import ingest_lock
with ingest_lock(Path(sys.argv[1]), 0):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(database: Path):
    """Hold a database's lock in another process while the block runs."""
    root = str(Path(ingest.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    ) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


def test_held_lock_is_told_with_the_holders_pid(tmp_path):
    """A second ingest fails at once, and says who holds the database and what to do."""
    database = tmp_path / "t.db"
    with held_elsewhere(database) as holder:
        expected = rf"t\.db: another ingest \(pid {holder.pid}\) holds the database; --wait SECONDS"
        started = time.monotonic()
        with pytest.raises(DatabaseBusy, match=expected), ingest_lock(database, 0):
            pass
        assert time.monotonic() - started < 2


def test_killed_holder_blocks_nobody(tmp_path):
    """The system gives the lock back however its holder ends, though its text stays behind."""
    database = tmp_path / "t.db"
    with held_elsewhere(database) as holder:
        holder.kill()
        holder.wait()
        assert (tmp_path / "t.db.lock").read_text() == f"{holder.pid}\n"
        with ingest_lock(database, 0):
            assert (tmp_path / "t.db.lock").read_text() == f"{os.getpid()}\n"


def test_lock_is_free_again_after_the_block(tmp_path):
    """One ingest after another takes the lock, also after an error."""
    database = tmp_path / "t.db"
    with pytest.raises(ZeroDivisionError), ingest_lock(database, 0):
        raise ZeroDivisionError
    with ingest_lock(database, 0):
        pass


def test_lock_excludes_within_one_process_too(tmp_path):
    """Two ingests of one process exclude each other as well."""
    database = tmp_path / "t.db"
    with (
        ingest_lock(database, 0),
        pytest.raises(DatabaseBusy, match=f"pid {os.getpid()}"),
        ingest_lock(database, 0.1),
    ):
        pass


def test_waiting_ends_when_the_holder_is_done(tmp_path):
    """Who waits gets the lock as soon as it is free."""
    database = tmp_path / "t.db"
    with held_elsewhere(database) as holder:
        threading.Timer(0.3, holder.stdin.close).start()
        started = time.monotonic()
        with ingest_lock(database, 30):
            assert 0.1 < time.monotonic() - started < 10


def test_one_database_by_two_names_has_one_lock(tmp_path):
    """A link to a database shares its lock."""
    (tmp_path / "link.db").symlink_to(tmp_path / "t.db")
    with (
        ingest_lock(tmp_path / "t.db", 0),
        pytest.raises(DatabaseBusy),
        ingest_lock(tmp_path / "link.db", 0),
    ):
        pass


def test_other_databases_are_free(tmp_path):
    """Each database has a lock of its own."""
    with ingest_lock(tmp_path / "a.db", 0), ingest_lock(tmp_path / "b.db", 0):
        pass


def test_lock_makes_no_database(tmp_path):
    """Taking the lock touches only the lock file."""
    with ingest_lock(tmp_path / "t.db", 0):
        assert [path.name for path in tmp_path.iterdir()] == ["t.db.lock"]


def test_place_without_a_folder_is_told(tmp_path):
    """Where no lock file can be made, the message says what to choose instead."""
    with (
        pytest.raises(DatabaseUnusable, match="choose another place with --db"),
        ingest_lock(tmp_path / "gone" / "t.db", 0),
    ):
        pass
