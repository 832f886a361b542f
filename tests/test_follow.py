"""`tokentail follow`: what is written is a row at once; it ends cleanly, outlives trouble, says it once."""

from __future__ import annotations

import ctypes
import gzip
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, Tokentail
from event_lines import event_message, logged
from ingest.errors import DatabaseBusy
from ingest.follow import TurnReport, follow
from ingest.reading.zone import zone_named
from ingest.storing.ingest_runs import ingest_lock
from ingest.summary import IngestOptions, Summary

SOON_SECONDS = 20.0
"""How long a test waits for what takes a fraction of a second on a machine that is not busy."""


def write(log: Path, *numbers: int) -> None:
    """Append events with these estimates."""
    with log.open("a", encoding="utf-8") as file:
        file.writelines(logged(event_message(predicted_output=number)) + "\n" for number in numbers)


def stored(database: Path) -> list[int]:
    """Return the estimates of the events that are stored."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT predicted_output_tokens FROM token_estimation_v2_events ORDER BY 1")
        return [number for (number,) in rows]
    return []


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something that is to come."""
    deadline = time.monotonic() + SOON_SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Enough(BaseException):
    """Ends a follow in a thread, as a signal does in a process."""


@dataclass
class Ear:
    """Hears how a follow goes."""

    reports: list[TurnReport] = field(default_factory=list)
    total: Summary | None = None

    def begun(self, total: Summary) -> None:
        """Keep the summary that is kept up to date."""
        self.total = total

    def report(self, turn: TurnReport) -> None:
        """Keep what a round brought."""
        self.reports.append(turn)

    def beat(self, total: Summary) -> None:
        """Need no word."""

    def waits(self) -> None:
        """Go on."""

    def said(self) -> list[str]:
        """Return every sentence so far."""
        return [
            text
            for turn in self.reports
            for text in (*turn.summary.problems, *turn.summary.warnings, *turn.summary.notes, *turn.mended)
        ]


class Following:
    """A follow in a thread of this process."""

    def __init__(self, database: Path, *paths: Path) -> None:
        self.database = database
        self.ear = Ear()
        self._paths = [str(path) for path in paths]
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)  # a test that fails leaves it
        self._thread.start()

    def _follow(self) -> None:
        try:
            follow(self._paths, self.database, IngestOptions("follow", zone_named("UTC")), self.ear)
        except BaseException as error:
            self._error = error

    def has(self, *numbers: int) -> None:
        """Wait until these events are stored, and no others."""
        wait_until(lambda: stored(self.database) == sorted(numbers), f"{numbers}: {stored(self.database)}")

    def says(self, text: str) -> None:
        """Wait until a sentence holds a text."""
        wait_until(
            lambda: any(text in sentence for sentence in self.ear.said()), f"{text!r}: {self.ear.said()}"
        )

    def ends_round(self) -> None:
        """Wait until it has read what there is now."""
        known = len(self.ear.reports)
        wait_until(lambda: len(self.ear.reports) > known, "a turn with something to report")

    def says_again(self, text: str) -> None:
        """Wait until it is told that a problem is over."""
        wait_until(lambda: any(text in mended for turn in self.ear.reports for mended in turn.mended), text)

    def end(self) -> Summary:
        """End it; what it did in all is returned."""
        while self._thread.is_alive():
            thread = ctypes.c_ulong(self._thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(Enough))
            self._thread.join(1.0)
        assert isinstance(self._error, Enough), self._error
        assert self.ear.total is not None
        return self.ear.total


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what follows in this process look oftener."""
    monkeypatch.setattr("ingest.follow.POLL_SECONDS", 0.05)
    monkeypatch.setattr("ingest.follow.RETRY_SECONDS", 0.1)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Make a folder of logs with one that has an event."""
    (tmp_path / "logs").mkdir()
    write(tmp_path / "logs" / "run.log", 1)
    return tmp_path / "logs"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return where the database is to be."""
    return tmp_path / "telemetry.db"


# What is written


def test_lines_new_files_and_rotations_become_rows_as_they_are_written(logs: Path, database: Path) -> None:
    """Appended, in a new file, in a new folder, after a rename: each is noticed, and nothing is said."""
    following = Following(database, logs)
    following.has(1)
    write(logs / "run.log", 2)
    following.has(1, 2)
    write(logs / "new.log", 3)
    following.has(1, 2, 3)
    (logs / "deep").mkdir()
    write(logs / "deep" / "deep.log", 4)
    following.has(1, 2, 3, 4)
    write(logs / "run.log", 5)
    (logs / "run.log").rename(logs / "run.log.1")
    write(logs / "run.log", 6)
    following.has(1, 2, 3, 4, 5, 6)
    total = following.end()
    assert (total.events_new, total.exit_code, following.ear.said()) == (6, 0, [])


def test_copytruncate_and_rewrites_are_noticed(logs: Path, database: Path) -> None:
    """What is there after a truncation is read from its start; the copy shows that nothing is missing."""
    log = logs / "run.log"
    following = Following(database, logs)
    following.has(1)
    write(log, 2)
    shutil.copyfile(log, logs / "run.log.1")
    following.ends_round()  # a large log takes long to copy
    os.truncate(log, 0)
    write(log, 3, 4, 5)
    following.has(1, 2, 3, 4, 5)
    assert [warning for turn in following.ear.reports for warning in turn.summary.warnings] == []
    log.write_text(logged(event_message(predicted_output=6)) + "\n")
    following.has(1, 2, 3, 4, 5, 6)
    assert following.end().problems == []


def test_rotation_beside_a_named_log_is_followed_while_it_is_written(logs: Path, database: Path) -> None:
    """A writer that holds the renamed file open is read to its last line."""
    following = Following(database, logs / "run.log")
    following.has(1)
    with (logs / "run.log").open("a", encoding="utf-8") as held:
        (logs / "run.log").rename(logs / "run.log.1")
        write(logs / "run.log", 2)
        following.has(1, 2)
        held.write(logged(event_message(predicted_output=3)) + "\n")
        held.flush()
        following.has(1, 2, 3)
    assert following.end().warnings == []


def test_line_in_pieces_waits_for_its_end(logs: Path, database: Path) -> None:
    """A line without its newline is no row, is not read again and again, and becomes one when it is whole."""
    line = logged(event_message(predicted_output=2)) + "\n"
    following = Following(database, logs)
    following.has(1)
    with (logs / "run.log").open("a", encoding="utf-8") as file:
        for piece in (line[:30], line[30:120], line[120:-1]):
            file.write(piece)
            file.flush()
            time.sleep(0.25)
        assert stored(database) == [1]
        file.write("\n")
    following.has(1, 2)
    following.end()


def test_line_in_any_of_many_old_logs_is_noticed(
    logs: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more files than are looked at at once each has its turn, long before a round that is due anyway."""
    monkeypatch.setattr("ingest.files.watch.LOOKS", 2)
    monkeypatch.setattr("ingest.files.watch.ROUND_SECONDS", 1_000.0)
    for number in range(2, 10):
        write(logs / f"{number}.log", number)
    for place in (*logs.iterdir(), logs):
        os.utime(place, (1_000_000_000, 1_000_000_000))
    following = Following(database, logs)
    following.has(*range(1, 10))
    for number in (10, 11, 12):
        write(logs / f"{number - 5}.log", number)
        following.has(*range(1, number + 1))
    following.end()


def test_compressed_log_is_read_when_it_is_whole(
    logs: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is still being compressed is not unpacked over and over, and nobody is warned of it."""
    monkeypatch.setattr("ingest.files.watch.FRESH_NS", 400_000_000)
    monkeypatch.setattr("ingest.files.watch.ROUND_SECONDS", 0.5)
    data = gzip.compress((logged(event_message(predicted_output=2)) + "\n").encode())
    following = Following(database, logs)
    following.has(1)
    with (logs / "old.log.gz").open("wb") as file:
        for start in range(0, len(data), 60):
            file.write(data[start : start + 60])
            file.flush()
            time.sleep(0.1)
    following.has(1, 2)
    assert following.end().files_read <= 3  # the log, and the other one while it was written, and whole
    assert following.ear.said() == []


def test_empty_unfinished_and_cut_files_are_read_once_and_named_once(logs: Path, database: Path) -> None:
    """Empty, unfinished, cut, or no log at all: looked at, read once, and spoken of once."""
    packed = gzip.compress(b"".join(os.urandom(20).hex().encode() + b"\n" for _ in range(200)))
    for name, data in {
        "empty.log": b"",
        "half.log": logged(event_message(predicted_output=2)).encode(),
        "cut.log.gz": packed[:-100],
        "binary.log": bytes(range(32)) * 40,
    }.items():
        (logs / name).write_bytes(data)
    for log in logs.iterdir():
        os.utime(log, (1_000_000_000, 1_000_000_000))
    following = Following(database, logs)
    following.has(1)
    for number in range(3, 10):
        write(logs / "run.log", number)
        following.has(1, *range(3, number + 1))
    first, *later = [turn.summary for turn in following.ear.reports]
    assert first.files_read > 1
    assert [summary.files_read for summary in later] == [1] * 7
    assert sum("the rest when it is whole" in text for text in following.ear.said()) == 1
    following.end()


# What is said


def test_problem_is_said_once_and_again_when_it_is_over(logs: Path, database: Path) -> None:
    """A path that is not there and a folder that vanishes are problems, not said in every round."""
    later = logs.parent / "later"
    following = Following(database, logs, later)
    following.says("later: no such file or folder")
    logs.rename(logs.parent / "elsewhere")
    following.says("logs: no such file or folder")
    later.mkdir()
    write(later / "later.log", 2)
    (logs.parent / "elsewhere").rename(logs)
    write(logs / "run.log", 3)
    following.has(1, 2, 3)
    following.says_again("logs: no such")
    following.says_again("later: no such")
    total = following.end()
    said = [text.removeprefix(f"{logs.parent}/") for text in following.ear.said()]
    missing = [text for text in said if "no such" in text]
    assert missing == [
        *("later: no such file or folder", "logs: no such file or folder"),
        *missing[2:],
    ]
    assert sorted(missing[2:]) == sorted(missing[:2])  # each is told once more, as mended
    assert (total.problems, total.exit_code) == ([], 0)


def test_problem_that_stands_in_the_end_is_the_exit_code(logs: Path, database: Path) -> None:
    """A log that nobody can read is named once; the others are followed, and the end says 1."""
    (logs / "odd.log").write_bytes(bytes(range(32)) * 40)
    following = Following(database, logs / "odd.log", logs / "run.log")
    following.has(1)
    write(logs / "run.log", 2)
    following.has(1, 2)
    total = following.end()
    assert (len(total.problems), total.exit_code) == (1, 1)
    assert [text for text in following.ear.said() if "binary" in text] == total.problems


def test_program_says_what_it_follows_and_what_came_of_it(called: Tokentail, logs: Path) -> None:
    """The database is named at once; each round with news is a line; the end is an ingest's."""
    done = called("follow", logs, "--tz", "UTC", "--until-idle", "0.3")
    first, round_, *rest = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert first == "following, times of new logs read as UTC; new database telemetry.db"
    assert "UTC: 1 event new; " in round_
    assert rest[0].startswith("1 file, ")
    assert rest[1] == "times read as UTC; new database telemetry.db"
    again = called("follow", logs, "--tz", "UTC", "--until-idle", "0", "--quiet")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_json_is_an_object_a_line(called: Tokentail, logs: Path) -> None:
    """A program reads a line at a time: a round each, and the whole at the end."""
    done = called("follow", logs, "nowhere", "--json", "--tz", "UTC", "--until-idle", "0")
    round_, whole = map(json.loads, done.stdout.splitlines())
    assert (round_["events_new"], round_["mended"], "at" in round_) == (1, [], True)
    assert (whole["ended"], whole["events_new"], whole["exit_code"]) == (True, 1, 1)
    assert whole["problems"] == round_["problems"] == ["nowhere: no such file or folder"]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        (["-"], {}, 2, "standard input can't be followed"),
        (["s3://bucket/logs/"], {}, 2, "URLs can't be followed"),
        ([], {}, 2, "no logs to read"),
        (["logs"], {"TELEMETRY_DB_ENABLED": "off"}, 0, "TELEMETRY_DB_ENABLED is off"),
    ],
    ids=["standard input", "URL", "no paths", "switched off"],
)
def test_what_is_not_followed(
    called: Tokentail,
    logs: Path,
    arguments: list[str],
    environment: dict[str, str],
    code: int,
    said: str,
) -> None:
    """Wrong use is explained, and the executor's switch is obeyed."""
    done = called("follow", *arguments, "--until-idle", "0", **environment)
    assert (done.returncode, said in done.stderr) == (code, True)
    assert not (logs.parent / "telemetry.db").exists()


# Its end, and its record


@pytest.fixture
def started(logs: Path, database: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """Start a follow in a process of its own, and wait until it has read what is there."""
    program = [sys.executable, "-c", "from ingest.cli import main; main()"]
    process = subprocess.Popen(
        [*program, "follow", "logs", "--tz", "UTC", *getattr(request, "param", [])],
        cwd=logs.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: stored(database) == [1], "the first event")
        yield process
    finally:
        process.kill()
        process.communicate()


def runs(database: Path) -> list[tuple[Any, ...]]:
    """Return what is recorded of the ingests."""
    query = "SELECT command, finished_at IS NOT NULL, exit_code, events_new, problems FROM ingest_runs"
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 0), ("SIGINT", 130), ("SIGHUP", 130)])
def test_signal_ends_it_with_everything_committed(
    started: subprocess.Popen[bytes], logs: Path, database: Path, name: str, code: int
) -> None:
    """What was written just before is read, the whole is summed up, and the record says how it ended."""
    write(logs / "run.log", 2, 3)
    started.send_signal(signal.Signals[name])
    output, _ = started.communicate(timeout=SOON_SECONDS)
    assert (started.returncode, stored(database)) == (code, [1, 2, 3])
    assert runs(database) == [("follow", 1, code, 3, 0)]
    assert b"3 events new" in output.splitlines()[-2]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("started", [["--json"]], indirect=True, ids=["json"])
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 0), ("SIGINT", 130)])
def test_the_last_object_has_the_exit_code_of_the_process(
    started: subprocess.Popen[bytes], logs: Path, database: Path, name: str, code: int
) -> None:
    """A signal decides it, also where a problem stands in the end."""
    (logs / "damaged.log.gz").write_bytes(gzip.compress(b"x" * 999)[:-8] + b"damaged!")
    wait_until(lambda: runs(database)[0][-1] == 1, "the problem")
    started.send_signal(signal.Signals[name])
    output, _ = started.communicate(timeout=SOON_SECONDS)
    last = json.loads(output.splitlines()[-1])
    assert (last["ended"], last["exit_code"], started.returncode, runs(database)[0][2]) == (
        True,
        *[code] * 3,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_kill_loses_nothing_and_the_record_holds_when_it_last_ran(
    started: subprocess.Popen[bytes], logs: Path, database: Path, tokentail: Tokentail
) -> None:
    """A killed follow has no exit code, and blocks nobody; the next ingest goes on from there."""
    write(logs / "run.log", 2)
    held = tokentail("ingest", logs, "--tz", "UTC")
    assert (held.returncode, f"a follow (pid {started.pid}) holds the database" in held.stderr) == (75, True)
    wait_until(lambda: runs(database) == [("follow", 1, None, 2, 0)], "a word that it is alive")
    started.kill()
    started.wait()
    write(logs / "run.log", 3)
    assert tokentail("ingest", logs, "--tz", "UTC").returncode == 0
    assert stored(database) == [1, 2, 3]
    assert [run[:3] for run in runs(database)] == [("follow", 1, None), ("ingest", 1, 0)]
    with ingest_lock(database, 0):  # whoever that is, it is not the follow that was killed
        assert (
            "another ingest" in tokentail("prune", "--older-than", "7d", "--force", "--db", database).stderr
        )


# Trouble with the database


def test_another_ingest_at_the_beginning_ends_it(logs: Path, database: Path) -> None:
    """As an ingest, it leaves when another one holds the database."""
    options = IngestOptions("follow", zone_named("UTC"))
    with ingest_lock(database, 0), pytest.raises(DatabaseBusy):
        follow([str(logs)], database, options, Ear())


def test_writer_that_locks_the_database_is_waited_for(
    logs: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who writes for long is a problem that is said and passes, not the end."""
    monkeypatch.setattr("ingest.storing.database.BUSY_SECONDS", 0.1)
    monkeypatch.setattr("ingest.storing.database.POLL_SECONDS", 0.05)
    following = Following(database, logs)
    following.has(1)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        write(logs / "run.log", 2)
        following.says("database is locked by another program")
        other.execute("COMMIT")
    following.has(1, 2)
    following.says_again("is locked")
    assert following.end().problems == []
    assert sum("is locked by another program" in text for text in following.ear.said()) == 2  # and mended


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps an open file in its place")
def test_database_that_is_moved_away_is_made_anew(logs: Path, database: Path) -> None:
    """Nothing is written into a file that nobody sees any more."""
    following = Following(database, logs)
    following.has(1)
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            database.with_name(database.name + ending).rename(logs.parent / f"old.db{ending}")
    write(logs / "run.log", 2)
    following.says("moved or deleted while it was in use")
    following.has(1, 2)
    following.end()


# Pipes


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's pipe")
def test_tee_into_an_ingest_and_its_file_later_are_one(called: Tokentail, logs: Path, database: Path) -> None:
    """`executor 2>&1 | tee run.log | tokentail ingest -`: rows at once; the file itself doubles nothing."""
    program = f"{sys.executable} -c 'from ingest.cli import main; main()' ingest - --tz UTC --quiet"
    lines = "".join(logged(event_message(predicted_output=number)) + "\n" for number in range(2, 9))
    (logs.parent / "source").write_text(lines)
    subprocess.run(
        ["/bin/sh", "-c", f"cat source | tee logs/run.log | {program}"],
        cwd=logs.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert stored(database) == list(range(2, 9))
    done = json.loads(called("ingest", "logs", "--tz", "UTC", "--json").stdout)
    assert (done["events_new"], done["further_sightings"]) == (0, 7)
    assert stored(database) == list(range(2, 9))
