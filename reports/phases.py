"""The sampling unit: answers of one phase of one run are alike, so that it is phases that are counted.

Tries of a phase do the same work, and often end alike. Taken one by one they would look like more
evidence than they are: intervals would be too narrow and differences too certain. An event whose
phase the log doesn't tell is a unit of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

PHASE = "run_id, phase_id"
"""The columns that tell an event's phase, in the order in which `Phases.number` takes them."""

UNKNOWN = "unknown"
"""What the database says where no line tells the phase."""

SEED = 20260114
"""Of all that is drawn: the same rows give the same numbers, every time."""


class Phases:
    """Gives each phase of each run a number, in the order in which they come; `known` are those given."""

    def __init__(self) -> None:
        self.count = 0
        self.known: dict[tuple[str, str], int] = {}

    def number(self, run_id: str, phase_id: str) -> int:
        """Return the phase's number; each event of an unknown phase gets a new one."""
        found = None if phase_id == UNKNOWN else self.known.get((run_id, phase_id))
        if found is None:
            found, self.count = self.count, self.count + 1
            if phase_id != UNKNOWN:
                self.known[run_id, phase_id] = found
        return found


def by_phase(values: Sequence[float], phases: Sequence[int]) -> list[list[float]]:
    """Put values together by the number of their phase, in the order in which the phases come."""
    found: dict[int, list[float]] = {}
    for value, phase in zip(values, phases, strict=True):
        found.setdefault(phase, []).append(value)
    return list(found.values())
