"""Batches that are written while the next one is read: the same rows, and no failure is lost.

Keeps the invariant that rows and the checkpoint that covers them commit in one transaction, whoever writes.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread

import pytest

from event_lines import event_message
from ingest.pipeline import ingest
from ingest.reading import scan
from ingest.reading.zone import zone_named
from ingest.storing.behind import Behind
from ingest.storing.sightings import Sightings
from ingest.storing.staging import Staged
from ingest.summary import IngestOptions

EVENTS = 1_500
OPTIONS = IngestOptions("ingest", zone_named("UTC"))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a log of event lines alone, whose batches hold some fifty each."""
    monkeypatch.setattr(scan, "MAX_BATCH_RECORDS", 50)
    monkeypatch.setattr("ingest.files.overlap.CHUNK_BYTES", 8_000)
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


def test_batches_are_written_behind_the_reading(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All batches but the last are written by another thread; the rows are those of one pass."""
    writers: list[bool] = []
    write = Sightings.write

    def watched(self: Sightings, staged: Staged) -> None:
        writers.append(current_thread() is main_thread())
        write(self, staged)

    monkeypatch.setattr(Sightings, "write", watched)
    summary = ingest([str(log)], log.with_name("t.db"), OPTIONS)
    assert (summary.events_new, rows(log)) == (EVENTS, EXPECTED)
    assert writers[:-1].count(False) == len(writers) - 1 >= 3
    assert writers[-1]


def test_failure_behind_ends_the_run_and_loses_nothing(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk met behind the reading is told; what was committed stays, the next run adds the rest."""
    write, written = Sightings.write, []

    def failing(self: Sightings, staged: Staged) -> None:
        written.append(staged.new)
        if len(written) == 3:
            raise sqlite3.OperationalError("database or disk is full")
        write(self, staged)

    monkeypatch.setattr(Sightings, "write", failing)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        ingest([str(log)], log.with_name("t.db"), OPTIONS)
    assert rows(log) == EXPECTED[: sum(written[:2])]
    monkeypatch.setattr(Sightings, "write", write)
    summary = ingest([str(log)], log.with_name("t.db"), OPTIONS)
    assert (summary.events_new, rows(log)) == (EVENTS - sum(written[:2]), EXPECTED)


def test_error_reaches_whoever_waits_once() -> None:
    """What ends the writing is raised by the next wait, and by no later one."""
    behind = Behind()

    def fail() -> None:
        raise ValueError("no")

    behind.begin(fail)
    with pytest.raises(ValueError, match="no"):
        behind.wait()
    behind.wait()


def test_signal_while_waiting_is_raised_when_the_writing_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed by whoever waits: not before the writer is done with it."""
    behind, may_end = Behind(), Event()
    ended: list[bool] = []
    wait, waited = behind._done.wait, []

    def write() -> None:
        may_end.wait()
        ended.append(True)

    def interrupted() -> None:
        waited.append(True)
        if len(waited) == 1:
            raise KeyboardInterrupt
        may_end.set()
        wait()

    monkeypatch.setattr(behind._done, "wait", interrupted)
    behind.begin(write)
    with pytest.raises(KeyboardInterrupt):
        behind.wait()
    assert ended
    behind.wait()


def test_without_a_thread_it_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that can start no more threads has its rows written all the same."""

    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", refuse)
    behind, written = Behind(), []
    behind.begin(lambda: written.append(True))
    assert written
    behind.wait()
