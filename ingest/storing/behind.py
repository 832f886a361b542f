"""One piece of writing at a time, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread


class Behind:
    """What is written while its caller goes on; `begin` and `wait` are called by one thread."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def begin(self, write: Callable[[], None]) -> None:
        """Begin to write, with nothing else under way."""

        def run() -> None:
            try:
                write()
            except BaseException as error:
                self._error = error

        self._thread = Thread(target=run, name="writing")
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end of the writing.

        Raises:
            BaseException: what ended it.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error
