"""Which files are read: those that are named, and the logs below the folders that are named.

Hidden folders, loops of symbolic links and databases are left out; links to files are followed
(people keep a `current.log`). A file found twice is read once.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ingest.reading.logfile import FRESH_NS, STANDARD_INPUT, LogFile, shown

_NAMES = ("*.log", "*.log.*", "*.log-*", "*.txt", "*.out", "*.err", "*.jsonl")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

GLOBS = (*_NAMES, *(f"{name}{ending}" for name in _NAMES for ending in _COMPRESSED))
"""Names that a log may have; `*.log.*` and `*.log-*` cover rotations, dated ones too."""


@dataclass(slots=True)
class Discovered:
    """What the paths led to. `missing` were named and are not there; `problems` say so, as sentences."""

    logs: list[LogFile] = field(default_factory=list)
    missing: list[LogFile] = field(default_factory=list)
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
            found.missing.append(LogFile(path))
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


def target_of(real_path: str | None, log: LogFile) -> list[LogFile]:
    """Return the file that a path led to before, if it leads elsewhere now and that file is still there."""
    if real_path is None or real_path == log.real_path or not os.path.exists(real_path):
        return []
    return [LogFile(real_path, named=False, found_at=log.stored_path)]


_ROTATED = r"[._-]\d[\d_.:T-]*"
"""What a rotation puts behind a name: a number or a date."""

_ROTATED_WITHIN = r"(?:\.\d+|[._-]\d{4}[\d_.:T-]*)"
"""What it puts before the ending; `app-2.log` is another log beside `app.log`."""


def rotations_of(log: LogFile, oldest_ns: int) -> list[LogFile]:
    """Return the rotations beside a named file that may hold what was written since it was read.

    `run.log.1`, `run.log-20260114`, `run.log.2026-01-14`, `run.1.log`, compressed or not. What was
    changed last before `oldest_ns` is left out: nobody asked for it.
    """
    if not log.named:
        return []
    folder, name = os.path.split(os.path.realpath(log.path))
    stem, ending = os.path.splitext(name)
    packed = "|".join(re.escape(one) for one in _COMPRESSED)
    rotated_name = re.compile(
        rf"(?:{re.escape(name)}{_ROTATED}|{re.escape(stem)}{_ROTATED_WITHIN}{re.escape(ending)})(?:{packed})?"
    )
    oldest = oldest_ns - FRESH_NS  # some tools keep whole seconds
    found: list[LogFile] = []
    with suppress(OSError), os.scandir(folder) as entries:
        rotated = [entry for entry in entries if rotated_name.fullmatch(entry.name) and entry.is_file()]
        newer = [entry.path for entry in rotated if entry.stat().st_mtime_ns >= oldest]
        found += [LogFile(path, named=False, found_at=log.stored_path) for path in sorted(newer)]
    return found
