"""Discovery: the logs that paths lead to, the file that a link led to before, and the rotations of a log.

A file that is found twice is one log.
"""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ingest.files.listing import COMPRESSED, Listing
from ingest.files.logfile import FRESH_NS, LogFile


@dataclass(slots=True)
class Discovered:
    """What the paths led to; `missing` were named and do not exist, which `problems` says in sentences."""

    logs: list[LogFile] = field(default_factory=list)
    missing: list[LogFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def discover(
    paths: Sequence[str], globs: Sequence[str] = (), not_logs: Sequence[str | os.PathLike[str]] = ()
) -> Discovered:
    """Find the logs that paths lead to, as a `Listing` does."""
    listing = Listing(paths, globs, [os.fspath(path) for path in not_logs])
    logs = [LogFile(path, named=named, stored=stored) for path, stored, _, named in listing]
    missing = [LogFile(path) for path in listing.missing]
    problems = [notice.text for notice in listing.notices if notice.level == "problem"]
    notes = [notice.text for notice in listing.notices if notice.level == "note"]
    return Discovered(logs, missing, problems, notes)


def target_of(real_path: str | None, log: LogFile) -> list[LogFile]:
    """Return the file that a path led to before, if it leads elsewhere now and that file is still there."""
    if real_path is None or log.is_remote or real_path == log.real_path or not os.path.exists(real_path):
        return []
    return [LogFile(real_path, named=False, found_at=log.stored_path)]


_PACKED = "|".join(map(re.escape, COMPRESSED))
_ROTATED = re.compile(rf"[._-]\d[\d_.:T-]*(?i:{_PACKED})?")
"""What a rotation appends to a name: a number or a date."""

_ROTATED_WITHIN = re.compile(r"\.\d+|[._-]\d{4}[\d_.:T-]*")
"""What a rotation inserts before the suffix. `app-2.log` is another log, no rotation of `app.log`."""


class Rotations:
    """The rotations beside logs, with links followed; each folder is listed once."""

    def __init__(self) -> None:
        """Begin with no folder listed."""
        self._names: dict[str, list[str]] = {}

    def of(self, log: LogFile, oldest_ns: int, earlier_paths: Iterable[str | None] = ()) -> list[LogFile]:
        """Return the rotations that may hold what was written since a log was read.

        These are `run.log.1`, `run.log-20260114`, `run.log.2026-01-14`, `run.1.log`, compressed or not:
        beside the file that the log's path leads to, and beside `earlier_paths`, which it led to before.
        Files that were not changed since `oldest_ns` are left out.
        """
        if log.is_remote:
            return []
        places = {os.path.realpath(log.path), *filter(None, earlier_paths)}
        oldest = oldest_ns - FRESH_NS  # some tools keep whole seconds
        found = {path for place in places for path in self._beside(place) if _is_newer(path, oldest)}
        return [LogFile(path, named=False, found_at=log.stored_path) for path in sorted(found)]

    def _beside(self, path: str) -> Iterator[str]:
        folder, name = os.path.split(path)
        stem, ending = os.path.splitext(name)
        names = self._names_in(folder)
        for other in names[bisect_left(names, stem) :]:
            if not other.startswith(stem):
                return
            if _is_rotated(other, stem, ending):
                yield os.path.join(folder, other)

    def _names_in(self, folder: str) -> list[str]:
        if folder not in self._names:
            self._names[folder] = []
            with suppress(OSError):
                self._names[folder] = sorted(os.listdir(folder))
        return self._names[folder]


def is_rotation(path: str | None, log: str | None) -> bool:
    """Whether a path is a rotation of a log, by their names alone."""
    if path is None or log is None or os.path.dirname(path) != os.path.dirname(log):
        return False
    return _is_rotated(os.path.basename(path), *os.path.splitext(os.path.basename(log)))


def _is_rotated(other: str, stem: str, ending: str) -> bool:
    name = stem + ending
    if other.startswith(name) and _ROTATED.fullmatch(other, len(name)):
        return True
    unpacked = re.sub(rf"(?i:{_PACKED})$", "", other)
    within = unpacked.removesuffix(ending)
    return unpacked.endswith(ending) and bool(_ROTATED_WITHIN.fullmatch(within, len(stem)))


def _is_newer(path: str, oldest_ns: int) -> bool:
    with suppress(OSError):
        state = os.stat(path)
        return stat.S_ISREG(state.st_mode) and state.st_mtime_ns >= oldest_ns
    return False
