"""An existing Dask cluster as a pool, through its `concurrent.futures` executor.

Workers come and go: a task of one that is gone is done again by another. If that is not possible, the run
ends with a message; what is stored stays, and the next run goes on from there.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import sys
import time
from collections import deque
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ingest import memory
from ingest.errors import ClusterUnusable
from ingest.extras import extra_command
from ingest.files.logfile import LogFile
from ingest.notices import Notice
from ingest.pool import OtherVersion, Part, Task, read_log, unpacked
from ingest.reading.batch import Batch
from ingest.version import program_version

CONNECT_SECONDS = 10
"""How long to wait for the scheduler, and then for a first worker."""

PATIENCE_SECONDS = 60.0
"""How long to wait while there is no worker at all: a killed one may be started again."""

LOOK_SECONDS = 2.0
"""How often to look whether there are workers, while no part comes."""

GROUP_BYTES = 4 << 20
"""Small logs go together, up to this size: a task costs as much as reading 100 KB."""

GROUP_LOGS = 50

MAX_IN_FLIGHT = 128
"""Tasks under way at most: each may hold `MAX_PART_ROWS` rows."""

MAX_PART_ROWS = memory.MAX_BATCH_RECORDS
"""Rows after which a part of a log ends: many results must fit into memory."""

STAYS = "what was stored stays; run the command again to go on from there, or without --scheduler"


def read_logs(tasks: list[Task]) -> list[list[bytes]]:
    """Read some logs on a worker; return the parts of each.

    Raises:
        OtherVersion: this worker has another version of the program.
    """
    return [list(read_log(task)) for task in tasks]


class Tasks:
    """A pool that uses any `concurrent.futures` executor: logs go in groups, and large ones come in parts."""

    def __init__(self) -> None:
        """Begin with no log."""
        self._executor: Executor
        self._max_in_flight = 0
        self._group: list[Task] = []
        self._groups: deque[list[Task]] = deque()
        self._under_way: dict[Future[list[list[bytes]]], list[Task]] = {}
        self._done: queue.SimpleQueue[Future[list[list[bytes]]]] = queue.SimpleQueue()
        self._parts: deque[tuple[Task, bytes]] = deque()
        self._last: dict[int, Batch] = {}
        self._refused: dict[int, tuple[LogFile, str]] = {}

    def use(self, executor: Executor, max_in_flight: int) -> None:
        """Use an executor, which the caller closes, with at most so many tasks at once."""
        self._executor, self._max_in_flight = executor, max_in_flight

    def submit(self, task: Task) -> None:
        """Have a log read, by its absolute path; small ones are grouped."""
        log = task.log
        if not log.is_remote:
            log = replace(log, path=os.path.abspath(log.path), name=log.shown)
        self._group.append(replace(task, log=log, most_rows=MAX_PART_ROWS))
        size_bytes = sum(task.file.size_bytes for task in self._group)
        if len(self._group) >= GROUP_LOGS or size_bytes >= GROUP_BYTES:
            self._send_group()

    def _send_group(self) -> None:
        if self._group:
            self._groups.append(self._group)
            self._group = []
        self._send()

    def _send(self) -> None:
        while self._groups and len(self._under_way) < self._max_in_flight:
            tasks = self._groups.popleft()
            future = self._executor.submit(read_logs, tasks)
            self._under_way[future] = tasks
            future.add_done_callback(self._done.put)

    def take(self, wait: bool) -> tuple[int, Part] | None:
        """Return the next part of a log, with its number; `None` if none has come and `wait` is false.

        Raises:
            ClusterUnusable: nothing will come.
        """
        if wait:
            self._send_group()
        while True:
            while self._parts:
                task, data = self._parts.popleft()
                part = self._part(task, unpacked(data))
                if part is not None:
                    return task.number, part
            tasks = self._received(wait)
            if tasks is None:
                return None
            self._send()

    def _part(self, task: Task, part: Part) -> Part | None:
        """Return a part of a log; `None` at the end of a task if a further task has to go on with the log."""
        if isinstance(part, Batch):
            self._last[task.number] = part
            return part
        last = self._last.get(task.number)
        if part.refusal is not None and last is None:
            self._refused[task.number] = (task.log, part.refusal)
        # A compressed log is unpacked from its start each time, so the writer's process reads the rest.
        if part.is_whole or part.refusal is not None or last is None or last.compression is not None:
            self._last.pop(task.number, None)
            return part
        self._groups.appendleft([replace(task, checkpoint=last.checkpoint)])
        self._send()
        return None

    def _received(self, wait: bool) -> list[Task] | None:
        """Receive the parts that one call read, and return its tasks; `None` if none has come."""
        while True:
            try:
                future = self._done.get(wait, LOOK_SECONDS)
                break
            except queue.Empty:
                if not wait:
                    return None
                self._look()
        tasks = self._under_way.pop(future)
        for task, parts in zip(tasks, self._result(future, tasks), strict=True):
            self._parts.extend((task, data) for data in parts)
        return tasks

    def _result(self, future: Future[list[list[bytes]]], tasks: list[Task]) -> list[list[bytes]]:  # noqa: ARG002
        return future.result()

    def _look(self) -> None:
        """Check that it makes sense to wait on."""

    @property
    def refused(self) -> list[tuple[LogFile, str]]:
        """The logs that no worker could read, and why."""
        return [self._refused[number] for number in sorted(self._refused)]


class Cluster(Tasks):
    """The workers of one scheduler; to be used in a `with` statement, which connects to it."""

    def __init__(self, scheduler: str) -> None:
        """Prepare to use a scheduler, given its address."""
        super().__init__()
        self._scheduler = scheduler
        self._seen = 0.0

    def __enter__(self) -> Self:
        """Connect to the scheduler, and check its workers.

        Raises:
            ClusterUnusable: it can't be reached, or used, or the library that talks to it is not installed.
        """
        self._client = _connected(self._scheduler)
        try:
            threads = self._fit_threads()
            self.use(self._client.get_executor(pure=False), min(MAX_IN_FLIGHT, 2 * threads + 2))
        except BaseException:
            self._client.close(timeout=LOOK_SECONDS)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; what workers are still reading is not needed."""
        self._client.close(timeout=LOOK_SECONDS)

    def _fit_threads(self) -> int:
        """Return how many threads the workers have in all.

        Raises:
            ClusterUnusable: there is none, or one lacks this version of the program.
        """
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise ClusterUnusable(
                f"{self._scheduler}: no workers there: start some (`dask worker {self._scheduler}`)"
            ) from error
        for worker, version in self._client.run(program_version, on_error="return").items():
            if isinstance(version, Exception):
                raise ClusterUnusable(
                    f"{self._scheduler}: its worker {worker} has no tokentail that can be used "
                    f"({type(version).__name__}: {version}): install version {program_version()} there"
                )
            if version != program_version():
                raise ClusterUnusable(
                    f"{self._scheduler}: its worker {worker} has tokentail {version}, and here is "
                    f"{program_version()}: install the same in both places"
                )
        return sum(self._client.nthreads().values())

    def _received(self, wait: bool) -> list[Task] | None:
        self._seen = time.monotonic()
        return super()._received(wait)

    def _result(self, future: Future[list[list[bytes]]], tasks: list[Task]) -> list[list[bytes]]:
        try:
            return future.result()
        except OtherVersion as error:
            raise self._lost(tasks, f"a worker can't be used: {error}") from error
        except CancelledError as error:
            raise self._lost(tasks, "the scheduler is gone") from error
        except Exception as error:
            killed = type(error).__name__ == "KilledWorker"
            what = "several workers ended while they read it" if killed else _short(error)
            raise self._lost(tasks, what) from error

    def _look(self) -> None:
        """Check that there were workers recently, so that tasks can still be done."""
        if self._has_workers():
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > PATIENCE_SECONDS:
            what = f"no scheduler or no workers for {PATIENCE_SECONDS:.0f} seconds"
            raise self._lost(next(iter(self._under_way.values())), what)

    def _has_workers(self) -> bool:
        if self._client.status != "running":
            return False
        try:
            return bool(self._client.sync(self._client.scheduler.ncores, callback_timeout=LOOK_SECONDS))
        except Exception:  # any error means that no worker is known
            return False

    def _lost(self, tasks: list[Task], what: str) -> ClusterUnusable:
        more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
        return ClusterUnusable(f"{self._scheduler}: {what} ({tasks[0].log.shown}{more}): {STAYS}")

    def notices(self) -> list[Notice]:
        """Return a warning about the logs that no worker could read."""
        if not self.refused:
            return []
        log, why = self.refused[0]
        more = f" and {len(self.refused) - 1:,} more" if len(self.refused) > 1 else ""
        text = (
            f"{log.shown}{more}: not read by the workers of {self._scheduler} but here ({why}): give them "
            "the same files under the same path, or name the logs by URLs that both can read"
        )
        return [Notice("warning", "refused", log.shown, text)]


def _connected(scheduler: str) -> Any:
    """Return a client of a scheduler."""
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise ClusterUnusable(
            f"--scheduler needs distributed, which is not installed ({error}): install the extra "
            f'"distributed": {extra_command("distributed")}'
        ) from error
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # our own messages report lost workers
    try:
        return distributed.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, ImportError) as error:
        sys.unraisablehook = lambda _: None  # a client that never connected complains when it is deleted
        raise ClusterUnusable(
            f"{scheduler}: no Dask scheduler can be reached there ({_short(error)}): check the address and "
            "the network, or run without --scheduler"
        ) from error


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
