"""Which files are read: those that are named, and the logs below the folders that are named.

Hidden folders, loops of symbolic links and databases are left out; links to files are followed
(people keep a `current.log`). A file found twice is read once.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.reading.logfile import STANDARD_INPUT, LogFile, shown

_NAMES = ("*.log", "*.log.*", "*.log-*", "*.txt", "*.out", "*.err", "*.jsonl")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

GLOBS = (*_NAMES, *(f"{name}{ending}" for name in _NAMES for ending in _COMPRESSED))
"""Names that a log may have; `*.log.*` and `*.log-*` cover rotations, dated ones too."""


@dataclass(slots=True)
class Discovered:
    """What the paths led to. `problems` are paths that could not be followed, as sentences."""

    logs: list[LogFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def discover(paths: Sequence[str], globs: Sequence[str] = (), not_logs: Sequence[Path] = ()) -> Discovered:
    """Find the logs that paths lead to: a file is taken as it is, a folder is walked, `-` is a stream.

    `globs` replaces the list of names for folders; `not_logs` are files never to be read there
    (our own database and what stands beside it).
    """
    found = Discovered()
    seen: set[str] = set()
    excluded = {os.path.realpath(path) for path in not_logs}
    for path in paths:
        if path == STANDARD_INPUT:
            _add(found, seen, LogFile(path))
        elif os.path.isdir(path):
            logs = [
                log for log in _walk(path, globs or GLOBS, found) if os.path.realpath(log) not in excluded
            ]
            if not logs:
                names = ", ".join(globs or _NAMES)
                found.notes.append(
                    f"{shown(path)}: no logs in this folder (looked for {names}; --glob changes that)"
                )
            for log in logs:
                _add(found, seen, LogFile(log, named=False))
        elif not os.path.lexists(path):
            found.problems.append(f"{shown(path)}: no such file or folder")
        else:
            _add(found, seen, LogFile(path))
    return found


def _add(found: Discovered, seen: set[str], log: LogFile) -> None:
    name = log.path if log.is_stream else os.path.realpath(log.path)
    if name not in seen:
        seen.add(name)
        found.logs.append(log)


def _walk(folder: str, globs: Sequence[str], found: Discovered) -> Iterator[str]:
    """Yield the logs below a folder, in the order of their names."""

    def complain(error: OSError) -> None:
        vanished = isinstance(error, FileNotFoundError)  # while we looked: that happens
        told = found.notes if vanished else found.problems
        told.append(f"{shown(error.filename)}: {(error.strerror or str(error)).lower()}")

    visited: set[tuple[int, int]] = set()
    for here, folders, files in os.walk(folder, onerror=complain, followlinks=True):
        try:
            state = os.stat(here)
        except OSError as error:
            complain(error)
            continue
        if (state.st_dev, state.st_ino) in visited:
            folders.clear()
            continue
        visited.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(here, name)
            if not any(fnmatch.fnmatch(name, pattern) for pattern in globs):
                continue
            if _is_regular(path):
                yield path
            else:
                found.notes.append(f"{shown(path)}: not a regular file, or a link to nothing, so not read")


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return not os.path.islink(path)  # what can't be looked at is told when it is read
