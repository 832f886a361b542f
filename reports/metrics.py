"""The metrics: small, pure functions of plain numbers.

All of them say `None` where there is nothing to measure; none invents a zero.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def mean(values: Sequence[float]) -> float | None:
    """Return the arithmetic mean."""
    return statistics.fmean(values) if values else None


def median(values: Sequence[float]) -> float | None:
    """Return the median: the middle value, or the mean of the two in the middle."""
    return statistics.median(values) if values else None


def rate(count: int, total: int) -> float | None:
    """Return a share, 0..1."""
    return count / total if total else None
