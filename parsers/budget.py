"""The anchor: `[TOKEN_BUDGET] phase=P ...`, logged just before the event of the same call.

It names the phase, the ceiling that was really given, and input and total tokens. Other messages
with the marker (`Context loading:`, `TRUNCATION:`, `HIGH UTILIZATION:`) say nothing of a call.
"""

from __future__ import annotations

import re

from parsers.family import Family
from parsers.records import BudgetUse

_LINE = re.compile(
    r"\[TOKEN_BUDGET\] phase=(?P<phase>.+?) complexity=(?P<complexity>\S+) input=(?P<input>[0-9]{1,18})"
    r" output=(?P<output>[0-9]{1,18})/(?P<max>[0-9]{1,18}) total=(?P<total>[0-9]{1,18})"
    r" utilization=[0-9.]+% model=(?P<model>.+)",
    re.ASCII,
)


def read(message: str) -> BudgetUse | None:
    """Read the anchor line."""
    found = _LINE.fullmatch(message.rstrip())
    if found is None:
        return None
    return BudgetUse(
        phase=found["phase"],
        complexity=found["complexity"],
        input_tokens=int(found["input"]),
        output_tokens=int(found["output"]),
        max_tokens=int(found["max"]),
        total_tokens=int(found["total"]),
        model=found["model"],
    )


FAMILY = Family(
    name="budget",
    markers=("[TOKEN_BUDGET] phase=",),
    opening=r"\[TOKEN_BUDGET\] phase=",
    read=read,
    samples=(
        "[TOKEN_BUDGET] phase=p1-string-util complexity=low input=5056 output=1157/16384 total=6213 "
        "utilization=7.1% model=some-model-4",
    ),
    near_misses=("[TOKEN_BUDGET] phase=p1 used 16384/16384 tokens (100% utilization)",),
)
