"""What an ingest would do: the same ingest, into a copy of the database that is thrown away.

So it reports what the ingest would, about rotations, zones and copies, too. It also counts the kinds of
lines, and shows where lines stop matching that look like a kind and are not understood.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from ingest.backup import back_up
from ingest.errors import DatabaseUnusable
from ingest.files.logfile import LogFile
from ingest.linking.context import Context
from ingest.linking.state import Amendment
from ingest.pipeline import ingest
from ingest.reading.extractor import find_markers
from ingest.reading.lines import Line
from ingest.storing.database import StrPath
from ingest.summary import IngestOptions, Summary
from parsers.explain import Explanation, Stop, explain
from parsers.records import Malformed
from parsers.template import Template

MAX_KINDS = 1_000
"""Kinds of lines not understood that are distinguished: a hostile log could have any number."""

_KNOWN_BY = """
SELECT {source}, COUNT(*) FROM token_estimation_v2_events
WHERE event_id > ? AND {source} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1
"""
_SOURCES = {"run": "run_source", "phase": "phase_source", "deliverables": "deliverables_source"}


@dataclass(slots=True)
class NotUnderstood:
    """Lines that look like a family and are not of it, or hold a marker where it doesn't count.

    `why` is the reason of a reject where `is_reject`. `first` is the file and line of the first, of which
    `stop` says where it stops matching, counted from 0 in its message, after `prefix_length` characters.
    """

    family: str | None
    why: str
    is_reject: bool
    first: str
    prefix_length: int
    stop: Stop | None
    lines: int = 0


@dataclass(slots=True)
class Preview:
    """What an ingest would do.

    `families` counts the lines of each kind that were understood. `known_by` counts the new events with a
    run, a phase and deliverables, by the kind of line that said so.
    """

    summary: Summary
    families: Counter[str] = field(default_factory=Counter)
    not_understood: list[NotUnderstood] = field(default_factory=list)
    known_by: dict[str, dict[str, int]] = field(default_factory=dict)


def preview(paths: Sequence[str], database: StrPath, options: IngestOptions) -> Preview:
    """Do an ingest into a copy of the database, and say what it did.

    Raises:
        DatabaseUnusable: the database cannot be used as it is.
    """
    census = _Census()
    options = replace(options, watcher=census, jobs=1, scheduler=None)
    with tempfile.TemporaryDirectory(prefix="tokentail-") as folder:
        copy = os.path.join(folder, "copy.db")
        if os.path.exists(database):
            back_up(database, copy)
        try:
            newest = _newest_event(copy)
            summary = ingest(paths, copy, options)
            known_by = _known_by(copy, newest)
        except DatabaseUnusable as error:
            raise DatabaseUnusable(str(error).replace(copy, os.fspath(database))) from error
    summary.database = os.fspath(database)
    found = sorted(census.not_understood.values(), key=lambda kind: (not kind.is_reject, -kind.lines))
    return Preview(summary, census.families, found, known_by)


def _newest_event(copy: str) -> int:
    if not os.path.exists(copy):
        return 0
    with closing(sqlite3.connect(copy)) as connection:
        try:
            found = connection.execute("SELECT MAX(event_id) FROM token_estimation_v2_events").fetchone()
        except sqlite3.OperationalError:  # no database of ours, which the ingest will say
            return 0
    return int(found[0] or 0)


def _known_by(copy: str, newest: int) -> dict[str, dict[str, int]]:
    if not os.path.exists(copy):
        return {}
    with closing(sqlite3.connect(copy)) as connection:
        return {
            what: dict(connection.execute(_KNOWN_BY.format(source=source), [newest]).fetchall())
            for what, source in _SOURCES.items()
        }


class _Census:
    """Counts the lines of each kind, and those that are not understood by where they stop."""

    def __init__(self) -> None:
        self.families: Counter[str] = Counter()
        self.not_understood: dict[Any, NotUnderstood] = {}
        self._log = ""
        self._template: Template | None = None

    def begin(self, log: LogFile, template: Template | None) -> None:
        """Note the log whose lines follow."""
        self._log, self._template = log.shown, template

    def see(self, line: Line, container_logs: bool) -> None:
        """Count a line."""
        if not find_markers(line.data):
            return
        found = explain(line.data, container_logs, self._template)
        if found.record is not None and not isinstance(found.record, Malformed):
            self.families[found.family or ""] += 1
        else:
            self._miss(line, found)

    def _miss(self, line: Line, found: Explanation) -> None:
        is_reject = isinstance(found.record, Malformed)
        why = found.record.reason if isinstance(found.record, Malformed) else found.why or ""
        key = (found.family, is_reject, why if is_reject else found.stop and found.stop.expected)
        if key not in self.not_understood and len(self.not_understood) < MAX_KINDS:
            at = f"{self._log}:{line.number}"
            self.not_understood[key] = NotUnderstood(
                found.family, why, is_reject, at, found.prefix_length, found.stop
            )
        if key in self.not_understood:
            self.not_understood[key].lines += 1

    def sighted(self, offset: int, context: Context) -> None:
        """Do nothing: stored events are counted in the database."""

    def amended(self, amendment: Amendment) -> None:
        """Do nothing, likewise."""
