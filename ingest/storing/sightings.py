"""What a batch saw, as events and as the places where they were seen."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from ingest.linking.identity import Event, Seen, group_key
from ingest.reading.batch import Rows
from ingest.storing.fragments import Fragments
from ingest.storing.settling import Settling, Written
from ingest.storing.statements import INSERT_SIGHTING


class Sightings:
    """Settle and write the sightings of one batch after another."""

    def __init__(self, connection: sqlite3.Connection, settling: Settling) -> None:
        """Use a connection that is open for writing."""
        self._conn = connection
        self._settling = settling
        self._fragments = Fragments(connection)

    def settle(self, rows: Rows, now: str) -> Written:
        """Settle what a batch saw: whole lines first, then the one that may be cut."""
        whole: dict[str, list[Event]] = {}
        cut: list[tuple[int, Seen]] = []
        for number, sighting in enumerate(rows.sightings):
            self._fragments.claim(sighting.seen)
            if sighting.seen.is_cut:
                cut.append((number, sighting.seen))
            else:
                _put(whole, number, sighting.seen)
        written = self._settling.settle(whole, now)
        for number, seen in cut:
            completed: dict[str, list[Event]] = {}
            _put(completed, number, replace(seen, payload=self._fragments.completed(seen)))
            more = self._settling.settle(completed, now)
            self._fragments.add(seen, more.event_ids[number])
            written = written.with_more(more)
        return written

    def write(self, rows: Rows, source_id: int, event_ids: dict[int, int]) -> None:
        """Write where the events of a batch were seen; `event_ids` are by the number of the sighting."""
        self._conn.executemany(
            INSERT_SIGHTING,
            [
                (
                    event_ids[number],
                    source_id,
                    one.offset,
                    one.line_number,
                    one.seen.context.phase is not None,
                    one.seen.is_cut,
                )
                for number, one in enumerate(rows.sightings)
            ],
        )


def _put(groups: dict[str, list[Event]], number: int, seen: Seen) -> None:
    event = Event(seen.payload, seen.moment, seen.timestamp_text, seen.context, sightings=[number])
    groups.setdefault(group_key(seen.payload, seen.moment), []).append(event)
