"""The other cores of one machine as a pool: whole logs, where there are many of them."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from ingest.pool.parts import Part, Wanted, read_parts

if TYPE_CHECKING:
    from ingest.pool.processes import Processes


class Local:
    """Processes of this program. A process that dies has its logs read here instead."""

    group_bytes = 1 << 20

    def __init__(self, processes: Processes) -> None:
        """Use processes that somebody else ends."""
        self._processes = processes
        self.ahead = processes.count + 1

    def submit(self, wanted: list[Wanted]) -> Future[list[Part]]:
        """Have logs read."""
        return self._processes.submit(
            lambda process: process.call(read_parts, wanted),
            lambda: [Part([], refusal="its process has ended") for _ in wanted],
        )

    def result(self, future: Future[list[Part]], wanted: list[Wanted]) -> list[Part]:  # noqa: ARG002
        """Wait for what was read of logs."""
        return future.result()
