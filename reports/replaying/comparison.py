"""Old against new: the logged estimates and the replayed ones, over the same events.

Error and cost are compared over clean events, since a truncated answer's actual is only a lower
bound; risk over all events for which both risks are known. "Better" and "worse" are said where chance alone
would give as large a difference in at most 5% of the cases, for all strata taken together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from reports.metrics import smape
from reports.replaying.estimator import Estimate, EstimateFailed
from reports.replaying.events import REAL, ReplayEvent
from reports.signflips import Difference, holm, paired_difference
from reports.strata import Key, Strata
from reports.tokens import Kind, Kinds, Tokens
from reports.validation import Stratum, stratum_of


@dataclass(frozen=True, slots=True)
class Replayed:
    """An event and the new estimator's prediction for it, in tokens."""

    event: ReplayEvent
    predicted: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One stratum, old and new, over the same events.

    `smape` is the difference (new - old) in percentage points over the clean events, and `p` its p-value, in
    a stratum corrected for the number of strata (Holm); `underestimated` is the difference of the shares
    underestimated, -1..1, and `old_risks` and `new_risks` are the counts behind them. These leave out the
    `undecided` events: cut answers for which the old or the new estimate is above the actual, a lower bound.
    """

    key: Key
    old: Stratum
    new: Stratum
    smape: Difference
    p: float | None
    underestimated: Difference
    old_risks: int
    new_risks: int
    undecided: int

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `no difference shown` or `too few`: what became of the error, by `p`."""
        return self.smape.verdict(self.p)


@dataclass(frozen=True, slots=True)
class Replay:
    """The whole replay.

    `kinds` counts the events replayed by what their deliverables were; `unsafe_paths` were replaced.
    `left_out_not_real` events were left out because not all their paths are known, `left_out_unknown` because
    neither paths nor their number are, so that an estimator can't be asked. `failures` says why others have
    no prediction, by event key.
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
        """How many events were asked for and have no prediction."""
        return len(self.failures)


def replay(
    events: Iterable[ReplayEvent],
    estimate: Estimate,
    strata: Strata,
    real_only: bool = False,
    by_paths: bool = False,
) -> Replay:
    """Ask for a prediction of each event, and compare.

    `real_only` leaves out events with deliverables that are made up, even in part; `by_paths`: `estimate`
    needs deliverables, so events without any are left out.
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
        strata=_corrected([_compared(key, by_key[key]) for key in sorted(by_key, key=strata.place)]),
    )


def _corrected(strata: list[Comparison]) -> list[Comparison]:
    """Correct the p-values of strata for their number (Holm)."""
    return [
        replace(stratum, p=p)
        for stratum, p in zip(strata, holm([stratum.smape.p for stratum in strata]), strict=True)
    ]


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
    errors = [pair for row in rows if (pair := _errors(row)) is not None]
    risks = [pair for row in rows if (pair := _risks(row)) is not None]
    error = paired_difference([new - old for _, old, new in errors], [phase for phase, *_ in errors])
    return Comparison(
        key=key,
        old=stratum_of(key, _kinds((row.event, row.event.predicted) for row in rows)),
        new=stratum_of(key, _kinds((row.event, row.predicted) for row in rows)),
        smape=error,
        p=error.p,
        underestimated=paired_difference(
            [new - old for _, old, new in risks], [phase for phase, *_ in risks]
        ),
        old_risks=sum(old for _, old, _ in risks),
        new_risks=sum(new for *_, new in risks),
        undecided=len(rows) - len(risks),
    )


def _errors(row: Replayed) -> tuple[int, float, float] | None:
    """Return the phase, and the old and the new SMAPE in percent, of a clean event that can be measured."""
    event = row.event
    old, new = smape(event.predicted, event.actual), smape(row.predicted, event.actual)
    if not _kind(event).clean or old is None or new is None:
        return None
    return event.phase, old, new


def _risks(row: Replayed) -> tuple[int, bool, bool] | None:
    """Return the phase, and whether old and new underestimate; `None` of an undecided event."""
    event = row.event
    if event.truncated and event.actual < max(event.predicted, row.predicted):
        return None
    if event.truncated:  # it needed more than it got, and neither predicted more
        return event.phase, True, True
    return event.phase, event.actual > event.predicted, event.actual > row.predicted


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
