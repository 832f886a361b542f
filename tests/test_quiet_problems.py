"""What can't be read is said once from cron, and stands in the status until it is mended."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import event_message, logged


def packed(number: int) -> bytes:
    return gzip.compress((logged(event_message(predicted_output=number)) + "\n").encode())


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Return a log in a folder of logs that is damaged, beside one that is whole."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/whole.log").write_text(logged(event_message()) + "\n", encoding="utf-8")
    log = tmp_path / "logs/old.log.gz"
    data = bytearray(packed(7))
    data[20:24] = b"\xff\xff\xff\xff"
    log.write_bytes(data)
    return log


def problems(called: Tokentail) -> list[str]:
    return [problem["path"] for problem in json.loads(called("status", "--json").stdout)["problems"]]


@pytest.mark.usefixtures("damaged")
def test_a_log_that_cannot_be_read_is_named_once_by_quiet_ingests(called: Tokentail) -> None:
    """The first tick says it, the next ones leave with 1 in silence; the status shows it all the time."""
    first = called("ingest", "logs", "--quiet")
    assert (first.returncode, "old.log.gz" in first.stderr) == (1, True)
    for _ in range(2):
        done = called("ingest", "logs", "--quiet")
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert problems(called) == ["logs/old.log.gz"]
    assert "not readable, when it was tried last:\n  logs/old.log.gz" in called("status").stdout
    assert "old.log.gz" in called("ingest", "logs").stderr  # whoever asks gets an answer


def test_what_is_mended_is_gone_and_named_anew_when_it_breaks_again(called: Tokentail, damaged: Path) -> None:
    """When a log can be read nothing stands; if it is damaged once more, that is said anew."""
    broken = damaged.read_bytes()
    called("ingest", "logs", "--quiet")
    damaged.write_bytes(packed(7))
    assert called("ingest", "logs", "--quiet").returncode == 0
    assert problems(called) == []
    damaged.write_bytes(broken[:-1] + b"x")
    assert "old.log.gz" in called("ingest", "logs", "--quiet").stderr


def test_another_problem_is_named(called: Tokentail, damaged: Path) -> None:
    """A second log that can't be read is named, and the first is not named again."""
    called("ingest", "logs", "--quiet")
    (damaged.parent / "other.log.gz").write_bytes(damaged.read_bytes() + b"x")
    errors = called("ingest", "logs", "--quiet").stderr
    assert "other.log.gz" in errors
    assert "old.log.gz" not in errors


def test_an_ingest_of_other_logs_forgets_nothing(called: Tokentail, damaged: Path, tmp_path: Path) -> None:
    """What another ingest of this database can't read stands while this one reads elsewhere."""
    called("ingest", "logs", "--quiet")
    (tmp_path / "elsewhere").mkdir()
    assert called("ingest", "elsewhere", "--quiet").returncode == 0
    assert problems(called) == ["logs/old.log.gz"]
    assert called("ingest", damaged.relative_to(tmp_path), "--quiet").stderr == ""


@pytest.mark.parametrize("command", ["ingest", "backfill"])
def test_logs_that_are_not_there_make_no_database(called: Tokentail, tmp_path: Path, command: str) -> None:
    """A path that is mistyped at the first run is named, and nothing comes into being."""
    done = called(command, tmp_path / "nowhere", tmp_path / "nor here", "--db", "sub.db")
    assert (done.returncode, done.stderr.count("no such file or folder")) == (1, 2)
    assert list(tmp_path.iterdir()) == []
    assert json.loads(called(command, "nowhere", "--json").stdout)["exit_code"] == 1
    assert list(tmp_path.iterdir()) == []


def test_logs_that_went_away_are_a_run_all_the_same(called: Tokentail, tmp_path: Path) -> None:
    """Where there is a database, a missing log is recorded with the run."""
    log = tmp_path / "run.log"
    log.write_text(logged(event_message()) + "\n", encoding="utf-8")
    called("ingest", log)
    log.unlink()
    assert called("ingest", log).returncode == 1
    assert [run["exit_code"] for run in json.loads(called("status", "--json").stdout)["ingest_runs"]] == [
        1,
        0,
    ]


def rotated(called: Tokentail) -> tuple[str, dict[str, object]]:
    done = called("status")
    (source,) = json.loads(called("status", "--json").stdout)["sources"]
    return done.stderr, source


@pytest.mark.parametrize("name", ["run.log.1", "run-20260114.log"])
def test_status_warns_of_a_rotated_log_that_is_not_read_to_its_end(
    called: Tokentail, tmp_path: Path, name: str
) -> None:
    """What was written before the rotation and after the last ingest is named until it is read."""
    log = tmp_path / "logs/run.log"
    log.parent.mkdir()
    log.write_text(logged(event_message()) + "\n", encoding="utf-8")
    called("ingest", "logs")
    assert rotated(called)[0] == ""
    more = logged(event_message(predicted_output=7)) + "\n"
    with log.open("a", encoding="utf-8") as grown:
        grown.write(more)
    log.rename(log.with_name(name))
    log.write_text("", encoding="utf-8")
    warned, source = rotated(called)
    assert f"{log}: rotated to {log.with_name(name)}, of which {len(more)} bytes are not read" in warned
    assert (source["on_disk"], source["behind_bytes"]) == ("rotated", len(more))
    assert "1 event new" in called("ingest", "logs").stdout
    assert called("status").stderr == ""


def test_a_rotated_log_that_was_read_is_no_warning(called: Tokentail, tmp_path: Path) -> None:
    """Where all was read before the rotation, or another file has the number now, nothing is said."""
    log = tmp_path / "run.log"
    log.write_text(logged(event_message()) + "\n", encoding="utf-8")
    called("ingest", log)
    log.rename(tmp_path / "run.log.1")
    log.write_text("", encoding="utf-8")
    assert rotated(called)[0] == ""


def test_a_file_with_the_number_of_one_that_is_gone_is_no_rotation(called: Tokentail, tmp_path: Path) -> None:
    """Where another log has a deleted one's number now, it is not taken for that one's rotation."""
    for name in ("run.log", "run-2.log"):
        (tmp_path / name).write_text(logged(event_message()) + "\n", encoding="utf-8")
        called("ingest", tmp_path / name)
    (tmp_path / "run.log").unlink()
    with (tmp_path / "run-2.log").open("a", encoding="utf-8") as grown:
        grown.write("more\n")
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection, connection:
        number = (tmp_path / "run-2.log").stat().st_ino
        connection.execute("UPDATE log_sources SET inode = ?", [number])
    sources = json.loads(called("status", "--json").stdout)["sources"]
    assert sorted(source["on_disk"] for source in sources) == ["gone", "grown"]


def test_a_quiet_status_warns_when_an_ingest_has_passed_it_by(called: Tokentail, tmp_path: Path) -> None:
    """Between two ticks a rotation is nothing; when an ingest went well and didn't read it, it is trouble."""
    log = tmp_path / "run.log"
    log.write_text(logged(event_message()) + "\n", encoding="utf-8")
    called("ingest", log)
    with log.open("a", encoding="utf-8") as grown:
        grown.write(logged(event_message(predicted_output=7)) + "\n")
    (tmp_path / "other.log").write_text("x\n", encoding="utf-8")
    log.rename(tmp_path / "run-old.txt")
    log.write_text("", encoding="utf-8")
    now = time.time()  # the time that a system gives a file may be a tick older
    os.utime(tmp_path / "run-old.txt", (now, now))
    assert called("status", "--quiet").stderr == ""
    called("ingest", tmp_path / "other.log")
    assert "run-old.txt, of which" in called("status", "--quiet").stderr


def test_a_follow_keeps_what_it_cannot_read(called: Tokentail, damaged: Path) -> None:
    """What a follow says stands in the status as what an ingest says, and goes when it is mended."""
    called("follow", "logs", "--until-idle", "0", "--tz", "UTC")
    assert problems(called) == ["logs/old.log.gz"]
    damaged.write_bytes(packed(7))
    called("follow", "logs", "--until-idle", "0", "--tz", "UTC")
    assert problems(called) == []
