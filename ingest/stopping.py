"""Delay signals: what is under way when one comes is finished and stored first, if that takes little time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Stopping:
    """Delays the first signal until `check` is called, a second one comes, or the grace period ends."""

    def __init__(self, grace_seconds: float | None = None) -> None:
        """Set the grace period; no signal is caught yet.

        After `grace_seconds` what is under way is ended as in any command; `None`: there is no such limit,
        since it takes hardly any time.
        """
        self._grace_seconds = grace_seconds
        self._usual: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._first: int | None = None
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Stopping:
        """Catch signals from now on; those that are ignored stay so."""
        for name in _NAMES:
            number = getattr(signal, name, None)
            usual = None if number is None else signal.getsignal(number)
            if number is not None and callable(usual):
                self._usual[number] = usual
                signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the usual handlers of signals."""
        if self._timer is not None:
            self._timer.cancel()
        for number, usual in self._usual.items():
            signal.signal(number, usual)

    @property
    def is_asked(self) -> bool:
        """Whether a signal came."""
        return self._first is not None

    def check(self) -> None:
        """Call the usual handler of the signal that came, if one did: it raises."""
        if self._first is not None:
            self._usual[self._first](self._first, None)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._first is not None:
            self._usual[number](number, frame)
            return
        self._first = number
        if self._grace_seconds is not None:
            self._timer = threading.Timer(self._grace_seconds, signal.raise_signal, [number])
            self._timer.daemon = True
            self._timer.start()
