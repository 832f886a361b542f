"""Which run and which phase a line is of: the windows of the phases, and the runs that may be writing.

Interleaved runs in one file must not take each other's context: lines that name no phase count only
while a single run writes; lines that name a phase count only for the window of that phase, and not at
all where two runs may have opened it.
"""

from __future__ import annotations

from ingest.linking.calls import NOT_PREPARED
from ingest.linking.context import Told
from ingest.linking.state import LinkerState
from ingest.linking.windows import Window
from parsers.records import Draining, PhaseOpened, RunEnded, RunNamed, SoftCap


class Phases:
    """The windows and the runs of one source; the state is changed in place."""

    def __init__(self, state: LinkerState) -> None:
        """Go on from a state."""
        self._state = state
        self._runs = state.runs
        self._windows = state.windows

    @property
    def crowded(self) -> bool:
        """Whether more than one run may be writing: what was said before may be another's."""
        return self._windows.overlapping or self._runs.crowded

    def window_of(self, phase: str) -> Window:
        """Return the window that a line about a call belongs to; without an opening line, open it."""
        self._runs.work()
        window = self._windows.get(phase)
        return self._open_window(phase) if window is None or window.closed else window

    def run_of(self, window: Window | None) -> Told | None:
        """Return the run that a line in a window, or in none, belongs to."""
        if window is not None and (window.contested or window.run is not None):
            return None if window.contested else window.run
        return None if self.crowded else self._runs.only()

    def open(self, record: PhaseOpened) -> None:
        """Take a line that opens a phase."""
        self._runs.work()
        state, generating, crowded = self._state, record.by == "generating", self.crowded
        known = self._windows.get(record.phase)
        if generating and known is not None and not (known.generated or known.closed or known.events):
            known.generated = True  # the second line of one opening, unless a second run came between
            known.contested |= crowded and known.run is not None
            return
        if not crowded:
            state.anchors.drop(None)
            state.preparation = NOT_PREPARED
        self._open_window(record.phase).generated = generating

    def _open_window(self, phase: str) -> Window:
        crowded = self.crowded
        former = self._windows.get(phase)
        run = None if crowded else self._runs.only()
        window = Window(run=run, contested=crowded and former is not None)
        if former is not None and _are_same(run, former.run):
            window.complete = former.complete
        return self._windows.open(phase, window)

    def name(self, record: RunNamed, seconds: float | None) -> None:
        """Take a line that names a run, logged so many seconds after the epoch."""
        runs = self._runs
        if record.starts and runs.is_over(seconds):
            runs.clear()
            self._windows.close(None)
        runs.name(record.run, record.source, record.starts)
        if record.starts and record.source == "initialized":
            self._windows.close(Told(record.run, record.source))

    def end(self, record: RunEnded) -> None:
        """Take the end of an executor process."""
        alone = not self._runs.crowded
        self._runs.end(record.run)
        if alone:
            self._windows.close(None)
        elif record.run is not None:
            self._windows.close(Told(record.run, "lock"))

    def cap(self, record: SoftCap) -> None:
        """Take a line that names run and phase together."""
        if record.run is None:
            return
        self._runs.name(record.run, "soft_cap", starts=False)
        window = self._windows.get(record.phase)
        if window is not None and window.run is None and not window.contested:
            window.run = Told(record.run, "soft_cap")

    def drain(self, record: Draining) -> None:
        """Take the printed line of the drain script."""
        self._runs.drain(record.run)


def _are_same(run: Told | None, other: Told | None) -> bool:
    return run is not None and other is not None and run.name == other.name
