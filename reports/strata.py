"""The report: how far estimates are off, by category and complexity.

The population is every event but totals (whose actual is not an output) and answers too short to
mean anything. A truncated answer is in it; its actual is a lower bound, and the report says how many
there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlite_utils import Database

from reports.metrics import mean, median, rate

MIN_ACTUAL = 50
"""Tokens: a shorter answer is a refusal or an error, in the executor's own words "likely error"."""

_EVENTS = """
SELECT COALESCE(category, '(none)'), COALESCE(complexity, '(none)'),
    smape_percent, waste_ratio, underestimated, truncated
FROM token_estimation_v2_events
WHERE actual_is_total = 0 AND actual_output_tokens >= :min_actual
"""
_LEFT_OUT = """
SELECT COALESCE(SUM(actual_is_total), 0),
    COALESCE(SUM(actual_is_total = 0 AND actual_output_tokens < :min_actual), 0)
FROM token_estimation_v2_events
"""

Measured = tuple[float | None, float | None, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Stratum:
    """One line of the report.

    `n` events; SMAPE in percent (0..200), waste as predicted / actual, both over the events of `n`
    that can be measured (neither estimate nor outcome is 0). Rates are shares of `n`, 0..1.
    """

    category: str
    complexity: str
    n: int
    smape_mean: float | None
    smape_median: float | None
    waste_median: float | None
    underestimated: int
    underestimated_rate: float | None
    truncated: int
    truncated_rate: float | None


@dataclass(frozen=True, slots=True)
class StrataReport:
    """All strata, their sum, and what was left out of both."""

    strata: list[Stratum]
    overall: Stratum
    min_actual: int
    left_out_totals: int
    left_out_short: int


def strata_report(db: Database, min_actual: int = MIN_ACTUAL) -> StrataReport:
    """Compute the report over a database's events."""
    groups: dict[tuple[str, str], list[Measured]] = {}
    values = {"min_actual": min_actual}
    for category, complexity, *measured in db.conn.execute(_EVENTS, values):
        smape, waste, under, truncated = measured
        groups.setdefault((category, complexity), []).append((smape, waste, under, truncated))
    totals, short = db.conn.execute(_LEFT_OUT, values).fetchone()
    everything = [event for group in groups.values() for event in group]
    return StrataReport(
        strata=[_stratum(*name, events) for name, events in sorted(groups.items())],
        overall=_stratum("all", "all", everything),
        min_actual=min_actual,
        left_out_totals=totals,
        left_out_short=short,
    )


def _stratum(category: str, complexity: str, events: list[Measured]) -> Stratum:
    smapes = _known(event[0] for event in events)
    under = sum(event[2] == 1 for event in events)
    truncated = sum(event[3] == 1 for event in events)
    return Stratum(
        category=category,
        complexity=complexity,
        n=len(events),
        smape_mean=mean(smapes),
        smape_median=median(smapes),
        waste_median=median(_known(event[1] for event in events)),
        underestimated=under,
        underestimated_rate=rate(under, len(events)),
        truncated=truncated,
        truncated_rate=rate(truncated, len(events)),
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
