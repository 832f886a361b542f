"""What must not pass in silence: a folder whose logs are gone, a zone that was forgotten."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conftest import EXAMPLES, Tokentail
from event_lines import event_message, logged


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Return a folder with two logs of one event each."""
    (tmp_path / "logs/deep").mkdir(parents=True)
    for number, name in enumerate(("a.log", "deep/b.log")):
        write(tmp_path / "logs" / name, number)
    return tmp_path / "logs"


def write(log: Path, number: int) -> None:
    log.write_text(logged(event_message(predicted_output=100 + number)) + "\n")


# Folders


def test_folder_whose_logs_are_gone_is_a_warning(called: Tokentail, logs: Path) -> None:
    """Also when only trouble is printed; it is no failure, and over as soon as there are logs again."""
    called("ingest", "logs", "--tz", "UTC")
    logs.rename(logs.with_name("elsewhere"))
    logs.mkdir()
    for _ in range(2):
        done = called("ingest", "logs", "-q")
        assert (done.returncode, done.stdout) == (0, "")
        assert "logs: no logs in this folder any more (2 were read from it): is it mounted" in done.stderr
    assert "looked for" not in called("ingest", "logs").stderr
    write(logs / "a.log", 7)
    assert "any more" not in called("ingest", "logs", "-q", "--tz", "UTC").stderr


def test_folder_that_never_had_logs_is_a_note(called: Tokentail, logs: Path) -> None:
    """So is one in which others were read than those that are asked for, and one that was forgotten."""
    (logs / "none").mkdir()
    called("ingest", "logs", "--tz", "UTC")
    done = called("ingest", "logs/none", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert called("ingest", "logs", "-q", "--glob", "*.capture").stderr == ""
    shutil.rmtree(logs / "deep")
    (logs / "deep").mkdir()
    assert "(1 was read from it)" in called("ingest", "logs/deep", "-q").stderr
    called("sources", "forget", "logs/deep")
    assert called("ingest", "logs/deep", "-q").stderr == ""


def test_follow_says_once_that_a_folder_is_empty_now(called: Tokentail, logs: Path) -> None:
    """However many rounds find it so."""
    called("ingest", "logs", "--tz", "UTC")
    shutil.rmtree(logs)
    logs.mkdir()
    done = called("follow", "logs", "-q", "--until-idle", "1")
    assert (done.returncode, done.stderr.count("no logs in this folder any more")) == (0, 1)


# Zones


@pytest.fixture
def _berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine be somewhere."""
    monkeypatch.setenv("TZ", "Europe/Berlin")


@pytest.mark.usefixtures("_berlin")
def test_zone_that_was_forgotten_is_a_warning(called: Tokentail, logs: Path) -> None:
    """Once in a run, with both zones and what to do; what it advises mends it."""
    called("ingest", "logs", "--tz", "Australia/Sydney")
    write(logs / "c.log", 3)
    write(logs / "d.log", 4)
    done = called("ingest", "logs", "-q")
    assert done.returncode == 0
    assert done.stderr.count("this machine's zone") == 1
    for said in (
        "c.log: 2 new logs read as Europe/Berlin",
        "all 2 before were read as Australia/Sydney",
        "--tz Australia/Sydney, or as `zone` in tokentail.toml",
        "`tokentail backfill --full --tz Australia/Sydney LOGS`",
    ):
        assert said in done.stderr
    assert called("ingest", "logs", "-q").stderr == ""
    called("backfill", "logs", "--full", "--tz", "Australia/Sydney")
    assert "Berlin" not in called("sources").stdout
    assert "of all: times read as Australia/Sydney" in called("status").stdout


@pytest.mark.usefixtures("_berlin")
def test_zone_that_was_not_forgotten_is_no_warning(called: Tokentail, logs: Path, tmp_path: Path) -> None:
    """A zone that was named, a copy, the machine's own zone all along."""
    called("ingest", "logs", "--tz", "UTC")
    shutil.copy(logs / "a.log", logs / "copy.log")
    assert called("ingest", "logs", "-q").stderr == ""
    write(logs / "c.log", 3)
    assert called("ingest", "logs/c.log", "-q", "--tz", "Europe/Berlin").stderr == ""
    write(logs / "d.log", 4)
    assert called("ingest", "logs", "-q").stderr == ""
    own = tmp_path / "own.db"
    called("ingest", EXAMPLES / "logs", "-q", "--db", own)
    assert called("ingest", "logs", "-q", "--db", own).stderr == ""
