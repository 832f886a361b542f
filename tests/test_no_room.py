"""No room, on the database's disk or for temporary files: the true reason, and what waits goes on."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import EXAMPLES, ROOT, Tokentail
from event_lines import event_message, logged
from faults.tables import events
from ingest.errors import DatabaseBusy, DatabaseHeld, DatabaseUnusable, NoRoom
from ingest.follow import TurnReport, follow
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing.explaining import explanation
from ingest.storing.ingest_runs import ingest_lock
from ingest.summary import IngestOptions, Summary

SORTED = """
import resource, sqlite3, sys
from contextlib import suppress
import ingest.memory as memory
import ingest.storing.database as database
from ingest.errors import TokentailError
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
if sys.argv[2] != "-":
    memory.SORTED_BYTES = int(sys.argv[2])
database.temporary_room = lambda: 0
try:
    with database.open_for_reading(sys.argv[1]) as db:
        print(sum(1 for _ in db.conn.execute("SELECT one FROM large ORDER BY two")))
except TokentailError as error:
    print(error)
"""


def error_of(name: str) -> sqlite3.OperationalError:
    """Return what SQLite raises under a name."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    return error


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a database of the examples."""
    made = tmp_path / "t.db"
    ingest([str(EXAMPLES / "logs")], made, IngestOptions("ingest", zone_named("UTC")))
    return made


# A limit on the size of files


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size")
@pytest.mark.parametrize("command", ["dashboard --html page.html", "backup copy.db"])
def test_limit_on_the_size_of_files_is_named_as_what_it_is(database: Path, command: str) -> None:
    """Neither the disk nor the place is to blame, whatever is written."""
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (33_000, 1 << 30)); "
        "from ingest.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command.split(), "--db", str(database)],
        cwd=database.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 1
    assert "ulimit -f" in done.stderr
    assert "disk" not in done.stderr
    assert "another" not in done.stderr


@pytest.mark.parametrize("limit", [None, 1 << 40])
def test_disk_that_failed_is_no_limit(
    database: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    """A limit that nothing comes near is not blamed."""
    monkeypatch.setattr("ingest.storing.explaining.largest_file", lambda: limit)
    assert "the disk failed" in str(explanation(database, error_of("SQLITE_IOERR_WRITE")))


# Temporary files


def test_reader_who_finds_no_room_gets_the_name_of_the_variable(database: Path) -> None:
    """Who reads a database writes nothing but temporary files."""
    assert "set SQLITE_TMPDIR to a folder" in str(
        explanation(database, error_of("SQLITE_FULL"), reading=True)
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size")
@pytest.mark.parametrize(("bound", "said"), [("-", "60000"), ("100000", "raise that limit (`ulimit -f`)")])
def test_what_is_sorted_needs_no_temporary_file_up_to_a_bound(database: Path, bound: str, said: str) -> None:
    """Where no file may take a byte, 12 MB are sorted in memory; beyond the bound the limit is named."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = DELETE; CREATE TABLE large (one, two);"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
            "INSERT INTO large SELECT HEX(RANDOMBLOB(90)), RANDOM() FROM n;"
        )
    done = subprocess.run(
        [sys.executable, "-c", SORTED, str(database), bound],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert said in done.stdout


def test_estimator_without_a_temporary_folder_names_the_variable(
    called: Tokentail, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`replay` runs the estimator in an empty folder: where none can be made, it says what to set."""

    def nowhere(*_: object, **__: object) -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    database.with_name("answers.py").write_text(
        "class One:\n    def estimate(self, **_):\n        return 1\n"
    )
    monkeypatch.syspath_prepend(database.parent)
    monkeypatch.setattr("tempfile.mkdtemp", nowhere)
    done = called("replay", "--estimator", "answers:One", "--db", database)
    assert done.returncode == 1
    assert "set TMPDIR" in done.stderr
    assert "--workspace" in done.stderr


# A full disk


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"])
def test_full_disk_is_not_a_broken_one(database: Path, name: str) -> None:
    """SQLite says so of a file of its own, too, as an error of the disk."""
    error = explanation(database, error_of(name))
    assert isinstance(error, NoRoom)
    assert f"the disk of {database.parent}" in str(error)
    assert "failed" not in str(error)


def test_failure_is_one_of_room_only_where_there_is_none(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same error of writing is explained by what is free on the disk."""
    monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(f_bavail=1 << 20, f_frsize=4096, f_flag=0))
    assert "the disk failed" in str(explanation(database, error_of("SQLITE_IOERR_WRITE")))
    monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(f_bavail=0, f_frsize=4096, f_flag=0))
    assert isinstance(explanation(database, error_of("SQLITE_IOERR_WRITE")), NoRoom)


def test_locks_that_fail_are_named_as_that(database: Path) -> None:
    """SQLite gives up on them with a word of its own, which says nothing to a person."""
    assert "its locks can't be taken" in str(explanation(database, error_of("SQLITE_PROTOCOL")))


def test_failure_to_read_is_none_of_temporary_files(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no folder for them either, a disk that can't be read is named as that."""
    monkeypatch.setattr("ingest.storing.explaining.temporary_folder", lambda: None)
    assert "the disk failed" in str(explanation(database, error_of("SQLITE_IOERR_READ"), reading=True))
    message = str(explanation(database, error_of("SQLITE_IOERR_GETTEMPPATH"), reading=True))
    assert "no folder for them may be written" in message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    "command", [("report",), ("report", "--json"), ("export",), ("sources",)], ids=" ".join
)
def test_full_standard_output_is_named(database: Path, command: tuple[str, ...]) -> None:
    """What can't be written is standard output: nothing is said of what was ingested."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from ingest.cli import main; main()", *command, "--db", str(database)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "tokentail: standard output can't be written (No space left on device): look where it leads\n"
    )


@pytest.mark.parametrize(
    "command",
    [("init",), ("status", "--metrics", "m.prom"), ("export", "-o", "e.ndjson")],
    ids=lambda c: c[0],
)
def test_file_that_finds_no_room_is_named(
    called: Tokentail, database: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """The message names the file, that the disk is full, and nothing that isn't so."""

    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def write(self, data: bytes) -> int:
            return len(data)

    monkeypatch.setattr("commandline.sink._made", lambda *_: Full())
    done = called(*command, "--db", database)
    assert done.returncode == 1
    name = {"init": "tokentail.toml"}.get(command[0], command[-1])
    assert (
        f"tokentail: {name}: can't be written ({os.strerror(errno.ENOSPC)}): free some space" in done.stderr
    )
    assert "ingested" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="locks of another kind")
def test_file_system_without_locks_says_that(
    called: Tokentail, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ingest that can't lock does not go on without, and says why."""

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    done = called("ingest", EXAMPLES / "logs", "--db", database)
    assert done.returncode == 1
    assert f"{database}: the file system that it is on has no locks" in done.stderr


# A follow that begins while the database can't be used


class Ear:
    """Hears what a follow says."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.has_begun = False

    def begun(self, _: Summary) -> None:
        """Note that the database is open."""
        self.has_begun = True

    def report(self, turn: TurnReport) -> None:
        """Keep what is said."""
        self.said += [*turn.summary.problems, *(f"no longer: {text}" for text in turn.mended)]

    def beat(self, _: Summary) -> None:
        """Ignore that all is well."""

    def waits(self) -> None:
        """Ignore that nothing is under way."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log with one event."""
    path = tmp_path / "run.log"
    path.write_text(logged(event_message()) + "\n")
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waiting be short."""
    monkeypatch.setattr("ingest.storing.database.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("ingest.storing.database.POLL_SECONDS", 0.02)
    monkeypatch.setattr("ingest.follow.RETRY_SECONDS", 0.05)


OPTIONS = IngestOptions("follow", zone_named("UTC"))


def said_by(ear: Ear) -> Iterator[str]:
    """Wait until something is said."""
    deadline = time.monotonic() + 10
    while not ear.said and time.monotonic() < deadline:
        time.sleep(0.01)
    yield from ear.said


@pytest.mark.usefixtures("quick")
def test_follow_that_finds_the_database_locked_begins_when_it_is_free(log: Path, tmp_path: Path) -> None:
    """It says once what it waits for, and that it is over, and reads what is there."""
    database, ear = tmp_path / "new.db", Ear()
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        run = threading.Thread(target=follow, args=([str(log)], database, OPTIONS, ear, 1.5))
        run.start()
        assert "locked by another program" in next(said_by(ear))
        assert not ear.has_begun
        other.execute("COMMIT")
    run.join(20)
    assert not run.is_alive()
    assert len(events(database)) == 1
    assert [text.startswith("no longer: ") for text in ear.said] == [False, True]


@pytest.mark.usefixtures("quick")
def test_follow_waits_for_room_from_the_beginning(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full when it is started is waited for like one that fills up later."""
    database, ear, left = tmp_path / "new.db", Ear(), [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))] * 3
    really = os.open

    def full(path: str, *arguments: int) -> int:
        if str(path).endswith(".lock") and left:
            raise left.pop()
        return really(path, *arguments)

    monkeypatch.setattr("os.open", full)
    follow([str(log)], database, OPTIONS, ear, 1.0)
    assert len(events(database)) == 1
    assert [text.startswith("no longer: ") for text in ear.said] == [False, True]


@pytest.mark.usefixtures("quick")
def test_follow_that_may_not_wait_for_ever_leaves(log: Path, tmp_path: Path) -> None:
    """With `--until-idle` it waits no longer than that."""
    database = tmp_path / "new.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseBusy):
            follow([str(log)], database, OPTIONS, Ear(), 0.2)


@pytest.mark.usefixtures("quick")
def test_what_waiting_does_not_mend_ends_a_follow_at_once(log: Path, tmp_path: Path) -> None:
    """Another ingest, a folder that isn't there, a file that is no database: said at once."""
    database = tmp_path / "new.db"
    with ingest_lock(database, 0), pytest.raises(DatabaseHeld):
        follow([str(log)], database, OPTIONS, Ear())
    for wrong in (tmp_path / "gone" / "t.db", log):
        with pytest.raises(DatabaseUnusable):
            follow([str(log)], wrong, OPTIONS, Ear())
