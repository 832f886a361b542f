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

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from ingest.linking.context import NOTHING_TOLD, Context, merged
from ingest.linking.timestamps import moment_of
from parsers.records import EstimationEvent

_SEPARATOR = "\x1f"

SECOND_LENGTH = 14
"""Characters of a key that are the digits of its second; keys begin with them."""

GROUP_LENGTH = SECOND_LENGTH + 24
"""Characters of a group's key: the digits of its second, those of its hash."""


class Seen(NamedTuple):
    """One sighting of an event: its payload, its time (as stored, and as logged), its context.

    `is_cut` where no newline ended the line, so that the end of the model may be missing. `group` is
    its group's key, where that is known already.
    """

    payload: EstimationEvent
    timestamp: str
    timestamp_text: str
    context: Context
    is_cut: bool = False
    group: str = ""

    @property
    def moment(self) -> datetime:
        """The time, as aware UTC."""
        return moment_of(self.timestamp)


def group_key(payload: EstimationEvent, moment: datetime) -> str:
    """Name the group of a payload and its second: 14 digits of its time, 24 hexadecimal ones of its content.

    The time comes first, so that events of one time are neighbours in the index: adding one costs no
    more among ten million than among ten thousand.
    """
    second = moment.isoformat(" ", "seconds")[:19]
    return _digits(second) + content_key(
        second,
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


def _digits(second: str) -> str:
    return second[:4] + second[5:7] + second[8:10] + second[11:13] + second[14:16] + second[17:]


def content_key(*parts: object) -> str:
    """Name something by its content: 24 hexadecimal digits."""
    return _digest(_SEPARATOR.join(map(str, parts)), 12)


def event_key(group: str, phase: str | None, moment: datetime) -> str:
    """Name an event within its group: by its phase or, while that is unknown, by its time."""
    return f"{group}:@{moment.microsecond:06d}" if phase is None else f"{group}:{phase_member(phase)}"


@lru_cache(maxsize=1_000)
def phase_member(phase: str) -> str:
    """Return the part of an event's key that names its phase."""
    return _digest(phase, 8)


def group_of(key: str) -> str:
    """Return the group's part of an event's key."""
    return key[:GROUP_LENGTH]


def _digest(text: str, size_bytes: int) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size_bytes).hexdigest()


@dataclass(frozen=True, slots=True)
class Adopted:
    """What the executor itself stored of an event, in a database of its own: it stays, whatever logs tell.

    `None` where its row says nothing. `event_id` is that row, `logged` the time that logs tell, as the
    database writes it: `timestamp` is the executor's, of the same second.
    """

    event_id: int
    timestamp: str
    run: str | None = None
    phase: str | None = None
    deliverables: str | None = None
    complete: bool = False
    actual_max_tokens: int | None = None
    logged: str = ""


@dataclass(slots=True)
class Event:
    """One event of a group: a row, or one that is to become a row.

    `context` is what the sightings with its phase told, `strays` what those without a phase did,
    which is believed only while the event is `alone` in its group. `stored_ids` are the rows that
    it was read from: none for a new event, several where rows turned out to be the same event.
    `payload` may be left out where there is a row. `sightings` are the numbers by which the caller
    knows the sightings of this batch. `adopted` where a row is the executor's own.
    """

    payload: EstimationEvent | None
    moment: datetime
    timestamp_text: str
    context: Context
    strays: Context = NOTHING_TOLD
    alone: bool = True
    stored_ids: list[int] = field(default_factory=list)
    sightings: list[int] = field(default_factory=list)
    adopted: Adopted | None = None

    @property
    def phase(self) -> str | None:
        """The phase's id, or `None` while it is unknown."""
        return self.context.phase.name if self.context.phase else None

    @property
    def known(self) -> Context:
        """All that is known of the event."""
        return merged(self.context, self.strays) if self.alone else self.context

    def absorb(self, other: Event) -> None:
        """Take over another telling of this event."""
        self.moment, self.timestamp_text = min(
            (self.moment, self.timestamp_text), (other.moment, other.timestamp_text), key=_precision
        )
        self.context = merged(self.context, other.context)
        self.strays = merged(self.strays, other.strays)
        self._gather(other)

    def adopt(self, stray: Event) -> None:
        """Take in the sightings without a phase: what they told stays apart, and their time is left."""
        self.strays = merged(self.strays, stray.context)
        self._gather(stray)

    def _gather(self, other: Event) -> None:
        self.payload = self.payload or other.payload
        self.adopted = self.adopted or other.adopted
        self.stored_ids = sorted({*self.stored_ids, *other.stored_ids})
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
    for stray in by_time.values():
        home.adopt(stray)
    for event in by_phase.values():
        event.alone = len(by_phase) == 1
        if event is not home:  # a phase before its own has come to light
            home.strays, event.strays = merged(home.strays, event.strays), NOTHING_TOLD
    return list(by_phase.values())
