"""Sentences about a calibration: what changed, and what to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from reports.calibration import BUDGET, CENTER, GATE, Calibrated
from reports.changes import MIX, Change
from reports.strata import Key
from reports.terminal import counted, label
from reports.validation import UNDERESTIMATION_GATE


def stratum_text(key: Key) -> str:
    """Return a stratum's key as a name: `docs/low`; `all` for the empty key."""
    return "/".join(map(label, key)) or "all"


def change_sentence(change: Change, at: str) -> str:
    """Say since when (`at`, as text), from what to what, and on how many phases that rests."""
    where = "Over all strata" if change.key is None else stratum_text(change.key)
    numbers = (
        f"from {change.before:.2f} to {change.after:.2f} "
        f"(median of {change.phases_before:,} and {counted(change.phases_after, 'phase')})"
    )
    if change.of == MIX:
        return (
            f"Another mix of strata since {at}: actual / predicted over all went "
            f"{numbers}; within strata no change is seen"
        )
    return f"{where}, actual / predicted went {numbers} at {at}"


def change_record(change: Change, dimensions: Sequence[str]) -> dict[str, Any]:
    """Return a change as `--json` prints it; `stratum` is `None` where it is over all of them."""
    record = asdict(change)
    key = record.pop("key")
    return {"stratum": None if key is None else dict(zip(dimensions, key, strict=True)), **record}


def advice(stratum: Calibrated, purpose: str, name: str, day: str | None) -> str:
    """Say in one sentence what to change in a stratum, and on how many answers since `day` that rests."""
    rests = f"{counted(stratum.n + stratum.truncated, 'answer')} of {counted(stratum.phases, 'phase')}"
    since = f" since {day}" if day else ""
    return f"{name}: {_factor(stratum, purpose)}, {_budget(stratum)}; {rests}{since}"


def worth_saying(stratum: Calibrated) -> bool:
    """Whether there is anything to change: a factor is proposed, or a budget is known."""
    return stratum.proposed_factor is not None or stratum.budget.factor is not None


def _factor(stratum: Calibrated, purpose: str) -> str:
    if stratum.proposed_factor is None:
        return f"leave the predictions as they are ({stratum.why})"
    said = f"multiply by {stratum.proposed_factor:.2f}"
    if purpose == CENTER and stratum.factor_interval:
        return f"{said} (95%: {stratum.factor_interval.low:.2f} to {stratum.factor_interval.high:.2f})"
    if purpose == GATE:
        return f"{said}, so that at most {UNDERESTIMATION_GATE:.0%} are underestimated"
    assert purpose == BUDGET  # noqa: S101 - a factor that centres has an interval
    return f"{said}, so that the prediction is a budget"


def _budget(stratum: Calibrated) -> str:
    limit = f"{stratum.budget.max_truncation * 100:.3g}%"
    if stratum.budget.factor is None:
        return f"no budget for {limit} yet ({stratum.budget.why})"
    return f"budget {stratum.budget.factor:.2f} x what is predicted now, for {limit} truncated"
