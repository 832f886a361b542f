"""Budgets from answers of which some were cut: the Kaplan-Meier estimate of actual / predicted.

A truncated answer needed more than its ceiling, nobody knows how much more. Leaving it out, or taking
its ceiling for what it needed, would make every budget look safer than it is.

Source: Kaplan and Meier, Nonparametric estimation from incomplete observations, 1958, as
`scipy.stats.ecdf` of `CensoredData` computes it. Sureness is exact by the binomial distribution where so
few answers were cut that they may all count as beyond, and else from the log-log interval.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.extras import imported
from reports.metrics import median

SURENESS = 0.95
"""How sure the safe factor is, one-sided."""


@dataclass(frozen=True, slots=True)
class BudgetFactor:
    """The budget, as a multiple of the prediction, that keeps truncation under `max_truncation` (0..1).

    Over `n` answers, `censored` of them truncated. `factor` is the estimate, `safe_factor` is enough
    with a sureness of 95%; each is `None` where the data can't tell, for the reason in `why`;
    `samples_needed` is how many more it would take at least. `largest` is the largest multiple that a
    whole answer needed.
    """

    max_truncation: float
    n: int
    censored: int
    factor: float | None
    safe_factor: float | None
    largest: float | None
    samples_needed: int | None
    why: str


def samples_for_estimate(max_truncation: float) -> int:
    """Return how many answers it takes before one of them stands for so small a share."""
    return math.ceil(round(1 / max_truncation, 9))


def samples_for_sureness(max_truncation: float) -> int:
    """Return how many answers it takes, none beyond it, to be 95% sure of so small a share."""
    return math.ceil(math.log(1 - SURENESS) / math.log(1 - max_truncation))


def budget_factor(whole: Sequence[float], censored: Sequence[float], max_truncation: float) -> BudgetFactor:
    """Estimate the quantile 1 - `max_truncation` of actual / predicted.

    `whole` are the ratios of whole answers, `censored` the bounds that truncated ones went beyond.

    Raises:
        MissingExtra: scipy is not installed.
    """
    n, needed = len(whole) + len(censored), samples_for_estimate(max_truncation)
    largest = max(whole, default=None)
    factor = safe = None
    short = max(0, needed - n)
    why = f"it takes {needed:,} answers before one stands for {max_truncation * 100:g}% of them"
    if not short:
        factor, safe = _quantiles(whole, censored, max_truncation)
        short, why = _explained(factor, safe, censored, n, max_truncation)
    return BudgetFactor(max_truncation, n, len(censored), factor, safe, largest, short or None, why)


def _explained(
    factor: float | None, safe: float | None, censored: Sequence[float], n: int, max_truncation: float
) -> tuple[int, str]:
    """Return how many more samples it takes, and what the data can and can't tell."""
    needed, sure = samples_for_estimate(max_truncation), samples_for_sureness(max_truncation)
    if factor is None:
        highest = median(censored) or 0.0
        return needed, (
            "the largest answers were cut: it takes whole ones with higher ceilings than those of the "
            f"truncated (median {highest:.2f} x predicted)"
        )
    if safe is not None:
        return 0, "95% sure with the safe budget"
    if n < sure:
        return sure - n, f"an estimate: to be 95% sure it takes {sure:,} answers"
    return needed, "an estimate: answers that were cut leave it unsure; it takes whole ones"


def _quantiles(
    whole: Sequence[float], censored: Sequence[float], max_truncation: float
) -> tuple[float | None, float | None]:
    """Return where the share of answers beyond falls to the limit: estimated, and surely."""
    if not whole:
        return None, None
    stats = imported("scipy.stats", "stats")
    survival = stats.ecdf(stats.CensoredData(uncensored=list(whole), right=list(censored))).sf
    factor = _first_below(survival.quantiles, survival.probabilities, max_truncation)
    safe = _surely_enough(stats, whole, len(censored), max_truncation)
    if safe is None and censored:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the interval is undefined where none is left
            beyond = survival.confidence_interval(2 * SURENESS - 1, method="log-log").high.probabilities
        safe = _first_below(survival.quantiles, beyond, max_truncation)
    return factor, safe


def _surely_enough(stats: Any, whole: Sequence[float], censored: int, max_truncation: float) -> float | None:
    """Return a ratio that is enough even if every truncated answer goes beyond it (Clopper and Pearson).

    So few answers lie beyond it that, were the share of those as large as the limit, it would happen
    in less than 5% of all samples. Exact, and without any assumption on why answers were cut.
    """
    n, doubt = len(whole) + censored, 1 - SURENESS
    allowed = int(stats.binom.ppf(doubt, n, max_truncation))
    if stats.binom.cdf(allowed, n, max_truncation) > doubt:
        allowed -= 1
    beyond = allowed - censored
    if beyond < 0 or not whole:
        return None
    return sorted(whole)[max(0, len(whole) - 1 - beyond)]


def _first_below(ratios: Sequence[float], shares: Sequence[float], limit: float) -> float | None:
    """Return the first ratio beyond which the share is at most the limit; NaN is no share."""
    for ratio, share in zip(ratios, shares, strict=True):
        if share <= limit + 1e-12:
            return float(ratio)
    return None
