"""Insert many events at once: the plain ones are recognised and written by SQLite, in C.

A batch is staged in temporary tables, a few small values a row: what many events share (all that their lines
say but three numbers) is staged once. A handful of statements then find which events are new, which are
stored with the same values, and which need `ingest.storing.groups`. Two more insert the new events and the
sightings of the first two kinds. SQLite runs those alone, while Python reads the next batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from ingest.identity import DIGEST_LENGTH, SECOND_LENGTH
from ingest.linking.context import NO_CONTEXT
from ingest.reading.batch import Sighting
from ingest.storing import writes
from ingest.storing.rows import (
    CONTEXT_COLUMNS,
    EVENT_COLUMNS,
    EXECUTORS_COLUMNS,
    PAYLOAD_COLUMNS,
    context_values,
)
from parsers.records import EstimationEvent
from parsers.run import UNKNOWN

MAX_EXACT = 10**12
"""Tokens up to which SQLite's floating point gives the same metrics as Python's integers."""

_MAX_ENDINGS = 50_000
"""How many different ends of event lines are kept from one batch to the next."""

_GROUP = f"SUBSTR(staged.stem, 1, LENGTH(staged.stem) - {DIGEST_LENGTH + 1})"
_KEY = "staged.stem || ' ' || COALESCE(staged.phase_id, '@' || SUBSTR(staged.timestamp, 21))"
_ENDING_COLUMNS = EstimationEvent._fields[4:]
_TABLES = (
    "CREATE TEMP TABLE IF NOT EXISTS staged (number INTEGER PRIMARY KEY, event_id INTEGER, "
    "byte_offset INTEGER, line_number INTEGER, stem TEXT, timestamp TEXT, timestamp_text TEXT, "
    "predicted INTEGER, "
    "actual INTEGER, is_total INTEGER DEFAULT 0, smape REAL, ending INTEGER, "
    f"says_more INTEGER DEFAULT 0, own_values TEXT, {', '.join(CONTEXT_COLUMNS)})",
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
_STAGE = _insert(*_OF_LINE, "says_more", *CONTEXT_COLUMNS)
"""Of most events in a dense log only line and run are known: values that aren't bound cost nothing."""
_NO_MORE = NO_CONTEXT[1:]
_STAGE_ENDING = f"INSERT INTO staged_endings VALUES ({', '.join('?' * (1 + len(_ENDING_COLUMNS)))})"
_DEFAULTS = {
    "run_id": f"'{UNKNOWN}'",
    "phase_id": f"'{UNKNOWN}'",
    "deliverables_json": "'[]'",
    "deliverables_complete": "0",
}
_CONTEXT = {
    name: f"COALESCE(staged.{name}, {_DEFAULTS[name]})" if name in _DEFAULTS else f"staged.{name}"
    for name in CONTEXT_COLUMNS
}
_SAME_CONTEXT = " AND ".join(f"{value} IS event.{name}" for name, value in _CONTEXT.items())
_IN_GROUP = f"event_key >= {_GROUP} || ' ' AND event_key < {_GROUP} || '!'"
_SAME_LINE = f"""
event.event_key >= staged.stem || ' ' AND event.event_key < staged.stem || '!'
AND event.timestamp = staged.timestamp AND event.timestamp_text = staged.timestamp_text
AND (SELECT COUNT(*) FROM token_estimation_v2_events WHERE {_IN_GROUP}) = 1
"""
_MARK_BARE = f"""
UPDATE staged SET own_values = '{{}}', event_id = COALESCE(
    (SELECT event.event_id FROM token_estimation_v2_events AS event WHERE {_SAME_LINE}), -1
)
WHERE staged.event_id = -1 AND staged.says_more = 0
"""
"""A line without context, as in an excerpt, belongs to the only event of its group."""

_EXPRESSIONS = {
    **_CONTEXT,
    "event_id": ":first_id + staged.number",
    "timestamp": "staged.timestamp",
    "event_key": _KEY,
    "timestamp_text": "staged.timestamp_text",
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
_SAME_PAYLOAD = " AND ".join(f"event.{name} IS ({_INSERTED[name]})" for name in PAYLOAD_COLUMNS)


def _marking(which: str) -> str:
    """Set the id of an event stored with the same values; -1 if its group has others; NULL if it is new.

    Events of a second later than every stored one are new, and not looked up.
    """
    return f"""
    UPDATE staged SET event_id = COALESCE(
        (
            SELECT event.event_id FROM token_estimation_v2_events AS event
            WHERE {_SAME_LINE} AND event.event_key = {_KEY} AND {_SAME_CONTEXT} AND {which}
                AND COALESCE({", ".join(f"event.{name}" for name in EXECUTORS_COLUMNS)}) IS NULL
        ),
        (SELECT -1 FROM token_estimation_v2_events WHERE {_IN_GROUP} LIMIT 1)
    )
    WHERE staged.stem < ?
    """


_MARK_KNOWN = _marking("1")
"""Its key tells what an event's line says."""

_MARK_SAME = _marking(
    f"EXISTS (SELECT 1 FROM staged_endings AS ending WHERE ending.ending = staged.ending AND {_SAME_PAYLOAD})"
)
"""Also where somebody may have changed a row by hand."""

_NEW = """
FROM staged JOIN staged_endings AS ending USING (ending)
WHERE staged.event_id IS NULL
ORDER BY staged.number
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
    """Insert nothing: everything is written."""


class Span(NamedTuple):
    """The source of the sightings numbered from `first` on, before `end`."""

    source_id: int
    first: int
    end: int


class Staged(NamedTuple):
    """Staged sightings: how many are new events, and the numbers of those to be computed with their groups.

    `insert` writes all but the others. Call it before anything else reads or stages events.
    """

    new: int
    others: list[int]
    insert: Insert


class EndingNumbers(dict[tuple[object, ...], int]):
    """Numbers the different ends of event lines (all after three numbers); `new` ones are to be staged."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[tuple[object, ...]] = []

    def __missing__(self, values: tuple[object, ...]) -> int:
        number = self[values] = len(self) + 1
        self.new.append((number, *values))
        return number


class Staging:
    """The staging tables of one connection."""

    def __init__(self, connection: sqlite3.Connection, compares_all: bool = False) -> None:
        """Make the tables, where they are not there yet."""
        self._conn = connection
        self._marking = _MARK_SAME if compares_all else _MARK_KNOWN
        self._endings = EndingNumbers()
        for statement in _TABLES:
            connection.execute(statement)

    def stage(self, sightings: Sequence[Numbered], spans: list[Span], first_id: int, now: str) -> Staged:
        """Stage sightings whose groups differ: few statements, most of it in C.

        The ids from `first_id` to that plus the highest number must be free. Sightings whose group is stored
        with other values are left out, and returned as `others`.
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
        """Put sightings into the tables; those with fewer known values by shorter statements."""
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
            is_total = 1 if payload[2] else 0  # a bool binds ten times as slowly as an int
            values = (*line, payload[0], payload[1], payload[3], numbers[payload[4:]], is_total)
            if context is NO_CONTEXT:
                bare.append(values)
            elif context[1:] == _NO_MORE:
                of_runs.append((*values, 1, *(context.run or (None, None))))
            else:
                rest.append((*values, 1, *context_values(context)))
        conn.executemany(_STAGE_ENDING, self._endings.new)
        self._endings.new.clear()
        for statement, rows in ((_STAGE_BARE, bare), (_STAGE_OF_RUN, of_runs), (_STAGE, rest)):
            conn.executemany(statement, rows)

    def _mark_known(self) -> bool:
        """Mark the staged events that are stored; return whether any may be. Keys begin with the time."""
        ((latest,),) = self._conn.execute("SELECT MAX(event_key) FROM token_estimation_v2_events")
        if latest is None:
            return False
        known = self._conn.execute(self._marking, [latest[:SECOND_LENGTH] + "~"]).rowcount > 0
        if known:
            self._conn.execute(_MARK_BARE)
        return known
