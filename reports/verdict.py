"""The verdict: what a validation comes to, how sure that is, and what to change, each in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.changes import Change, last_changes
from reports.readiness import NOT_ENOUGH, readiness
from reports.terminal import label
from reports.validation import MIN_STABLE_N, Stratum, Validation
from reports.validation_record import validation_record
from reports.wording import share, tail_text

FAR_OFF = 1.25
"""The factor by which a stratum's median answer must differ from its estimate to be named."""

MOST_STRATA = 2
"""Strata that are named at most."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Three sentences without full stops: what is right or wrong, how sure that is, and what to change."""

    sentence: str
    sureness: str
    to_set: str


def verdict(found: Validation, changes: Sequence[Change]) -> Verdict:
    """Say what a validation comes to. A gate with nothing to measure is no pass.

    Strata whose estimates changed meanwhile are not named: their medians mix answers from before and after.
    """
    if not found.overall.n:
        return Verdict("Nothing to judge: no event is left", "not at all", "nothing")
    judged = readiness(found)
    sentence = verdict_sentence(validation_record(found))
    return Verdict(sentence, f"{judged.status}: {judged.reason}", _to_set(found, changes))


def verdict_sentence(report: dict[str, Any]) -> str:
    """Say what a report of at least one event comes to; `report` is as `report --json` prints it."""
    gates = report["gates"]
    failed = [gate for gate in gates if gate["passed"] is False]
    if failed:
        sure = any(gate["certain"] is not False for gate in failed)
        begin = "The estimates miss their limits" if sure else "The estimates may miss their limits"
    elif any(gate["passed"] is None for gate in gates):
        begin = "The estimates can't be judged in full"
    else:
        sure = all(gate["certain"] is not False for gate in gates)
        begin = "The estimates keep their limits" if sure else "The estimates may keep their limits"
    if report["status"] == NOT_ENOUGH:
        begin = f"Too few phases to judge; so far {begin[0].lower()}{begin[1:]}"
    return f"{begin}: {_measured(report)}"


def _measured(report: dict[str, Any]) -> str:
    """Name the three numbers that have limits."""
    overall, (under, truncated, cost) = report["overall"], report["gates"]
    parts = [
        f"{share(overall['underestimated_rate'])} underestimated (limit {share(under['limit'], 0)})",
        f"{share(overall['truncated_rate'])} truncated (limit {share(truncated['limit'], 0)})",
    ]
    if overall["waste_p90"] is not None:
        limit = f" (limit {cost['limit']:g} ×)" if overall["waste_p90"] > 1 else ""
        parts.append(f"{tail_text(overall['waste_p90'])}{limit}")
    return ", ".join(parts)


def _to_set(found: Validation, changes: Sequence[Change]) -> str:
    changed = last_changes(changes, [stratum.key for stratum in found.strata])
    stable = [stratum for stratum in found.strata if stratum.key not in changed and not _too_few(stratum)]
    far = [stratum for stratum in stable if _off(stratum) >= FAR_OFF]
    named = [_named(stratum) for stratum in sorted(far, key=_off, reverse=True)[:MOST_STRATA]]
    if changed:
        named.append("estimates changed, and what came before says nothing of them now")
    more = "`tokentail calibrate` says whether a factor or a budget would hold"
    return f"{'; '.join(named)}. {more}" if named else more


def _too_few(stratum: Stratum) -> bool:
    """Whether a stratum has too few phases or clean answers for its median to mean anything."""
    return min(stratum.phases, stratum.clean.n) < MIN_STABLE_N


def _off(stratum: Stratum) -> float:
    ratio = stratum.clean.ratio_median
    return max(ratio, 1 / ratio) if ratio else 0.0


def _named(stratum: Stratum) -> str:
    ratio = stratum.clean.ratio_median or 1.0
    much = f"{ratio:.1f} x longer" if ratio > 1 else f"{1 / ratio:.1f} x shorter"
    name = ", ".join(map(label, stratum.key))
    return f"{name}: answers are {much} than estimated (median of {stratum.clean.n:,})"
