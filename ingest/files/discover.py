"""Logs as they are discovered: where paths lead, where a link led before, what a rotation left beside.

A file found twice is one log.
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
    """What the paths led to. `missing` were named and are not there; `problems` say so, as sentences."""

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
"""What a rotation puts behind a name: a number or a date."""

_ROTATED_WITHIN = re.compile(r"\.\d+|[._-]\d{4}[\d_.:T-]*")
"""What it puts before the ending; `app-2.log` is another log beside `app.log`."""


class Rotations:
    """The rotations beside logs, wherever links lead; each folder is looked into once."""

    def __init__(self) -> None:
        """Look into no folder yet."""
        self._names: dict[str, list[str]] = {}

    def of(self, log: LogFile, oldest_ns: int, former: Iterable[str | None] = ()) -> list[LogFile]:
        """Return the rotations that may hold what was written since a log was read.

        `run.log.1`, `run.log-20260114`, `run.log.2026-01-14`, `run.1.log`, compressed or not: beside the file
        that the log's path leads to, and beside those that it led to before (`former`). What was changed last
        before `oldest_ns` is left out: nobody asked for it.
        """
        if log.is_remote:
            return []
        places = {os.path.realpath(log.path), *filter(None, former)}
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
    """Whether a path is one that a rotation would leave beside a log, by their names alone."""
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
