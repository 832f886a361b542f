"""The events of a group, computed from its facts: the only place that knows when two lines are one event.

A *fact* is all that one place says: the payload of its line, its time, and its context. A *group* is what
could be one event: the same second of UTC, predicted and actual tokens. `events` computes the events of a
group from its facts alone: their order, and how often one is given, make no difference. docs/identity.md has
the rules with their reasons.

Pure: no database here, only values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from hashlib import blake2b
from typing import Any, NamedTuple

from ingest.linking.context import NO_CONTEXT, Context, Deliverables, better_deliverables, merged
from parsers.event import identity_of
from parsers.records import EstimationEvent

SECOND_LENGTH = 19
"""Characters of a time, and of a key, that are its second."""

DIGEST_LENGTH = 16
"""Hexadecimal digits of the hash of what an event line says after its two numbers of tokens."""

_UNREAD = "\ufffd"
"""The replacement character, which decoding puts in place of a character that was cut."""


class Fact(NamedTuple):
    """All that one place says of an event.

    `timestamp` is UTC as the database writes it, `timestamp_text` as logged. `is_cut` is set if the line had
    no newline, so that the end of its model may be missing. `stem` may be empty until it is needed.
    If the place is a row that the executor wrote, `own` has the values in it that no log has.
    """

    payload: EstimationEvent
    timestamp: str
    timestamp_text: str
    context: Context = NO_CONTEXT
    is_cut: bool = False
    stem: str = ""
    own: tuple[Any, ...] | None = None

    @property
    def is_executors(self) -> bool:
        """Whether the place is a row that the executor wrote."""
        return self.own is not None

    @property
    def phase(self) -> str | None:
        """The phase's id, or `None` if the place doesn't name it."""
        return self.context.phase.name if self.context.phase else None


class Event(NamedTuple):
    """One event of a group: the values of its row, and the numbers of its facts."""

    stem: str
    payload: EstimationEvent
    timestamp: str
    timestamp_text: str
    context: Context
    own: tuple[Any, ...] | None
    facts: list[int]

    @property
    def key(self) -> str:
        """Its `event_key`: the stem, and the phase or, while that is unknown, the microseconds."""
        phase = self.context.phase
        return f"{self.stem} {phase.name if phase else '@' + self.timestamp[SECOND_LENGTH + 1 :]}"


Declared = Mapping[tuple[str, str], Deliverables]
"""Imported deliverables, by run and phase."""

NOTHING_DECLARED: Declared = {}


def stem_of(payload: EstimationEvent, timestamp: str) -> str:
    """Return the beginning of an event's key, made of its payload and its second.

    The time comes first, so that new keys go to one end of the index.
    """
    predicted, actual, *rest = payload
    digest = digest_of(identity_of(rest))
    return f"{timestamp[:SECOND_LENGTH]} {predicted} {actual} {digest}"


def digest_of(rest: str) -> str:
    """Return the hash of what an event line says after its two numbers of tokens."""
    return blake2b(rest.encode("utf-8", "surrogatepass"), digest_size=DIGEST_LENGTH // 2).hexdigest()


def with_stem(fact: Fact) -> Fact:
    """Return a fact with its stem."""
    return fact if fact.stem else fact._replace(stem=stem_of(fact.payload, fact.timestamp))


def group_of(stem: str) -> str:
    """Return the group of a stem: second, predicted and actual tokens."""
    return stem[: -DIGEST_LENGTH - 1]


def events(facts: Sequence[Fact], declared: Declared = NOTHING_DECLARED) -> list[Event]:
    """Return the events of one group, each with the numbers of its facts.

    Facts with the same payload and phase are one event, whatever the precision of their times. If no fact of
    a payload has a phase, each time is an event. docs/identity.md says what facts without a phase belong to.
    """
    found: list[Event] = []
    for payload, numbers in _by_payload(facts).items():
        stem = stem_of(payload, facts[numbers[0]].timestamp)
        for believed, members in _members(facts, numbers):
            said, timed = [facts[number] for number in believed], [facts[number] for number in members]
            found.append(_event(stem, payload, said, timed, declared)._replace(facts=members))
    return found


def _members(facts: Sequence[Fact], numbers: list[int]) -> Iterable[tuple[list[int], list[int]]]:
    """Yield for each event of a payload the facts whose context counts, and all of its facts."""
    phases: dict[str, list[int]] = {}
    strays: list[int] = []
    for number in numbers:
        phase = facts[number].phase
        if phase is None:
            strays.append(number)
        else:
            phases.setdefault(phase, []).append(number)
    if not phases:
        for members in _by_time(facts, strays):
            yield members, members
        return
    home = min(phases)
    for phase, members in phases.items():
        believed = members + strays if len(phases) == 1 else members
        yield believed, (members + strays if phase == home else members)


def _by_time(facts: Sequence[Fact], numbers: list[int]) -> Iterable[list[int]]:
    """Return facts without a phase, grouped by time; the executor's rows belong to the first time."""
    times: dict[str, list[int]] = {}
    for number in numbers:
        if not facts[number].is_executors:
            times.setdefault(facts[number].timestamp, []).append(number)
    own = [number for number in numbers if facts[number].is_executors]
    if own:
        first = min(times) if times else min(facts[number].timestamp for number in own)
        times.setdefault(first, []).extend(own)
    return times.values()


def _event(
    stem: str,
    payload: EstimationEvent,
    believed: list[Fact],
    members: list[Fact],
    declared: Declared,
) -> Event:
    """Compute an event: its context from the facts that are believed, its time from its members.

    Members that name the event's phase decide its time, if it has a phase.
    """
    logged_context = reduce(merged, (fact.context for fact in believed if not fact.is_executors), NO_CONTEXT)
    own = reduce(merged, (fact.context for fact in believed if fact.is_executors), NO_CONTEXT)
    context = _own_first(own, logged_context)
    timed = [fact for fact in members if (fact.phase is None) == (context.phase is None)]
    logged = sorted((fact for fact in timed if not fact.is_executors), key=_precision)
    written = sorted((fact for fact in timed if fact.is_executors), key=_precision)
    timestamp = (written or logged)[0].timestamp
    timestamp_text = (logged or written)[0].timestamp_text
    if declared and context.run and context.phase:
        found = declared.get((context.run.name, context.phase.name))
        context = context._replace(deliverables=better_deliverables(context.deliverables, found))
    return Event(stem, payload, timestamp, timestamp_text, context, _own(believed), [])


def _own(facts: Iterable[Fact]) -> tuple[Any, ...] | None:
    """Return the values of the executor's rows that no log has; of two different ones the smaller."""
    rows = [fact.own for fact in facts if fact.own is not None]
    if not rows:
        return None
    known = ([value for value in column if value is not None] for column in zip(*rows, strict=True))
    return tuple(min(column, key=repr, default=None) for column in known)


def _own_first(own: Context, logged: Context) -> Context:
    """Return the context of the executor's own row, its gaps filled from logs."""
    if own == NO_CONTEXT:
        return logged
    return Context._make(mine if mine is not None else its for mine, its in zip(own, logged, strict=True))


def _precision(fact: Fact) -> tuple[bool, str, str]:
    """Order times of one second: those with a fraction before those without, then the earlier first."""
    return (fact.timestamp.endswith(".000000"), fact.timestamp, fact.timestamp_text)


# The payload of a fact: its own, unless its line is cut or the executor left out a part of it


def _by_payload(facts: Sequence[Fact]) -> dict[EstimationEvent, list[int]]:
    """Return the facts of each payload; whole lines come first, since cut lines may have their payload."""
    found: dict[EstimationEvent, list[int]] = {}
    cut: list[int] = []
    own: list[int] = []
    for number, fact in enumerate(facts):
        if fact.is_cut:
            cut.append(number)
        elif fact.is_executors:
            own.append(number)
        else:
            found.setdefault(fact.payload, []).append(number)
    if cut:
        _add_cut(facts, cut, found)
    logged = {payload: _phases(facts, numbers) for payload, numbers in found.items()}
    for number in own:
        payload = _logged_as(facts[number], logged) or facts[number].payload
        found.setdefault(payload, []).append(number)
    return found


def _add_cut(facts: Sequence[Fact], cut: list[int], found: dict[EstimationEvent, list[int]]) -> None:
    """Add the facts of cut lines, the longest first: a shorter one may have the longer one's payload."""
    payloads = {payload: _phases(facts, numbers) for payload, numbers in found.items()}
    longest_first = sorted(
        {facts[number].payload for number in cut},
        key=lambda payload: (-len(_model(payload)), _model(payload)),
    )
    begun: dict[EstimationEvent, frozenset[str]] = {}
    for payload in longest_first:
        left: list[int] = []
        for number in [number for number in cut if facts[number].payload == payload]:
            whole = _whole_of(facts[number], payloads) or _whole_of(facts[number], begun)
            if whole is None:
                left.append(number)
            found.setdefault(whole or payload, []).append(number)
        if left:
            begun[payload] = _phases(facts, left)


def _phases(facts: Sequence[Fact], numbers: list[int]) -> frozenset[str]:
    return frozenset(phase for number in numbers if (phase := facts[number].phase) is not None)


def _may_be_of(fact: Fact, phases: frozenset[str]) -> bool:
    return fact.phase is None or not phases or fact.phase in phases


def _model(payload: EstimationEvent) -> str:
    return str(payload.model)


def _whole_of(fact: Fact, payloads: Mapping[EstimationEvent, frozenset[str]]) -> EstimationEvent | None:
    """Return the payload whose model begins as a cut line's does; of several the first by its model."""
    beginning = _model(fact.payload).rstrip(_UNREAD)
    return min(
        (
            payload
            for payload, phases in payloads.items()
            if payload[:-1] == fact.payload[:-1]
            and _model(payload).startswith(beginning)
            and _may_be_of(fact, phases)
        ),
        key=_model,
        default=None,
    )


_AGREEING = ("category", "complexity", "deliverable_count", "selected_budget", "success", "model")


def _logged_as(fact: Fact, payloads: Mapping[EstimationEvent, frozenset[str]]) -> EstimationEvent | None:
    """Return the payload of the logged event that agrees most with a row of the executor's."""

    def agreement(payload: EstimationEvent) -> tuple[int, str]:
        agreed = sum(getattr(payload, name) == getattr(fact.payload, name) for name in _AGREEING)
        return (-agreed, repr(payload))

    may_be = (payload for payload, phases in payloads.items() if _may_be_of(fact, phases))
    return min(may_be, key=agreement, default=None)
