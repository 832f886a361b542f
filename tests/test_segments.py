"""A log that is read in many places at once gives the tables of one pass, whatever was guessed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from event_lines import event_message
from executor_log import Shape, executor_run, interleaved, one_after_another
from ingest.files.logfile import LogFile
from ingest.pipeline import ingest
from ingest.pool import segments, stitched
from ingest.pool.processes import Process, Processes
from ingest.pool.stitched import Stitching
from ingest.reading.scan import ScanOptions, scan
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions
from ingest.verify import verify

ROOT = Path(__file__).parent.parent
UTC = zone_named("UTC")
TABLES = ("token_estimation_v2_events", "event_sightings", "rejected_lines", "token_budget_escalation_events")


def contents(database: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all tables that logs make, but for what the time of the storing decides."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        found = {
            table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in TABLES
        }
        found["log_sources"] = [dict(row) for row in connection.execute("SELECT * FROM log_sources")]
    for rows in found.values():
        for row in rows:
            for name in ("created_at", "first_seen", "last_seen", "ending"):
                row.pop(name, None)
    for row in found["log_sources"]:  # lines may be counted up to here or there: their numbers are rows
        row["remembered"] = json.loads(row["remembered"]) | {"position": None}
    return found


def stored(log: Path, database: Path, jobs: int) -> dict[str, list[dict[str, Any]]]:
    """Ingest what is new of a finished log with so many processes."""
    options = IngestOptions("backfill", zone=UTC, finished=True, jobs=jobs)
    assert ingest([str(log)], database, options).problems == []
    return contents(database)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small logs be large, and have many segments."""
    for name, value in (("PIECE_BYTES", 9_000), ("BUSY_BYTES", 1 << 30), ("MAX_WRONG", 1_000)):
        monkeypatch.setattr(stitched, name, value)
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 12)
    monkeypatch.setattr("ingest.pool.scans.LARGE_LOG_BYTES", 1)


def mixed(rng: Random) -> bytes:
    """Return a log of several runs, some of them side by side, with a hole and a mark in the middle."""
    runs = [
        executor_run(rng, f"run-{number}", Shape(phases=rng.randrange(2, 14), killed=rng.random() < 0.2))
        for number in range(rng.randrange(3, 7))
    ]
    if rng.random() < 0.4:
        runs[:2] = [interleaved(rng, runs[:2])]
    text = one_after_another(runs).text().encode()
    for strange in (b"\0" * 40, b"\n\xef\xbb\xbf", b"\n" + "wide\n".encode("utf-16-le")):
        if rng.random() < 0.5:
            at = rng.randrange(len(text))
            text = text[:at] + strange + text[at:]
    return text


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(12))
def test_any_number_of_processes_gives_the_tables_of_one(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, sightings, rejects, counts and checkpoint are the same, in one go or in two."""
    rng = Random(seed)
    monkeypatch.setattr(segments, "GUESS_ROWS", rng.choice((1, 4, 40)))
    text, log = mixed(rng), tmp_path / "run.log"
    log.write_bytes(text[: rng.randrange(len(text))])
    for _ in range(2):
        one = stored(log, tmp_path / "one.db", jobs=1)
        assert stored(log, tmp_path / "two.db", jobs=2) == one
        log.write_bytes(text + b"[2025-12-29 19:40:02] INFO: " + event_message().encode())
    assert len(one["token_estimation_v2_events"]) > 5
    assert verify([str(log)], tmp_path / "two.db").differences == []


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("guessed", "wrong"), [(60, 1_000), (1, 2)], ids=["rightly", "wrongly"])
def test_what_is_guessed_of_a_long_log_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guessed: int, wrong: int
) -> None:
    """Four runs, one after another, of sixty phases each: the tables of one process."""
    log = tmp_path / "run.log"
    runs = [executor_run(Random(n), f"run-{n}", Shape(phases=60)) for n in range(4)]
    log.write_text(one_after_another(runs).text())
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 20)
    monkeypatch.setattr(segments, "GUESS_ROWS", guessed)
    monkeypatch.setattr(stitched, "MAX_WRONG", wrong)
    one = stored(log, tmp_path / "one.db", jobs=1)
    assert stored(log, tmp_path / "two.db", jobs=2) == one


@pytest.mark.usefixtures("small")
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_process_that_is_killed_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its segments are read here instead."""
    log = tmp_path / "run.log"
    log.write_bytes(mixed(Random(3)))
    one = stored(log, tmp_path / "one.db", jobs=1)
    call: Callable[..., Any] = Process.call
    killed: list[int] = []

    def killing(self: Any, *asked: Any) -> Any:
        if len(killed) < 3:
            killed.append(self._process.pid)
            os.kill(self._process.pid, signal.SIGKILL)
        return call(self, *asked)

    monkeypatch.setattr(Process, "call", killing)
    assert stored(log, tmp_path / "two.db", jobs=2) == one
    assert len(killed) == 3


@pytest.fixture
def two() -> Iterator[Processes]:
    """Return two processes."""
    processes = Processes(2)
    yield processes
    processes.close()


@pytest.mark.usefixtures("small")
@pytest.mark.skipif(os.name == "nt", reason="an open file keeps its name there")
def test_log_that_is_rotated_meanwhile_is_read_to_its_end(tmp_path: Path, two: Processes) -> None:
    """What is opened by its name is another log then; the file that was opened first is not."""
    text, log = mixed(Random(5)), tmp_path / "run.log"
    log.write_bytes(text)
    expected = sum(len(batch.rows) for batch in scan(LogFile(str(log)), None, ScanOptions("UTC")))
    batches = Stitching(two, 1).scan(LogFile(str(log)), None, ScanOptions("UTC"))
    first = next(batches)
    log.rename(tmp_path / "run.log.1")
    log.write_bytes(text[:2_000] + executor_run(Random(6), "other", Shape(phases=90)).text().encode())
    rest = list(batches)
    assert {batch.state for batch in (first, *rest[:-1])} == {"reading"}
    assert rest[-1].state in ("complete", "unterminated")
    rows = [one for batch in (first, *rest) for one in batch.rows.sightings]
    assert len({one.offset for one in rows}) == len(rows)
    assert abs(sum(len(batch.rows) for batch in (first, *rest)) - expected) <= len(rest)  # and amendments


@pytest.mark.usefixtures("small")
def test_log_that_is_rewritten_meanwhile_ends_there(tmp_path: Path, two: Processes) -> None:
    """Segments of two generations are never put together, though both begin alike."""
    text, log = mixed(Random(5)), tmp_path / "run.log"
    log.write_bytes(text)
    batches = Stitching(two, 1).scan(LogFile(str(log)), None, ScanOptions("UTC"))
    first = next(batches)
    other = executor_run(Random(6), "other", Shape(phases=90)).text().encode()
    with log.open("r+b") as file:
        file.truncate(0)
        file.write(text[:2_000] + other)
    *_, last = batches
    assert (first.state, last.state) == ("reading", "replaced")
    database = tmp_path / "t.db"
    stored(log, database, jobs=2)
    assert verify([str(log)], database).differences == []


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "write",
    [lambda text: text.encode("utf-16"), lambda text: gzip.compress(text.encode())],
    ids=["UTF-16", "gzip"],
)
def test_wide_and_packed_logs_give_the_tables_of_one_process(
    tmp_path: Path, write: Callable[[str], bytes]
) -> None:
    """There is no telling where a line of theirs begins but by reading them from their start."""
    log = tmp_path / "run.log"
    log.write_bytes(write(executor_run(Random(1), "run", Shape(phases=20)).text()))
    one = stored(log, tmp_path / "one.db", jobs=1)
    assert len(one["token_estimation_v2_events"]) > 5
    assert stored(log, tmp_path / "two.db", jobs=2) == one


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_processes_of_a_run_that_is_killed_end_without_a_word() -> None:
    """They find nobody to answer to."""
    program = (
        "import os, signal, time; from ingest.pool.processes import Process; one = Process();"
        "ask = __import__('threading').Thread(target=one.call, args=(time.sleep, 1)); ask.start();"
        "time.sleep(0.3); os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # until all let go
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")


def test_processes_end_with_the_run() -> None:
    """None is left behind."""
    two = Processes(2)
    assert two.submit(lambda process: process.call(len, b"four"), lambda: 0).result() == 4
    processes = [one._process for one in two._all]
    two.close()
    assert [process.poll() for process in processes] == [0]
