"""The progress of a long reading: bytes, rate, time left, on a terminal, after the first second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from reports.terminal import bytes_text

FIRST_SECONDS = 1.0
"""What is over sooner shows no progress."""

EVERY_SECONDS = 0.2


class Progress:
    """A line on standard error that is rewritten; call it with the bytes done, and with all there are."""

    def __init__(self, verb: str) -> None:
        """Begin; nothing is shown yet."""
        self._verb = verb
        self._began = time.monotonic()
        self._due = self._began + FIRST_SECONDS
        self._first: int | None = None
        self._shown = 0

    def __call__(self, done: int, total: int) -> None:
        """Show the progress, if it is time to."""
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if now < self._due:
            return
        self._due = now + EVERY_SECONDS
        self._write(progress_line(self._verb, done, total, (done - self._first) / (now - self._began)))

    def _write(self, line: str) -> None:
        from shutil import get_terminal_size  # noqa: PLC0415 - most runs are over before

        line = line[: max(20, get_terminal_size().columns - 1)]
        sys.stderr.write(f"\r{line.ljust(self._shown)}")
        sys.stderr.flush()
        self._shown = len(line)

    def close(self) -> None:
        """Erase the line."""
        if self._shown:
            sys.stderr.write(f"\r{' ' * self._shown}\r")
            sys.stderr.flush()
            self._shown = 0


def progress_line(verb: str, done: int, total: int, rate: float) -> str:
    """Return the line: bytes, their share, bytes a second (`rate`) and how long the rest takes at that."""
    from commandline.moments import span_text  # noqa: PLC0415 - as above

    total = max(total, done)
    parts = [f"{verb} {bytes_text(done)} of {bytes_text(total)} ({done / max(1, total):.0%})"]
    if rate > 0:
        parts += [f"{bytes_text(round(rate))}/s", f"{span_text(round((total - done) / rate))} left"]
    return ", ".join(parts)


@contextmanager
def shown_progress(verb: str, quiet: bool) -> Iterator[Progress | None]:
    """Yield a `Progress`; `None` if standard error is no terminal, or with --quiet."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    progress = Progress(verb)
    try:
        yield progress
    finally:
        progress.close()
