"""The events themselves: newest or worst first, and one by its name with the places where it was seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlite_utils import Database

from reports.selection import Selection

Row = dict[str, Any]

_PLACE = """
SELECT COALESCE(source.real_path, source.path) || ':' || sighting.line_number
FROM event_sightings AS sighting JOIN log_sources AS source USING (source_id)
WHERE sighting.event_id = event.event_id
ORDER BY source.state = 'replaced', source.source_id, sighting.byte_offset LIMIT 1
"""
_ORDERS = {False: "timestamp DESC, event_id DESC", True: "smape_percent DESC, timestamp DESC, event_id DESC"}

_SIGHTINGS = """
SELECT source.path, source.real_path, source.host, source.state, source.timezone, source.prefix,
    sighting.line_number, sighting.byte_offset, sighting.phase_known
FROM event_sightings AS sighting JOIN log_sources AS source USING (source_id)
WHERE sighting.event_id = :event_id
ORDER BY sighting.phase_known DESC, source.state = 'replaced', source.source_id, sighting.byte_offset
"""


def listed_events(db: Database, selection: Selection, worst: bool, limit: int | None) -> Iterator[Row]:
    """Yield events with all their columns and `place`, a file and the line (`path:line`) where each was seen.

    The newest come first; or the `worst` by SMAPE, of those that have one and whose actual is no total of
    input and output. `limit` is how many at most.
    """
    measured = " AND smape_percent IS NOT NULL AND actual_is_total = 0" if worst else ""
    query = (
        f"SELECT *, ({_PLACE}) AS place FROM token_estimation_v2_events AS event "
        f"WHERE {selection.where()}{measured} ORDER BY {_ORDERS[worst]} LIMIT :limit"
    )
    return db.query(query, {**selection.values(), "limit": -1 if limit is None else limit})


def event_named(db: Database, name: str) -> Row | None:
    """Return the event with an id, a key, or a beginning that only its key has; `None` if there is none."""
    table = "SELECT * FROM token_estimation_v2_events"
    if name.isascii() and name.isdigit() and len(name) < 19:
        for row in db.query(f"{table} WHERE event_id = ?", [int(name)]):
            return row
    if not name.isascii():  # no key has other characters
        return None
    found = list(
        db.query(f"{table} WHERE event_key >= ? AND event_key < ? LIMIT 2", [name, f"{name}\U0010ffff"])
    )
    exact = [row for row in found if row["event_key"] == name]
    return exact[0] if exact else found[0] if len(found) == 1 and name else None


def sightings_of(db: Database, event_id: int) -> list[Row]:
    """Return the places where an event was seen, first those where the lines around it tell its phase."""
    return list(db.query(_SIGHTINGS, {"event_id": event_id}))
