"""Logs read by others give what reading them here gives, whatever happens to the others."""

from __future__ import annotations

import gzip
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from conftest import Tokentail
from event_lines import event_message, logged
from faults.cluster import Cluster as Started
from faults.cluster import cluster, killing_a_worker, killing_the_client, local, write_logs
from faults.tables import tables
from ingest.cluster import Cluster, Tasks
from ingest.errors import ClusterUnusable
from ingest.files.logfile import LogFile
from ingest.notices import Notice
from ingest.pipeline import ingest
from ingest.pool import End, OtherVersion, Processes, Task, read_log, unpacked
from ingest.reading.batch import Batch
from ingest.reading.scan import ScanOptions, scan
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary


def found(folder: Path) -> list[Task]:
    """Return the logs of a folder that hold anything, in the order of their names."""
    logs = [LogFile(str(path)) for path in sorted(folder.rglob("*.*"))]
    states = [(log, log.state()) for log in logs]
    return [
        Task(number, log, state, "UTC", finished=False)
        for number, (log, state) in enumerate(states)
        if state.size_bytes
    ]


def taken(pool: Processes | Tasks, tasks: list[Task]) -> dict[int, list[Batch]]:
    """Have logs read by a pool; return the batches of each that came to its end."""
    batches: dict[int, list[Batch]] = {task.number: [] for task in tasks}
    left = set(batches)
    while left:
        got = pool.take(wait=True)
        assert got is not None
        number, part = got
        if isinstance(part, End):
            assert part == End()
            left.remove(number)
        else:
            batches[number].append(part)
    return batches


def content(batches: list[Batch]) -> tuple[list[object], Batch]:
    """Return all rows of a log, however it was cut into batches, and the last batch without them."""
    rows: list[object] = []
    for batch in batches:
        parts = batch.rows
        rows += [*parts.sightings, *parts.amendments, *parts.rejects, *parts.escalations]
    return rows, replace(batches[-1], rows=type(batches[-1].rows)(), bytes_read=0)


def read_in_process(task: Task) -> list[Batch]:
    """Read a log in this process."""
    return list(scan(task.log, None, ScanOptions("UTC")))


def dense(count: int) -> str:
    """Return a log of event lines alone."""
    lines = (logged(event_message(predicted_output=number + 1)) for number in range(count))
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture
def logs(tmp_path: Path, examples: Path) -> Path:
    """Make a folder of logs: small and large, plain and packed, cut short, empty, of two names; of old."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for path in (examples / "logs").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "large.log").write_text(dense(20_000))
    (folder / "large.log.gz").write_bytes(gzip.compress(dense(9_000).encode()))
    (folder / "cut.log.gz").write_bytes(gzip.compress(dense(3_000).encode())[:-9])
    (folder / "binary.log").write_bytes(bytes(range(32)) * 40)
    (folder / "empty.log").touch()
    (folder / "link.log").symlink_to(folder / "large.log")
    for path in folder.iterdir():
        os.utime(path, (1_000_000, 1_000_000))
    return folder


def read(logs: Path, database: str, jobs: int) -> Summary:
    """Backfill a folder."""
    options = IngestOptions("backfill", zone_named("UTC"), finished=True, jobs=jobs)
    return ingest([str(logs)], logs.parent / database, options)


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other processes read logs, however small those are."""
    monkeypatch.setattr("ingest.pipeline.LARGE_BYTES", 0)


def test_batches_that_travel_are_those_that_are_read_here(logs: Path) -> None:
    """Every value of every row, with its type: from processes; from an executor in groups and in parts."""
    (logs / "binary.log").unlink()
    (logs / "cut.log.gz").unlink()
    tasks = found(logs)
    expected = {task.number: content(read_in_process(task)) for task in tasks}
    with Processes(2) as pool:
        for task in tasks:
            pool.submit(task)
        received = {number: content(got) for number, got in taken(pool, tasks).items()}
    assert received == expected
    assert repr(received) == repr(expected)  # equal tuples may be of different kinds
    packed = {task.number for task in tasks if task.log.path.endswith("large.log.gz")}
    plain = [task for task in tasks if task.number not in packed]
    with ThreadPoolExecutor(1) as executor:
        pool_of_threads = Tasks()
        pool_of_threads.use(executor, 2)
        for task in plain:
            pool_of_threads.submit(task)
        for number, got in taken(pool_of_threads, plain).items():
            assert content(got) == expected[number]
    assert pool_of_threads.refused == []


@pytest.mark.usefixtures("pooled")
def test_tables_are_those_of_one_process(logs: Path) -> None:
    """Rows, counts and what is said, in its order, for logs of every kind; and the next run finds nothing."""
    alone, pooled = read(logs, "one.db", 1), read(logs, "two.db", 2)
    pooled.database = alone.database
    assert pooled == alone
    assert len(alone.warnings) == 1
    assert tables(logs.parent / "two.db") == tables(logs.parent / "one.db")
    assert read(logs, "two.db", 2).events_new == 0


@pytest.mark.usefixtures("pooled")
def test_batches_wait_for_the_writer(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hardly anything may wait, workers stop and go on, and all of it comes."""
    monkeypatch.setattr("ingest.memory.MAX_QUEUED_BYTES", 1)
    read(logs, "one.db", 1)
    read(logs, "two.db", 3)
    assert tables(logs.parent / "two.db") == tables(logs.parent / "one.db")


@pytest.mark.usefixtures("pooled")
@pytest.mark.skipif(sys.platform != "linux", reason="finds its processes in /proc")
def test_what_a_process_was_doing_that_dies_is_done_here(logs: Path) -> None:
    """Each process is killed as soon as it is seen: the tables are whole all the same."""
    for number in range(6):
        (logs / f"more-{number}.log").write_text(dense(9_000).replace("[20", f"[{19 - number}"))
    read(logs, "one.db", 1)
    killed: list[int] = []

    def report(done: int, total: int) -> None:  # noqa: ARG001
        for task in Path("/proc/self/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                if child not in killed:
                    os.kill(child, signal.SIGKILL)
                    killed.append(child)

    options = IngestOptions("backfill", zone_named("UTC"), finished=True, jobs=2, report=report)
    ingest([str(logs)], logs.parent / "two.db", options)
    assert len(killed) > 2
    assert tables(logs.parent / "two.db") == tables(logs.parent / "one.db")


class Dying:
    """A pool whose worker ends at the same place of every log, after so many parts."""

    def __init__(self, after: int) -> None:
        """Begin with no log."""
        self._after = after
        self._tasks: list[Task] = []
        self._parts: list[tuple[int, Batch | End]] = []

    def submit(self, task: Task) -> None:
        """Keep a log for later."""
        self._tasks.append(task)

    def take(self, wait: bool) -> tuple[int, Batch | End] | None:
        """Read when everything is waited for, the last log first."""
        if not self._parts and wait:
            task = self._tasks.pop()
            parts = [part for part in map(unpacked, read_log(task)) if isinstance(part, Batch)]
            lost = End(is_whole=False, refusal="its machine is gone")
            self._parts = [(task.number, part) for part in (*parts[: self._after], lost)]
        return self._parts.pop(0) if self._parts else None

    def notices(self) -> list[Notice]:
        """Say nothing."""
        return []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""


@pytest.mark.parametrize("after", range(5))
def test_worker_may_end_after_any_batch(logs: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Also after the last one: what it read is stored once, and the rest is read here."""
    expected = read(logs, "one.db", 1)
    monkeypatch.setattr("ingest.pipeline._pool_for", lambda *_: Dying(after))
    found = read(logs, "two.db", 2)
    assert (found.files_read, found.events_new) == (expected.files_read, expected.events_new)
    assert tables(logs.parent / "two.db") == tables(logs.parent / "one.db")


def test_log_that_changed_since_it_was_looked_up_is_refused(tmp_path: Path) -> None:
    """A worker reads only what it sees as it was seen here; its refusal says so."""
    path = tmp_path / "run.log"
    path.write_text(dense(3))
    (task,) = found(tmp_path)
    path.write_text(dense(5))
    assert list(map(unpacked, read_log(task))) == [
        End(is_whole=False, refusal=f"{path}: of another size or time there")
    ]


def test_another_version_reads_nothing(tmp_path: Path) -> None:
    """A worker that was not upgraded might read other things out of the same lines."""
    (tmp_path / "run.log").write_text(dense(3))
    (task,) = found(tmp_path)
    batch, end = map(unpacked, read_log(task))
    assert isinstance(batch, Batch)
    assert (len(batch.rows.sightings), end) == (3, End())
    with pytest.raises(OtherVersion, match=r"tokentail .*, and here is 0\.0\.0"):
        next(read_log(replace(task, version="0.0.0")))


def test_scheduler_that_is_not_there_is_named(tokentail: Tokentail, examples: Path) -> None:
    """An address that means nothing ends the run with a sentence, and the next run without it works."""
    pytest.importorskip("distributed")
    done = tokentail("backfill", examples / "logs", "--tz", "UTC", "--scheduler", "nothing://here")
    assert done.returncode == 1
    assert "nothing://here: no Dask scheduler can be reached there" in done.stderr
    assert "Traceback" not in done.stderr
    assert tokentail("backfill", examples / "logs", "--tz", "UTC", "--jobs", "1").returncode == 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Start a scheduler and two workers."""
    pytest.importorskip("distributed")
    if sys.platform == "win32":
        pytest.skip("starting it takes too long there")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with cluster() as running:
        yield running


def test_cluster_gives_the_tables_of_a_local_run_whoever_is_killed(started: Started, tmp_path: Path) -> None:
    """A worker is killed midway, then the client, then the scheduler: exact, or said and gone on with."""
    logs = tmp_path / "logs"
    write_logs(logs, 60)
    expected = local(logs, tmp_path / "local.db")
    assert killing_a_worker(started, logs, tmp_path / "worker.db", 5) == expected
    assert killing_the_client(started, logs, tmp_path / "client.db", 50) == expected
    with (
        Cluster(started.address) as pool,
        pytest.raises(ClusterUnusable, match=f"{started.address}: the scheduler is gone .*run the command"),
    ):
        for task in found(logs):
            pool.submit(task)
        started.stop()
        while True:
            pool.take(wait=True)
