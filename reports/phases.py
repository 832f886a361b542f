"""The sampling unit is the phase of a run (a cluster, in the terms of survey sampling).

Tries of a phase do the same work, and often end the same way. Counted one by one they would look like more
evidence than they are: intervals would be too narrow and differences too certain. An event whose
phase is unknown is a unit of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import count

UNKNOWN = "unknown"
"""What the database holds as the phase, or the run, of an event of which it is unknown."""

PHASE = f"CASE WHEN phase_id <> '{UNKNOWN}' THEN run_id || CHAR(10) || phase_id END"
"""The SQL expression of an event's phase in its run, `NULL` where it is unknown.

The newline separates: neither name holds one, since both stood in a line.
"""

SEED = 20260114
"""The seed of all random draws: the same rows give the same numbers, every time."""


class Phases:
    """Numbers phases from 0 in the order in which they first come; `known` has the numbers given so far.

    `next` gives a new number.
    """

    def __init__(self) -> None:
        self.next = count().__next__
        self.known: defaultdict[str, int] = defaultdict(self.next)

    def number(self, phase: str | None) -> int:
        """Return the number of a phase as `PHASE` names it; each `None`, an unknown phase, gets a new one."""
        return self.next() if phase is None else self.known[phase]


def by_phase(values: Sequence[float], phases: Sequence[int]) -> list[list[float]]:
    """Group values by the number of their phase, in the order in which phases first come."""
    found: dict[int, list[float]] = {}
    for value, phase in zip(values, phases, strict=True):
        found.setdefault(phase, []).append(value)
    return list(found.values())
