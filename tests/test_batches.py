"""A log that comes in many batches: rows as of one pass, known events known, and no failure is lost.

Keeps the invariant that rows and the checkpoint that covers them commit in one transaction, whoever writes.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Thread

import pytest

from event_lines import event_message
from event_rows import refusing
from faults.tables import check_invariants
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions

EVENTS = 1_500
OPTIONS = IngestOptions("ingest", zone_named("UTC"))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a log of event lines alone, whose batches hold some fifty each."""
    monkeypatch.setattr("ingest.memory.MAX_BATCH_RECORDS", 50)
    monkeypatch.setattr("ingest.files.logfile.CHUNK_BYTES", 8_000)
    path = tmp_path / "run.log"
    times = (f"19:{number // 60:02}:{number % 60:02}" for number in range(EVENTS))
    lines = [
        f"[2025-12-29 {time}] INFO: {event_message(actual_output=500 + number)}\n"
        for number, time in enumerate(times)
    ]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def rows(log: Path) -> list[tuple[int, int]]:
    """Return each event's actual, and how many lines are before it, in their order."""
    connection = sqlite3.connect(log.with_name("t.db"))
    found = connection.execute(
        "SELECT actual_output_tokens, line_number FROM token_estimation_v2_events "
        "JOIN event_sightings USING (event_id) ORDER BY byte_offset"
    ).fetchall()
    connection.close()
    return found


EXPECTED = [(500 + number, number + 1) for number in range(EVENTS)]


def test_rows_are_those_of_one_pass(log: Path) -> None:
    """Each event is there once, with the number of its line, in the order of the log."""
    summary = ingest([str(log)], log.with_name("t.db"), OPTIONS)
    assert (summary.events_new, rows(log)) == (EVENTS, EXPECTED)


def test_machine_that_can_start_no_thread_has_the_same_rows(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system's limit is reached, less is done at once, and nothing else changes."""

    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", refuse)
    summary = ingest([str(log)], log.with_name("t.db"), OPTIONS)
    assert (summary.events_new, rows(log)) == (EVENTS, EXPECTED)


RUN = "[2025-12-29 18:59:59] INFO: Initialized autonomous executor for run: collection-v4\n"


@pytest.mark.parametrize(("head", "completed"), [("a copy\n", 0), (RUN, EVENTS)], ids=["equal", "with more"])
def test_copy_adds_places_and_what_more_it_says(log: Path, head: str, completed: int) -> None:
    """Every event of every batch is known; where the copy names the run, each of them gets it."""
    database, copy = log.with_name("t.db"), log.with_name("copy.log")
    ingest([str(log)], database, OPTIONS)
    copy.write_text(head + log.read_text(encoding="utf-8"), encoding="utf-8")
    summary = ingest([str(copy)], database, OPTIONS)
    counted = (summary.events_new, summary.events_updated, summary.further_sightings)
    assert counted == (0, completed, EVENTS)
    expected = [(actual, number) for actual, before in EXPECTED for number in (before, before + 1)]
    assert sorted(rows(log)) == sorted(expected)


def test_events_of_the_last_stored_second_are_looked_up(log: Path) -> None:
    """A copy that begins within the last second that is stored adds the rest, and nothing twice."""
    database, copy = log.with_name("t.db"), log.with_name("copy.log")
    second = "[2025-12-29 19:00:00] INFO: "
    messages = [event_message(actual_output=500 + number) for number in range(6)]
    log.write_text("".join(f"{second}{message}\n" for message in messages[:4]), encoding="utf-8")
    later = f"[2025-12-29 19:00:01] INFO: {messages[0]}\n"
    copy.write_text(
        "a copy\n" + "".join(f"{second}{message}\n" for message in messages[2:]) + later, encoding="utf-8"
    )
    ingest([str(log)], database, OPTIONS)
    summary = ingest([str(copy)], database, OPTIONS)
    assert (summary.events_new, summary.further_sightings) == (3, 2)
    expected = [(500, 1), (501, 2), (502, 3), (503, 4), (502, 2), (503, 3), (504, 4), (505, 5), (500, 6)]
    assert sorted(rows(log)) == sorted(expected)


def test_batch_that_fails_ends_the_run_and_loses_nothing(log: Path) -> None:
    """What is stored is all that stands before it in the log; the next run adds the rest."""
    database, failing = log.with_name("t.db"), 1_200
    with refusing(database, f"NEW.actual_output_tokens = {500 + failing}"):
        with pytest.raises(sqlite3.IntegrityError, match="refused"):
            ingest([str(log)], database, OPTIONS)
        stored = rows(log)
        assert 100 < len(stored) <= failing
        assert stored == EXPECTED[: len(stored)]
        check_invariants(database)
    summary = ingest([str(log)], database, OPTIONS)
    assert (summary.events_new, rows(log)) == (EVENTS - len(stored), EXPECTED)
