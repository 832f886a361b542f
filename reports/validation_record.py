"""The validation as plain dictionaries: what `report --json` prints and the dashboard shows.

The keys are public and stable; `None` is "nothing to measure".
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reports.metrics import Spread
from reports.readiness import readiness
from reports.sureness import Share
from reports.validation import Clean, Stratum, Validation

Record = dict[str, Any]


def validation_record(validation: Validation) -> Record:
    """Return the whole report as one record."""
    dimensions = validation.strata_by.dimensions
    return {
        "population": asdict(validation.population),
        **asdict(readiness(validation)),
        "under_multiplier": validation.under_multiplier,
        "gates": [asdict(gate) for gate in validation.gates],
        "worth": asdict(validation.worth),
        "overall": stratum_record(validation.overall),
        "by": list(dimensions),
        "strata": [
            dict(zip(dimensions, stratum.key, strict=True))
            | stratum_record(stratum)
            | {"worth": asdict(worth)}
            for stratum, worth in zip(validation.strata, validation.worths, strict=True)
        ],
        "phase_outcomes": [
            {"phase_outcome": outcome, "events": count} for outcome, count in validation.outcomes
        ],
    }


def stratum_record(stratum: Stratum) -> Record:
    """Return the numbers of a stratum, without its key.

    SMAPE is in percent (0..200), a `_rate` is a share (0..1) with its 95% interval as `_low` and `_high`.
    Over the clean events are `waste_*` (predicted / actual), `ceiling_waste_*` (ceiling / actual), `ratio_*`
    (actual / predicted) and all that is below `clean`; the rest is over all events.
    """
    return {
        "n": stratum.n,
        "phases": stratum.phases,
        "mean_predicted": stratum.mean_predicted,
        "mean_actual": stratum.mean_actual,
        **_spread("smape", stratum.smape),
        **_costs(stratum.clean),
        **_share("underestimated", stratum.underestimated),
        **_share("truncated", stratum.truncated),
        "parsed": stratum.parsed,
        "with_deliverables": stratum.with_deliverables,
        "unstable": bool(stratum.unstable),
        "unstable_because": stratum.unstable,
        "clean": _clean(stratum.clean),
    }


def _costs(clean: Clean) -> Record:
    return {
        **_spread("waste", clean.waste),
        "waste_p90": clean.waste.p90,
        **_spread("ceiling_waste", clean.ceiling_waste),
        "ceiling_waste_p90": clean.ceiling_waste.p90,
        **_ratios(clean),
    }


def _clean(clean: Clean) -> Record:
    return {
        "n": clean.n,
        "mean_predicted": clean.mean_predicted,
        "mean_actual": clean.mean_actual,
        **_spread("smape", clean.smape),
    }


def _ratios(clean: Clean) -> Record:
    return {
        "ratio_median": clean.ratio_median,
        "ratio_min": clean.ratio_low,
        "ratio_max": clean.ratio_high,
        "ratio_variation": clean.ratio_variation,
    }


def _spread(name: str, spread: Spread) -> Record:
    return {
        f"{name}_n": spread.n,
        f"{name}_mean": spread.mean,
        f"{name}_median": spread.median,
        f"{name}_sd": spread.sd,
        f"{name}_min": spread.low,
        f"{name}_max": spread.high,
    }


def _share(name: str, share: Share) -> Record:
    interval = share.interval
    return {
        name: share.count,
        f"{name}_rate": share.rate,
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
    }
