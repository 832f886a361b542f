"""`make cluster`: a real Dask cluster reads thousands of logs, and its workers and its client are killed.

Scheduler and workers are processes of their own on this machine. However they end, the tables must be
those of a local run.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from bench.logs import write_sparse
from faults.tables import Tables, check_invariants, tables

LOG_BYTES = 40_000
"""Size of a log: small ones, as a fleet leaves them."""

PATTERNS = 5
"""How many different logs are made; the others are the same in another year, which is quicker to write."""

WORKERS = 2
_WAIT_SECONDS = 60
_OURS = [sys.executable, "-c", "from ingest.cli import main; main()"]
_DASK = [sys.executable, "-m", "dask"]


@dataclass
class Cluster:
    """A scheduler and its workers, each of them a process."""

    folder: Path
    address: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    scheduler: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start all of it, and wait for the address."""
        scheduler_file = self.folder / "scheduler.json"
        place = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = _started([*_DASK, "scheduler", *place, "--scheduler-file", str(scheduler_file)])
        for _ in range(WORKERS):
            self.add_worker()
        _wait(scheduler_file.exists)
        self.address = json.loads(scheduler_file.read_text(encoding="utf-8"))["address"]

    def add_worker(self) -> None:
        """Start a worker, which waits for the scheduler."""
        scheduler_file = self.folder / "scheduler.json"
        alone = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", "127.0.0.1"]
        where = ["--scheduler-file", str(scheduler_file), "--local-directory", str(self.folder)]
        self.workers.append(_started([*_DASK, "worker", *alone, *where]))

    def kill_worker(self) -> None:
        """End a worker as a lost machine does."""
        _ended(self.workers.pop(0))

    def stop(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            if process is not None:
                _ended(process)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster, and end it."""
    with tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as folder:
        started = Cluster(Path(folder))
        try:
            started.start()
            yield started
        finally:
            started.stop()


def write_logs(folder: Path, number: int) -> None:
    """Write logs that share no event: `PATTERNS` different ones, the same in the next year, and so on.

    Every tenth is compressed.
    """
    patterns: list[bytes] = []
    folder.mkdir(parents=True)
    for seed in range(min(number, PATTERNS)):
        write_sparse(folder / "pattern", LOG_BYTES, seed)
        patterns.append((folder / "pattern").read_bytes())
        (folder / "pattern").unlink()
    for log in range(number):
        data = patterns[log % PATTERNS].replace(b"[2024-", b"[%d-" % (1_800 + log // PATTERNS))
        path = folder / f"host-{log % 20}" / f"run-{log:05}.log"
        path.parent.mkdir(exist_ok=True)
        if log % 10 == 0:
            path, data = path.with_suffix(".log.gz"), gzip.compress(data, mtime=0)
        path.write_bytes(data)


def local(logs: Path, database: Path) -> Tables:
    """Backfill in one process."""
    subprocess.run(backfill(logs, database), check=True)
    return tables(database)


def backfill(logs: Path, database: Path, address: str = "") -> list[str]:
    """Return the command that backfills logs, here or by a cluster."""
    place = ["--scheduler", address] if address else []
    return [*_OURS, "backfill", str(logs), "--tz", "UTC", "--jobs", "1", "--db", str(database), *place]


def killing_a_worker(started: Cluster, logs: Path, database: Path, after: int) -> Tables:
    """Kill a worker when so many logs are stored; the other one does its work."""
    client = _started(backfill(logs, database, started.address))
    _wait(lambda: stored(database) >= after or client.poll() is not None)
    assert client.poll() is None, "it was done before a worker could be killed"
    started.kill_worker()
    assert client.wait() == 0, "a killed worker ended the run"
    check_invariants(database)
    return tables(database)


def killing_the_client(started: Cluster, logs: Path, database: Path, after: int) -> Tables:
    """Kill the client when so many logs are stored, and start it again."""
    client = _started(backfill(logs, database, started.address))
    _wait(lambda: stored(database) >= after or client.poll() is not None)
    assert client.poll() is None, "it was done before it could be killed"
    _ended(client)
    check_invariants(database)
    subprocess.run(backfill(logs, database, started.address), check=True)
    check_invariants(database)
    return tables(database)


def stored(database: Path) -> int:
    """Count the logs of which anything is stored."""
    with contextlib.suppress(sqlite3.OperationalError):  # not made yet
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        with contextlib.closing(connection):
            return int(connection.execute("SELECT COUNT(*) FROM log_sources").fetchone()[0])
    return 0


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not until():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)


@click.command()
@click.option("--number", default=2_000, help="Logs.")
def main(number: int) -> None:
    """Backfill logs by a cluster, kill what can be killed, and compare with a local run."""
    with tempfile.TemporaryDirectory(prefix="logs-") as name, cluster() as started:
        root = Path(name)
        write_logs(root / "logs", number)
        began = time.monotonic()
        expected = local(root / "logs", root / "local.db")
        click.echo(
            f"{number:,} logs, {len(expected['events']):,} events: {time.monotonic() - began:.1f} s here"
        )
        began = time.monotonic()
        subprocess.run(backfill(root / "logs", root / "whole.db", started.address), check=True)
        click.echo(f"by {WORKERS} workers: {time.monotonic() - began:.1f} s")
        without_worker = killing_a_worker(started, root / "logs", root / "worker.db", number // 10)
        started.add_worker()
        without_client = killing_the_client(started, root / "logs", root / "client.db", number // 5)
        found = {
            "whole": tables(root / "whole.db"),
            "a worker killed": without_worker,
            "the client killed": without_client,
        }
    wrong = [what for what, its in found.items() if its != expected]
    click.echo(f"WRONG: other tables: {', '.join(wrong)}" if wrong else "the same tables each time")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
