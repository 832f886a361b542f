"""Many events into their table at once: what is plain about them is settled by SQLite, in C.

A batch is staged in memory as few small values a row: what events share (all they say but three numbers)
is staged once. Then a handful of statements tell which events are new, which are known just so, and
which need `ingest.storing.groups`. Two more insert the rows of the former two: all of that is SQLite's, so
it can go on while Python reads the next batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from ingest.events import DIGEST_LENGTH, SECOND_LENGTH
from ingest.linking.context import NO_CONTEXT
from ingest.reading.batch import Sighting
from ingest.storing import writes
from ingest.storing.rows import EVENT_COLUMNS, EXECUTORS_COLUMNS, TOLD_COLUMNS, told_values
from parsers.records import EstimationEvent
from parsers.run import UNKNOWN

MAX_EXACT = 10**12
"""Tokens up to which SQLite's floating point gives the very metrics that Python's whole numbers give."""

_MAX_ENDINGS = 50_000
"""How many different ends of event lines are kept from one batch to the next."""

_GROUP = f"SUBSTR(one.stem, 1, LENGTH(one.stem) - {DIGEST_LENGTH + 1})"
_KEY = "one.stem || ' ' || COALESCE(one.phase_id, '@' || SUBSTR(one.timestamp, 21))"
_ENDING_COLUMNS = EstimationEvent._fields[4:]
_TABLES = (
    "CREATE TEMP TABLE IF NOT EXISTS staged (number INTEGER PRIMARY KEY, event_id INTEGER, "
    "byte_offset INTEGER, line_number INTEGER, stem TEXT, timestamp TEXT, timestamp_text TEXT, "
    "predicted INTEGER, "
    "actual INTEGER, is_total INTEGER DEFAULT 0, smape REAL, ending INTEGER, "
    f"says_more INTEGER DEFAULT 0, own_values TEXT, {', '.join(TOLD_COLUMNS)})",
    "CREATE TEMP TABLE IF NOT EXISTS staged_endings "
    f"(ending INTEGER PRIMARY KEY, {', '.join(_ENDING_COLUMNS)})",
)


def _insert(*columns: str) -> str:
    return f"INSERT INTO staged ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


_OF_LINE = (
    "number",
    "byte_offset",
    "line_number",
    "stem",
    "timestamp",
    "timestamp_text",
    "predicted",
    "actual",
    "smape",
    "ending",
    "is_total",
)
_STAGE_BARE = _insert(*_OF_LINE)
_STAGE_OF_RUN = _insert(*_OF_LINE, "says_more", "run_id", "run_source")
_STAGE = _insert(*_OF_LINE, "says_more", *TOLD_COLUMNS)
"""Of most events in a dense log only the line and the run are known; what isn't bound costs nothing."""
_NO_MORE = NO_CONTEXT[1:]
_STAGE_ENDING = f"INSERT INTO staged_endings VALUES ({', '.join('?' * (1 + len(_ENDING_COLUMNS)))})"
_UNTOLD = {
    "run_id": f"'{UNKNOWN}'",
    "phase_id": f"'{UNKNOWN}'",
    "deliverables_json": "'[]'",
    "deliverables_complete": "0",
}
_TOLD = {
    name: f"COALESCE(one.{name}, {_UNTOLD[name]})" if name in _UNTOLD else f"one.{name}"
    for name in TOLD_COLUMNS
}
_SAME_TOLD = " AND ".join(f"{value} IS event.{name}" for name, value in _TOLD.items())
_IN_GROUP = f"event_key >= {_GROUP} || ' ' AND event_key < {_GROUP} || '!'"
_SAME_LINE = f"""
event.event_key >= one.stem || ' ' AND event.event_key < one.stem || '!'
AND event.timestamp = one.timestamp AND event.timestamp_text = one.timestamp_text
AND (SELECT COUNT(*) FROM token_estimation_v2_events WHERE {_IN_GROUP}) = 1
"""
_MARK_KNOWN = f"""
UPDATE staged AS one SET event_id = COALESCE(
    (
        SELECT event.event_id FROM token_estimation_v2_events AS event
        WHERE {_SAME_LINE} AND event.event_key = {_KEY} AND {_SAME_TOLD}
            AND COALESCE({", ".join(f"event.{name}" for name in EXECUTORS_COLUMNS)}) IS NULL
    ),
    (SELECT -1 FROM token_estimation_v2_events WHERE {_IN_GROUP} LIMIT 1)
)
WHERE one.stem < ?
"""
"""An event that is known just so gets its id, one that is known otherwise -1, a new one none.

Those from a second on that is later than all that are stored are new.
"""
_MARK_BARE = f"""
UPDATE staged AS one SET own_values = '{{}}', event_id = COALESCE(
    (SELECT event.event_id FROM token_estimation_v2_events AS event WHERE {_SAME_LINE}), -1
)
WHERE one.event_id = -1 AND one.says_more = 0
"""
"""A line of which nothing more is known, as in an excerpt, is of the one event that its group has."""

_EXPRESSIONS = {
    **_TOLD,
    "event_id": ":first_id + one.number",
    "timestamp": "one.timestamp",
    "event_key": _KEY,
    "timestamp_text": "one.timestamp_text",
    "predicted_output_tokens": "predicted",
    "actual_output_tokens": "actual",
    "selected_budget": "COALESCE(ending.selected_budget, 0)",
    "smape_percent": "CASE WHEN predicted > 0 AND actual > 0 "
    "THEN 200.0 * ABS(predicted - actual) / (predicted + actual) END",
    "waste_ratio": "CASE WHEN predicted > 0 AND actual > 0 THEN CAST(predicted AS REAL) / actual END",
    "underestimated": "CASE WHEN predicted > 0 AND actual > 0 THEN actual > predicted END",
    "is_truncated_output": "ending.truncated",
    "actual_is_total": "is_total",
    "logged_smape_percent": "smape",
    "created_at": ":now",
}
_INSERTED = {
    name: _EXPRESSIONS.get(name, f"ending.{name}") for name in EVENT_COLUMNS if name not in EXECUTORS_COLUMNS
}
_NEW = """
FROM staged AS one JOIN staged_endings AS ending USING (ending)
WHERE one.event_id IS NULL
ORDER BY one.number
"""
_SIGHTING = """
COALESCE(event_id, :first_id + number), :source_id, byte_offset, line_number,
phase_source IS NOT NULL, 0, own_values
"""
_OF_SPAN = "FROM staged WHERE number >= :first AND number < :end ORDER BY number"


Numbered = tuple[int, str, Sighting]
"""A sighting that is to be staged: its number, its stem, and what it is."""

Insert = Callable[[], None]
"""Inserts what was staged."""


def nothing() -> None:
    """Insert nothing: all is written."""


class Span(NamedTuple):
    """Of which source the sightings are that have these numbers: from `first` on, before `end`."""

    source_id: int
    first: int
    end: int


class Staged(NamedTuple):
    """How many staged sightings are new events, and the numbers of those that are to be settled.

    `insert` writes all but the latter; it is to be called before anything reads or stages events.
    """

    new: int
    others: list[int]
    insert: Insert


class EndingNumbers(dict[tuple[object, ...], int]):
    """The numbers, from 1 on, of what event lines say behind their three numbers; `new` are to be staged."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[tuple[object, ...]] = []

    def __missing__(self, values: tuple[object, ...]) -> int:
        number = self[values] = len(self) + 1
        self.new.append((number, *values))
        return number


class Staging:
    """The staging tables of one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Make the tables, where they are not there yet."""
        self._conn = connection
        self._endings = EndingNumbers()
        for statement in _TABLES:
            connection.execute(statement)

    def stage(self, sightings: Sequence[Numbered], spans: list[Span], first_id: int, now: str) -> Staged:
        """Stage sightings whose groups differ: few statements, most of it in C.

        `first_id` and what the highest number adds to it are free as ids. What is known otherwise than it
        is told here is left out.
        """
        conn = self._conn
        self._stage(sightings)
        new, others = len(sightings), []
        if self._mark_known():
            others = [number for (number,) in conn.execute("SELECT number FROM staged WHERE event_id < 0")]
            if others:
                conn.execute("DELETE FROM staged WHERE event_id < 0")
            ((new,),) = conn.execute("SELECT COUNT(*) FROM staged WHERE event_id IS NULL")
        return Staged(new, others, partial(self._insert, spans, {"first_id": first_id, "now": now}))

    def _insert(self, spans: list[Span], values: dict[str, int | str]) -> None:
        writes.insert_staged_events(self._conn, _INSERTED, _NEW, values)
        of_spans = [values | span._asdict() for span in spans]
        writes.insert_staged_sightings(self._conn, _SIGHTING, _OF_SPAN, of_spans)

    def _stage(self, sightings: Sequence[Numbered]) -> None:
        """Put sightings into the tables, those that need fewer values as such."""
        conn = self._conn
        conn.execute("DELETE FROM staged")
        ((endings,),) = conn.execute("SELECT COUNT(*) FROM staged_endings")
        if endings != len(self._endings) or endings > _MAX_ENDINGS:  # a batch that failed took its own back
            conn.execute("DELETE FROM staged_endings")
            self._endings = EndingNumbers()
        numbers = self._endings
        bare: list[tuple[object, ...]] = []
        of_runs: list[tuple[object, ...]] = []
        rest: list[tuple[object, ...]] = []
        for number, stem, (offset, line_number, fact) in sightings:
            payload, timestamp, timestamp_text, context = fact[:4]
            line = (number, offset, line_number, stem, timestamp, timestamp_text)
            is_total = 1 if payload[2] else 0  # a truth binds ten times as slow as a number
            values = (*line, payload[0], payload[1], payload[3], numbers[payload[4:]], is_total)
            if context is NO_CONTEXT:
                bare.append(values)
            elif context[1:] == _NO_MORE:
                of_runs.append((*values, 1, *(context.run or (None, None))))
            else:
                rest.append((*values, 1, *told_values(context)))
        conn.executemany(_STAGE_ENDING, self._endings.new)
        self._endings.new.clear()
        for statement, rows in ((_STAGE_BARE, bare), (_STAGE_OF_RUN, of_runs), (_STAGE, rest)):
            conn.executemany(statement, rows)

    def _mark_known(self) -> bool:
        """Mark the staged events that are known; return whether any may be: keys begin with the time."""
        ((latest,),) = self._conn.execute("SELECT MAX(event_key) FROM token_estimation_v2_events")
        if latest is None:
            return False
        known = self._conn.execute(_MARK_KNOWN, [latest[:SECOND_LENGTH] + "~"]).rowcount > 0
        if known:
            self._conn.execute(_MARK_BARE)
        return known
