"""Import of deliverable paths from files that people wrote, or from the executor's own database.

A file is read whole before anything is written: a broken file changes nothing. Odd entries are named, and the
others are imported. What a file declares of a phase is stored with a source of that file, and completes
events of that run and phase, whenever they are ingested.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ingest.errors import UnusableImport
from ingest.files.logfile import is_database
from ingest.linking.context import deliverables
from ingest.storing.database import StrPath, immediate, open_for_writing, opened_as_it_is, require_database
from ingest.storing.imports import declare
from ingest.storing.ingest_runs import ingest_lock

_EVENTS = """
SELECT run_id, phase_id, deliverable_count FROM token_estimation_v2_events
WHERE run_source IS NOT NULL AND phase_source IS NOT NULL
"""
_NEEDED = "needs deliverables as a list of paths, or of objects with a path, or as an object of such lists"


@dataclass(frozen=True, slots=True)
class Odd:
    """An entry that can't be read: where it stands in the file, and why."""

    where: str
    why: str


class DeclaredPaths(NamedTuple):
    """What a file declares: deliverable paths by (run, phase), and the entries that can't be read."""

    paths: dict[tuple[str, str], tuple[str, ...]]
    odd: list[Odd]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    `phases` stand in the file, `phases_unmatched` of them have no event; `counts_differing` events
    logged another number of deliverables than the file has; `odd` entries were left out.
    """

    phases: int
    phases_unmatched: int
    events_matched: int
    events_updated: int
    counts_differing: int
    odd: list[Odd]


def import_deliverables(file: Path, database: StrPath, wait_seconds: float = 0.0) -> Imported:
    """Complete events with the deliverables of a file: NDJSON, JSON, or an executor's database.

    Raises:
        UnusableImport: the file can't be read, or holds something else; nothing was changed.
        DatabaseBusy, DatabaseUnusable: see `ingest.storing.database`.
    """
    paths, odd = read_deliverables(file)
    require_database(database)
    declared = {phase: deliverables("imported", found, complete=True) for phase, found in paths.items()}
    with (
        ingest_lock(database, wait_seconds),
        open_for_writing(database, makes=False) as db,
        immediate(db.conn),
    ):
        updated = declare(db.conn, file, declared)
        matched: set[tuple[str, str]] = set()
        events = differing = 0
        for run, phase, count in db.conn.execute(_EVENTS):
            found = paths.get((run, phase))
            if found is not None:
                matched.add((run, phase))
                events += 1
                differing += count != len(found)
    return Imported(len(paths), len(paths.keys() - matched), events, updated, differing, odd)


def read_deliverables(file: Path) -> DeclaredPaths:
    """Read an import file whole.

    Raises:
        UnusableImport: see `import_deliverables`; or no entry of it is what it should be.
    """
    try:
        entries = list(_from_database(file) if is_database(file) else _from_json(file))
    except OSError as error:
        raise UnusableImport(f"{file}: can't be read ({error.strerror}); nothing was imported") from error
    except UnicodeDecodeError as error:
        raise UnusableImport(
            f"{file}: not UTF-8; nothing was imported: write it as UTF-8, not with PowerShell's >"
        ) from error
    declared = DeclaredPaths({}, [])
    for where, entry in entries:
        try:
            run, phase, paths = _phase(entry)
        except NoPhase as error:
            declared.odd.append(Odd(where, str(error)))
        except RecursionError:
            declared.odd.append(Odd(where, "nested too deeply to be deliverables"))
        else:
            declared.paths.update({(run, phase): paths} if paths else {})
    if entries and len(declared.odd) == len(entries):
        first, *more = declared.odd
        rest = f"; nor are {len(more):,} more" if more else ""
        raise UnusableImport(f"{file}{first.where}: {first.why}{rest}; nothing was imported")
    return declared


class NoPhase(ValueError):
    """What should be a phase with its paths is something else; the message says what it lacks."""


def _phase(entry: Any) -> tuple[str, str, tuple[str, ...]]:
    """Return the run, the phase and the paths of an entry.

    Raises:
        NoPhase: it is something else.
    """
    match entry:
        case NoPhase():
            raise entry
        case {"run_id": str(run), "phase_id": str(phase)}:
            return run, phase, _paths(entry.get("deliverables"))
        case dict():
            raise NoPhase("needs run_id and phase_id as text")
    raise NoPhase("not an object of run_id, phase_id and deliverables")


def _paths(value: Any) -> tuple[str, ...]:
    """Return the paths of a list, of an object of lists in its order, or of an object with a path.

    Raises:
        NoPhase: there is anything else among them.
    """
    match value:
        case list():
            return tuple(_path(item) for item in value)
        case {"path": str()}:
            return (_path(value),)
        case dict():
            return tuple(path for part in value.values() for path in _paths(part))
    raise NoPhase(_NEEDED)


def _path(item: Any) -> str:
    match item:
        case str(path):
            return path
        case {"path": str(path)} if path.strip():
            return path
    raise NoPhase(_NEEDED)


def _from_json(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a JSON array, a single object, or of one object a line."""
    text = file.read_text(encoding="utf-8-sig")
    try:
        whole = json.loads(text)
    except RecursionError as error:
        raise UnusableImport(f"{file}: nested too deeply to be deliverables; nothing was imported") from error
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
    with opened_as_it_is(file, not_ours=True) as connection:
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            rows = connection.execute("SELECT run_id, phase_id, scope FROM phases").fetchall()
        except sqlite3.DatabaseError as error:
            raise UnusableImport(
                f"{file}: no executor's database, whose phases have a scope ({error}); nothing was imported: "
                "name one that has, or a file of JSON"
            ) from error
    for run, phase, scope in rows:
        where = f", phase {phase!r} of run {run!r}"
        try:
            parsed = json.loads(scope) if scope else None
        except (ValueError, TypeError, RecursionError) as error:
            yield where, NoPhase(f"its scope is not JSON ({error})")
            continue
        if isinstance(parsed, dict) and parsed.get("deliverables"):
            yield where, {"run_id": run, "phase_id": phase, "deliverables": parsed["deliverables"]}
