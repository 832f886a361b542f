"""What the invented executor of a scenario logs: builder calls, each with a number that names it.

A call is three lines: one opens the phase, the anchor has its tokens, the event has the outcome.
The number is in the event's payload and in its time, so that every line identifies its call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_PREDICTION = 1_000
START = datetime(2026, 1, 14, 9, 0, 0)  # noqa: DTZ001 - the executor logs local time, UTC in every scenario

_EVENT = re.compile(r"\[TokenEstimationV2\] predicted_output=(\d+) ")


@dataclass(frozen=True, slots=True)
class Call:
    """One builder call of an executor's run; one `like` another is of its phase, in the same second."""

    number: int
    run: str = "run-a"
    category: str = "implementation"
    like: int | None = None

    @property
    def phase(self) -> str:
        """The phase that it was made for."""
        return f"phase-{self.like or self.number}"

    @property
    def moment(self) -> datetime:
        """When it was logged."""
        return START + timedelta(seconds=self.like or self.number)

    @property
    def predicted(self) -> int:
        """The tokens that were estimated: they tell the number."""
        return FIRST_PREDICTION + self.number

    @property
    def actual(self) -> int:
        """The tokens that it took."""
        return 50 + self.number % 4_000

    @property
    def opening(self) -> str:
        """The line that opens its phase."""
        return self.logged(f"[BUILD-041] Next phase: {self.phase}")

    @property
    def anchor(self) -> str:
        """The line with its phase and its ceiling."""
        return self.logged(
            f"[TOKEN_BUDGET] phase={self.phase} complexity=low input=900 output={self.actual}/16384 "
            f"total={900 + self.actual} utilization=7.1% model=some-model-4"
        )

    @property
    def event(self) -> str:
        """The event line."""
        return self.logged(
            f"[TokenEstimationV2] predicted_output={self.predicted} actual_output={self.actual} smape=9.9% "
            f"selected_budget=8192 category={self.category} complexity=low deliverables=1 success=True "
            "stop_reason=end_turn truncated=False model=some-model-4"
        )

    @property
    def lines(self) -> list[str]:
        """All its lines."""
        return [self.opening, self.anchor, self.event]

    def applied(self, path: str) -> str:
        """Return the line that says which file was written for it."""
        return self.logged(f"[{self.phase}] Applied files: [{path!r}]")

    def logged(self, message: str) -> str:
        """Return a message as it is logged in the second of the call."""
        return f"[{self.moment:%Y-%m-%d %H:%M:%S}] INFO: {message}"


def text_of(calls: list[Call], newline: str = "\n") -> str:
    """Write calls as a log holds them."""
    return "".join(line + newline for call in calls for line in call.lines)


def number_in(line: str) -> int | None:
    """Return the number of the call whose event line this is, `None` if it is none."""
    found = _EVENT.search(line)
    return int(found[1]) - FIRST_PREDICTION if found else None
