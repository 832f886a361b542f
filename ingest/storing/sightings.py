"""What a batch saw, as events and as the places where they were seen."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass

from ingest.linking.identity import Event, Seen, group_key
from ingest.reading.batch import Sighting
from ingest.storing.fragments import Fragments
from ingest.storing.settling import Settling
from ingest.storing.staging import MAX_EXACT, Insert, Span, Staging, nothing
from ingest.storing.statements import INSERT_SIGHTING


@dataclass(frozen=True, slots=True)
class Placed:
    """How many events a batch made, and the ids of those that it completed.

    `insert` is to be called before anything reads events, or stages others: it inserts what was plain.
    """

    inserted: int
    updated: set[int]
    insert: Insert


class Sightings:
    """Write the sightings of one batch after another, and their events."""

    def __init__(self, connection: sqlite3.Connection, settling: Settling) -> None:
        """Use a connection that is open for writing."""
        self._conn = connection
        self._settling = settling
        self._staging = Staging(connection)
        self._fragments = Fragments(connection)

    @property
    def has_cut(self) -> bool:
        """Whether a line is known that is cut: another one may tell the rest of it."""
        return not self._fragments.is_empty

    def place(self, sightings: list[Sighting], spans: list[Span], now: str) -> Placed:
        """Write what was seen: plain events at once, others one by one, then the lines that may be cut.

        `spans` tell of which sources the sightings are, in order.
        """
        if not self._fragments.is_empty:
            for one in sightings:
                self._fragments.claim(one.seen)
        plain, others = _apart(sightings)
        first_id = self._settling.reserve(len(sightings))
        staged = self._staging.stage(plain, spans, first_id, now)
        others = sorted([*others, *staged.others])
        if not others:
            return Placed(staged.new, set(), staged.insert)
        staged.insert()
        settled = self._settle(sightings, others, spans, now)
        return Placed(staged.new + settled.inserted, settled.updated, nothing)

    def _settle(self, sightings: list[Sighting], others: list[int], spans: list[Span], now: str) -> Placed:
        """Settle events of which more is known than their own line tells: whole lines first."""
        whole: dict[str, list[Event]] = {}
        cut: list[int] = []
        for number in others:
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
        firsts = [span.first for span in spans]
        places: list[tuple[object, ...]] = []
        for number, event_id in written.event_ids.items():
            span = spans[bisect_right(firsts, number) - 1]
            places.append((event_id, span.source_id, *_place(sightings[number])))
        self._conn.executemany(INSERT_SIGHTING, places)
        return Placed(len(written.inserted), written.updated, nothing)


def _apart(
    sightings: list[Sighting],
) -> tuple[list[tuple[int, Sighting]], list[int]]:
    """Return what can be written at once, and the numbers of what is to be settled by itself."""
    groups = list(map(group_seen, sightings))
    repeated: set[str] = set()
    if len(set(groups)) < len(groups):
        repeated = {group for group, times in Counter(groups).items() if times > 1}
    plain: list[tuple[int, Sighting]] = []
    others: list[int] = []
    for number, one in enumerate(sightings):
        if _is_plain(one.seen) and groups[number] not in repeated:
            plain.append((number, one))
        else:
            others.append(number)
    return plain, others


def group_seen(one: Sighting) -> str:
    """Return the group of the event that was seen."""
    return _group(one.seen)


def _group(seen: Seen) -> str:
    return seen.group or group_key(seen.payload, seen.moment)


def _is_plain(seen: Seen) -> bool:
    """Whether SQLite can write an event alone: its line is whole, and its metrics come out the same."""
    payload = seen.payload
    return not seen.is_cut and payload[0] < MAX_EXACT and payload[1] < MAX_EXACT


def _put(groups: dict[str, list[Event]], number: int, seen: Seen) -> None:
    event = Event(seen.payload, seen.moment, seen.timestamp_text, seen.context, sightings=[number])
    groups.setdefault(_group(seen), []).append(event)


def _place(one: Sighting) -> tuple[int, int, bool, bool]:
    return (one.offset, one.line_number, one.seen.context.phase is not None, one.seen.is_cut)
