"""Short logs share a transaction: all of them are stored, or none; one by one gives the same rows."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from event_lines import anchor_message, event_message, logged
from event_rows import refusing
from faults.tables import check_invariants, events, rows
from ingest import pipeline
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary

LOGS = 120


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Make a folder of short logs: some with two events, some that say what others say, one without any."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(LOGS):
        numbers = [number, number // 10] if number else []
        lines = [logged(event_message(predicted_output=1_000 + number)) for number in numbers]
        (folder / f"{number:03d}.log").write_text("\n".join([f"log {number}", *lines, ""]))
    return folder


def checked_rows(database: Path) -> list[list[dict[str, Any]]]:
    """Return the events and where they were seen, of a database that is as it must be."""
    check_invariants(database)
    return [events(database), rows(database, "event_sightings", "source_id, byte_offset")]


def read(logs: Path, database: str = "t.db", **options: Any) -> Summary:
    """Ingest a folder."""
    return ingest([str(logs)], logs.parent / database, IngestOptions("ingest", zone_named("UTC"), **options))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a log wait for others however long that takes: on a busy machine too as many as may."""
    monkeypatch.setattr(pipeline, "GROUP_SECONDS", 1e9)


LIMITS = {"one by one": ("LOGS", 1), "by rows": ("ROWS", 3), "by time": ("SECONDS", 0.0)}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(("limit", "value"), LIMITS.values(), ids=LIMITS)
def test_short_logs_are_stored_the_same_however_many_share_a_transaction(
    logs: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    """Rows and counts are those of as many as may wait, whatever ends the waiting."""
    together = read(logs)
    monkeypatch.setattr(pipeline, f"GROUP_{limit}", value)
    other = read(logs, "other.db")
    together.database = other.database
    assert together == other
    assert (other.files_read, other.events_new, other.further_sightings) == (LOGS, LOGS, LOGS - 2)
    assert checked_rows(logs.parent / "t.db") == checked_rows(logs.parent / "other.db")
    assert read(logs).files_read == 0


@pytest.mark.usefixtures("patient")
def test_cut_lines_become_events_as_if_stored_singly(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs that end within an event which others hold whole, before them and after them."""
    for number in range(1, LOGS, 7):
        log = logs / f"{number:03d}.log"
        log.write_bytes(log.read_bytes()[: -1 - number % 4])
    read(logs, finished=True)
    monkeypatch.setattr(pipeline, "GROUP_LOGS", 1)
    read(logs, "alone.db", finished=True)
    assert checked_rows(logs.parent / "t.db") == checked_rows(logs.parent / "alone.db")


@pytest.mark.usefixtures("patient")
def test_all_that_wait_are_stored_or_none(logs: Path) -> None:
    """A transaction that fails leaves no log half stored, and none counted; the next run has them all."""
    database = logs.parent / "t.db"
    with refusing(database, "NEW.predicted_output_tokens = 1070"):
        with pytest.raises(sqlite3.IntegrityError, match="refused"):
            read(logs)
        checked_rows(database)
        whole = rows(database, "log_sources", "source_id")
    assert 0 < len(whole) <= 70
    assert all(source["sightings"] == 2 for source in whole[1:])  # the first log has none
    assert read(logs).files_read == LOGS - len(whole)
    read(logs, "at_once.db")
    assert checked_rows(database) == checked_rows(logs.parent / "at_once.db")


@pytest.mark.usefixtures("patient")
def test_grown_logs_go_on_from_their_checkpoints_together(logs: Path) -> None:
    """As they would alone; a copy that did not grow is its own log."""
    read(logs)
    (logs / "zcopy.log").write_bytes((logs / "050.log").read_bytes())
    for number in range(40, 100):
        with (logs / f"{number:03d}.log").open("a") as file:
            file.write(logged(event_message(predicted_output=5_000 + number)) + "\n")
    grown = read(logs)
    assert (grown.files_read, grown.events_new, grown.warnings, grown.notes) == (61, 60, [], [])
    read(logs, "at_once.db")
    assert checked_rows(logs.parent / "t.db")[0] == checked_rows(logs.parent / "at_once.db")[0]
    assert read(logs).files_read == 0


@pytest.mark.usefixtures("patient")
def test_who_stops_a_run_keeps_what_was_read(logs: Path) -> None:
    """What waits for others when a run is interrupted is stored, and counted."""
    seen: list[int] = []

    def report(done: int, total: int) -> None:  # noqa: ARG001
        seen.append(done)
        if len(seen) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(logs, report=report)
    assert len(events(logs.parent / "t.db")) == 7  # six of their own, and the one that all ten share
    assert read(logs).files_read == LOGS - 7


@pytest.mark.usefixtures("patient")
def test_notices_of_logs_come_in_the_order_of_the_logs(logs: Path) -> None:
    """Two that can't be read to their ends, among others that can: all that they hold is stored."""
    for name in ("060", "020"):
        packed = gzip.compress((logs / f"{name}.log").read_bytes())
        (logs / f"{name}.log.gz").write_bytes(packed[:-4])
    summary = read(logs)
    assert (summary.files_read, summary.events_new) == (LOGS + 2, LOGS)
    assert [Path(text.partition(": ")[0]).name for text in summary.warnings] == ["020.log.gz", "060.log.gz"]
    assert summary.further_sightings == LOGS - 2 + 4
    checked_rows(logs.parent / "t.db")


INIT = logged("Initialized autonomous executor for run: RR")
CALL = (
    logged("[pX] Step 1/4: Generating code with Builder (via LlmService)..."),
    logged(anchor_message("pX")),
)
EVENT, OTHER = logged(event_message()), logged(event_message(predicted_output=7))
LATER = logged("[pX] Builder succeeded (9 tokens)")


def lines(*texts: str) -> str:
    """Write whole lines."""
    return "".join(f"{text}\n" for text in texts)


TOGETHER = {
    "a later line about a stored event, and a copy of it": [
        {"a": lines(EVENT)},
        {"a": lines(EVENT, LATER), "b": lines(INIT, EVENT)},
    ],
    "the same, and the copy names another phase": [
        {"a": lines(EVENT)},
        {"a": lines(EVENT, LATER), "b": lines(INIT, *(line.replace("pX", "pY") for line in CALL), EVENT)},
    ],
    "two copies that learn different phases": [
        {"a": lines(EVENT), "b": lines(INIT, EVENT)},
        {"a": lines(EVENT, LATER), "b": lines(INIT, EVENT, LATER.replace("pX", "pY"))},
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


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("runs", TOGETHER.values(), ids=TOGETHER)
def test_logs_that_have_to_do_with_each_other_are_stored_as_one_by_one(
    runs: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one transaction, or one after another: the rows are the same, and so is what is said of them.

    An event that two logs complete is counted once in one transaction; ids may be others.
    """
    found = []
    for most in (50, 1):
        monkeypatch.setattr(pipeline, "GROUP_LOGS", most)
        folder = tmp_path / f"logs {most}"
        folder.mkdir()
        for files in runs:
            for name, text in files.items():
                (folder / f"{name}.log").write_text(text)
            summary = read(folder, f"{most}.db", finished=True)
        summary.database, summary.events_updated, summary.further_sightings = "", 0, 0
        found.append((summary, checked_rows(tmp_path / f"{most}.db")))
    assert found[0] == found[1]


@pytest.mark.usefixtures("patient")
def test_copy_of_a_log_that_is_read_on_meanwhile(tmp_path: Path) -> None:
    """Its zone is that of its original, which may wait for its transaction while the copy is looked at."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.log").write_text(lines(EVENT))
    read(folder)
    for name in ("a", "b"):
        (folder / f"{name}.log").write_text(lines(EVENT, OTHER))
    options = IngestOptions("ingest", zone_named("Australia/Sydney"), zone_asked=False)
    ingest([str(folder)], tmp_path / "t.db", options)
    assert len(events(tmp_path / "t.db")) == 2
