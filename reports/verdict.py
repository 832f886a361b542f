"""The verdict: what a validation comes to, how sure that is, and what to set, each in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from reports.readiness import NOT_ENOUGH, readiness
from reports.terminal import label, percent
from reports.validation import MIN_STABLE_N, Gate, Stratum, Validation

FAR_OFF = 1.25
"""By how much answers must differ from their estimates, at the median, to be named."""

MOST_STRATA = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """Three sentences: what is right or wrong, how sure that is, and what to set."""

    sentence: str
    sureness: str
    to_set: str


def verdict(found: Validation) -> Verdict:
    """Say what a validation comes to. A gate with nothing to measure is no pass."""
    judged = readiness(found)
    if not found.overall.n:
        return Verdict("nothing to judge: no event is left", "not at all", "nothing")
    begin = f"{_held(found.gates)}: {', '.join(map(_measured, found.gates))}"
    prefix = "too few events to judge; so far " if judged.status == NOT_ENOUGH else ""
    return Verdict(prefix + begin, f"{judged.status}: {judged.reason}", _to_set(found))


def _held(gates: list[Gate]) -> str:
    failed = [gate for gate in gates if gate.passed is False]
    if failed:
        sure = any(gate.certain is not False for gate in failed)
        return "the estimates miss their limits" if sure else "the estimates may miss their limits"
    if any(gate.passed is None for gate in gates):
        return "the estimates can't be judged in full"
    sure = all(gate.certain is not False for gate in gates)
    return "the estimates keep their limits" if sure else "the estimates may keep their limits"


def _measured(gate: Gate) -> str:
    is_share = gate.limit < 1
    if gate.value is None:
        return f"{gate.name} not measured"
    value, limit = (
        (percent(gate.value), percent(gate.limit)) if is_share else (f"{gate.value:.2f}", f"{gate.limit:g}")
    )
    return f"{gate.name} {value} (limit {limit})"


def _to_set(found: Validation) -> str:
    far = [one for one in found.strata if one.n >= MIN_STABLE_N and _off(one) >= FAR_OFF]
    named = "; ".join(map(_named, sorted(far, key=_off, reverse=True)[:MOST_STRATA]))
    more = "`tokentail calibrate` says which factors and budgets would hold"
    return f"{named}. {more}" if named else more


def _off(one: Stratum) -> float:
    ratio = one.clean.ratio_median
    return max(ratio, 1 / ratio) if ratio else 0.0


def _named(one: Stratum) -> str:
    ratio = one.clean.ratio_median or 1.0
    much = f"{ratio:.1f} x longer" if ratio > 1 else f"{1 / ratio:.1f} x shorter"
    return f"{', '.join(map(label, one.key))}: answers are {much} than estimated (median of {one.clean.n:,})"
