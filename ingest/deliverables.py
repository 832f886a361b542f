"""Import of deliverable paths that people or the executor's own database know.

An import is read whole before anything is written: a broken file changes nothing. What a phase
declared fills events that know less; it is matched on run and phase, so import again after an
ingest that brought new events.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest.errors import UnusableImport
from ingest.files.logfile import SQLITE_MAGIC
from ingest.linking.context import Context, deliverables
from ingest.linking.timestamps import time_text
from ingest.storing.completing import amend
from ingest.storing.database import StrPath, open_for_writing, require_database
from ingest.storing.lock import ingest_lock
from ingest.storing.settling import Settling
from ingest.storing.transactions import immediate

_EVENTS = """
SELECT event_id, run_id, phase_id, deliverable_count FROM token_estimation_v2_events
WHERE run_source IS NOT NULL AND phase_source IS NOT NULL
"""

Paths = dict[tuple[str, str], tuple[str, ...]]
"""Deliverable paths by (run, phase)."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    `phases` stand in the file, `phases_unmatched` of them without an event here; `counts_differing`
    events logged another number of deliverables than the file has.
    """

    phases: int
    phases_unmatched: int
    events_matched: int
    events_updated: int
    counts_differing: int


def import_deliverables(file: Path, database: StrPath, wait_seconds: float = 0.0) -> Imported:
    """Complete events with the deliverables of a file: NDJSON, JSON, or an executor's database.

    Raises:
        UnusableImport: the file can't be read, or holds something else; nothing was changed.
        DatabaseBusy, DatabaseUnusable: see `ingest.storing.database`.
    """
    paths = read_deliverables(file)
    require_database(database)
    with ingest_lock(database, wait_seconds), open_for_writing(database) as db:
        matched: set[tuple[str, str]] = set()
        amendments: list[tuple[int, Context]] = []
        differing = 0
        for event_id, run, phase, count in db.conn.execute(_EVENTS):
            found = paths.get((run, phase))
            if found is not None:
                matched.add((run, phase))
                differing += count != len(found)
                told = deliverables("imported", found, complete=True)
                amendments.append((event_id, Context(deliverables=told)))
        with immediate(db.conn):
            updated = amend(Settling(db.conn), amendments, time_text(datetime.now(UTC)))
    return Imported(len(paths), len(paths.keys() - matched), len(amendments), updated, differing)


def read_deliverables(file: Path) -> Paths:
    """Read an import file whole.

    Raises:
        UnusableImport: see `import_deliverables`.
    """
    try:
        with file.open("rb") as opened:
            is_database = opened.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
        entries = list(_from_database(file) if is_database else _from_json(file))
    except OSError as error:
        raise UnusableImport(f"{file}: can't be read ({error.strerror}); nothing was imported") from error
    except UnicodeDecodeError as error:
        raise UnusableImport(
            f"{file}: not UTF-8; nothing was imported: write it as UTF-8, not with PowerShell's >"
        ) from error
    paths: Paths = {}
    for where, entry in entries:
        if not isinstance(entry, dict):
            raise UnusableImport(f"{file}{where}: not an object of run_id, phase_id and deliverables")
        run, phase = entry.get("run_id"), entry.get("phase_id")
        declared = _flat(entry.get("deliverables"))
        if not isinstance(run, str) or not isinstance(phase, str) or declared is None:
            raise UnusableImport(
                f"{file}{where}: needs run_id and phase_id as text, and deliverables as a list of paths "
                "or an object of such lists"
            )
        if declared:
            paths[run, phase] = declared
    return paths


def _flat(value: Any) -> tuple[str, ...] | None:
    """Return paths from a list, or from a dict of lists in its order; `None` for anything else."""
    if isinstance(value, dict):
        lists = [_flat(part) for part in value.values()]
        return None if None in lists else tuple(path for part in lists if part for path in part)
    if isinstance(value, list) and all(isinstance(path, str) for path in value):
        return tuple(value)
    return None


def _from_json(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a JSON array, a single object, or of one object a line."""
    text = file.read_text(encoding="utf-8-sig")
    try:
        whole = json.loads(text)
    except RecursionError as error:
        raise UnusableImport(f"{file}: nested too deeply to be deliverables") from error
    except ValueError:
        yield from _from_ndjson(file, text)
        return
    for number, entry in enumerate(whole if isinstance(whole, list) else [whole], start=1):
        yield f", entry {number}", entry


def _from_ndjson(file: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f":{number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UnusableImport(f"{file}:{number}: not JSON ({error}); nothing was imported") from error


def _from_database(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield the phases of an executor's database whose scope holds deliverables."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT run_id, phase_id, scope FROM phases").fetchall()
    except sqlite3.DatabaseError as error:
        raise UnusableImport(
            f"{file}: not an executor's database with phases and their scope: {error}"
        ) from error
    for run, phase, scope in rows:
        try:
            parsed = json.loads(scope) if scope else None
        except (ValueError, TypeError, RecursionError) as error:
            raise UnusableImport(f"{file}: the scope of phase {phase!r} is not JSON ({error})") from error
        if isinstance(parsed, dict) and parsed.get("deliverables"):
            where = f", phase {phase!r} of run {run!r}"
            yield where, {"run_id": run, "phase_id": phase, "deliverables": parsed["deliverables"]}
