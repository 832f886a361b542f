"""Short logs share a transaction: all of them are stored, or none; one by one gives the same rows."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from event_lines import anchor_message, event_message, logged
from faults.tables import check_invariants, events, rows
from ingest import intake
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing import store, writing
from ingest.storing.pieces import Piece, Stored
from ingest.summary import IngestOptions, Summary

LOGS = 120


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Make a folder of short logs: some with two events, some that say what others say, one without any."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(LOGS):
        told = [number, number // 10] if number else []
        lines = [logged(event_message(predicted_output=1_000 + one)) for one in told]
        (folder / f"{number:03d}.log").write_text("\n".join([f"log {number}", *lines, ""]))
    return folder


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets how many logs are committed together, each time."""
    found: list[int] = []
    commit = store.Store.commit

    def counted(self: store.Store, pieces: list[Piece], *, ahead: bool = False) -> Stored:
        found.append(len(pieces))
        return commit(self, pieces, ahead=ahead)

    monkeypatch.setattr(store.Store, "commit", counted)
    return found


def told(database: Path) -> list[list[dict[str, Any]]]:
    """Return the events and where they were seen, of a database that is as it must be."""
    check_invariants(database)
    return [events(database), rows(database, "event_sightings", "source_id, byte_offset")]


def read(logs: Path, database: str = "t.db", **options: Any) -> Summary:
    """Ingest a folder."""
    return ingest([str(logs)], logs.parent / database, IngestOptions("ingest", zone_named("UTC"), **options))


def test_short_logs_are_committed_together(
    logs: Path, commits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as may wait; the rows and what is counted are those of one log at a time."""
    monkeypatch.setattr(intake, "MAX_TOGETHER_SECONDS", 1e9)
    together = read(logs)
    assert commits == [50, 50, 20]
    monkeypatch.setattr(intake, "MAX_TOGETHER_LOGS", 1)
    alone = read(logs, "alone.db")
    assert commits[3:] == [1] * LOGS
    together.database = alone.database
    assert together == alone
    assert (alone.files_read, alone.events_new, alone.further_sightings) == (LOGS, LOGS, LOGS - 2)
    assert told(logs.parent / "t.db") == told(logs.parent / "alone.db")
    assert read(logs).files_read == 0


def test_lines_that_are_cut_are_united_as_they_are_one_by_one(
    logs: Path, commits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs that end within an event which others tell whole, before them and behind them."""
    monkeypatch.setattr(intake, "MAX_TOGETHER_SECONDS", 1e9)
    for number in range(1, LOGS, 7):
        log = logs / f"{number:03d}.log"
        log.write_bytes(log.read_bytes()[: -1 - number % 4])
    read(logs, finished=True)
    assert commits == [50, 50, 20]
    monkeypatch.setattr(intake, "MAX_TOGETHER_LOGS", 1)
    read(logs, "alone.db", finished=True)
    assert told(logs.parent / "t.db") == told(logs.parent / "alone.db")


def test_a_log_waits_for_rows_and_time_no_longer_than_it_may(
    logs: Path, commits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is bounded by its rows, and by the time since the first began to wait."""
    monkeypatch.setattr(intake, "MAX_TOGETHER_ROWS", 3)
    read(logs)
    assert set(commits[:-1]) == {2, 3}
    commits.clear()
    monkeypatch.setattr(intake, "MAX_TOGETHER_SECONDS", 0.0)
    read(logs, "other.db")
    assert commits == [1] * LOGS


def test_all_that_wait_are_stored_or_none(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that fails leaves no log half stored, and none counted; the next run has them all."""
    monkeypatch.setattr(intake, "MAX_TOGETHER_SECONDS", 1e9)
    numbers: Iterator[int] = iter(range(LOGS))
    write_source = writing.write_source

    def failing(*arguments: Any) -> Any:
        if next(numbers) == 70:
            raise sqlite3.OperationalError("disk I/O error")
        return write_source(*arguments)

    with monkeypatch.context() as patch, pytest.raises(sqlite3.OperationalError):
        patch.setattr(writing, "write_source", failing)
        read(logs)
    assert len(events(logs.parent / "t.db")) == 50 - 1 + 1  # of fifty logs, the first of which has none
    assert read(logs).files_read == LOGS - 50
    read(logs, "at_once.db")
    assert told(logs.parent / "t.db") == told(logs.parent / "at_once.db")


def test_grown_logs_are_committed_together(
    logs: Path, commits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go on from their checkpoints as they would alone; a copy that did not grow is its own log."""
    monkeypatch.setattr(intake, "MAX_TOGETHER_SECONDS", 1e9)
    read(logs)
    commits.clear()
    (logs / "zcopy.log").write_bytes((logs / "050.log").read_bytes())
    for number in range(40, 100):
        with (logs / f"{number:03d}.log").open("a") as file:
            file.write(logged(event_message(predicted_output=5_000 + number)) + "\n")
    grown = read(logs)
    assert commits == [50, 11]
    assert (grown.files_read, grown.events_new, grown.warnings, grown.notes) == (61, 60, [], [])
    read(logs, "at_once.db")
    assert told(logs.parent / "t.db")[0] == told(logs.parent / "at_once.db")[0]
    assert read(logs).files_read == 0


def test_who_stops_a_run_keeps_what_was_read(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for others when a run is interrupted is stored, and counted."""
    monkeypatch.setattr(intake, "MAX_TOGETHER_SECONDS", 1e9)
    seen: list[int] = []

    def report(done: int, total: int) -> None:  # noqa: ARG001
        seen.append(done)
        if len(seen) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(logs, report=report)
    assert len(events(logs.parent / "t.db")) == 7  # six of their own, and the one that all ten share
    assert read(logs).files_read == LOGS - 7


def test_a_log_that_has_something_to_say_does_not_wait(logs: Path, commits: list[int]) -> None:
    """One that can't be read to its end is stored behind those before it: sentences come in order."""
    packed = gzip.compress((logs / "060.log").read_bytes())
    (logs / "060.log.gz").write_bytes(packed[:-4])
    summary = read(logs)
    assert (commits, summary.files_read) == ([50, 11, 1, 50, 9], LOGS + 1)
    assert len(summary.warnings) == 1
    assert "060.log.gz" in summary.warnings[0]


INIT = logged("Initialized autonomous executor for run: RR")
CALL = (
    logged("[pX] Step 1/4: Generating code with Builder (via LlmService)..."),
    logged(anchor_message("pX")),
)
EVENT, OTHER = logged(event_message()), logged(event_message(predicted_output=7))
BEHIND = logged("[pX] Builder succeeded (9 tokens)")


def lines(*texts: str) -> str:
    """Write whole lines."""
    return "".join(f"{text}\n" for text in texts)


TOGETHER = {
    "what is told of a stored event, and a copy of it": [
        {"a": lines(EVENT)},
        {"a": lines(EVENT, BEHIND), "b": lines(INIT, EVENT)},
    ],
    "the same, and the copy tells another phase": [
        {"a": lines(EVENT)},
        {"a": lines(EVENT, BEHIND), "b": lines(INIT, *(line.replace("pX", "pY") for line in CALL), EVENT)},
    ],
    "two copies that learn different phases": [
        {"a": lines(EVENT), "b": lines(INIT, EVENT)},
        {"a": lines(EVENT, BEHIND), "b": lines(INIT, EVENT, BEHIND.replace("pX", "pY"))},
    ],
    "a line that is taken back, and an event that is known": [
        {"a": EVENT, "b": lines(OTHER)},
        {"a": lines(f"{EVENT} x=y"), "c": lines("", OTHER)},
    ],
    "a line that is taken back, and its event in another log": [
        {"b": lines(INIT, *CALL) + EVENT},
        {"b": lines(INIT, *CALL, f"{EVENT} x=y"), "c": lines(EVENT)},
    ],
    "a cut line that goes on, and what it seemed to be": [
        {"b": lines(INIT, *CALL) + EVENT[:-4]},
        {"b": lines(INIT, *CALL, EVENT), "a": lines(EVENT[:-4])},
    ],
    "a cut line, and two that begin so": [
        {"d": logged(event_message(model="gpt-4"))},
        {
            "a": lines(logged(event_message(model="gpt-4o"))),
            "b": lines(logged(event_message(model="gpt-4o mini"))),
        },
    ],
}


@pytest.mark.parametrize("runs", TOGETHER.values(), ids=TOGETHER)
def test_logs_that_have_to_do_with_each_other_are_stored_as_one_by_one(
    runs: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one transaction, but one after another: rows and counts are the same."""
    monkeypatch.setattr(intake, "MAX_TOGETHER_SECONDS", 1e9)
    found = []
    for most in (50, 1):
        monkeypatch.setattr(intake, "MAX_TOGETHER_LOGS", most)
        folder = tmp_path / f"logs {most}"
        folder.mkdir()
        for files in runs:
            for name, text in files.items():
                (folder / f"{name}.log").write_text(text)
            summary = read(folder, f"{most}.db", finished=True)
        summary.database = ""
        found.append((summary, told(tmp_path / f"{most}.db")))
    assert found[0] == found[1]


def test_copy_of_a_log_that_is_read_on_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its zone is that of its original, which may wait for its transaction while the copy is looked at."""
    monkeypatch.setattr(intake, "MAX_TOGETHER_SECONDS", 1e9)
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.log").write_text(lines(EVENT))
    read(folder)
    for name in ("a", "b"):
        (folder / f"{name}.log").write_text(lines(EVENT, OTHER))
    options = IngestOptions("ingest", zone_named("Australia/Sydney"), zone_asked=False)
    ingest([str(folder)], tmp_path / "t.db", options)
    assert len(events(tmp_path / "t.db")) == 2
