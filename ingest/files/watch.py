"""When a follow reads again, and what: the state of all files in its last round, and which it tried to read.

A look is one `stat` and opens nothing. It only decides whether to begin a round; the round itself finds what
is new. So a change that looks don't show is read late, in the next round that is due anyway, and never lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import chain, cycle, islice
from typing import NamedTuple

from ingest.files.listing import COMPRESSED, Listed, Listing
from ingest.files.logfile import FRESH_NS
from ingest.files.paths import shown
from ingest.notices import Notice

POLL_SECONDS = 0.2
WARM_NS = 60_000_000_000
"""How often to look, and which files are looked at each time: those written within the last minute."""

LOOKS = 300
"""How many of the other files are looked at each time, in turn: 1,000 in 0.7 s, for 0.5% of a processor."""

ROUND_SECONDS, ROUND_SECONDS_A_FILE = 2.2, 0.005
"""The longest time between two rounds, whatever looks show, and what each file adds to it. A fresh time may
hide a change (`FRESH_NS`), and some file systems keep times badly."""

BUSY_SECONDS_A_FILE = 0.000_05
"""The shortest time between two rounds, by the number of files: rounds take a fifth of a processor."""

MOST_DELAY_SECONDS, MOST_PACKING_SECONDS = 600.0, 30.0
"""The longest delay before a file that gave nothing is read again: two seconds at first, then twice as long
each time. The second is for a compressed log that is being written, as it is unpacked from its start."""

Look = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of the last change to the bytes and to the file's own data."""


class Try(NamedTuple):
    """A file's look when it was read, and when to read it again if the look stays the same."""

    look: Look
    due: float
    delay_seconds: float


class Watch:
    """The files of the last round, with their looks."""

    def __init__(self) -> None:
        """Begin with no file; a round is due."""
        self._looks: dict[str, Look | None] = {}
        self._warm: list[str] = []
        self._tries: dict[str, Try] = {}
        self._packing: set[str] = set()
        self._in_turn: Iterator[str] = iter(())
        self._due = self._not_before = 0.0

    # In a round

    def begin(self) -> None:
        """Begin a round; `see` is called with each file that it lists."""
        self._looks, self._packing = {}, set()

    def see(self, listed: Listed) -> None:
        """Remember the look of a file."""
        path, _, state, _ = listed
        self._looks[path] = _look_of(state) if isinstance(state, os.stat_result) else _looked_at(path)

    def wants(self, listed: Listed, is_sure: bool) -> bool:
        """Whether a file that was seen, and is not plainly unchanged, is to be read in this round.

        It is if its look has changed since it was tried last, or that was long enough ago. (It may be empty,
        be unreadable, or have a last line without a newline.) `is_sure` is false if several sources were
        read at its path; such a file is always wanted.
        """
        path, _, state, _ = listed
        look = self._looks[path]
        if state is None or look is None or not is_sure:
            return True
        is_packing = path.lower().endswith(COMPRESSED) and _is_near(look, FRESH_NS)
        if is_packing:
            self._packing.add(shown(path))
        last, now, delay = self._tries.get(path), time.monotonic(), ROUND_SECONDS - POLL_SECONDS
        if last is not None and (is_packing or look == last.look):
            if now < last.due:
                return False
            delay = min(2 * last.delay_seconds, MOST_PACKING_SECONDS if is_packing else MOST_DELAY_SECONDS)
        self._tries[path] = Try(look, now + delay, delay)
        return True

    def end(self, listing: Listing, elsewhere: Iterable[str]) -> None:
        """End a round; `elsewhere` are further files to look at, which were not listed."""
        looks = self._looks
        looks |= {folder: _look_of(state) for folder, state in listing.folders}
        looks |= dict.fromkeys(listing.missing)
        looks |= {path: _looked_at(path) for path in elsewhere if path not in looks}
        self._tries = {path: last for path, last in self._tries.items() if path in looks}
        self._warm = [path for path, look in looks.items() if look and _is_near(look, WARM_NS)]
        self._in_turn = cycle(looks)
        now = time.monotonic()
        self._due = now + max(ROUND_SECONDS, ROUND_SECONDS_A_FILE * len(looks))
        self._not_before = now + BUSY_SECONDS_A_FILE * len(looks)

    @property
    def is_packing(self) -> bool:
        """Whether the last round met a compressed log that was being written, judging by its time."""
        return bool(self._packing)

    def expects(self, notice: Notice) -> bool:
        """Whether a notice only says that a log which is being compressed is not whole yet."""
        return notice.code == "unfinished" and notice.path in self._packing

    # Between rounds

    def is_due(self) -> bool:
        """Whether to begin a round: it is time for one, or the look of a file has changed."""
        now, looks = time.monotonic(), self._looks
        if now < self._not_before:
            return False
        some = islice(self._in_turn, min(LOOKS, len(looks)))
        return now >= self._due or any(_looked_at(path) != looks[path] for path in chain(self._warm, some))


def _look_of(state: os.stat_result) -> Look:
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _looked_at(path: str) -> Look | None:
    try:
        return _look_of(os.stat(path))
    except (OSError, ValueError):
        return None


def _is_near(look: Look, span_ns: int) -> bool:
    """Whether a file's time is within a span of now, before or after it."""
    return abs(time.time_ns() - look[3]) < span_ns
