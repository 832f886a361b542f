"""The status: what was read of every source, how much is not read yet, and the last ingests."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlite_utils import Database

from reports.values import LARGEST

_SOURCES = """
SELECT source.source_id, source.path, source.real_path, source.state, source.byte_offset, source.size_bytes,
    source.unread_bytes, source.encoding, source.compression, source.timezone, source.marker_lines,
    source.sightings - source.pruned_sightings AS sightings,
    source.rejects - source.pruned_rejects AS rejects,
    source.pruned_sightings + source.pruned_rejects AS pruned,
    source.host, source.label, source.legacy_lines, source.write_failures,
    source.skipped_events, source.long_lines, source.calls_without_telemetry, source.quoted_lines,
    source.unread_lines,
    CASE WHEN json_valid(source.remembered) THEN json_extract(source.remembered, '$.unread') END AS unread,
    CASE WHEN json_valid(source.remembered) THEN json_extract(source.remembered, '$.new_keys') END
        AS new_keys,
    source.last_seen,
    source.device, source.inode,
    (
        SELECT MAX(event.timestamp) FROM token_estimation_v2_events AS event
        WHERE event.event_id IN (
            (SELECT event_id FROM event_sightings WHERE source_id = source.source_id
                ORDER BY byte_offset DESC LIMIT 1),
            (SELECT event_id FROM event_sightings WHERE source_id = source.source_id
                ORDER BY byte_offset LIMIT 1)
        )
    ) AS last_event
FROM log_sources AS source
ORDER BY source.path, source.source_id
"""
"""The last event of a log is at its end, that of an export at its beginning; a MAX over all events of a
source would read them all."""

_TOTALS = """
SELECT COUNT(*) AS events,
    COALESCE(SUM(phase_source IS NOT NULL), 0) AS with_phase,
    COALESCE(SUM(run_source IS NOT NULL), 0) AS with_run,
    COALESCE(SUM(deliverables_source IS NOT NULL), 0) AS with_deliverables,
    MIN(timestamp) AS first_event, MAX(timestamp) AS last_event,
    (SELECT kept_from FROM event_horizon) AS kept_from
FROM token_estimation_v2_events
"""
_PROBLEMS = "SELECT path, code, text, first_seen, last_seen FROM log_problems ORDER BY path, code"
_RUNS = """
SELECT ingest_run_id, command, started_at, finished_at, exit_code, files, files_read, bytes_read,
    marker_lines, events_new, events_updated, further_sightings, rejects, problems, timezone, host, version
FROM ingest_runs ORDER BY ingest_run_id DESC LIMIT 5
"""
_SUCCESS = """
WITH
understood AS (SELECT MAX(ingest_run_id) AS last_id FROM ingest_runs WHERE marker_lines > rejects),
refused AS (
    SELECT MIN(ingest_run_id) AS first_id FROM ingest_runs, understood
    WHERE marker_lines > 0 AND marker_lines <= rejects AND ingest_run_id > COALESCE(understood.last_id, 0)
)
SELECT command, started_at, finished_at FROM ingest_runs, refused
WHERE finished_at IS NOT NULL AND CASE command
    WHEN 'follow' THEN exit_code IS NULL OR (exit_code IN (0, 130) AND problems = 0)
    ELSE exit_code = 0
END AND (refused.first_id IS NULL OR ingest_run_id < refused.first_id)
ORDER BY finished_at DESC LIMIT 1
"""
"""The last ingest that succeeded. A follow without an exit code runs or was killed, and its row holds when it
last succeeded. An ingest that found only rejects, and each later one until an event is found, has failed."""

_HINTS = ("device", "inode")
_COUNTED = (
    *("marker_lines", "sightings", "rejects", "pruned", "calls_without_telemetry"),
    *("write_failures", "quoted_lines", "unread_lines"),
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that `status` shows; times are UTC as the database holds them.

    Each source has, beside its columns, `on_disk`: what is at its path now (`same`, `grown`, `shrunk`,
    `changed`, `other file`, `gone`, `rotated`, `elsewhere`, `-`); and `behind_bytes`: how much there is to
    read, `None` where that isn't known without reading. Where its file was renamed and holds more than was
    read, `rotated_to` is its path now. `problems` are the logs that couldn't be read when it was tried last.
    `last_success` is the newest ingest that went well, with its age in seconds; `None`: there was none.
    """

    totals: Row
    sources: list[Row]
    problems: list[Row]
    ingest_runs: list[Row]
    last_success: Row | None


def status(db: Database) -> Status:
    """Read the status, with the last five ingest runs."""
    (totals,) = db.query(_TOTALS)
    sources = sources_now(db)
    totals |= sums_of(sources)
    problems, last_runs = list(db.query(_PROBLEMS)), list(db.query(_RUNS))
    return Status(totals, sources, problems, last_runs, last_success(db))


def sources_now(db: Database) -> list[Row]:
    """Return the sources by their paths, each with what its file is now: see `Status`."""
    rotated = _Rotated()
    sources = [_with_unread(source) for source in db.query(_SOURCES)]
    for source in sources:
        rotated.add(source)
    return [_looked_up(source, rotated) for source in sources]


def _with_unread(source: Row) -> Row:
    """Return a source with `unread` (the fields of `Unread`, or `None`) and `new_keys` read from JSON."""
    text = source["unread"] if source["unread_lines"] else None
    return source | {"unread": text and json.loads(text), "new_keys": json.loads(source["new_keys"] or "{}")}


def sums_of(sources: list[Row]) -> Row:
    """Add up the counts of sources, and their `behind_bytes`."""
    sums = {name: sum(source[name] or 0 for source in sources) for name in _COUNTED}
    return sums | {"behind_bytes": sum(source["behind_bytes"] or 0 for source in sources)}


def last_success(db: Database, now: datetime | None = None) -> Row | None:
    """Return the newest ingest that went well, with `age_seconds`; `None` if there is none."""
    for row in db.query(_SUCCESS):
        age = (now or datetime.now(UTC)) - moment_of(row["finished_at"])
        return row | {"age_seconds": max(0, round(age.total_seconds()))}
    return None


def moment_of(text: str) -> datetime:
    """Return a stored time as an aware one in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _looked_up(source: Row, rotated: _Rotated) -> Row:
    """Return a source with what is at its path now, and how much of it is left to be read."""
    found = _on_disk(source)
    if found["on_disk"] in ("gone", "other file", "-"):
        found |= rotated.look_for(source)
    return {name: value for name, value in source.items() if name not in _HINTS} | found


def _on_disk(source: Row) -> Row:
    word, unread_bytes, path = "same", source["unread_bytes"], _place(source)
    if source["state"] in ("replaced", "imported") or path == "-":
        return {"on_disk": "-", "behind_bytes": 0}
    if source["host"] is not None or "://" in path:  # on another machine, or an object: not looked up here
        return {"on_disk": "elsewhere", "behind_bytes": unread_bytes}
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return {"on_disk": "gone", "behind_bytes": 0}
    grown = state.st_size - source["size_bytes"]
    if (source["device"], source["inode"]) != _file_of(state):
        word, unread_bytes = "other file", None
    elif grown < 0:
        word, unread_bytes = "shrunk", None
    elif grown and source["compression"]:
        word, unread_bytes = "changed", None
    elif grown:
        word, unread_bytes = "grown", unread_bytes + grown
    return {"on_disk": word, "behind_bytes": unread_bytes}


def _place(source: Row) -> str:
    return str(source["real_path"] or source["path"])


def _file_of(state: os.stat_result) -> tuple[int, int]:
    return (state.st_dev & LARGEST, state.st_ino & LARGEST)


class _Rotated:
    """Finds files that were renamed in their folder before all of them was read; each folder is listed once.

    What is left to be read is lost for good when such a file is deleted.
    """

    def __init__(self) -> None:
        self._folders: dict[str, dict[tuple[int, int], tuple[str, int]]] = {}
        self._newest: dict[tuple[int, int], int] = {}

    def add(self, source: Row) -> None:
        """Note the newest source of an inode: the file system may have given it to another file."""
        file = (source["device"], source["inode"])
        self._newest[file] = max(source["source_id"], self._newest.get(file, 0))

    def look_for(self, source: Row) -> Row:
        """Return how a source is shown whose file was renamed and isn't read to its end; else nothing."""
        file, path = (source["device"], source["inode"]), _place(source)
        if source["state"] == "imported" or source["host"] is not None or None in file or path == "-":
            return {}
        if "://" in path or self._newest[file] != source["source_id"]:
            return {}
        folder, name = os.path.split(path)
        now, size = self._in(folder).get(file, (path, 0))
        left = source["unread_bytes"] + size - source["size_bytes"]
        if now == path or left <= 0 or not os.path.basename(now).startswith(name.partition(".")[0]):
            return {}
        return {"on_disk": "rotated", "behind_bytes": left, "rotated_to": now}

    def _in(self, folder: str) -> dict[tuple[int, int], tuple[str, int]]:
        if folder not in self._folders:
            found = self._folders[folder] = {}
            with suppress(OSError, ValueError), os.scandir(folder or os.curdir) as entries:
                for entry in entries:
                    state = entry.stat(follow_symlinks=False)
                    found[_file_of(state)] = (entry.path, state.st_size)
        return self._folders[folder]
