"""A part of `verify` that needs no log: each row equals what is computed from the places of its group."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby

from ingest.identity import Declared, Event, Fact, events, stem_of
from ingest.storing.groups import OWN_VALUES, READ, SAYS_THE_ROW, declared_deliverables
from ingest.storing.rows import READ_COLUMNS, Row, event_row, fact_of, fact_of_row

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


def rows_that_differ(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a sentence for each row that differs from what is computed from its group's facts."""
    declared = declared_deliverables(connection)
    in_order = connection.execute(_ALL_IN_ORDER)
    for _, group in groupby(in_order, key=lambda values: values[_KEY_AT].split(" ", 4)[:4]):
        rows = [(has_own, dict(zip(READ_COLUMNS, values, strict=True))) for has_own, *values in group]
        try:
            if len(rows) == 1 and not (rows[0][0] or declared):
                wrong = list(_differences(rows[0][1], _by_itself(rows[0][1])))
            else:
                wrong = list(_that_differ(connection, [row for _, row in rows], declared))
        except (TypeError, ValueError) as error:  # somebody wrote into it what no event has
            wrong = [(rows[0][1]["event_id"], f"its row can't be read: {error}")]
        for event_id, text in wrong:
            yield f"{_where(connection, event_id)}: {text}"


def _by_itself(row: Row) -> Row:
    """Return what a row must hold whose places have no own values."""
    fact = fact_of_row(row)
    return event_row(Event(stem_of(fact.payload, fact.timestamp), *fact[:4], fact.own, []))


def _that_differ(
    connection: sqlite3.Connection, rows: list[Row], declared: Declared
) -> Iterator[tuple[int, str]]:
    facts: list[Fact] = []
    for row in rows:
        of_row = fact_of_row(row)
        own = [text for (text,) in connection.execute(OWN_VALUES, [row["event_id"]])]
        facts += [fact_of(of_row, text) for text in own]
        if not own or connection.execute(SAYS_THE_ROW, [row["event_id"]]).fetchone():
            facts.append(of_row)
    computed = {event.key: event_row(event) for event in events(facts, declared)}
    for row in rows:
        yield from _differences(row, computed.pop(row["event_key"], {"event_key": None}))
    for key in computed:
        yield rows[0]["event_id"], f"its places make an event {key!r} that has no row"


def _differences(row: Row, right: Row) -> Iterator[tuple[int, str]]:
    for name, value in right.items():
        if row[name] != value:
            text = f"{name} is {row[name]!r} in the database, but its places say {value!r}"
            yield row["event_id"], text


def _where(connection: sqlite3.Connection, event_id: int) -> str:
    """Name an event by the first of its places, if it has one."""
    found = connection.execute(_FIRST_PLACE, [event_id]).fetchone()
    return f"event {event_id}" if found is None else f"{found[0]}:{found[1]}"
