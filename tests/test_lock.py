"""One ingest at a time for each database, however the holder of the lock ends."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import ingest
from conftest import Tokentail
from ingest.errors import DatabaseBusy, DatabaseUnusable
from ingest.storing.database import open_for_writing
from ingest.storing.ingest_runs import ingest_lock

CHANGING = (
    ("prune", "--older-than", "1d"),
    ("prune", "--older-than", "1d", "--force"),
    ("prune", "--lift"),
    ("rejects", "--retry"),
    ("sources", "forget", "1"),
    ("deliverables", "import", "d.json"),
)
"""Commands that change a database, and make none."""

MAKING = (("import", "x.log"), ("merge", "x.log"))
"""Commands that make one, had they been given what they need."""

HOLD = """
import sys, time
from pathlib import Path
from ingest.storing.database import open_for_writing
from ingest.storing.ingest_runs import ingest_lock
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
    """The system releases the lock however its holder ends, though the file keeps its text."""
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


# What others may put in the lock file's place

posix = pytest.mark.skipif(sys.platform == "win32", reason="other permissions, and no such files there")


def refused(database: Path) -> None:
    """Check that the lock can't be taken because of what stands in its place, which is named."""
    expected = r"t\.db\.lock: not a lock file of tokentail, so not touched: .*or choose another database"
    with pytest.raises(DatabaseUnusable, match=expected), ingest_lock(database, 0):
        pass


@posix
@pytest.mark.parametrize("kind", ["file", "nothing"])
def test_planted_link_is_not_followed(tmp_path, kind):
    """A symbolic link in the lock's place is refused; what it points to is neither emptied nor made."""
    target = tmp_path / "precious"
    if kind == "file":
        target.write_text("1234\n")
    (tmp_path / "t.db.lock").symlink_to(target)
    refused(tmp_path / "t.db")
    assert (target.read_text() == "1234\n") if kind == "file" else not target.exists()


@posix
@pytest.mark.parametrize("name", ["link", "itself"])
def test_file_that_is_no_lock_is_not_emptied(tmp_path, name):
    """A file with other content, by a hard link or under this very name, is left as it is."""
    precious = tmp_path / ("t.db.lock" if name == "itself" else "precious")
    precious.write_text("dear diary\n")
    if name == "link":
        os.link(precious, tmp_path / "t.db.lock")
    refused(tmp_path / "t.db")
    assert precious.read_text() == "dear diary\n"


@posix
@pytest.mark.parametrize("kind", ["fifo", "folder", "socket"])
def test_what_is_no_file_is_not_waited_for(tmp_path, monkeypatch, kind):
    """A FIFO, a folder or a socket in the lock's place is refused at once."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        {"fifo": os.mkfifo, "folder": os.mkdir, "socket": listener.bind}[kind]("t.db.lock")
        refused(tmp_path / "t.db")


@pytest.mark.parametrize("left", ["", "4711\n", "\0\0\0\0\0"], ids=["empty", "pid", "lost with the power"])
def test_lock_file_that_was_left_is_taken(tmp_path, left):
    """Whatever a holder leaves in the file, the next one gets the lock."""
    (tmp_path / "t.db.lock").write_text(left)
    with ingest_lock(tmp_path / "t.db", 0):
        assert (tmp_path / "t.db.lock").read_text() == f"{os.getpid()}\n"


@posix
@pytest.mark.parametrize(("mode", "lock_mode"), [(0o600, 0o600), (0o664, 0o664), (0o444, 0o644)], ids=oct)
def test_lock_is_shared_as_the_database_is(tmp_path, mode, lock_mode):
    """Who may write the database may lock it, and nobody else; its owner always may."""
    database, lock = tmp_path / "t.db", tmp_path / "t.db.lock"
    for left in (None, 0o640):
        database.touch()
        database.chmod(mode)
        if left is not None:
            lock.chmod(left)
        with ingest_lock(database, 0):
            assert lock.stat().st_mode & 0o777 == lock_mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_lock_made_by_root_belongs_to_the_databases_owner(tmp_path):
    """After root has ingested once, the owner of the database can go on."""
    database, lock = tmp_path / "t.db", tmp_path / "t.db.lock"
    database.touch()
    os.chown(database, 12345, 23456)
    with ingest_lock(database, 0):
        assert (lock.stat().st_uid, lock.stat().st_gid) == (12345, 23456)


@posix
def test_planted_hard_link_is_not_given_away(tmp_path):
    """An empty file by another name in the lock's place keeps its permissions."""
    database, precious = tmp_path / "t.db", tmp_path / "precious"
    database.touch()
    database.chmod(0o666)
    precious.touch(0o600)
    os.link(precious, tmp_path / "t.db.lock")
    with ingest_lock(database, 0):
        assert precious.stat().st_mode & 0o777 == 0o600


@posix
@pytest.mark.parametrize("mode", [0o600, 0o660], ids=oct)
def test_journal_is_shared_as_the_database_is(tmp_path, mode):
    """The files that SQLite puts beside the database may be read by nobody who may not read that."""
    database = tmp_path / "t.db"
    with open_for_writing(database):
        pass
    database.chmod(mode)
    with open_for_writing(database) as db:
        db.conn.execute("PRAGMA user_version = 7")
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"t.db": mode, "t.db-wal": mode, "t.db-shm": mode}


# A lock file of no use


@pytest.mark.parametrize("what", ["nothing", "text", "folder", "foreign"])
@pytest.mark.parametrize("arguments", [*CHANGING, *MAKING, ("upgrade",), ("ingest", "x.log")], ids=" ".join)
def test_no_lock_file_stays_beside_what_was_refused(called: Tokentail, tmp_path: Path, arguments, what):
    """What is no database of ours is left as it is, and so is its folder."""
    (tmp_path / "x.log").write_text("no event\n")
    (tmp_path / "d.json").write_text('[{"run_id": "r", "phase_id": "p", "deliverables": ["a"]}]')
    database = tmp_path / "t.db"
    if what == "text":
        database.write_text("dear diary\n")
    elif what == "folder":
        database.mkdir()
    elif what == "foreign":
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("CREATE TABLE t (a)")
    if arguments[0] == "ingest" and what in ("nothing", "foreign"):
        pytest.skip("an ingest may make its tables there")
    before = database.read_bytes() if database.is_file() else None
    done = called(*arguments, "--db", database)
    assert done.returncode == 1
    assert (database.read_bytes() if database.is_file() else None) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"x.log", "d.json", "t.db"}
    assert database.exists() == (what != "nothing")


def test_lock_file_of_a_database_stays(called: Tokentail, tmp_path: Path):
    """It goes only where the command for which it was made failed, or made no database."""
    (tmp_path / "x.log").write_text("no event\n")
    called("ingest", "x.log", "--db", "t.db")
    assert called("sources", "forget", "99", "--db", "t.db").returncode == 2
    assert (tmp_path / "t.db.lock").exists()


def test_who_waited_for_a_lock_file_that_went_holds_another(tmp_path: Path):
    """A lock on a file that nobody else finds any more would exclude nobody."""
    database, held, done = tmp_path / "t.db", threading.Event(), threading.Event()

    def wait_and_hold():
        with ingest_lock(database, 30):
            held.set()
            done.wait(30)

    waiting = threading.Thread(target=wait_and_hold)
    with ingest_lock(database, 0):  # no database is made, so its file goes
        waiting.start()
        time.sleep(0.3)
    assert held.wait(30)
    with pytest.raises(DatabaseBusy), ingest_lock(database, 0):
        pass
    done.set()
    waiting.join()
