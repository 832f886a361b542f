"""The sampling unit is the phase of a run, since answers of one phase resemble each other.

Tries of a phase do the same work, and often end the same way. Counted singly they would look like more
evidence than they are: intervals would be too narrow and differences too certain. An event whose
phase is unknown is a unit of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import count

UNKNOWN = "unknown"
"""What the database holds where the phase is unknown."""

PHASE = f"CASE WHEN phase_id <> '{UNKNOWN}' THEN run_id || CHAR(10) || phase_id END"
"""The SQL expression of an event's phase in its run, `NULL` where it is unknown.

Neither name holds the end of a line, since both stood in one.
"""

SEED = 20260114
"""Of all that is drawn: the same rows give the same numbers, every time."""


class Phases:
    """Gives each phase a number, in the order in which they come: `known` ones have theirs."""

    def __init__(self) -> None:
        self.next = count().__next__
        self.known: defaultdict[str, int] = defaultdict(self.next)

    def number(self, phase: str | None) -> int:
        """Return the number of a phase, as `PHASE` names it; each event of an unknown one gets a new one."""
        return self.next() if phase is None else self.known[phase]


def by_phase(values: Sequence[float], phases: Sequence[int]) -> list[list[float]]:
    """Put values together by the number of their phase, in the order in which the phases come."""
    found: dict[int, list[float]] = {}
    for value, phase in zip(values, phases, strict=True):
        found.setdefault(phase, []).append(value)
    return list(found.values())
