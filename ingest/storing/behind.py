"""One piece of writing at a time, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread


class Behind:
    """What is written while its caller goes on; `begin` and `wait` are called by one thread."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._done = Event()
        self._done.set()
        self._error: BaseException | None = None

    def begin(self, write: Callable[[], None]) -> None:
        """Begin to write, with nothing else under way; at once, where no thread can be started."""

        def run() -> None:
            try:
                write()
            except BaseException as error:
                self._error = error
            finally:
                self._done.set()

        self._done.clear()
        try:
            Thread(target=run, name="writing").start()
        except RuntimeError:
            run()

    def wait(self) -> None:
        """Wait for the end of the writing, whatever comes in between: the connection is the writer's.

        Not by `Thread.join`: one that a signal interrupts takes the thread for ended.

        Raises:
            BaseException: what ended it, or what a signal raised meanwhile.
        """
        interrupted: BaseException | None = None
        while not self._done.is_set():
            try:
                self._done.wait()
            except BaseException as signalled:
                interrupted = signalled
        error, self._error = self._error, None
        if interrupted is not None:
            raise interrupted from error
        if error is not None:
            raise error
