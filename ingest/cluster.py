"""An existing Dask cluster as a pool, through its `concurrent.futures` executor.

Workers come and go: what one of them was reading is read again by another. What can't be helped by that
ends the run with a sentence; what is stored stays, and the next run goes on from there.
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

from ingest.errors import ClusterUnusable
from ingest.extras import extra_command
from ingest.files.logfile import LogFile
from ingest.notices import Notice
from ingest.pool import OtherVersion, Part, Task, read_log, unpacked
from ingest.reading.batch import Batch
from ingest.reading.scan import MAX_BATCH_RECORDS
from ingest.version import program_version

CONNECT_SECONDS = 10
"""How long to wait for the scheduler, and then for a first worker."""

PATIENCE_SECONDS = 60.0
"""How long to wait while there is no worker at all: one that was killed may be started again."""

LOOK_SECONDS = 2.0
"""How often to look whether there are workers, while a part is long in coming."""

GROUP_BYTES = 4 << 20
"""Small logs go together, until there is so much of them: a task costs as much as reading 100 KB."""

GROUP_LOGS = 50

MOST_AHEAD = 128
"""Tasks under way at most: each may hold `MAX_PART_ROWS` rows."""

MAX_PART_ROWS = MAX_BATCH_RECORDS
"""Rows after which a part of a log ends: an answer must fit into memory, many times over."""

STAYS = "what was stored stays; run the command again to go on from there, or without --scheduler"


def read_logs(tasks: list[Task]) -> list[list[bytes]]:
    """Read some logs, on a worker; return what came of each.

    Raises:
        OtherVersion: this worker should not.
    """
    return [list(read_log(task)) for task in tasks]


class Tasks:
    """A pool behind an executor, of whichever kind: logs go in groups, and large ones come in parts."""

    def __init__(self) -> None:
        """Begin with no log."""
        self._executor: Executor
        self._ahead = 0
        self._group: list[Task] = []
        self._groups: deque[list[Task]] = deque()
        self._under_way: dict[Future[list[list[bytes]]], list[Task]] = {}
        self._done: queue.SimpleQueue[Future[list[list[bytes]]]] = queue.SimpleQueue()
        self._parts: deque[tuple[Task, bytes]] = deque()
        self._last: dict[int, Batch] = {}
        self._refused: dict[int, tuple[LogFile, str]] = {}

    def use(self, executor: Executor, ahead: int) -> None:
        """Use an executor that somebody else closes, with so many tasks under way."""
        self._executor, self._ahead = executor, ahead

    def submit(self, task: Task) -> None:
        """Have a log read, with others if it is small; by a path that means the same in any folder."""
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
        while self._groups and len(self._under_way) < self._ahead:
            tasks = self._groups.popleft()
            future = self._executor.submit(read_logs, tasks)
            self._under_way[future] = tasks
            future.add_done_callback(self._done.put)

    def take(self, wait: bool) -> tuple[int, Part] | None:
        """Return what came of a log, which its number names; `None`: nothing came yet, and nobody waits.

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
        """Return a part of a log; `None` is the end of what one task reads: the next one is sent."""
        if isinstance(part, Batch):
            self._last[task.number] = part
            return part
        last = self._last.get(task.number)
        if part.refusal is not None and last is None:
            self._refused[task.number] = (task.log, part.refusal)
        # What is compressed is unpacked from its start each time: once more here is enough.
        if part.is_whole or part.refusal is not None or last is None or last.compression is not None:
            self._last.pop(task.number, None)
            return part
        self._groups.appendleft([replace(task, checkpoint=last.checkpoint)])
        self._send()
        return None

    def _received(self, wait: bool) -> list[Task] | None:
        """Receive what one call read, of logs that are returned; `None`: nothing came yet."""
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
        """See to it that waiting has a sense."""

    @property
    def refused(self) -> list[tuple[LogFile, str]]:
        """The logs that no worker could read, and why."""
        return [self._refused[number] for number in sorted(self._refused)]


class Cluster(Tasks):
    """The workers of one scheduler; to be used in a `with` statement, which connects to it."""

    def __init__(self, scheduler: str) -> None:
        """Prepare to use a scheduler by its address."""
        super().__init__()
        self._scheduler = scheduler
        self._seen = 0.0

    def __enter__(self) -> Self:
        """Connect to the scheduler, and make sure that its workers are fit.

        Raises:
            ClusterUnusable: it can't be reached, or used, or the library that talks to it is not installed.
        """
        self._client = _connected(self._scheduler)
        try:
            threads = self._fit_threads()
            self.use(self._client.get_executor(pure=False), min(MOST_AHEAD, 2 * threads + 2))
        except BaseException:
            self._client.close(timeout=LOOK_SECONDS)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it; what is still under way is of no use to anybody."""
        self._client.close(timeout=LOOK_SECONDS)

    def _fit_threads(self) -> int:
        """Return how many threads the workers have.

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
        """Make sure that there is hope for what is under way."""
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
        except Exception:  # whatever it is, it tells of no worker
            return False

    def _lost(self, tasks: list[Task], what: str) -> ClusterUnusable:
        more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
        return ClusterUnusable(f"{self._scheduler}: {what} ({tasks[0].log.shown}{more}): {STAYS}")

    def notices(self) -> list[Notice]:
        """Warn of the logs that no worker could read."""
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
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what it says of workers is said here
    try:
        return distributed.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, ImportError) as error:
        sys.unraisablehook = lambda _: None  # a client that was never whole complains when it is let go of
        raise ClusterUnusable(
            f"{scheduler}: no Dask scheduler can be reached there ({_short(error)}): check the address and "
            "the network, or run without --scheduler"
        ) from error


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
