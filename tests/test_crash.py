"""Killed at any instant, the next run ends in the database that a run which was never killed makes.

Every child is a real process that dies without any clean-up: by SIGKILL at a random moment, or by
`os._exit` between two statements or around a commit. Batches are made tiny, so that there are many.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

import ingest.reading.scan
from captures import COMPRESSIONS, capture
from executor_log import ZONE, Shape, executor_run, interleaved, phase_names
from faults.tables import Tables, check_invariants, opened, tables
from ingest import pipeline
from ingest.errors import DatabaseBusy
from ingest.pipeline import ingest as ingest_logs
from ingest.reading.zone import zone_named
from ingest.storing import database, store
from ingest.summary import IngestOptions, Summary

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")

DIED = 86
"""Exit status of a child that was made to die; any other one is a failure of the test itself."""


def read(database: Path, logs: Path, finished: bool = False, wait_seconds: float = 0.0) -> Summary:
    """Ingest a folder."""
    zone = zone_named(ZONE)
    options = IngestOptions(command="ingest", zone=zone, finished=finished, wait_seconds=wait_seconds)
    return ingest_logs([str(logs)], database, options)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Make a folder of logs of every kind, with sightings of one event in several of them."""
    rng, folder = Random(7), tmp_path / "logs"
    folder.mkdir()
    shape = Shape(phases=4)
    alone = executor_run(rng, "run-a", shape)
    names = phase_names(4)
    mixed = interleaved(rng, [executor_run(rng, f"run-{letter}", shape, names) for letter in "bcd"])
    (folder / "alone.log").write_text(alone.text(), encoding="utf-8")
    (folder / "mixed.log").write_text(mixed.text(), encoding="utf-8")
    (folder / "events.txt").write_text(alone.excerpt().text(), encoding="utf-8")
    (folder / "capture.txt").write_bytes(capture(mixed, 119))
    (folder / "script.log.1.gz").write_bytes(COMPRESSIONS["gz"](alone.text("script").encode()))
    bare = alone.events[0].message
    (folder / "rejects.log").write_text(f"{bare}\n[2025-12-29 19:40:02] INFO: {bare[:60]}\n{bare}")
    return folder


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit every few rows."""
    monkeypatch.setattr(ingest.reading.scan, "MAX_BATCH_RECORDS", 3)


def in_child(work: Callable[[], object]) -> int:
    """Start a process that works and dies; return its id. It never comes back to pytest."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except DatabaseBusy:
            status = 75
        finally:
            os._exit(status)
    return child


def status_of(child: int) -> int:
    """Wait for a child; return its exit status, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def unkilled(tmp_path: Path, logs: Path, finished: bool = False) -> Tables:
    """Return the tables of one run that nothing disturbs."""
    database = tmp_path / "unkilled.db"
    read(database, logs, finished)
    check_invariants(database)
    return tables(database)


@contextmanager
def dying_around_commit(number: int, when: str) -> Iterator[None]:
    """Die just before, or just after, the commit of the transaction with this number."""
    original, begun = database.immediate, []

    @contextmanager
    def immediate(connection: sqlite3.Connection) -> Iterator[None]:
        begun.append(1)
        with original(connection):
            yield
            if when == "before" and len(begun) == number:
                os._exit(DIED)
        if when == "after" and len(begun) == number:
            os._exit(DIED)

    database.immediate = store.immediate = pipeline.immediate = immediate  # type: ignore[assignment]
    try:
        yield
    finally:
        database.immediate = store.immediate = pipeline.immediate = original


@contextmanager
def statements_traced(trace: Callable[[str], None]) -> Iterator[None]:
    """Call `trace` before every statement of every connection."""
    original = sqlite3.connect

    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = original(*arguments, **options)  # type: ignore[call-overload]
        connection.set_trace_callback(trace)
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]
    try:
        yield
    finally:
        sqlite3.connect = original


def count_of_transactions(database: Path, logs: Path) -> int:
    """Count the transactions of one run."""
    begun = []
    with statements_traced(lambda statement: begun.append(statement == "BEGIN IMMEDIATE")):
        read(database, logs)
    return sum(begun)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("when", ["before", "after"])
def test_death_around_any_commit_changes_nothing_in_the_end(tmp_path: Path, logs: Path, when: str) -> None:
    """Dead just before or just after the n-th commit, for every n: the next run ends where it should."""
    expected = unkilled(tmp_path, logs)
    commits = count_of_transactions(tmp_path / "counted.db", logs)
    assert commits > 15
    for number in range(1, commits + 1):
        database = tmp_path / f"{number}.db"
        with dying_around_commit(number, when):
            child = in_child(lambda database=database: read(database, logs))  # type: ignore[misc]
        assert status_of(child) == DIED
        if number > 1 or when == "after":
            check_invariants(database)
        read(database, logs)
        check_invariants(database)
        assert tables(database) == expected


@pytest.mark.usefixtures("small_batches")
def test_death_between_any_two_statements_changes_nothing_in_the_end(tmp_path: Path, logs: Path) -> None:
    """Dead before the n-th SQL statement, schema and all: no half batch is left, the next run completes."""
    expected = unkilled(tmp_path, logs)
    statements: list[str] = []
    with statements_traced(statements.append):
        read(tmp_path / "counted.db", logs)
    points = [*range(1, 40, 3), *Random(3).sample(range(40, len(statements)), 25)]
    for point in points:
        database, seen = tmp_path / f"{point}.db", []

        def die(statement: str, seen: list[str] = seen, point: int = point) -> None:
            seen.append(statement)
            if len(seen) == point:
                os._exit(DIED)

        with statements_traced(die):
            child = in_child(lambda database=database: read(database, logs))  # type: ignore[misc]
        assert status_of(child) == DIED
        read(database, logs)
        check_invariants(database)
        assert tables(database) == expected, f"died before statement {point}: {statements[point - 1]}"


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("finished", [False, True], ids=["growing", "finished"])
def test_sigkill_at_random_moments_changes_nothing_in_the_end(
    tmp_path: Path, logs: Path, finished: bool
) -> None:
    """Killed again and again, at moments of the clock, with appends in between: exactly once."""
    whole = {path: path.read_bytes() for path in logs.iterdir()}
    growing = sorted(path for path in whole if path.suffix != ".gz")
    started = time.monotonic()
    expected = unkilled(tmp_path, logs, finished)
    usual_seconds = time.monotonic() - started
    seed = random.SystemRandom().randrange(1 << 30)
    rng, killed = Random(seed), 0
    for trial in range(4):
        database = tmp_path / f"{trial}.db"
        for path in growing:
            path.write_bytes(b"")
        for part in [*range(1, 9), 8, 8, 8]:  # at last nothing is written any more
            for path in growing:
                written = path.stat().st_size
                with path.open("ab") as file:
                    file.write(whole[path][written : len(whole[path]) * part // 8])
            child = in_child(lambda database=database: read(database, logs, finished))  # type: ignore[misc]
            time.sleep(rng.random() * usual_seconds)
            os.kill(child, signal.SIGKILL)
            killed += status_of(child) == -signal.SIGKILL
        read(database, logs, finished)
        check_invariants(database)
        assert tables(database) == expected, f"seed {seed}, trial {trial}, killed {killed} times"


@pytest.mark.usefixtures("small_batches")
def test_killed_ingest_leaves_a_row_that_says_so(tmp_path: Path, logs: Path) -> None:
    """A run that was killed stays unfinished in `ingest_runs`, and blocks nobody."""
    with dying_around_commit(2, "after"):
        child = in_child(lambda: read(tmp_path / "t.db", logs))
    assert status_of(child) == DIED
    read(tmp_path / "t.db", logs)
    with opened(tmp_path / "t.db") as connection:
        runs = [tuple(row) for row in connection.execute("SELECT finished_at IS NULL FROM ingest_runs")]
    assert runs == [(1,), (0,)]


def slow_child(database: Path, logs: Path, wait_seconds: float) -> None:
    """Ingest with a pause in every transaction, so that processes do overlap."""
    original = store.Store.commit

    def commit(self: store.Store, *arguments: object) -> object:
        time.sleep(0.01)
        return original(self, *arguments)  # type: ignore[arg-type]

    store.Store.commit = commit  # type: ignore[assignment,method-assign]
    read(database, logs, wait_seconds=wait_seconds)


@pytest.mark.usefixtures("small_batches")
def test_one_of_four_overlapping_ingests_works_and_the_others_say_busy(tmp_path: Path, logs: Path) -> None:
    """Without waiting, a second ingest of one database ends at once, and the tables are exact."""
    expected, database = unkilled(tmp_path, logs), tmp_path / "shared.db"
    children = [in_child(lambda: slow_child(database, logs, 0.0)) for _ in range(4)]
    assert sorted(status_of(child) for child in children) == [0, 75, 75, 75]
    check_invariants(database)
    assert tables(database) == expected


@pytest.mark.usefixtures("small_batches")
def test_four_overlapping_ingests_that_wait_all_succeed(tmp_path: Path, logs: Path) -> None:
    """With time to wait, all four end well, and what the first has stored is not stored again."""
    expected, database = unkilled(tmp_path, logs), tmp_path / "shared.db"
    children = [in_child(lambda: slow_child(database, logs, 60.0)) for _ in range(4)]
    assert [status_of(child) for child in children] == [0, 0, 0, 0]
    check_invariants(database)
    assert tables(database) == expected
    with opened(database) as connection:
        counted = sorted(tuple(row) for row in connection.execute("SELECT events_new FROM ingest_runs"))
    assert counted[:3] == [(0,), (0,), (0,)]
