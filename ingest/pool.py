"""Logs read by other processes, here or on a cluster: a log and a checkpoint go there, batches come back.

What is done there is pure. The database, the checkpoints and the decision which source a log is stay with the
one writer, so whatever happens to a worker is lost work, and never a lost or a doubled row. Batches come in
any order of their logs, and each log's in its own.
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

from ingest.errors import LogUnfinished, LogUnreadable
from ingest.events import Fact
from ingest.files.logfile import FileState, LogFile
from ingest.linking.context import Attributed, Context, Deliverables
from ingest.memory import little_tidying
from ingest.notices import Notice
from ingest.reading.batch import Batch, Rows, Sighting
from ingest.reading.checkpoint import Checkpoint
from ingest.reading.extractor import Extractor
from ingest.reading.resume import NotTheSame
from ingest.reading.scan import ScanOptions, scan
from ingest.version import program_version
from parsers.records import EstimationEvent

MOST_WAITING_BYTES = 64 << 20
"""How much may wait for the writer; a worker that is further ahead stops."""

AHEAD_BYTES = 4 << 20
"""How much is sent to a process in several logs, so that it need not wait for the next one: to have one named
takes as long as reading some hundred KB, while the writer is busy."""

_PIPE_BYTES = 1 << 20
"""What a pipe is asked to hold: a batch comes in a few pieces then, and whoever takes it waits less often."""


class OtherVersion(Exception):
    """A worker has another version of the program: it might read other things out of the same lines."""


@dataclass(frozen=True, slots=True)
class Task:
    """A log to read, from its start or from a checkpoint, up to `most_rows` rows (`None`: all of it).

    `number` is the log's in its run; `file` is what it is where the database is.
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
    """The end of what a worker reads of a log: all of it, if it `is_whole`.

    `refusal` says why it reads nothing, or no more: then the log is read on where the database is.
    """

    is_whole: bool = True
    refusal: str | None = None


Part = Batch | End


class Pool(Protocol):
    """Workers that read logs."""

    def submit(self, task: Task) -> None:
        """Have a log read."""

    def take(self, wait: bool) -> tuple[int, Part] | None:
        """Return what came of a log, which its number names; `None`: nothing came yet, and nobody waits."""

    def notices(self) -> list[Notice]:
        """Return what is to be said of the workers in the end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


# What a worker does

_OF_THREAD = threading.local()


def read_log(task: Task) -> Iterator[bytes]:
    """Read a log, if it is the very log that is seen where the database is; yield its parts, packed.

    Raises:
        OtherVersion: this worker should not.
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
    """Make sure that a path leads to the same log here and there, as far as that can be seen.

    Raises:
        LogUnreadable: it doesn't. Device and inode may differ: they are of the machine that looks.
    """
    here = task.file
    if (here.size_bytes, here.modified_ns) != (there.size_bytes, there.modified_ns):
        raise LogUnreadable(f"{task.log.shown}: of another size or time there")


# Parts as bytes: plain tuples are marshalled, and made again, sooner than named ones are pickled


def packed(part: Part) -> bytes:
    """Pack what was read of a log: its sightings, which are many, as plain tuples."""
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
    """Return sightings as plain tuples; a context that several share stays shared."""
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
    """Return the sightings that plain tuples are."""
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
"""What stands before each message in a pipe: its size, and whether it is the last that a task brings."""

_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from ingest.pool import serve; serve()"


class _Process:
    """A process of this program, used by one thread; it ends when its pipe does, so none outlives us."""

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
        """Have a log read there, behind those that were sent before.

        Raises:
            OSError: the process has ended.
        """
        self.sent.append(task)
        _write(self._stdin, pickle.dumps(task, pickle.HIGHEST_PROTOCOL))
        self._stdin.flush()

    def receive(self) -> Iterator[bytes]:
        """Yield the parts of the log that was sent first, as they come.

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
        """End it in the middle of its work."""
        self._process.kill()

    def end(self) -> None:
        """Let it end, and wait for that."""
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):  # it has ended already
                pipe.close()
        self._process.wait()


class Processes:
    """Processes of this machine as a pool. What one was doing that dies is done here after all."""

    def __init__(self, count: int) -> None:
        """Prepare so many; each is started when there is a log for it."""
        self._count = count
        self._threads: list[threading.Thread] = []
        self._processes: list[_Process] = []
        self._tasks: deque[Task] = deque()
        self._parts: deque[tuple[int, bytes | Exception]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._is_closed = False

    def __enter__(self) -> Self:
        """Use them."""
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
        """Return what came of a log, which its number names; `None`: nothing came yet, and nobody waits."""
        with self._changed:
            while not self._parts:
                if not wait:
                    return None
                self._changed.wait(1.0)  # without a time, Windows lets no Ctrl-C through
            number, data = self._parts.popleft()
            if isinstance(data, Exception):
                raise data
            self._waiting_bytes -= len(data)
            self._changed.notify_all()
        return number, unpacked(data)

    def notices(self) -> list[Notice]:
        """Return nothing: that a process has ended makes no difference."""
        return []

    def _work(self) -> None:
        """Have logs read by one process, or by the next one when that has died."""
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
        """Have one log after another read by a process; short ones are sent before it has read the last."""
        while task is not None:
            process.send(task)
            while process.sent:
                while (
                    more := self._next_task(wait=False, most_bytes=AHEAD_BYTES - process.sent_bytes)
                ) is not None:
                    process.send(more)
                number = process.sent[0].number
                for data in process.receive():
                    if not self._put(number, data):
                        return
            task = self._next_task(wait=True)

    def _next_task(self, wait: bool, most_bytes: int | None = None) -> Task | None:
        """Return the next log to read, if it is not too large; `None`: there is none now, or in the end."""
        with self._changed:
            while wait and not (self._tasks or self._is_closed):
                self._changed.wait()
            if self._is_closed or not self._tasks:
                return None
            if most_bytes is not None and self._tasks[0].file.size_bytes > most_bytes:
                return None
            return self._tasks.popleft()

    def _put(self, number: int, data: bytes | Exception) -> bool:
        """Hand over what came of a log, once not too much waits; return whether it is wanted."""
        size = 0 if isinstance(data, Exception) else len(data)
        with self._changed:
            while self._waiting_bytes and self._waiting_bytes + size > MOST_WAITING_BYTES:
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
        """End all of them; what is still under way is of no use to anybody."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for process in list(self._processes):
            process.kill()
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            process.kill()  # one that was just started, too
            process.end()


def serve() -> None:
    """Read the logs that are asked for through standard input, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the pipe's end is enough
    with little_tidying(), suppress(BrokenPipeError):  # whoever asked is gone
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
        BrokenPipeError: whoever wrote has ended.
    """
    head = pipe.read(_HEAD.size)
    if len(head) == _HEAD.size:
        size, is_last = _HEAD.unpack(head)
        data = pipe.read(size)
        if len(data) == size:
            return data, is_last
    raise BrokenPipeError("the other end of the pipe has ended")


def _widen(pipe: IO[bytes]) -> None:
    """Have a pipe hold more at once, where that can be."""
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - there is none elsewhere

        with suppress(OSError):  # what one user's pipes may hold in all is limited
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
