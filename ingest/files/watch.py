"""What a follow remembers of files between its rounds: how they looked, and what was tried in vain.

A look costs one `stat` a file and opens nothing. It only says that a round is worth while; what is new
is found by the round itself, which trusts none of this. So a look that misses something costs time, until
the next round that is due anyway.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from ingest.files.listing import Listed, Listing
from ingest.files.logfile import FRESH_NS
from ingest.files.names import COMPRESSED
from ingest.files.paths import shown

POLL_SECONDS = 0.2
"""How often what was written lately is looked at."""

WARM_NS = 60_000_000_000
"""How long after a change a file is looked at each time: who writes now goes on, mostly."""

COST_FACTOR = 180
"""All files are looked at so seldom that it takes no more than this part of a processor's time: 0.6%."""

SETTLE_SECONDS = 2.2
"""When to look at what changed once more: its time has then settled (`FRESH_NS`), and tells of any change."""

ROUND_SECONDS = 5.0
ROUND_COST_FACTOR = 1_000
"""When there is a round whatever the looks tell: file systems exist that keep folders' times badly. Its cost
again limits it, to 0.1%."""

BUSY_COST_FACTOR = 4
"""How long there is no other round, however much is written: the way through many files takes a fifth of a
processor at most."""

LONGEST_DELAY_SECONDS = 600.0
"""How long at most what couldn't be read is left alone while it looks the same."""

MOST_PACKING_SECONDS = 30.0
"""How long at most a compressed log that is being written is left alone, since each time it is unpacked from
its start: 2, 4, 8 seconds, and then so long."""

UNTIL_WHOLE = "the rest when it is whole"
"""The end of what is said of such a log."""

Look = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of the last change to the bytes and to the file's own data."""


class Watch:
    """The files of the last round, as they looked then."""

    def __init__(self) -> None:
        """Know nothing: the first round is due."""
        self._looks: dict[str, Look | None] = {}
        self._warm: list[str] = []
        self._tried: dict[str, tuple[Look, float, float]] = {}
        self._unpacked: dict[str, tuple[float, float]] = {}
        self._packing: set[str] = set()
        self._all_due = self._round_due = self._settle_due = self._not_before = 0.0
        self._now = time.monotonic()
        self._named: set[str] = set()
        self.is_waiting = self._is_last = False

    # A round

    def begin(self, is_last: bool = False) -> None:
        """Begin a round; the last one leaves nothing for later."""
        self._now = time.monotonic()
        self._is_last = is_last
        self._looks = {}
        self._named = set()
        self._packing = set()
        self.is_waiting = False

    def see(self, listed: Listed) -> None:
        """Remember how a file looks."""
        path, stored, state, named = listed
        self._looks[path] = look_of(state) if isinstance(state, os.stat_result) else None
        if named:
            self._named.add(stored)

    def wants(self, listed: Listed, is_sure: bool) -> bool:
        """Whether a file that is not plainly unchanged is to be read in this round.

        What looks as it did when it was tried is left alone for a while, twice as long each time: an empty
        file, one that can't be read, a compressed log that ends too early. `is_sure` is false where
        several sources were read at its path: then it is a place to start from. `is_waiting` says
        that a compressed log is still being written, as far as its time tells, and is to be looked at again.
        """
        path, _, state, _ = listed
        if not isinstance(state, os.stat_result) or not is_sure or self._is_last:
            return True
        look = look_of(state)
        if path.endswith(COMPRESSED) and _is_near(look, FRESH_NS):
            self.is_waiting = True
            self._packing.add(path)
            return self._is_time_to_unpack(path)
        tried, due, delay = self._tried.get(path, (None, 0.0, 0.0))
        if tried == look and self._now < due:
            return False
        delay = min(2 * delay, LONGEST_DELAY_SECONDS) if tried == look else SETTLE_SECONDS - POLL_SECONDS
        self._tried[path] = (look, self._now + delay, delay)
        return True

    def _is_time_to_unpack(self, path: str) -> bool:
        """Whether a compressed log that is just being written is to be tried."""
        due, delay = self._unpacked.get(path, (0.0, SETTLE_SECONDS / 2))
        if self._now < due:
            return False
        delay = min(2 * delay, MOST_PACKING_SECONDS)
        self._unpacked[path] = (self._now + delay, delay)
        return True

    def end(
        self, listing: Listing, elsewhere: Callable[[], Iterable[tuple[str, str]]], cost_seconds: float
    ) -> None:
        """End a round, whose way through the files took `cost_seconds` of a processor.

        `elsewhere` tells at which paths logs were read that had another one before, and that one: those of
        logs that are named alone are looked at too.
        """
        for folder, state in listing.folders:
            self._looks[folder] = look_of(state)
        self._looks |= {path: _looked_at(path) for path, look in self._looks.items() if look is None}
        self._looks |= dict.fromkeys(listing.missing)
        self._named |= {shown(os.path.abspath(path)) for path in listing.missing}
        self._tried = {path: one for path, one in self._tried.items() if path in self._looks}
        self._unpacked = {path: one for path, one in self._unpacked.items() if path in self._looks}
        for path, found_at in elsewhere() if self._named else ():
            if found_at in self._named and path not in self._looks:
                self._looks[path] = _looked_at(path)
        self._warm = [path for path, look in self._looks.items() if look and _is_near(look, WARM_NS)]
        fresh = any(look and _is_near(look, FRESH_NS) for look in self._looks.values())
        now = time.monotonic()
        self._settle_due = now + SETTLE_SECONDS if fresh else float("inf")
        self._round_due = now + max(ROUND_SECONDS, ROUND_COST_FACTOR * cost_seconds)
        self._all_due = now
        self._not_before = now + BUSY_COST_FACTOR * cost_seconds

    def worth_saying(self, warnings: list[str]) -> list[str]:
        """Leave out that a log is not whole which is just being compressed."""
        packing = tuple(f"{shown(path)}: " for path in self._packing)
        return [one for one in warnings if not (one.endswith(UNTIL_WHOLE) and one.startswith(packing))]

    def is_there(self, path: str) -> bool:
        """Whether the last round met a file."""
        return path in self._looks

    # Between rounds

    def is_due(self) -> bool:
        """Whether another round is worth while, by a look at what may have changed."""
        now = time.monotonic()
        if now < self._not_before:
            return False
        if now >= min(self._round_due, self._settle_due):
            return True
        if now < self._all_due:
            return self._is_changed(self._warm)
        began = time.process_time()
        is_changed = self._is_changed(self._looks)
        self._all_due = now + COST_FACTOR * (time.process_time() - began)
        return is_changed

    def _is_changed(self, paths: Iterable[str]) -> bool:
        looks = self._looks
        return any(_looked_at(path) != looks[path] for path in paths)


def look_of(state: os.stat_result) -> Look:
    """Return how a file looks."""
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _looked_at(path: str) -> Look | None:
    try:
        return look_of(os.stat(path))
    except (OSError, ValueError):
        return None


def _is_near(look: Look, span_ns: int) -> bool:
    """Whether a file was changed within a span of time before now, or is said to be soon."""
    return abs(time.time_ns() - look[3]) < span_ns
