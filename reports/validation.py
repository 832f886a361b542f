"""The validation of the estimator: risk, cost and error, overall and by stratum.

Risk is over every selected event; cost over the clean ones, whose answer was parsed and is whole. A truncated
answer's actual is a lower bound: it counts as risk, not as cost, and the error is given over all events and
over the clean ones, each with its n. The interval of a share depends on the number of phases, since answers
of one phase resemble each other.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress

from sqlite_utils import Database

from reports.metrics import Moments, Ordered, Spread, median, merged_moments, moments, rate, spread
from reports.selection import Population, Selection, population
from reports.strata import Key, Strata
from reports.sureness import Share, share_by_phase
from reports.tokens import Kinds, read_tokens
from reports.worth import Worth, errors_of, together

UNDERESTIMATION_GATE = 0.05
"""The share of underestimated events that is tolerated."""

TRUNCATION_GATE = 0.02
"""The share of truncated answers that is tolerated."""

WASTE_GATE = 3.0
"""The 90th percentile of predicted / actual must stay below it."""

MIN_STABLE_N = 5
"""Phases below which a stratum's numbers are unstable."""

MAX_STABLE_VARIATION = 0.5
"""Coefficient of variation of actual / predicted above which one factor can't describe a stratum."""

_COUNTED = ("all", "under", "truncated")
_LISTS = ("smapes", "clean_smapes", "wastes", "ceiling_wastes")


@dataclass(frozen=True, slots=True)
class Clean:
    """The clean events of a stratum: parsed and whole.

    Means in tokens; `smape` in percent, 0..200; `waste` is predicted / actual, `ceiling_waste` ceiling /
    actual (of those whose ceiling is known); `ratio_median` is the median of actual / predicted, by which
    estimates would have to be multiplied, `ratio_variation` the coefficient of variation of that ratio.
    """

    n: int
    mean_predicted: float | None
    mean_actual: float | None
    smape: Spread
    waste: Spread
    ceiling_waste: Spread
    ratio_median: float | None
    ratio_variation: float | None

    @property
    def ratio_low(self) -> float | None:
        """The smallest actual / predicted."""
        return 1 / self.waste.high if self.waste.high else None

    @property
    def ratio_high(self) -> float | None:
        """The largest actual / predicted."""
        return 1 / self.waste.low if self.waste.low else None


@dataclass(frozen=True, slots=True)
class Stratum:
    """One line of the report; everything but `clean` is over all its `n` events, of `phases`.

    `parsed` events have `success`, which says only that the answer could be read; of `with_deliverables` all
    deliverable paths are known. `smape` is in percent over events with neither estimate nor actual 0.
    """

    key: Key
    n: int
    phases: int
    mean_predicted: float | None
    mean_actual: float | None
    underestimated: Share
    truncated: Share
    parsed: int
    with_deliverables: int
    smape: Spread
    clean: Clean

    @property
    def unstable(self) -> list[str]:
        """Reasons why the stratum's numbers are unstable; empty if they are not."""
        few = "n" if self.n < MIN_STABLE_N else "phases"
        reasons = [f"{few} < {MIN_STABLE_N}"] if self.phases < MIN_STABLE_N else []
        if (self.clean.ratio_variation or 0) > MAX_STABLE_VARIATION:
            reasons.append(f"variation > {MAX_STABLE_VARIATION}")
        return reasons


@dataclass(frozen=True, slots=True)
class Gate:
    """A limit and the number held against it; `passed` is `None` where there is no number.

    `certain` is whether the 95% interval lies wholly on the same side of the limit; `None` without an
    interval.
    """

    name: str
    limit: float
    value: float | None
    passed: bool | None
    certain: bool | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """The whole report; `outcomes` are phase outcomes and how many events have each, the most frequent first.

    `worth` is what the estimates are worth over all strata, `worths` in each of them, in the order of
    `strata`.
    """

    population: Population
    strata_by: Strata
    under_multiplier: float
    overall: Stratum
    strata: list[Stratum]
    gates: list[Gate]
    outcomes: list[tuple[str | None, int]]
    worth: Worth
    worths: list[Worth]


def validate(db: Database, selection: Selection, strata: Strata, under_multiplier: float = 1.0) -> Validation:
    """Compute the report: an event is underestimated if actual > predicted x `under_multiplier`."""
    counted = read_tokens(db, selection, strata)
    measured = {key: _measure(kinds, under_multiplier) for key, kinds in counted.by_stratum.items()}
    overall = _stratum(tuple(None for _ in strata.dimensions), _merged(list(measured.values())))
    errors = [errors_of(kinds) for kinds in counted.by_stratum.values()]
    return Validation(
        population=population(db, selection),
        strata_by=strata,
        under_multiplier=under_multiplier,
        overall=overall,
        strata=[_stratum(key, numbers) for key, numbers in measured.items()],
        gates=_gates(overall),
        outcomes=sorted(counted.outcomes.items(), key=lambda outcome: (-outcome[1], outcome[0] or "")),
        worth=together(errors),
        worths=[error.worth() for error in errors],
    )


@dataclass(slots=True)
class _Numbers:
    """What is collected of a stratum, by names: `counts` and sums of tokens, ordered numbers, and moments.

    Of `ratios` (actual / predicted), the inverses of `wastes`, only the moments are kept. `phases` has, for
    `all`, `under` and `truncated`, the number of each such event's phase.
    """

    counts: Counter[str] = field(default_factory=Counter)
    ordered: dict[str, Ordered] = field(default_factory=dict)
    moments: dict[str, Moments] = field(default_factory=dict)
    phases: dict[str, array[int]] = field(default_factory=lambda: {name: array("q") for name in _COUNTED})

    def spread(self, name: str) -> Spread:
        """Return the distribution of the numbers of a name."""
        return spread(self.ordered[name], self.moments[name])


def stratum_of(key: Key, kinds: Kinds) -> Stratum:
    """Return the line of a stratum, given its token counts."""
    return _stratum(key, _measure(kinds, 1.0))


def _measure(kinds: Kinds, under_multiplier: float) -> _Numbers:
    numbers = _Numbers()
    lists: dict[str, list[float]] = {name: [] for name in _LISTS}
    factor = (
        int(under_multiplier) if under_multiplier.is_integer() else under_multiplier
    )  # an int compares exactly
    for kind, tokens in kinds.items():
        n, predicted, actual = len(tokens), sum(tokens.predicted), sum(tokens.actual)
        numbers.counts.update(n=n, predicted=predicted, actual=actual)
        under = [a > p * factor for p, a in zip(tokens.predicted, tokens.actual, strict=True)]
        numbers.phases["all"].extend(tokens.phase)
        numbers.phases["under"].extend(compress(tokens.phase, under))
        numbers.phases["truncated"].extend(tokens.phase if kind.truncated else ())
        numbers.counts["parsed"] += n if kind.parsed else 0
        numbers.counts["real"] += n if kind.real else 0
        smapes = sorted([200 * abs(p - a) / (p + a) for p, a in tokens.pairs()])  # once for both lists
        lists["smapes"] += smapes
        if kind.clean:
            numbers.counts.update(clean=n, clean_predicted=predicted, clean_actual=actual)
            lists["clean_smapes"] += smapes
            lists["wastes"] += [p / a for p, a in tokens.pairs()]
            both = zip(tokens.ceiling, tokens.actual, strict=True)
            lists["ceiling_wastes"] += [ceiling / a for ceiling, a in both if ceiling and a]
    for name, values in lists.items():
        values.sort()
        numbers.ordered[name], numbers.moments[name] = Ordered(values), moments(values)
    numbers.moments["ratios"] = moments([1 / waste for waste in lists["wastes"]])
    return numbers


def _merged(strata: Sequence[_Numbers]) -> _Numbers:
    whole = _Numbers()
    for stratum in strata:
        whole.counts.update(stratum.counts)
        for name, phases in stratum.phases.items():
            whole.phases[name].extend(phases)
    for name in _LISTS:
        whole.ordered[name] = Ordered(*(part for stratum in strata for part in stratum.ordered[name].parts))
    for name in (*_LISTS, "ratios"):
        whole.moments[name] = merged_moments([stratum.moments[name] for stratum in strata])
    return whole


def _stratum(key: Key, numbers: _Numbers) -> Stratum:
    counts = numbers.counts
    n, clean = counts["n"], counts["clean"]
    waste, ratios = numbers.spread("wastes"), numbers.moments["ratios"]
    phases = len(set(numbers.phases["all"]))
    return Stratum(
        key=key,
        n=n,
        phases=phases,
        mean_predicted=rate(counts["predicted"], n),
        mean_actual=rate(counts["actual"], n),
        underestimated=_share("under", numbers, phases),
        truncated=_share("truncated", numbers, phases),
        parsed=counts["parsed"],
        with_deliverables=counts["real"],
        smape=numbers.spread("smapes"),
        clean=Clean(
            n=clean,
            mean_predicted=rate(counts["clean_predicted"], clean),
            mean_actual=rate(counts["clean_actual"], clean),
            smape=numbers.spread("clean_smapes"),
            waste=waste,
            ceiling_waste=numbers.spread("ceiling_wastes"),
            ratio_median=median([1 / waste for waste in numbers.ordered["wastes"].middle]),
            ratio_variation=ratios.sd / ratios.mean if ratios.sd is not None else None,
        ),
    )


def _share(name: str, numbers: _Numbers, phases: int) -> Share:
    """Return the share of events that are in `phases` under a name.

    Counting by phase takes time, and is left out where no phase has two events.
    """
    hit, all_of_them = numbers.phases[name], numbers.phases["all"]
    if phases == len(all_of_them):
        return Share(len(hit), phases, phases)
    return share_by_phase(Counter(hit), Counter(all_of_them))


def _gates(overall: Stratum) -> list[Gate]:
    waste = overall.clean.waste.p90
    return [
        _share_gate("underestimation rate", UNDERESTIMATION_GATE, overall.underestimated),
        _share_gate("truncation rate", TRUNCATION_GATE, overall.truncated),
        Gate("waste P90", WASTE_GATE, waste, None if waste is None else waste < WASTE_GATE),
    ]


def _share_gate(name: str, limit: float, share: Share) -> Gate:
    value, interval = share.rate, share.interval
    if value is None or interval is None:
        return Gate(name, limit, None, None)
    return Gate(name, limit, value, value <= limit, interval.high <= limit or interval.low > limit)
