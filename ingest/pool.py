"""A pool of workers that read logs: a log and a checkpoint go to a worker, and batches come back.

Workers only read. The database, the checkpoints and the assignment of logs to sources stay with the single
writer: `ingest.pipeline` takes what comes (`_write_received`), and `ingest.storing.store` commits it. So a
worker that dies costs work, and never loses or doubles a row. Batches of different logs come in any order,
those of one log in theirs.
"""

from __future__ import annotations

import marshal
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import IO, Any, NamedTuple, Protocol, Self

from ingest import memory
from ingest.errors import LogUnfinished, LogUnreadable
from ingest.files.logfile import FileState, LogFile
from ingest.identity import Fact
from ingest.linking.context import Attributed, Context, Deliverables
from ingest.memory import rare_garbage_collection
from ingest.notices import Notice
from ingest.reading.batch import Batch, Rows, Sighting
from ingest.reading.checkpoint import Checkpoint
from ingest.reading.extractor import Extractor
from ingest.reading.resume import NotTheSame
from ingest.reading.scan import ScanOptions, scan
from ingest.version import program_version
from parsers.records import EstimationEvent

PREFETCH_BYTES = 4 << 20
"""How much a process is sent in several logs at once, so that it need not wait for the next one: a round trip
takes as long as reading some hundred KB, while the writer is busy."""

_PIPE_BYTES = 1 << 20
"""The size that is asked for a pipe: a batch comes in fewer pieces then, and the reader waits less often."""


class OtherVersion(Exception):
    """A worker has another version of the program, which might read the same lines differently."""


@dataclass(frozen=True, slots=True)
class Task:
    """A log to read, from its start or from a checkpoint, up to `most_rows` rows (`None`: all of it).

    `number` is the log's in its run; `file` is its state on the machine that has the database.
    """

    number: int
    log: LogFile
    file: FileState
    zone: str
    finished: bool
    prefix: str | None = None
    checkpoint: Checkpoint | None = None
    most_rows: int | None = None
    version: str = field(default_factory=program_version)


class End(NamedTuple):
    """The end of a worker's reading of a log; it has read all of it if `is_whole`.

    `refusal` says why it reads nothing, or no more: then the writer's process reads the rest.
    """

    is_whole: bool = True
    refusal: str | None = None


Part = Batch | End


class Pool(Protocol):
    """Workers that read logs."""

    def submit(self, task: Task) -> None:
        """Have a log read."""

    def take(self, wait: bool) -> tuple[int, Part] | None:
        """Return the next part of a log, with its number; `None` if none has come and `wait` is false."""

    def notices(self) -> list[Notice]:
        """Return notices about the workers, at the end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


# What a worker does

_OF_THREAD = threading.local()


def read_log(task: Task) -> Iterator[bytes]:
    """Read a log, if it is the same file that the writer's process sees; yield its parts, packed.

    Raises:
        OtherVersion: this worker has another version of the program.
    """
    if task.version != program_version():
        raise OtherVersion(f"it has tokentail {program_version()}, and here is {task.version}")
    known: dict[str, Extractor] = _OF_THREAD.__dict__.setdefault("known", {})
    rows = 0
    try:
        _compare(task, task.log.state())
        options = ScanOptions(task.zone, task.finished, known=known, prefix=task.prefix)
        for batch in scan(task.log, task.checkpoint, options):
            assert batch.file is not None  # noqa: S101 - for the type checker: it is no stream
            _compare(task, batch.file)
            file = replace(batch.file, device=task.file.device, inode=task.file.inode)
            yield packed(replace(batch, file=file))
            rows += len(batch.rows)
            if task.most_rows is not None and rows >= task.most_rows and batch.state == "reading":
                yield packed(End(is_whole=False))
                return
    except (LogUnreadable, LogUnfinished, NotTheSame) as error:
        yield packed(End(is_whole=False, refusal=str(error) or "it changed meanwhile"))
    else:
        yield packed(End())


def _compare(task: Task, there: FileState) -> None:
    """Check that a path leads to the same log here and at the writer, as far as a `stat` can show it.

    Raises:
        LogUnreadable: it doesn't. Device and inode are not compared: they differ between machines.
    """
    expected = task.file
    if (expected.size_bytes, expected.modified_ns) != (there.size_bytes, there.modified_ns):
        raise LogUnreadable(f"{task.log.shown}: of another size or time there")


# Parts as bytes: marshalling plain tuples and rebuilding named ones is faster than pickling named ones


def packed(part: Part) -> bytes:
    """Pack a part of a log: its sightings, which are many, as plain tuples."""
    if isinstance(part, End):
        return marshal.dumps(tuple(part))
    rows = part.rows
    rest = replace(part, rows=Rows([], rows.amendments, rows.rejects, rows.escalations))
    return marshal.dumps((_plain(rows.sightings), pickle.dumps(rest, pickle.HIGHEST_PROTOCOL)))


def unpacked(data: bytes) -> Part:
    """Unpack what `packed` made."""
    first, second = marshal.loads(data)  # noqa: S302 - from ourselves
    if isinstance(first, bool):
        return End(first, second)
    batch: Batch = pickle.loads(second)  # noqa: S301 - from ourselves
    batch.rows.sightings += _sightings(first)
    return batch


def _plain(sightings: list[Sighting]) -> list[tuple[object, ...]]:
    """Return sightings as plain tuples; a context that several share is converted once."""
    rows: list[tuple[object, ...]] = []
    last, plain = None, None
    for offset, line_number, (payload, timestamp, timestamp_text, context, is_cut, stem, _) in sightings:
        if context is not last:
            last, plain = (
                context,
                tuple(tuple(value) if isinstance(value, tuple) else value for value in context),
            )
        rows.append((offset, line_number, tuple(payload), timestamp, timestamp_text, plain, is_cut, stem))
    return rows


def _sightings(rows: list[Any]) -> list[Sighting]:
    """Return the sightings that were made plain tuples."""
    make = tuple.__new__
    sightings: list[Sighting] = []
    last, context = None, None
    for offset, line_number, payload, timestamp, timestamp_text, plain, is_cut, stem in rows:
        if plain is not last:
            run, phase, *values, deliverables = last = plain
            known = (run and make(Attributed, run), phase and make(Attributed, phase), *values)
            context = make(Context, (*known, deliverables and make(Deliverables, deliverables)))
        event = make(EstimationEvent, payload)
        fact = make(Fact, (event, timestamp, timestamp_text, context, is_cut, stem, None))
        sightings.append(make(Sighting, (offset, line_number, fact)))
    return sightings


# Processes of this machine

_HEAD = struct.Struct("!Q?")
"""The head of each message in a pipe: its size, and whether it is the last one of a task."""

_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from ingest.pool import serve; serve()"


class _Process:
    """A process of this program, used by one thread; it ends with its pipe, so it never outlives us."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            OSError: it can't be started.
        """
        command = [sys.executable, "-P", "-c", _PROGRAM, *sys.path]
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self.sent: deque[Task] = deque()
        _widen(self._stdout)

    @property
    def sent_bytes(self) -> int:
        """How much there is to read in the logs that were sent."""
        return sum(task.file.size_bytes for task in self.sent)

    def send(self, task: Task) -> None:
        """Send a log to be read, after those that were sent before.

        Raises:
            OSError: the process has ended.
        """
        self.sent.append(task)
        _write(self._stdin, pickle.dumps(task, pickle.HIGHEST_PROTOCOL))
        self._stdin.flush()

    def receive(self) -> Iterator[bytes]:
        """Yield the parts of the first log that was sent, as they come.

        Raises:
            OSError: the process has ended.
        """
        while True:
            data, is_last = _read(self._stdout)
            if is_last:
                break
            yield data
        error = pickle.loads(data)  # noqa: S301 - from ourselves
        if error is not None:
            raise error
        self.sent.popleft()

    def kill(self) -> None:
        """Kill it in the middle of its work."""
        self._process.kill()

    def end(self) -> None:
        """Close its pipes, so that it ends, and wait for that."""
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):  # it has ended already
                pipe.close()
        self._process.wait()


class Processes:
    """Processes of this machine as a pool. The task of one that dies is done by the writer's process."""

    def __init__(self, count: int) -> None:
        """Prepare a number of processes; each is started when there is a log for it."""
        self._count = count
        self._threads: list[threading.Thread] = []
        self._processes: list[_Process] = []
        self._tasks: deque[Task] = deque()
        self._parts: deque[tuple[int, bytes | Exception]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._is_closed = False

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def submit(self, task: Task) -> None:
        """Have a log read by the next process that is free."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify_all()
        if len(self._threads) < self._count:
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()

    def take(self, wait: bool) -> tuple[int, Part] | None:
        """Return the next part of a log, with its number; `None` if none has come and `wait` is false."""
        with self._changed:
            while not self._parts:
                if not wait:
                    return None
                self._changed.wait(1.0)  # without a timeout, Ctrl-C would not interrupt it on Windows
            number, data = self._parts.popleft()
            if isinstance(data, Exception):
                raise data
            self._waiting_bytes -= len(data)
            self._changed.notify_all()
        return number, unpacked(data)

    def notices(self) -> list[Notice]:
        """Return none: a process that has died makes no difference."""
        return []

    def _work(self) -> None:
        """Send logs to a process, and start another one when it has died."""
        while (task := self._next_task(wait=True)) is not None:
            try:
                process = _Process()
            except OSError:
                self._put(task.number, packed(End(is_whole=False, refusal="no process can be started")))
                continue
            self._processes.append(process)
            try:
                self._keep_busy(process, task)
            except (OSError, EOFError, pickle.UnpicklingError):  # somebody ended it
                for task in process.sent:
                    self._put(task.number, packed(End(is_whole=False, refusal="its process has ended")))
            except Exception as error:
                self._put(task.number, error)

    def _keep_busy(self, process: _Process, task: Task | None) -> None:
        """Send logs to a process and queue what comes back; short logs are sent ahead of time."""
        while task is not None:
            process.send(task)
            while process.sent:
                while (
                    more := self._next_task(wait=False, most_bytes=PREFETCH_BYTES - process.sent_bytes)
                ) is not None:
                    process.send(more)
                number = process.sent[0].number
                for data in process.receive():
                    if not self._put(number, data):
                        return
            task = self._next_task(wait=True)

    def _next_task(self, wait: bool, most_bytes: int | None = None) -> Task | None:
        """Return the next log to read; `None` if it is larger than `most_bytes`, or there is none."""
        with self._changed:
            while wait and not (self._tasks or self._is_closed):
                self._changed.wait()
            if self._is_closed or not self._tasks:
                return None
            if most_bytes is not None and self._tasks[0].file.size_bytes > most_bytes:
                return None
            return self._tasks.popleft()

    def _put(self, number: int, data: bytes | Exception) -> bool:
        """Queue a part of a log, once the queue is short enough; return whether it is still wanted."""
        size = 0 if isinstance(data, Exception) else len(data)
        with self._changed:
            while self._waiting_bytes and self._waiting_bytes + size > memory.MAX_QUEUED_BYTES:
                if self._is_closed:
                    return False
                self._changed.wait()
            self._waiting_bytes += size
            self._parts.append((number, data))
            self._changed.notify_all()
            return not self._is_closed

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill all processes; what they are still reading is not needed."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for process in list(self._processes):
            process.kill()
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            process.kill()  # also those that were started meanwhile
            process.end()


def serve() -> None:
    """Read the logs that come as tasks through standard input, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes
    with rare_garbage_collection(), suppress(BrokenPipeError):  # the parent process has ended
        _serve(sys.stdin.buffer, open(sys.stdout.fileno(), "wb", closefd=False))  # noqa: SIM115 - a number


def _serve(stdin: IO[bytes], stdout: IO[bytes]) -> None:
    while True:
        task: Task = pickle.loads(_read(stdin)[0])  # noqa: S301 - from ourselves
        failed: Exception | None = None
        try:
            for data in read_log(task):
                _write(stdout, data)
        except BrokenPipeError:
            raise
        except Exception as error:
            failed = error
        _write(stdout, pickle.dumps(failed), is_last=True)
        stdout.flush()


def _write(pipe: IO[bytes], data: bytes, is_last: bool = False) -> None:
    pipe.write(_HEAD.pack(len(data), is_last))
    pipe.write(data)


def _read(pipe: IO[bytes]) -> tuple[bytes, bool]:
    """Read what `_write` wrote.

    Raises:
        BrokenPipeError: the other process has ended.
    """
    head = pipe.read(_HEAD.size)
    if len(head) == _HEAD.size:
        size, is_last = _HEAD.unpack(head)
        data = pipe.read(size)
        if len(data) == size:
            return data, is_last
    raise BrokenPipeError("the other end of the pipe has ended")


def _widen(pipe: IO[bytes]) -> None:
    """Enlarge a pipe's buffer, if the system can."""
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - there is none elsewhere

        with suppress(OSError):  # what one user's pipes may hold in all is limited
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
