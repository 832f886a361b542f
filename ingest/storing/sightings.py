"""What a batch saw, as events and as the places where they were seen."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ingest.linking.identity import Event, Seen, group_key
from ingest.reading.batch import Sighting
from ingest.storing.fragments import Fragments
from ingest.storing.settling import Settling
from ingest.storing.staging import Staging, is_exact
from ingest.storing.statements import INSERT_SIGHTING


@dataclass(frozen=True, slots=True)
class Placed:
    """How many events a batch made, and the ids of those that it completed."""

    inserted: int
    updated: set[int]


class Sightings:
    """Write the sightings of one batch after another, and their events."""

    def __init__(self, connection: sqlite3.Connection, settling: Settling) -> None:
        """Use a connection that is open for writing."""
        self._conn = connection
        self._settling = settling
        self._staging = Staging(connection)
        self._fragments = Fragments(connection)

    def place(self, sightings: list[Sighting], source_id: int, now: str) -> Placed:
        """Write what a batch saw: plain events at once, others one by one, then the line that may be cut."""
        for one in sightings:
            if not one.seen.group:
                one.seen = one.seen._replace(group=group_key(one.seen.payload, one.seen.moment))
        if not self._fragments.is_empty:
            for one in sightings:
                self._fragments.claim(one.seen)
        alike = Counter([one.seen.group for one in sightings])
        plain: list[tuple[int, Sighting]] = []
        others: list[int] = []
        for number, one in enumerate(sightings):
            if alike[one.seen.group] == 1 and not one.seen.is_cut and is_exact(one.seen):
                plain.append((number, one))
            else:
                others.append(number)
        first_id = self._settling.reserve(len(sightings))
        staged = self._staging.write(plain, source_id, first_id, now)
        settled = self._settle(sightings, sorted([*others, *staged.others]), source_id, now)
        return Placed(staged.inserted + settled.inserted, settled.updated)

    def _settle(self, sightings: list[Sighting], numbers: Iterable[int], source_id: int, now: str) -> Placed:
        """Settle events of which more is known than their own line tells: whole lines first."""
        whole: dict[str, list[Event]] = {}
        cut: list[int] = []
        for number in numbers:
            if sightings[number].seen.is_cut:
                cut.append(number)
            else:
                _put(whole, number, sightings[number].seen)
        written = self._settling.settle(whole, now)
        for number in cut:
            seen = sightings[number].seen
            completed: dict[str, list[Event]] = {}
            _put(completed, number, seen._replace(payload=self._fragments.completed(seen), group=""))
            more = self._settling.settle(completed, now)
            self._fragments.add(seen, more.event_ids[number])
            written = written.with_more(more)
        self._conn.executemany(
            INSERT_SIGHTING,
            [
                (event_id, source_id, *_place(sightings[number]))
                for number, event_id in written.event_ids.items()
            ],
        )
        return Placed(len(written.inserted), written.updated)


def _put(groups: dict[str, list[Event]], number: int, seen: Seen) -> None:
    event = Event(seen.payload, seen.moment, seen.timestamp_text, seen.context, sightings=[number])
    groups.setdefault(seen.group or group_key(seen.payload, seen.moment), []).append(event)


def _place(one: Sighting) -> tuple[int, int, bool, bool]:
    return (one.offset, one.line_number, one.seen.context.phase is not None, one.seen.is_cut)
