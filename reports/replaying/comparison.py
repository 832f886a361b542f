"""Old against new: the logged estimates and the replayed ones, over the same events.

Error and cost are compared over clean events, since a truncated answer's actual is only a lower
bound; risk over all. "Better" is said only where the whole 95% interval of the difference says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from reports.bootstrap import Difference, paired_difference
from reports.metrics import smape
from reports.replaying.estimator import Estimate, EstimateFailed
from reports.replaying.events import REAL, ReplayEvent
from reports.strata import Key, Strata
from reports.tokens import Kind, Kinds, Tokens
from reports.validation import Stratum, stratum_of


@dataclass(frozen=True, slots=True)
class Replayed:
    """An event and what the new estimator says of it, in tokens."""

    event: ReplayEvent
    predicted: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One stratum, old and new, over the same events.

    `smape` is the mean difference (new - old) in percentage points over the clean events,
    `underestimated` the difference of the share underestimated, -1..1, over all.
    """

    key: Key
    old: Stratum
    new: Stratum
    smape: Difference
    underestimated: Difference

    @property
    def verdict(self) -> str:
        """Whether the error got better, as far as the events can tell."""
        if self.smape.interval is None:
            return "too few"
        if self.smape.is_lower:
            return "better"
        return "worse" if self.smape.is_higher else "no difference shown"


@dataclass(frozen=True, slots=True)
class Replay:
    """The whole replay.

    `kinds` counts the events by what their deliverables were; `unsafe_paths` were replaced;
    `left_out_unknown` events tell neither paths nor their number, so that nothing could be asked of an
    estimator; `failures` says why others have no answer, by event key.
    """

    strata_by: Strata
    rows: list[Replayed]
    kinds: Counter[str]
    unsafe_paths: int
    left_out_not_real: int
    left_out_unknown: int
    failures: dict[str, str]
    overall: Comparison
    strata: list[Comparison]

    @property
    def not_predicted(self) -> int:
        """Selected events without an answer."""
        return len(self.failures)


def replay(
    events: Iterable[ReplayEvent],
    estimate: Estimate,
    strata: Strata,
    real_only: bool = False,
    by_paths: bool = False,
) -> Replay:
    """Ask for a prediction of each event, and compare.

    `real_only` leaves out made-up deliverables; `by_paths` is whether predictions are made of the
    deliverables, so that there must be some.
    """
    asked: list[ReplayEvent] = []
    not_real = unknown = 0
    for event in events:
        if real_only and event.kind != REAL:
            not_real += 1
        elif by_paths and not event.deliverables:
            unknown += 1
        else:
            asked.append(event)
    rows, failures = _predicted(asked, estimate)
    by_key: dict[Key, list[Replayed]] = {}
    for row in rows:
        by_key.setdefault(row.event.key, []).append(row)
    everything = tuple(None for _ in strata.dimensions)
    return Replay(
        strata_by=strata,
        rows=rows,
        kinds=Counter(row.event.kind for row in rows),
        unsafe_paths=sum(row.event.unsafe_paths for row in rows),
        left_out_not_real=not_real,
        left_out_unknown=unknown,
        failures=failures,
        overall=_compared(everything, rows),
        strata=[_compared(key, by_key[key]) for key in sorted(by_key, key=strata.place)],
    )


def _predicted(events: list[ReplayEvent], estimate: Estimate) -> tuple[list[Replayed], dict[str, str]]:
    """Return the events with their predictions, and why others have none, by event key."""
    rows: list[Replayed] = []
    failures: dict[str, str] = {}
    for event in events:
        try:
            rows.append(Replayed(event, _positive(estimate(event))))
        except EstimateFailed as error:
            failures[event.event_key] = str(error)
    return rows, failures


def _positive(predicted: int) -> int:
    if predicted <= 0:
        raise EstimateFailed("0 tokens are no prediction")
    return predicted


def made_up(replayed: Replay) -> int:
    """Return how many events were replayed with deliverables that are at least partly made up."""
    return sum(count for kind, count in replayed.kinds.items() if kind != REAL)


def _compared(key: Key, rows: list[Replayed]) -> Comparison:
    errors = []
    risks = []
    for row in rows:
        event = row.event
        risks.append((event.actual > row.predicted) - (event.actual > event.predicted))
        if _kind(event).clean:
            old, new = smape(event.predicted, event.actual), smape(row.predicted, event.actual)
            if old is not None and new is not None:
                errors.append(new - old)
    return Comparison(
        key=key,
        old=stratum_of(key, _kinds((row.event, row.event.predicted) for row in rows)),
        new=stratum_of(key, _kinds((row.event, row.predicted) for row in rows)),
        smape=paired_difference(errors),
        underestimated=paired_difference(risks),
    )


def _kind(event: ReplayEvent) -> Kind:
    return Kind(event.success, event.truncated, real=event.kind == REAL)


def _kinds(predictions: Iterable[tuple[ReplayEvent, int]]) -> Kinds:
    kinds: Kinds = {}
    for event, predicted in predictions:
        tokens = kinds.setdefault(_kind(event), Tokens())
        tokens.predicted.append(predicted)
        tokens.actual.append(event.actual)
        tokens.ceiling.append(event.ceiling)
        tokens.phase.append(event.phase)
    return kinds
