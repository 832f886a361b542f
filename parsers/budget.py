"""The anchor: `[TOKEN_BUDGET] phase=P ...`, logged just before the event of the same call.

It names the phase, the ceiling that the call had, and its input and total tokens. Other messages with the
marker (`Context loading:`, `TRUNCATION:`, `HIGH UTILIZATION:`) are not about a single call.
"""

from __future__ import annotations

from parsers.family import TO_END, Family, Shape
from parsers.records import BudgetUse

_PATTERN = (
    r"\[TOKEN_BUDGET\] phase=(\S+|.+?) complexity=(\S+) input=([0-9]{1,18}) "
    rf"output=([0-9]{{1,18}})/([0-9]{{1,18}}) total=([0-9]{{1,18}}) utilization=[0-9.]+% model={TO_END}"
)


def _use(phase: str, complexity: str, *numbers_and_model: str) -> BudgetUse:
    """Read the anchor line: input, output, ceiling, total, and the model."""
    return BudgetUse._make((phase, complexity, *map(int, numbers_and_model[:-1]), numbers_and_model[-1]))


FAMILY = Family(
    name="budget",
    markers=("[TOKEN_BUDGET] phase=",),
    opening=r"\[TOKEN_BUDGET\] phase=",
    read=Shape(_PATTERN, _use),
    samples=(
        "[TOKEN_BUDGET] phase=p1-string-util complexity=low input=5056 output=1157/16384 total=6213 "
        "utilization=7.1% model=some-model-4",
    ),
    near_misses=("[TOKEN_BUDGET] phase=p1 used 16384/16384 tokens (100% utilization)",),
)
