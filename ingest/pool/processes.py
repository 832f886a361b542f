"""Other processes of this program, which do pure work for this one: they open no database.

They get what to do through pipes, and end when their pipe does, so that none outlives whoever started it,
however that ends. What a process that dies was doing is done here after all.
"""

from __future__ import annotations

import pickle
import signal
import struct
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, TypeVar

from ingest.memory import little_tidying

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Result = TypeVar("Result")

_SIZE = struct.Struct("!Q")
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from ingest.pool.processes import serve; serve()"


class Process:
    """One process; it is used by one thread at a time."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            OSError: it can't be started.
        """
        import subprocess  # noqa: PLC0415 - short logs need no process

        command = [sys.executable, "-P", "-c", _PROGRAM, *sys.path]
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def call(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Have a function of a module called there, and wait for what it returns, or raise what it raises.

        Raises:
            OSError: the process has ended.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert stdout is not None  # noqa: S101
        asked = pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
        _write(stdin, _SIZE.pack(len(asked)))
        _write(stdin, asked)
        (size,) = _SIZE.unpack(_read(stdout, _SIZE.size))
        error, result = pickle.loads(_read(stdout, size))  # noqa: S301 - from ourselves
        if error is not None:
            raise error
        answer: Result = result
        return answer

    def kill(self) -> None:
        """End it in the middle of its work."""
        self._process.kill()

    def end(self) -> None:
        """Let it end."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # it has ended already
                    pipe.close()
        self._process.wait()


class Processes:
    """Several processes; they are started when there is work for them."""

    def __init__(self, count: int) -> None:
        """Prepare so many."""
        self.count = count
        self._idle: deque[Process] = deque()
        self._all: list[Process] = []
        self._threads: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[[Process], Result], otherwise: Callable[[], Result]) -> Future[Result]:
        """Have work done with the next process that is free; `otherwise` does it if that process dies."""
        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as above

            self._threads = ThreadPoolExecutor(self.count)
        return self._threads.submit(self._do, work, otherwise)

    def _do(self, work: Callable[[Process], Result], otherwise: Callable[[], Result]) -> Result:
        try:
            try:
                process = self._idle.pop()
            except IndexError:
                process = Process()
                self._all.append(process)
            result = work(process)
        except (OSError, EOFError, pickle.UnpicklingError):  # it could not be started, or somebody ended it
            return otherwise()
        self._idle.append(process)
        return result

    def close(self) -> None:
        """End all of them; what is still under way is of no use to anybody."""
        for process in self._all:
            if process not in self._idle:
                process.kill()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            process.end()


def serve() -> None:
    """Do what is asked for through standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the pipe's end is enough
    stdout = open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)  # noqa: SIM115 - a number
    with little_tidying(), suppress(BrokenPipeError):  # whoever asked is gone
        _serve(sys.stdin.buffer, stdout)


def _serve(stdin: IO[bytes], stdout: IO[bytes]) -> None:
    while len(head := stdin.read(_SIZE.size)) == _SIZE.size:
        (size,) = _SIZE.unpack(head)
        asked = stdin.read(size)
        if len(asked) < size:
            return
        function, arguments = pickle.loads(asked)  # noqa: S301 - from ourselves
        answer: tuple[Exception | None, Any]
        try:
            answer = (None, function(*arguments))
        except Exception as error:
            answer = (error, None)
        told = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
        _write(stdout, _SIZE.pack(len(told)))
        _write(stdout, told)


def _write(pipe: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def _read(pipe: IO[bytes], size: int) -> bytes:
    pieces: list[bytes] = []
    while size:
        piece = pipe.read(size)
        if not piece:
            raise BrokenPipeError("a process that read the log has ended")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
