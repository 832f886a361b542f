"""Logs scanned elsewhere ahead of time, and handed over in their order, as if they were scanned here.

Only work is done ahead, never a decision: a log that turns out to be the rest of a known source, or is
not seen elsewhere as it is here, is scanned here after all.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Protocol

from ingest.files.logfile import FileState, LogFile
from ingest.pool.here import Found, unless_replaced
from ingest.pool.parts import Part, Wanted, read_parts
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import Checkpoint
from ingest.reading.scan import ScanOptions, scan

GROUP_BYTES = 4 << 20
"""Small logs go together, until there is so much of them: a task costs as much as reading 100 KB."""

GROUP_LOGS = 50


class Pool(Protocol):
    """Workers: `ahead` tasks are under way, each of logs that are together some `group_bytes` large."""

    ahead: int
    group_bytes: int

    def submit(self, wanted: list[Wanted]) -> Future[list[Part]]:
        """Have logs read."""

    def result(self, future: Future[list[Part]], wanted: list[Wanted]) -> list[Part]:
        """Wait for what was read of logs."""


class Executors:
    """Workers behind an executor, of the standard library or of a cluster."""

    group_bytes = GROUP_BYTES

    def __init__(self, executor: Executor, ahead: int) -> None:
        """Use an executor that somebody else closes."""
        self._executor = executor
        self.ahead = ahead

    def submit(self, wanted: list[Wanted]) -> Future[list[Part]]:
        """Have logs read."""
        return self._executor.submit(read_parts, wanted)

    def result(self, future: Future[list[Part]], wanted: list[Wanted]) -> list[Part]:  # noqa: ARG002
        """Wait for what was read of logs."""
        return future.result()


@dataclass(slots=True)
class _Task:
    """Logs that are read together."""

    wanted: list[Wanted]
    future: Future[list[Part]]


class Ahead:
    """Scan new logs by a pool, everything else here. `refused` are the logs that no worker could read."""

    def __init__(self, pool: Pool, zone_of: Callable[[str], str], finished: bool) -> None:
        """Read new logs in the zone that is theirs by their stored path."""
        self._pool = pool
        self._zone_of = zone_of
        self._finished = finished
        self._tasks: dict[LogFile, tuple[_Task, int]] = {}
        self.refused: list[tuple[LogFile, str]] = []

    def through(self, logs: Iterable[Found], is_new: Callable[[LogFile, FileState], bool]) -> Iterator[Found]:
        """Pass logs on in their order, while the new ones further on are scanned already."""
        under_way: deque[list[Found]] = deque()
        for group in _groups(logs, self._pool.group_bytes):
            self._begin([(log, state) for log, state in group if state is not None and is_new(log, state)])
            under_way.append(group)
            if len(under_way) > self._pool.ahead:
                yield from under_way.popleft()
        for group in under_way:
            yield from group

    def _begin(self, logs: list[tuple[LogFile, FileState]]) -> None:
        wanted = [
            Wanted(_there(log), state, self._zone_of(log.stored_path), self._finished) for log, state in logs
        ]
        if wanted:
            task = _Task(wanted, self._pool.submit(wanted))
            self._tasks |= {log: (task, place) for place, (log, _) in enumerate(logs)}

    def scan(self, log: LogFile, checkpoint: Checkpoint | None, options: ScanOptions) -> Iterator[Batch]:
        """Yield the batches of a log; see `ingest.reading.scan.scan`."""
        task, place = self._tasks.pop(log, (None, 0))
        if task is None or checkpoint is not None or options.zone != task.wanted[place].zone:
            yield from scan(log, checkpoint, options)
            return
        part = self._pool.result(task.future, task.wanted)[place]
        if part.refusal is not None:
            self.refused.append((log, part.refusal))
            yield from scan(log, None, options)
            return
        yield from self._parts(log, task.wanted[place], part, options)

    def _parts(self, log: LogFile, wanted: Wanted, part: Part, options: ScanOptions) -> Iterator[Batch]:
        """Yield what was read of a log, and read on while that is stored."""
        while part.batches and not part.is_whole:
            last = part.batches[-1]
            rest = replace(wanted, checkpoint=last.checkpoint)
            # What is compressed is unpacked from its start each time: once more here is enough.
            future = self._pool.submit([rest]) if last.compression is None else None
            yield from _handed_over(part, log, wanted)
            part = self._pool.result(future, [rest])[0] if future is not None else Part([], refusal="")
            if part.refusal is not None:
                yield from unless_replaced(scan(log, last.checkpoint, options), last)
                return
        yield from _handed_over(part, log, wanted)


def _handed_over(part: Part, log: LogFile, wanted: Wanted) -> Iterator[Batch]:
    """Yield batches, whose sentences name the log as it is called here."""
    there, here = wanted.log.shown, log.shown
    part.batches.reverse()
    while part.batches:  # each is let go of when it is stored
        batch = part.batches.pop()
        if batch.remarks or batch.problem:
            remarks = tuple(one.replace(there, here, 1) for one in batch.remarks)
            problem = batch.problem and batch.problem.replace(there, here, 1)
            batch = replace(batch, remarks=remarks, problem=problem)
        yield batch


def _there(log: LogFile) -> LogFile:
    """Return a log by a path that means the same in any folder."""
    return log if log.is_remote else replace(log, path=os.path.abspath(log.path))


def _groups(logs: Iterable[Found], group_bytes: int) -> Iterator[list[Found]]:
    group: list[Found] = []
    size = 0
    for log, state in logs:
        group.append((log, state))
        size += state.size_bytes if state is not None else 0
        if size >= group_bytes or len(group) >= GROUP_LOGS:
            yield group
            group, size = [], 0
    if group:
        yield group
