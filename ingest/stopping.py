"""Signals held back: what is under way when one comes is finished and stored first, if that is soon done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Stopping:
    """Holds the first signal back until `check` is called; a second one, or the end of the grace, isn't."""

    def __init__(self, grace_seconds: float | None = None) -> None:
        """Hear nothing yet.

        `grace_seconds` is how long what is under way may take to its end, before it is ended as any command
        is; `None`: it takes no time to speak of.
        """
        self._grace_seconds = grace_seconds
        self._usual: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._first: int | None = None
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Stopping:
        """Hear signals from here on; those that are ignored stay so."""
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
        """Let signals do again what they did."""
        if self._timer is not None:
            self._timer.cancel()
        for number, usual in self._usual.items():
            signal.signal(number, usual)

    @property
    def is_asked(self) -> bool:
        """Whether a signal came."""
        return self._first is not None

    def check(self) -> None:
        """Let the signal that came, if one did, do what it usually does: it raises."""
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
