"""Which runs of the executor are writing to a source at this point of it.

While exactly one is, every line is its own. As soon as two may be, a line that names neither its
run nor its phase is nobody's: ambiguous means unknown, never a guess. A run that was killed leaves
no trace of its end, so another run's start soon after it counts as a second one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.linking.context import RUN_SOURCES, Told, better_told

MAX_LIVE = 64
"""More runs than that in one file at once are not told apart; they stay "more than one"."""

SILENCE_SECONDS = 3600.0
"""An executor polls every ten seconds and gives up a call after minutes: if a log had no line for so
long, whoever wrote to it before is over."""


@dataclass(slots=True)
class LiveRuns:
    """The runs that have started, or shown themselves, and not ended.

    `anonymous` is a run that works here without having said its name (its start is in an older
    file). `nameless_ends` counts processes that ended without saying whose they were.
    """

    live: dict[str, Told] = field(default_factory=dict)
    anonymous: bool = False
    nameless_ends: int = 0
    drained: str | None = None
    beginning: str | None = None  # of the anonymous one's name, where a line that told it was cut
    heard: float | None = None  # seconds since the epoch, of the newest line while one run wrote

    @property
    def crowded(self) -> bool:
        """Whether more than one run may be writing."""
        return len(self.live) + self.anonymous > 1

    def only(self) -> Told | None:
        """Return the one run that is writing, if it is one and has a name."""
        if len(self.live) == 1 and not self.anonymous:
            return next(iter(self.live.values()))
        if not self.live and self.drained is not None:
            return Told(self.drained, "drain")
        return None

    def name(self, run: str, source: str, starts: bool) -> None:
        """Take a line that names a run; unless it `starts` one, it may name the anonymous one."""
        began = self.beginning is not None and run.startswith(self.beginning)
        if self.anonymous and (began or run == self.drained or (not starts and not self.live)):
            self.anonymous, self.beginning = False, None
        told = Told(run, source)
        if run in self.live:
            self.live[run] = better_told(self.live[run], told, RUN_SOURCES) or told
            return
        if len(self.live) >= MAX_LIVE:
            self.live.pop(next(iter(self.live)))
            self.anonymous = True
        self.live[run] = told

    def drain(self, run: str) -> None:
        """Take the printed line of the drain script, which may stand before or after the run's own."""
        self.drained = run

    def work(self) -> None:
        """Take note that somebody works here, whose name may not have been said."""
        if not self.live and self.drained is None:
            self.anonymous = True

    def doubt(self, beginning: str) -> None:
        """Take note that a run may have started of whose name the beginning is known, or nothing."""
        if beginning in self.live:
            return
        self.anonymous, self.beginning = True, beginning or None

    def end(self, run: str | None) -> None:
        """Take the end of a process; a nameless one is attributed once all must have ended."""
        if run is not None:
            self.live.pop(run, None)
            self.nameless_ends = max(0, self.nameless_ends - 1)
        else:
            self.nameless_ends += 1
        if self.nameless_ends >= len(self.live) + self.anonymous:
            self.clear()

    def clear(self) -> None:
        """Forget all runs: each of them is over."""
        self.live.clear()
        self.anonymous, self.beginning = False, None
        self.nameless_ends = 0
        self.drained = None

    def is_over(self, seconds: float | None) -> bool:
        """Whether the one run that was writing has been silent for too long to be alive."""
        if seconds is None or self.heard is None or self.crowded:
            return False
        return seconds - self.heard >= SILENCE_SECONDS
