"""One period compared with the one before: how much of the change of the error is another mix of strata.

The mean error of a period is the sum over its strata of share x mean error. So the change from one to the
next is exactly the sum of two parts: shares that changed, at the mean of both errors (another mix of work),
and errors that changed, at the mean of both shares (the estimator, or the model). A stratum that one period
lacks has no error there: its part counts as mix.

Source: Kitagawa, Components of a difference between two rates, 1955.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports.validation import Stratum, Validation


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the mean SMAPE (percent, 0..200) changed from one period to the next.

    `before`, `after`: of each period; `by_mix` + `within` = `change`, in percentage points. `None` where a
    period has nothing to measure.
    """

    before: float | None
    after: float | None
    by_mix: float | None
    within: float | None

    @property
    def change(self) -> float | None:
        """By how many percentage points the mean rose."""
        return None if self.before is None or self.after is None else self.after - self.before


def compared(before: Validation, after: Validation) -> Comparison:
    """Split the change of the mean SMAPE between two periods, whose strata are by the same dimensions."""
    first, second = _errors(before.strata), _errors(after.strata)
    if not first or not second:
        return Comparison(_mean(first.values()), _mean(second.values()), None, None)
    counts = [sum(n for n, _ in errors.values()) for errors in (first, second)]
    by_mix = within = 0.0
    for key in {*first, *second}:
        (n_before, mean_before), (n_after, mean_after) = first.get(key, _NONE), second.get(key, _NONE)
        shares = n_before / counts[0], n_after / counts[1]
        known_before = mean_after if mean_before is None else mean_before
        known_after = mean_before if mean_after is None else mean_after
        assert known_before is not None and known_after is not None  # noqa: S101, PT018 - one has events
        by_mix += (shares[1] - shares[0]) * (known_before + known_after) / 2
        within += (known_after - known_before) * sum(shares) / 2
    return Comparison(_mean(first.values()), _mean(second.values()), by_mix, within)


_Errors = dict[tuple[str | None, ...], tuple[int, float | None]]
_NONE: tuple[int, float | None] = (0, None)


def _errors(strata: Iterable[Stratum]) -> _Errors:
    """Return of each stratum how many events can be measured, and their mean SMAPE."""
    return {stratum.key: (stratum.smape.n, stratum.smape.mean) for stratum in strata if stratum.smape.n}


def _mean(errors: Iterable[tuple[int, float | None]]) -> float | None:
    known = [(n, mean) for n, mean in errors if mean is not None]
    return sum(n * mean for n, mean in known) / sum(n for n, _ in known) if known else None
