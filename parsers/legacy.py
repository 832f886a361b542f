"""The lines of the first telemetry format: counted, never made events.

They have no category, complexity, budget or outcome. Other messages with the same marker
(`Pattern cache: ...`, prose) are ignored.
"""

from __future__ import annotations

import re

from parsers.family import Family
from parsers.records import Noted

_LINE = re.compile(
    r"\[TokenEstimation\] (?:Predicted: [0-9]+ output tokens, Actual: [0-9]+ output tokens, Error: "
    r"|Predicted output: [0-9]+ tokens, Actual total \(input\+output\): [0-9]+ tokens)"
)


def read(message: str) -> Noted | None:
    """Read a legacy line, which is only counted; anything else with the marker is `None`."""
    return Noted("legacy") if _LINE.match(message) else None


FAMILY = Family(
    name="legacy",
    markers=("[TokenEstimation] Predicted",),
    opening=r"\[TokenEstimation\] Predicted",
    read=read,
    samples=(
        "[TokenEstimation] Predicted: 300 output tokens, Actual: 128 output tokens, Error: 57.3%",
        "[TokenEstimation] Predicted output: 300 tokens, Actual total (input+output): 980 tokens",
    ),
    near_misses=("[TokenEstimation] Predicted values are kept in the pattern cache",),
)
