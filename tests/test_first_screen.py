"""`tokentail` alone answers on one screen: how things stand, or how to begin."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from commandline.options import data_database
from conftest import EXAMPLES, Tokentail
from event_lines import event_message, logged

NAMES = ["Verdict", "How sure", "To set", "Not read", "Fresh", "Database", "Logs", "Next"]


def screen(called: Tokentail, **environment: str) -> str:
    done = called(**environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    return done.stdout


def said(text: str) -> dict[str, str]:
    """Return the paragraphs of a screen by their names."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        name = line[:10].strip() or name
        found[name] = f"{found.get(name, '')} {line[10:]}".strip()
    return found


def test_the_screen_shows_the_state_of_everything(called: Tokentail) -> None:
    """Verdict, how sure, what to set, what was not understood, how fresh, where, and what next."""
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    screen_lines = said(screen(called))
    assert list(screen_lines) == NAMES
    assert "miss their limits: 48.0% underestimated (limit 5%), 4.0% truncated" in screen_lines["Verdict"]
    assert screen_lines["Verdict"].startswith("Too few phases to judge")
    assert "23 of at least 30 phases" in screen_lines["How sure"]
    assert "tokentail calibrate" in screen_lines["To set"]
    assert screen_lines["Not read"] == "1 reject (cut off 1); 1 builder call without telemetry"
    assert "newest event" in screen_lines["Fresh"]
    assert "last ingest that went well 0 s ago" in screen_lines["Fresh"]
    assert screen_lines["Database"].startswith("telemetry.db, 26 events, ")
    assert screen_lines["Logs"].startswith("6 logs, the newest ")
    assert "`tokentail rejects`" in screen_lines["Next"]


def test_a_new_folder_is_shown_how_to_begin(called: Tokentail, tmp_path: Path) -> None:
    """Without a database the commands to begin with are shown, and nothing is made."""
    text = screen(called)
    for command in ("ingest --dry-run LOGS", "init LOGS --tz ZONE", "tokentail report", "tokentail --help"):
        assert command in text
    assert "telemetry.db is not there" in text
    assert list(tmp_path.iterdir()) == []


def test_with_settings_only_what_is_left_to_do_is_shown(called: Tokentail, tmp_path: Path) -> None:
    """Who has called `init` isn't asked to do so again: it would refuse."""
    (tmp_path / "tokentail.toml").write_text('database = "x.db"\n', encoding="utf-8")
    text = screen(called)
    assert "x.db is not there" in text
    assert "tokentail ingest\n" in text
    assert "init" not in text


def test_a_database_in_memory_is_wrong_use(called: Tokentail, tmp_path: Path) -> None:
    """No file of that name is made."""
    done = called("report", "--db", ":memory:")
    assert (done.returncode, "name a file" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_database_at_the_systems_place_is_found_again(
    called: Tokentail, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In another folder the screen, and the error of a report, say where the database is that init made."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "d"))
    Path(data_database()).parent.mkdir(parents=True)
    Path(data_database()).touch()
    assert f"There is one at {data_database()}: " in called().stdout
    assert f"tokentail: there is one at {data_database()}: " in called("report").stderr


def test_a_database_in_a_virtual_environment_is_to_be_moved(called: Tokentail, tmp_path: Path) -> None:
    """Where version 0.1.0 said that it should lie it is used, and the screen says that it had better not."""
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    assert "virtual environment" not in said(screen(called))["Next"]
    (tmp_path / "pyvenv.cfg").touch()
    assert said(screen(called))["Next"].startswith("move the database out of the virtual environment")


def test_the_database_is_that_of_the_settings_or_the_environment(called: Tokentail, tmp_path: Path) -> None:
    """The screen is about the same database as every command here."""
    (tmp_path / "tokentail.toml").write_text('database = "x.db"\n', encoding="utf-8")
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    assert said(screen(called))["Database"].startswith("x.db, 26 events")
    assert "settings tokentail.toml" in said(screen(called))["Database"]
    called("ingest", EXAMPLES / "logs/collect.log", "--tz", "UTC", "--db", "y.db")
    assert said(screen(called, DATABASE_URL="sqlite:///y.db"))["Database"].startswith("y.db, 5 events")


def test_nothing_understood_is_no_pass(called: Tokentail, tmp_path: Path) -> None:
    """Over no events there is no verdict, and the next step is to see what is understood."""
    (tmp_path / "run.log").write_text("nothing of ours\n", encoding="utf-8")
    called("ingest", "run.log")
    screen_lines = said(screen(called))
    assert screen_lines["Verdict"] == "Nothing to judge: no event is left"
    assert "--dry-run" in screen_lines["Next"]
    assert "coverage" not in screen_lines["Next"]


@pytest.mark.parametrize(("actual", "held"), [(1000, "keep their limits"), (5000, "miss their limits")])
def test_the_verdict_is_that_of_the_gates(called: Tokentail, tmp_path: Path, actual: int, held: str) -> None:
    """A hundred good or bad estimates are said to be so, and bad ones by how much."""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:}"
    messages = [
        event_message(predicted_output=1200 + n, actual_output=actual, smape="1.0%") for n in range(100)
    ]
    text = "".join(logged(message, at=f"{now}{n % 60:02}") + "\n" for n, message in enumerate(messages))
    (tmp_path / "run.log").write_text(text, encoding="utf-8")
    called("ingest", "run.log", "--tz", "UTC")
    screen_lines = said(screen(called))
    assert held in screen_lines["Verdict"]
    assert ("4.0 x longer than estimated" in screen_lines["To set"]) == (actual == 5000)


def test_what_is_long_is_cut_to_the_screen(called: Tokentail, tmp_path: Path) -> None:
    """Long paths and names never make the screen longer."""
    folder = tmp_path / ("deep-" * 20) / ("folder-" * 20)
    folder.mkdir(parents=True)
    log = folder / f"{'run-' * 30}.log"
    named = {"category": "many words " * 80, "actual_output": 90_000}
    messages = [event_message(predicted_output=900 + n, **named) for n in range(9)]
    log.write_text("".join(logged(message) + "\n" for message in messages), encoding="utf-8")
    called("ingest", log)
    assert "many words" in screen(called)
    assert max(map(len, called(COLUMNS="60").stdout.splitlines())) <= 60


def test_in_an_environment_the_place_is_named(called: Tokentail, tmp_path: Path) -> None:
    """Where a database would lie in an environment, that is said, and how to begin."""
    (tmp_path / "pyvenv.cfg").touch()
    done = called()
    assert done.returncode == 0
    assert "inside the virtual environment" in done.stderr
    assert "tokentail init LOGS" in done.stdout
