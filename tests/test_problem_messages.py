"""What a person reads about a problem is true: no more than was found, and what to do about it."""

from __future__ import annotations

import gzip
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from conftest import EXAMPLES, Tokentail
from event_lines import anchor_message, event_message, logged
from faults.tables import events
from ingest.storing.ingest_runs import ingest_lock

LOGS = EXAMPLES / "logs"
CALLS = "".join(
    f"{logged(line, at=f'2026-01-14 10:{minute:02}:00')}\n"
    for minute in range(40)
    for line in (anchor_message(f"p{minute}"), event_message(predicted_output=1000 + minute))
)


@pytest.mark.parametrize("left", [0.3, 0.6, 0.99])
def test_cut_archive_is_as_good_to_verify_as_to_backfill(called: Tokentail, left: float) -> None:
    """What backfill took of it with a warning, verify proves: the cut is a note."""
    packed = gzip.compress(CALLS.encode())
    Path("cut.log.gz").write_bytes(packed[: int(len(packed) * left)])
    read = called("backfill", "cut.log.gz", "--tz", "UTC", "--db", "t.db")
    for asked in ((), ("cut.log.gz",)):
        done = called("verify", *asked, "--db", "t.db")
        assert (done.returncode, read.returncode) == (0, 0), done.stderr
        assert "no difference\n" in done.stdout


def test_verify_that_could_not_read_all_does_not_say_that_all_is_well(called: Tokentail) -> None:
    """Exit 1 and `no difference` alone contradict each other: what was not read is left out of the latter."""
    packed = bytearray(gzip.compress(CALLS.encode()))
    Path("a.log.gz").write_bytes(packed)
    called("backfill", "a.log.gz", "--tz", "UTC", "--db", "t.db")
    packed[-8:-4] = b"\0\0\0\0"
    Path("a.log.gz").write_bytes(packed)
    done = called("verify", "a.log.gz", "--db", "t.db")
    assert done.returncode == 1
    assert "no difference in what could be read\n" in done.stdout or "differences" in done.stdout


def test_verify_after_a_lifted_pruning_says_what_brings_it_back(called: Tokentail) -> None:
    """There is no moment any more before which nothing is kept, so none is named."""
    called("ingest", LOGS, "--tz", "UTC", "--db", "t.db")
    called("prune", "--older-than", "2026-01-14", "--db", "t.db")
    called("prune", "--lift", "--db", "t.db")
    done = called("verify", "--db", "t.db")
    assert done.returncode == 1
    assert "None" not in done.stdout
    assert "`tokentail backfill --full --db t.db` brings them back" in done.stdout
    called("backfill", "--full", LOGS, "--tz", "UTC", "--db", "t.db")
    assert called("verify", "--db", "t.db").returncode == 0


@pytest.mark.parametrize("command", [("deliverables", "import"), ("import",)], ids=" ".join)
def test_import_of_another_encoding_says_which_is_wanted(called: Tokentail, command: tuple[str, ...]) -> None:
    """Not in the words of the codec."""
    called("ingest", LOGS, "--tz", "UTC", "--db", "t.db")
    Path("paths.ndjson").write_text(
        '{"run_id": "r", "phase_id": "p", "deliverables": []}\n', encoding="utf-16"
    )
    done = called(*command, "paths.ndjson", "--db", "t.db")
    assert done.returncode == 1
    assert "not UTF-8; nothing was imported" in done.stderr
    assert "codec" not in done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("explain", "folder:3"), "folder: can't be read (is a directory): name a file in it\n"),
        (("import", "folder"), "name a file in it; nothing was imported"),
        (("explain", "t.db/x:3"), "no file has such a name"),
        (("report", "--db", "folder"), "folder: a folder, not a database: name a file with --db"),
        (("status", "--db", "folder"), "folder: a folder, not a database: name a file with --db"),
        (("merge", "folder", "--db", "t.db"), "folder: a folder, not a database: name one that is there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_folder_where_a_file_is_meant_is_said(called: Tokentail, command: tuple[str, ...], said: str) -> None:
    """Neither is another run advised, which meets the folder again, nor an ingest, which can't use it."""
    called("ingest", LOGS, "--tz", "UTC", "--db", "t.db")
    Path("folder").mkdir()
    done = called(*command)
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("command", ["ingest", "import"])
def test_path_of_a_pipe_is_to_be_standard_input(called: Tokentail, tmp_path: Path, command: str) -> None:
    """It is not waited for, and the message says how it is read."""
    os.mkfifo(tmp_path / "pipe")
    done = called(command, "pipe")
    assert done.returncode == 1
    assert (
        "pipe: not a regular file, so not read: a pipe is read as standard input, `- < pipe`" in done.stderr
    )


def test_wait_is_not_advised_for_a_pipe_that_may_never_end(called: Tokentail, tmp_path: Path) -> None:
    """Whoever meets an ingest of standard input learns what it is; another ingest may be waited for."""
    database = tmp_path / "t.db"
    with ingest_lock(database, 0, reads_pipe=True):
        done = called("ingest", LOGS, "--db", database)
    assert done.returncode == 75
    assert (
        f"an ingest of standard input (pid {os.getpid()}) holds the database until its pipe ends"
        in done.stderr
    )
    assert "--wait" not in done.stderr
    with ingest_lock(database, 0):
        assert "--wait SECONDS waits for it" in called("ingest", LOGS, "--db", database).stderr


def test_lock_of_a_reader_is_named_without_a_time_that_was_not_waited(called: Tokentail) -> None:
    """A report that another program keeps out says that, and not how long a writer would wait."""
    called("ingest", LOGS, "--tz", "UTC", "--db", "t.db")
    with closing(sqlite3.connect("t.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        done = called("report", "--db", "t.db")
    assert done.returncode == 75
    assert done.stderr == (
        "tokentail: t.db: database is locked by another program: try again when that is done\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a folder that somebody is in")
@pytest.mark.parametrize("command", [("ingest", "a.log"), ("backfill", "a.log")], ids=lambda words: words[0])
def test_folder_that_was_deleted_is_named(
    called: Tokentail, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """A relative path leads nowhere from there: that is said, and nothing of what could not be written."""
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    done = called(*command, "--db", tmp_path / "t.db")
    os.chdir(tmp_path)
    assert done.returncode == 1
    assert done.stderr == ("tokentail: the folder in which this was started is gone: change to another one\n")


@pytest.mark.parametrize("harm", ["'{'", "'{}'", "json_set(remembered, '$.position', 3)"])
@pytest.mark.parametrize("copies", [False, True], ids=["alone", "beside a copy"])
def test_damaged_checkpoint_is_named_with_its_source(called: Tokentail, harm: str, copies: bool) -> None:
    """The log is read again from its start, no event is doubled, and it is said why; then all is well."""
    Path("run.log").write_text(CALLS)
    if copies:
        Path("copy.log").write_text(CALLS)
    called("ingest", "run.log", *(["copy.log"] if copies else []), "--tz", "UTC", "--db", "t.db")
    before = events("t.db")
    with closing(sqlite3.connect("t.db")) as connection:
        connection.execute(f"UPDATE log_sources SET remembered = {harm} WHERE path LIKE '%run.log'")
        connection.commit()
    with Path("run.log").open("a") as log:
        log.write(logged("nothing") + "\n")
    done = called("ingest", "run.log", "--tz", "UTC", "--db", "t.db")
    assert done.returncode == 0
    assert "run.log: what the database keeps of source" in done.stderr
    assert "is damaged: the log was read again from its start" in done.stderr
    assert "rewritten" not in done.stderr
    assert events("t.db") == before
    assert called("ingest", "run.log", "--tz", "UTC", "--db", "t.db").stderr == ""
