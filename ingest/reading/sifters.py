"""More cores: blocks sifted in other processes, their order kept.

A block's lines are read without knowing any other block, and linked in one place in the order of the
log. So the result is that of one pass, however many processes there are, and a huge log needs no seams.
The processes get blocks through pipes: they open no log and no database, and end when their pipe does.
"""

from __future__ import annotations

import pickle
import signal
import struct
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ingest.reading.blocks import BARRIER, Barrier, Block
from ingest.reading.lines import Line
from ingest.reading.sifting import Sifted, SiftedEvent, Sifter
from ingest.reading.zone import zone_recorded
from parsers.quick import Ending

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

BLOCKS_AHEAD = 4
"""Blocks under way for each process: one that is sifted, one that comes, and what keeps the linker busy."""

_SIZES = struct.Struct("!II")
_MAX_ENDINGS = 20_000
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from ingest.reading.sifters import serve; serve()"


class _Packed(NamedTuple):
    """What was sifted out of a block: events name their endings by number; those not sent yet come along."""

    first_ending: int
    endings: list[tuple[tuple[Any, ...], bytes]]
    sifted: list[Any]


class _Process:
    """One process that sifts; it is used by one thread at a time."""

    def __init__(self) -> None:
        import subprocess  # noqa: PLC0415 - only large logs need it

        command = [sys.executable, "-P", "-c", _PROGRAM, *sys.path]
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._endings: list[Ending] = []

    def sift(self, zone: str, data: bytes) -> list[Sifted]:
        """Send a block, and wait for what is in it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert stdout is not None  # noqa: S101
        name = zone.encode()
        _write(stdin, _SIZES.pack(len(name), len(data)) + name + data)
        size, _ = _SIZES.unpack(_read(stdout, _SIZES.size))
        packed: _Packed = pickle.loads(_read(stdout, size))  # noqa: S301 - from ourselves
        del self._endings[packed.first_ending :]
        self._endings += [Ending(*ending) for ending in packed.endings]
        endings = self._endings
        return [
            tuple.__new__(SiftedEvent, (*one[:-1], endings[one[-1]])) if type(one) is tuple else one
            for one in packed.sifted
        ]

    def end(self) -> None:
        """Let it end."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # it has ended already
                    pipe.close()
        self._process.wait()


class Sifters:
    """Several processes that sift; they are started with the first block."""

    def __init__(self, count: int) -> None:
        """Prepare so many."""
        self.count = count
        self._idle: deque[_Process] = deque()
        self._all: list[_Process] = []
        self._threads: ThreadPoolExecutor | None = None

    def submit(self, zone: str, data: bytes) -> Future[list[Sifted]]:
        """Have a block sifted."""
        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as above

            self._threads = ThreadPoolExecutor(self.count)
        return self._threads.submit(self._sift, zone, data)

    def _sift(self, zone: str, data: bytes) -> list[Sifted]:
        try:
            try:
                process = self._idle.pop()
            except IndexError:
                process = _Process()
                self._all.append(process)
            sifted = process.sift(zone, data)
        except (OSError, EOFError, pickle.UnpicklingError):  # it could not be started, or somebody ended it
            return Sifter(zone_recorded(zone)).sift(data)
        self._idle.append(process)
        return sifted

    def close(self) -> None:
        """End all of them."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            process.end()


def sifted_ahead(
    items: Iterator[Block | Line | Barrier | None], zone: str, sifters: Sifters
) -> Iterator[tuple[Block | Line | None, list[Sifted]]]:
    """Yield what a log is cut into with what is in it, while blocks further on are sifted already."""
    pending: deque[tuple[Block, Future[list[Sifted]]]] = deque()
    trouble: Exception | None = None
    try:
        for item in _with_trouble(items):
            if isinstance(item, Exception):
                trouble = item
            if isinstance(item, Block):
                pending.append((item, sifters.submit(zone, item.data)))
            ahead = BLOCKS_AHEAD * sifters.count if isinstance(item, Block | None) else 0
            while len(pending) > ahead:
                block, future = pending.popleft()
                yield block, future.result()
            if isinstance(item, Line):
                yield item, []
        if trouble is not None:
            raise trouble
    finally:
        for _, future in pending:
            future.cancel()


def _with_trouble(
    items: Iterator[Block | Line | Barrier | None],
) -> Iterator[Block | Line | Barrier | Exception | None]:
    """Yield items, then a barrier: what ended them too early is due when all before it is used up."""
    try:
        yield from items
    except Exception as error:
        yield error
    else:
        yield BARRIER


def serve() -> None:
    """Sift what comes through standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the pipe's end is enough
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    sifter: dict[str, Sifter] = {}
    known: dict[bytes, int] = {}
    while True:
        head = stdin.read(_SIZES.size)
        if len(head) < _SIZES.size:
            return
        name_size, size = _SIZES.unpack(head)
        zone, data = stdin.read(name_size).decode(), stdin.read(size)
        if len(data) < size:
            return
        if zone not in sifter:
            sifter[zone] = Sifter(zone_recorded(zone))
        answer = pickle.dumps(_packed(sifter[zone].sift(data), known), pickle.HIGHEST_PROTOCOL)
        stdout.write(_SIZES.pack(len(answer), 0) + answer)
        stdout.flush()


def _packed(sifted: list[Sifted], known: dict[bytes, int]) -> _Packed:
    if len(known) > _MAX_ENDINGS:
        known.clear()
    first = len(known)
    new: list[tuple[tuple[Any, ...], bytes]] = []
    packed: list[Any] = []
    for one in sifted:
        if isinstance(one, SiftedEvent):
            number = known.get(one.ending.identity)
            if number is None:
                number = known[one.ending.identity] = len(known)
                new.append((one.ending.values, one.ending.identity))
            packed.append((*one[:-1], number))
        else:
            packed.append(one)
    return _Packed(first, new, packed)


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
