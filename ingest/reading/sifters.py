"""More cores for one log: its blocks sifted in other processes, their order kept.

A block's lines are read without knowing any other block, and linked in one place in the order of the
log. So the result is that of one pass, however many processes there are, and a huge log needs no seams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ingest.reading.blocks import BARRIER, Barrier, Block
from ingest.reading.lines import Line
from ingest.reading.processes import Process, Processes
from ingest.reading.sifting import Sifted, SiftedEvent, Sifter
from ingest.reading.zone import zone_recorded
from parsers.quick import Ending

if TYPE_CHECKING:
    from concurrent.futures import Future

BLOCKS_AHEAD = 4
"""Blocks under way for each process: one that is sifted, one that comes, and what keeps the linker busy."""

_MAX_ENDINGS = 20_000


class _Packed(NamedTuple):
    """What was sifted out of a block: events name their endings by number; those not sent yet come along."""

    first_ending: int
    endings: list[tuple[tuple[Any, ...], bytes]]
    sifted: list[Any]


class Sifters:
    """Several processes that sift."""

    def __init__(self, processes: Processes) -> None:
        """Use these."""
        self._processes = processes

    @property
    def count(self) -> int:
        """How many blocks can be sifted at once."""
        return self._processes.count

    def submit(self, zone: str, data: bytes) -> Future[list[Sifted]]:
        """Have a block sifted."""
        return self._processes.submit(
            lambda process: _unpacked(process, process.call(_sift, zone, data)),
            lambda: Sifter(zone_recorded(zone)).sift(data),
        )


def _unpacked(process: Process, packed: _Packed) -> list[Sifted]:
    endings = process.memory
    del endings[packed.first_ending :]
    endings += [Ending(*ending) for ending in packed.endings]
    return [
        tuple.__new__(SiftedEvent, (*one[:-1], endings[one[-1]])) if type(one) is tuple else one
        for one in packed.sifted
    ]


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


_SIFTERS: dict[str, Sifter] = {}
_SENT: dict[bytes, int] = {}
"""What a process that sifts remembers: of each zone, and the endings that were sent already."""


def _sift(zone: str, data: bytes) -> _Packed:
    if zone not in _SIFTERS:
        _SIFTERS[zone] = Sifter(zone_recorded(zone))
    return _packed(_SIFTERS[zone].sift(data), _SENT)


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
