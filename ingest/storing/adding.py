"""Events that another database had: rows and sightings as they were there."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ingest.linking.identity import Event
from ingest.linking.timestamps import time_text
from ingest.storing.settling import Settling
from ingest.storing.statements import INSERT_NEW_SIGHTING


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event of another database: its group, the row that it was, and where it stands in the export."""

    event: Event
    group: str
    event_id: int
    created_at: str
    place: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Added:
    """How many rows events of another database made, and completed."""

    events_new: int
    events_updated: int


def add_events(
    connection: sqlite3.Connection, settling: Settling, events: Sequence[NewEvent], source_id: int
) -> Added:
    """Store events of an export, inside the caller's transaction."""
    settling.begin()
    groups: dict[str, list[Event]] = {}
    for number, new in enumerate(events):
        new.event.sightings = [number]
        groups.setdefault(new.group, []).append(new.event)
    made = {number: (new.event_id, new.created_at) for number, new in enumerate(events)}
    written = settling.settle(groups, time_text(datetime.now(UTC)), made)
    places = [
        (written.event_ids[number], source_id, *new.place, new.event.phase is not None, False)
        for number, new in enumerate(events)
    ]
    connection.executemany(INSERT_NEW_SIGHTING, places)
    return Added(len(written.inserted), len(written.updated - written.inserted))
