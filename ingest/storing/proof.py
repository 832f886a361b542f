"""A part of `verify` that needs no log: each row equals what is computed from the places of its group.

An escalation equals what is computed from its own places. Those that version 0.1.0 stored have none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from itertools import groupby

from ingest.errors import DatabaseUnusable
from ingest.identity import Declared, Event, Fact, events, stem_of
from ingest.reading.checkpoint import RULES
from ingest.storing.escalations import escalation_key, escalation_of
from ingest.storing.groups import OWN_VALUES, READ, SAYS_THE_ROW, declared_deliverables
from ingest.storing.rows import ESCALATION_COLUMNS, READ_COLUMNS, Row, event_row, fact_of, fact_of_row

_ALL_IN_ORDER = f"""
SELECT EXISTS (
        SELECT 1 FROM event_sightings AS s WHERE s.event_id = event.event_id AND own_values IS NOT NULL
    ), {READ}
FROM token_estimation_v2_events AS event WHERE event_key IS NOT NULL ORDER BY event_key
"""
_KEY_AT = 1 + READ_COLUMNS.index("event_key")
_FIRST_PLACE = """
SELECT path, line_number FROM event_sightings JOIN log_sources USING (source_id)
WHERE event_id = ? ORDER BY source_id, event_sightings.byte_offset LIMIT 1
"""
_ESCALATIONS = f"""
SELECT event_id, escalation_key, created_at, {", ".join(ESCALATION_COLUMNS)}
FROM token_budget_escalation_events WHERE timestamp_text IS NOT NULL ORDER BY event_id
"""
"""All but those that an executor wrote itself into a database that was adopted."""

_ESCALATIONS_OWN = "SELECT own_values FROM escalation_sightings WHERE event_id = ?"
_FIRST_OF_ESCALATION = """
SELECT path, line_number FROM escalation_sightings JOIN log_sources USING (source_id)
WHERE event_id = ? ORDER BY source_id, escalation_sightings.byte_offset LIMIT 1
"""
_PLACES_SINCE = (
    "SELECT applied_at FROM _sqlite_migrations WHERE migration_set = 'tokentail' AND name = 'm009_facts'"
)
"""When the database began to keep the places of escalations."""

_READ_BEFORE = """
SELECT 1 FROM log_sources WHERE state <> 'imported' AND JSON_VALID(remembered)
    AND COALESCE(JSON_EXTRACT(remembered, '$.rules'), 0) < ? LIMIT 1
"""
_OF_NO_ESCALATION = (
    "SELECT COUNT(*) FROM escalation_sightings WHERE event_id NOT IN "
    "(SELECT event_id FROM token_budget_escalation_events) "
    "OR source_id NOT IN (SELECT source_id FROM log_sources)"
)

UNREADABLE = (TypeError, ValueError, KeyError, AttributeError, DatabaseUnusable)
"""What comes up where somebody wrote into a row what no event has."""


def rows_that_differ(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a sentence for each row that differs from what is computed from its group's facts."""
    declared = declared_deliverables(connection)
    in_order = connection.execute(_ALL_IN_ORDER)
    for _, group in groupby(in_order, key=lambda values: values[_KEY_AT].split(" ", 4)[:4]):
        rows = [(has_own, dict(zip(READ_COLUMNS, values, strict=True))) for has_own, *values in group]
        try:
            if len(rows) == 1 and not (rows[0][0] or declared):
                wrong = list(_differences(rows[0][1], _by_itself(fact_of_row(rows[0][1]))))
            else:
                wrong = list(_that_differ(connection, [row for _, row in rows], declared))
        except UNREADABLE as error:
            unreadable = list(_unreadable(connection, [row for _, row in rows]))
            wrong = unreadable or [(rows[0][1]["event_id"], f"its row can't be read: {error}")]
        for event_id, text in wrong:
            yield f"{_where(connection, event_id)}: {text}"


def _by_itself(fact: Fact) -> Row:
    """Return what a row must hold whose places all say the same."""
    return event_row(Event(stem_of(fact.payload, fact.timestamp), *fact[:4], fact.own, []))


def _facts(connection: sqlite3.Connection, row: Row) -> list[Fact]:
    """Return what the places of a row say."""
    of_row = fact_of_row(row)
    own = [text for (text,) in connection.execute(OWN_VALUES, [row["event_id"]])]
    facts = [fact_of(of_row, text) for text in own]
    if not own or connection.execute(SAYS_THE_ROW, [row["event_id"]]).fetchone():
        facts.append(of_row)
    return facts


def _that_differ(
    connection: sqlite3.Connection, rows: list[Row], declared: Declared
) -> Iterator[tuple[int, str]]:
    facts = [fact for row in rows for fact in _facts(connection, row)]
    computed = {event.key: event_row(event) for event in events(facts, declared)}
    for row in rows:
        yield from _differences(row, computed.pop(row["event_key"], {"event_key": None}))
    for key in computed:
        yield rows[0]["event_id"], f"its places make an event {key!r} that has no row"


def _unreadable(connection: sqlite3.Connection, rows: list[Row]) -> Iterator[tuple[int, str]]:
    """Name those rows of a group that can't be read."""
    for row in rows:
        try:
            for fact in _facts(connection, row):
                _by_itself(fact)
        except UNREADABLE as error:
            yield row["event_id"], f"its row can't be read: {error}"


def _differences(row: Row, right: Row) -> Iterator[tuple[int, str]]:
    for name, value in right.items():
        if row[name] != value:
            text = f"{name} is {row[name]!r} in the database, but its places say {value!r}"
            yield row["event_id"], text


def _where(connection: sqlite3.Connection, event_id: int) -> str:
    """Name an event by the first of its places, if it has one."""
    return _named("event", event_id, connection.execute(_FIRST_PLACE, [event_id]).fetchone())


def _named(kind: str, event_id: int, place: tuple[str, int] | None) -> str:
    return f"{kind} {event_id}" if place is None else f"{place[0]}:{place[1]}"


# Escalations


def escalations_that_differ(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a sentence for each escalation that differs from what is computed from its places."""
    (lost,) = connection.execute(_OF_NO_ESCALATION).fetchone()
    if lost:
        yield f"{lost} sightings of escalations are of rows or sources that the database does not have"
    (since,) = connection.execute(_PLACES_SINCE).fetchone()
    has_older = connection.execute(_READ_BEFORE, [RULES]).fetchone() is not None
    for event_id, key, made_at, *values in connection.execute(_ESCALATIONS):
        row = dict(zip(ESCALATION_COLUMNS, values, strict=True))
        own = connection.execute(_ESCALATIONS_OWN, [event_id])
        try:
            said = [row if text is None else json.loads(text) for (text,) in own]
            texts = list(_said_wrong(row, key, said, may_lack_places=has_older or str(made_at) < since))
        except UNREADABLE as error:
            texts = [f"its row can't be read: {error}"]
        for text in texts:
            found = connection.execute(_FIRST_OF_ESCALATION, [event_id]).fetchone()
            yield f"{_named('escalation', event_id, found)}: {text}"


def _said_wrong(row: Row, key: str, said: list[Row], may_lack_places: bool) -> Iterator[str]:
    keys = {escalation_key(place) for place in said or [row]}
    if keys != {key}:
        yield f"an escalation with the key {key!r}, but its places say {', '.join(sorted(keys))!r}"
    elif may_lack_places:
        return
    elif not said:
        yield "in the database, but seen in no log"
    else:
        for name, value in escalation_of(said).items():
            if row[name] != value:
                in_row = f"{name} of the escalation is {row[name]!r} in the database"
                yield f"{in_row}, but its places say {value!r}"
