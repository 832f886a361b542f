"""Logs read by others ahead of time give what reading them here gives, whatever happens to the others."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import event_message, logged
from faults.cluster import Cluster, cluster, killing_a_worker, killing_the_client, local, write_logs
from ingest.errors import ClusterUnusable
from ingest.files.logfile import FileState, LogFile
from ingest.pool.ahead import Ahead, Executors
from ingest.pool.parts import OtherVersion, Wanted, read_part
from ingest.pool.scans import scans_of
from ingest.reading.batch import Batch
from ingest.reading.scan import ScanOptions, scan
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary

OPTIONS = ScanOptions("UTC")


def everything_is_new(log: LogFile, state: FileState) -> bool:
    """Have every log read ahead."""
    return not log.is_stream and bool(state.size_bytes)


def found(folder: Path) -> list[tuple[LogFile, FileState | None]]:
    """Return the logs of a folder, in the order of their names."""
    logs = [LogFile(str(path)) for path in sorted(folder.rglob("*.*"))]
    return [(log, log.state()) for log in logs]


def content(batches: Iterator[Batch]) -> tuple[list[object], Batch]:
    """Return all rows of a log, however it was cut into batches, and the last batch without them."""
    rows: list[object] = []
    for batch in batches:
        parts = (batch.rows.sightings, batch.rows.rejects, batch.rows.escalations)
        rows += [(one.offset, one.line_number, one.seen.payload) for one in parts[0]]
        rows += [*parts[1], *parts[2]]
    return rows, replace(batch, rows=type(batch.rows)(), bytes_read=0)


def dense(count: int) -> str:
    """Return a log of event lines alone."""
    lines = (logged(event_message(predicted_output=number + 1)) for number in range(count))
    return "".join(f"{line}\n" for line in lines)


def test_logs_read_ahead_are_those_that_are_read_here(tmp_path: Path, examples: Path) -> None:
    """Small logs in groups and large ones in parts, plain and packed, come in their order and whole."""
    for path in (examples / "logs").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "large.log").write_text(dense(20_000))
    (tmp_path / "large.log.gz").write_bytes(gzip.compress(dense(9_000).encode()))
    (tmp_path / "empty.log").touch()
    logs = found(tmp_path)
    with ProcessPoolExecutor(1) as executor:
        ahead = Ahead(Executors(executor, 2), lambda _: "UTC", finished=False)
        passed = list(ahead.through(iter(logs), everything_is_new))
        assert passed == logs
        for log, state in logs:
            if state is not None and state.size_bytes:
                assert content(ahead.scan(log, None, OPTIONS)) == content(scan(log, None, OPTIONS)), log
    assert ahead.refused == []


def test_log_that_changed_since_it_was_looked_up_is_read_here(tmp_path: Path) -> None:
    """A worker reads only what it sees as it was seen here; nothing is lost by its refusal."""
    path = tmp_path / "run.log"
    path.write_text(dense(3))
    logs = found(tmp_path)
    path.write_text(dense(5))
    with ThreadPoolExecutor(1) as executor:
        ahead = Ahead(Executors(executor, 2), lambda _: "UTC", finished=False)
        ((log, _),) = ahead.through(iter(logs), everything_is_new)
        rows, _ = content(ahead.scan(log, None, OPTIONS))
    assert len(rows) == 5
    assert ahead.refused == [(log, f"{path}: of another size or time there")]


def test_log_that_is_replaced_between_two_parts_is_begun_anew(tmp_path: Path) -> None:
    """What was read of it stands, and the batch after that says that another log is there now."""
    path = tmp_path / "run.log"
    path.write_text(dense(20_000))
    with ThreadPoolExecutor(1) as executor:
        ahead = Ahead(Executors(executor, 2), lambda _: "UTC", finished=False)
        ((log, _),) = ahead.through(iter(found(tmp_path)), everything_is_new)
        batches = ahead.scan(log, None, OPTIONS)
        executor.submit(
            path.write_text, dense(20_000).replace("predicted_output=", "predicted_output=9")
        ).result()
        *_, last = batches
    assert last.state == "replaced"
    assert not last.rows


def test_another_version_reads_nothing(tmp_path: Path) -> None:
    """A worker that was not upgraded might read other things out of the same lines."""
    (tmp_path / "run.log").write_text(dense(3))
    ((log, state),) = found(tmp_path)
    assert state is not None
    wanted = Wanted(log, state, "UTC", finished=False)
    part = read_part(wanted)
    assert len(part.batches[0].rows.sightings) == 3
    with pytest.raises(OtherVersion, match=r"tokentail .*, and here is 0\.0\.0"):
        read_part(replace(wanted, version="0.0.0"))


def test_scheduler_that_is_not_there_is_named(tokentail: Tokentail, examples: Path) -> None:
    """An address that means nothing ends the run with a sentence, and the next run without it works."""
    pytest.importorskip("distributed")
    done = tokentail("backfill", examples / "logs", "--tz", "UTC", "--scheduler", "nothing://here")
    assert done.returncode == 1
    assert "nothing://here: no Dask scheduler can be reached there" in done.stderr
    assert "Traceback" not in done.stderr
    assert tokentail("backfill", examples / "logs", "--tz", "UTC", "--jobs", "1").returncode == 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Start a scheduler and two workers."""
    pytest.importorskip("distributed")
    if sys.platform == "win32":
        pytest.skip("starting it takes too long there")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with cluster() as running:
        yield running


def test_cluster_gives_the_tables_of_a_local_run_whoever_is_killed(started: Cluster, tmp_path: Path) -> None:
    """A worker is killed midway, then the client, then the scheduler: exact, or said and gone on with."""
    logs = tmp_path / "logs"
    write_logs(logs, 60)
    expected = local(logs, tmp_path / "local.db")
    assert killing_a_worker(started, logs, tmp_path / "worker.db", 5) == expected
    assert killing_the_client(started, logs, tmp_path / "client.db", 50) == expected
    options = IngestOptions("backfill", zone_named("UTC"), scheduler=started.address)
    with (
        pytest.raises(ClusterUnusable, match=f"{started.address}: the scheduler is gone .*run the command"),
        scans_of(options, Summary("", "")) as scans,
    ):
        passed = scans.through(iter(found(logs)), everything_is_new)
        started.stop()
        for log, _ in passed:
            list(scans.scan(log, None, OPTIONS))
