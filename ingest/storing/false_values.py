"""Find values that earlier versions misread: those that hold the beginning of another line, or an escape.

Where a line was torn and another process's line followed, that became the end of a model or a run; colours
became a part of the value at a line's end. Such lines are read correctly now, when their logs are read anew.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.files.paths import STANDARD_INPUT, quoted
from ingest.files.urls import is_url
from parsers.prefix import INNER
from parsers.torn import tears

_TEXTS = (
    "run_id",
    "phase_id",
    "category",
    "complexity",
    "stop_reason",
    "model",
    "phase_outcome",
    "deliverables_json",
)
_DIFFERENT = "SELECT DISTINCT {name} FROM token_estimation_v2_events WHERE TYPEOF({name}) = 'text'"
_WITH = """
SELECT source_id, event_id FROM token_estimation_v2_events JOIN event_sightings USING (event_id)
WHERE {name} = ?
"""
_SUSPECT = (
    "INSTR({text}, CHAR(27)) OR INSTR({text}, CHAR(13)) OR INSTR({text}, '\\u001b') "
    "OR {text} GLOB '*[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*'"
)
_CHECKPOINTS = f"SELECT source_id, remembered FROM log_sources WHERE {_SUSPECT.format(text='remembered')}"
_SOURCE = "SELECT path, real_path, host FROM log_sources WHERE source_id = ?"

_FALSE = re.compile(rf"[\x1b\r]|\\u001b|{INNER}")
_MOST_SHOWN = 60
"""Characters of a value that are shown."""


@dataclass(slots=True)
class _Found:
    """How many events of a source hold such a value, and the first one, by its column."""

    events: int = 0
    example: str = "what its checkpoint remembers"


def said_of_false_values(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a sentence for each source of which stored values hold another line's beginning or an escape."""
    found: dict[int, _Found] = {}
    events: dict[int, set[int]] = {}
    for name, value in _false_values(connection):
        for source_id, event_id in connection.execute(_WITH.format(name=name), [value]):
            of_source = found.setdefault(source_id, _Found(0, f"{name} {value[:_MOST_SHOWN]!r}"))
            events.setdefault(source_id, set()).add(event_id)
            of_source.events = len(events[source_id])
    for source_id, remembered in connection.execute(_CHECKPOINTS):
        if _FALSE.search(remembered):
            found.setdefault(source_id, _Found())
    for source_id, of_source in found.items():
        yield _sentence(connection, source_id, of_source)


def _false_values(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yield each value, with its column, that holds an escape or in which another line begins."""
    for name in _TEXTS:
        for (value,) in connection.execute(_DIFFERENT.format(name=name)).fetchall():
            if _FALSE.search(value) or any(tears(f"={value}".encode("utf-8", "replace"), bytes)):
                yield name, value


def _sentence(connection: sqlite3.Connection, source_id: int, found: _Found) -> str:
    path, real_path, host = connection.execute(_SOURCE, [source_id]).fetchone()
    count = f"in {found.events:,} of its events " if found.events else ""
    text = (
        f"{path}: an earlier version stored an escape, or another line, {count}as a part of a value "
        f"({found.example}): "
    )
    if path == STANDARD_INPUT:
        return f"{text}pipe the log again, to `tokentail backfill --full -`"
    where = f" on {host}" if host else ""
    there = real_path or path
    if not (host or is_url(there) or os.path.exists(there)):
        return f"{text}its log is gone; `tokentail sources forget {source_id}` takes out what it told"
    return f"{text}`tokentail backfill --full {quoted(path)}`{where} reads it anew"
