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
from ingest.storing.staging import Staged, Staging, WrittenAtOnce
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


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note of each batch whether the main thread wrote it."""
    noted: list[bool] = []
    write = Staging.write

    def watched(self: Staging, staged: Staged) -> WrittenAtOnce:
        noted.append(current_thread() is main_thread())
        return write(self, staged)

    monkeypatch.setattr(Staging, "write", watched)
    return noted


def written_behind(writers: list[bool]) -> bool:
    """Whether all of several batches but the last were written by another thread; forget them."""
    noted, writers[:] = writers[:], []
    return noted[:-1].count(False) == len(noted) - 1 >= 3 and noted[-1]


def test_batches_are_written_behind_the_reading(log: Path, writers: list[bool]) -> None:
    """All batches but the last are written by another thread; the rows are those of one pass."""
    summary = ingest([str(log)], log.with_name("t.db"), OPTIONS)
    assert (summary.events_new, rows(log)) == (EVENTS, EXPECTED)
    assert written_behind(writers)


RUN = "[2025-12-29 18:59:59] INFO: Initialized autonomous executor for run: collection-v4\n"


@pytest.mark.parametrize(("head", "completed"), [("a copy\n", 0), (RUN, EVENTS)], ids=["alike", "with more"])
def test_batches_of_known_events_are_written_behind_too(
    log: Path, writers: list[bool], head: str, completed: int
) -> None:
    """Which events are known is found out by the other thread, and what more is told of them by it, too."""
    database, copy = log.with_name("t.db"), log.with_name("copy.log")
    ingest([str(log)], database, OPTIONS)
    assert written_behind(writers)
    copy.write_text(head + log.read_text(encoding="utf-8"), encoding="utf-8")
    summary = ingest([str(copy)], database, OPTIONS)
    assert written_behind(writers)
    counted = (summary.events_new, summary.events_updated, summary.further_sightings)
    assert counted == (0, completed, EVENTS)
    expected = [(actual, number) for actual, before in EXPECTED for number in (before, before + 1)]
    assert sorted(rows(log)) == sorted(expected)


def test_events_of_the_last_stored_second_are_looked_up(log: Path) -> None:
    """A copy that begins within the last second that is stored adds the rest, and nothing twice."""
    database, copy = log.with_name("t.db"), log.with_name("copy.log")
    second = "[2025-12-29 19:00:00] INFO: "
    messages = [event_message(actual_output=500 + number) for number in range(6)]
    log.write_text("".join(f"{second}{one}\n" for one in messages[:4]), encoding="utf-8")
    later = f"[2025-12-29 19:00:01] INFO: {messages[0]}\n"
    copy.write_text(
        "a copy\n" + "".join(f"{second}{one}\n" for one in messages[2:]) + later, encoding="utf-8"
    )
    ingest([str(log)], database, OPTIONS)
    summary = ingest([str(copy)], database, OPTIONS)
    assert (summary.events_new, summary.further_sightings) == (3, 2)
    expected = [(500, 1), (501, 2), (502, 3), (503, 4), (502, 2), (503, 3), (504, 4), (505, 5), (500, 6)]
    assert sorted(rows(log)) == sorted(expected)


def test_failure_behind_ends_the_run_and_loses_nothing(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk met behind the reading is told; what was committed stays, the next run adds the rest."""
    write, written = Staging.write, []

    def failing(self: Staging, staged: Staged) -> WrittenAtOnce:
        written.append(staged.count)
        if len(written) == 3:
            raise sqlite3.OperationalError("database or disk is full")
        return write(self, staged)

    monkeypatch.setattr(Staging, "write", failing)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        ingest([str(log)], log.with_name("t.db"), OPTIONS)
    assert rows(log) == EXPECTED[: sum(written[:2])]
    monkeypatch.setattr(Staging, "write", write)
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
