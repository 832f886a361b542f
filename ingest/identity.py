"""When two lines are one event.

A *group* is everything with one payload in one second of UTC. Within it:

- each known phase is one event, across the precision of the prefixes that logged it;
- without a known phase, each time as logged is one event;
- as soon as one phase is known, the sightings without a phase belong to it. Where several phases
  are known they belong to the first by name: any fixed choice would do, and this one does not
  depend on the order in which the files were read. What such sightings tell (a run) is then taken
  from none of them, since nobody knows which event they saw; nor is their time, ever.

Pure: no database here, only values.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from ingest.context import Context, merged
from parsers.records import EstimationEvent

_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Seen:
    """One sighting of an event: its payload, its time (aware UTC and as logged), its context."""

    payload: EstimationEvent
    moment: datetime
    timestamp_text: str
    context: Context


def group_key(payload: EstimationEvent, moment: datetime) -> str:
    """Name the group of a payload and its second: 24 hexadecimal digits."""
    return content_key(
        moment.strftime("%Y-%m-%d %H:%M:%S"),
        payload.predicted_output_tokens,
        payload.actual_output_tokens,
        payload.actual_is_total,
        payload.smape_percent,
        payload.selected_budget,
        payload.category,
        payload.complexity,
        payload.deliverable_count,
        payload.success,
        payload.stop_reason,
        payload.truncated,
        payload.model,
    )


def content_key(*parts: object) -> str:
    """Name something by its content: 24 hexadecimal digits."""
    return _digest(_SEPARATOR.join(map(str, parts)), 12)


def event_key(group: str, phase: str | None, moment: datetime) -> str:
    """Name an event within its group: by its phase or, while that is unknown, by its time."""
    member = f"@{moment.microsecond:06d}" if phase is None else _digest(phase, 8)
    return f"{group}:{member}"


def group_of(key: str) -> str:
    """Return the group's part of an event's key."""
    return key.partition(":")[0]


def _digest(text: str, size_bytes: int) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size_bytes).hexdigest()


@dataclass(slots=True)
class Event:
    """One event of a group: a row, or one that is to become a row.

    `stored_ids` are the rows that it was read from: none for a new event, several where rows turned
    out to be the same event. `payload` may be left out where there is a row. `sightings` are the
    numbers by which the caller knows the sightings of this batch. `changed` says that something was
    learned that no row holds yet.
    """

    payload: EstimationEvent | None
    moment: datetime
    timestamp_text: str
    context: Context
    stored_ids: list[int] = field(default_factory=list)
    sightings: list[int] = field(default_factory=list)
    changed: bool = False

    @property
    def phase(self) -> str | None:
        """The phase's id, or `None` while it is unknown."""
        return self.context.phase.name if self.context.phase else None

    def absorb(self, other: Event, with_context: bool = True, with_time: bool = True) -> None:
        """Take over another telling of this event."""
        context = merged(self.context, other.context) if with_context else self.context
        moment, text = self.moment, self.timestamp_text
        if with_time:
            moment, text = min((moment, text), (other.moment, other.timestamp_text), key=_precision)
        ids = sorted({*self.stored_ids, *other.stored_ids})
        before = (self.context, self.moment, self.timestamp_text, self.stored_ids)
        self.changed |= other.changed or before != (context, moment, text, ids)
        self.context, self.moment, self.timestamp_text, self.stored_ids = context, moment, text, ids
        self.payload = self.payload or other.payload
        self.sightings += other.sightings


def _precision(time: tuple[datetime, str]) -> tuple[bool, datetime, str]:
    """Order times of one second: one with a fraction before one without, then the earlier."""
    moment, text = time
    return (moment.microsecond == 0, moment, text)


def settle(events: list[Event]) -> list[Event]:
    """Unite the events of one group, stored and newly seen, by the rules above."""
    by_phase: dict[str, Event] = {}
    by_time: dict[datetime, Event] = {}
    for event in events:
        if event.phase is None:
            first = by_time.setdefault(event.moment, event)
        else:
            first = by_phase.setdefault(event.phase, event)
        if first is not event:
            first.absorb(event)
    if not by_phase:
        return list(by_time.values())
    home = by_phase[min(by_phase)]
    for event in by_time.values():
        home.absorb(event, with_context=len(by_phase) == 1, with_time=False)
    return list(by_phase.values())
