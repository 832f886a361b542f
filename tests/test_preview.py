"""`--dry-run` of an ingest says what the ingest would do, and does nothing."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from conftest import EXAMPLES, Tokentail
from databases_of_0_1_0 import FIXTURES
from event_lines import event_message
from ingest.storing.ingest_runs import ingest_lock

PREFIX = "[2026-01-14 09:12:03] INFO: "


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def previewed(called: Tokentail, *arguments: object) -> dict[str, object]:
    done = called(*arguments, "--dry-run", "--json", "--tz", "UTC")
    found: dict[str, object] = json.loads(done.stdout)
    assert found.pop("dry_run") is True
    return found


@pytest.mark.parametrize("command", ["ingest", "backfill"])
def test_a_preview_says_what_the_ingest_then_says(called: Tokentail, command: str) -> None:
    """All counts, notes and the exit code are those of the ingest that follows, new database or not."""
    for log in ("", "batch-drain.log"):
        preview = previewed(called, command, EXAMPLES / "logs" / log)
        done = json.loads(called(command, EXAMPLES / "logs" / log, "--json", "--tz", "UTC").stdout)
        assert {name: preview[name] for name in done} == done


def test_a_preview_changes_nothing(called: Tokentail, tmp_path: Path) -> None:
    """Neither a database nor anything else comes into being or is changed."""
    log = tmp_path / "run.log"
    log.write_text(f"{PREFIX}{event_message()}\n", encoding="utf-8")
    called("ingest", log, "--dry-run")
    assert list(contents(tmp_path)) == ["run.log"]
    called("ingest", log)
    with log.open("a", encoding="utf-8") as grown:
        grown.write(f"{PREFIX}{event_message(predicted_output=7)}\n")
    before = contents(tmp_path)
    assert previewed(called, "ingest", log)["events_new"] == 1
    assert contents(tmp_path) == before


def test_a_preview_needs_no_lock(called: Tokentail, tmp_path: Path) -> None:
    """Beside another ingest a preview works."""
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    with ingest_lock(tmp_path / "telemetry.db", 0):
        assert called("ingest", EXAMPLES / "logs").returncode == 75
        assert called("ingest", EXAMPLES / "logs", "--dry-run").returncode == 0


def test_a_preview_sums_up_what_is_understood(called: Tokentail, tmp_path: Path) -> None:
    """Kinds of lines are counted; what is not understood is there with its first line and the place in it."""
    log = tmp_path / "run.log"
    cut = "[TokenEstimationV2] predicted_output=5200 actual_out"
    messages = [
        "Initialized autonomous executor for run: run-1",
        event_message(),
        cut,
        cut,
        "[TOKEN_BUDGET] phase=p1 used 16384/16384 tokens",
        f"quoted: {event_message()}",
    ]
    log.write_text("".join(f"{PREFIX}{message}\n" for message in messages), encoding="utf-8")
    found = previewed(called, "ingest", log)
    assert found["lines_by_family"] == {"run_initialized": 1, "event": 1}
    assert found["new_events_told"] == {"run": {"initialized": 1}, "phase": {}, "deliverables": {}}
    missed = [
        (entry["family"], entry["is_reject"], entry["lines"], entry["first"], entry["stopped_at"])
        for entry in found["not_understood"]  # type: ignore[attr-defined]
    ]
    budget = len(PREFIX) + len("[TOKEN_BUDGET] phase=p1 ") + 1
    assert missed == [
        ("event", True, 2, f"{log}:3", len(PREFIX) + len(cut) + 1),
        ("budget", False, 1, f"{log}:5", budget),
        (None, False, 1, f"{log}:6", None),
    ]
    shown = called("ingest", log, "--dry-run", "--tz", "UTC").stdout
    assert "nothing is stored" in shown
    assert f"2 rejects, cut off: the first, {log}:3, stops matching at character" in shown


def test_a_preview_of_another_programs_database_is_refused(called: Tokentail, tmp_path: Path) -> None:
    """What an ingest would refuse its preview refuses, and names that database, not the copy."""
    with closing(sqlite3.connect(tmp_path / "autopack.db")) as connection:
        connection.execute("CREATE TABLE token_estimation_v2_events (event_id INTEGER PRIMARY KEY)")
    done = called("ingest", EXAMPLES / "logs", "--dry-run", "--db", "autopack.db")
    assert done.returncode == 1
    assert done.stderr.startswith("tokentail: autopack.db: has a table")
    assert "copy.db" not in done.stderr


def test_a_preview_of_an_older_database_leaves_it_as_it_is(called: Tokentail, tmp_path: Path) -> None:
    """A migration is made in the copy alone."""
    with tarfile.open(FIXTURES / "copies.tar.xz") as packed:
        database = packed.extractfile("telemetry.db")
        assert database is not None
        (tmp_path / "telemetry.db").write_bytes(database.read())
    log = tmp_path / "run.log"
    log.write_text(f"{PREFIX}{event_message()}\n", encoding="utf-8")
    before = contents(tmp_path)
    assert previewed(called, "ingest", log)["events_new"] == 1
    assert contents(tmp_path) == before
