"""Logs as they are discovered: where paths lead, where a link led before, what a rotation left beside.

A file found twice is one log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
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


_ROTATED = r"[._-]\d[\d_.:T-]*"
"""What a rotation puts behind a name: a number or a date."""

_ROTATED_WITHIN = r"(?:\.\d+|[._-]\d{4}[\d_.:T-]*)"
"""What it puts before the ending; `app-2.log` is another log beside `app.log`."""


def rotations_of(log: LogFile, oldest_ns: int) -> list[LogFile]:
    """Return the rotations beside a named file that may hold what was written since it was read.

    `run.log.1`, `run.log-20260114`, `run.log.2026-01-14`, `run.1.log`, compressed or not. What was
    changed last before `oldest_ns` is left out: nobody asked for it.
    """
    if not log.named or log.is_remote:
        return []
    folder, name = os.path.split(os.path.realpath(log.path))
    stem, ending = os.path.splitext(name)
    packed = "|".join(re.escape(one) for one in COMPRESSED)
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
