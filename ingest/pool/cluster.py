"""An existing Dask cluster as a pool, through its `concurrent.futures` executor.

Workers come and go: what one of them was reading is read again by another. What can't be helped by that
ends the run with a sentence; what is stored stays, and the next run goes on from there.
"""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import Any

from ingest.errors import ClusterUnusable
from ingest.pool.ahead import Ahead, Executors
from ingest.pool.parts import OtherVersion, Part, Wanted
from ingest.summary import IngestOptions, Summary
from ingest.version import program_version

CONNECT_SECONDS = 10
"""How long to wait for the scheduler, and then for a first worker."""

PATIENCE_SECONDS = 60.0
"""How long to wait while there is no worker at all: one that was killed may be started again."""

LOOK_SECONDS = 2.0
"""How often to look whether there are workers, while a part is long in coming."""

MOST_AHEAD = 128
"""Tasks under way at most: each may hold `parts.MAX_PART_ROWS` rows."""

STAYS = "what was stored stays; run the command again to go on from there, or without --scheduler"


class Cluster(Executors):
    """The workers of one scheduler."""

    def __init__(self, client: Any, scheduler: str) -> None:
        """Use a connected client; make sure that its workers are fit."""
        self._client = client
        self._scheduler = scheduler
        self._seen = time.monotonic()
        threads = self._fit()
        super().__init__(client.get_executor(pure=False), min(MOST_AHEAD, 2 * threads + 2))

    def _fit(self) -> int:
        """Return how many threads the workers have.

        Raises:
            ClusterUnusable: there is none, or one lacks this version of the program.
        """
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise ClusterUnusable(
                f"{self._scheduler}: no workers there: start some (`dask worker {self._scheduler}`)"
            ) from error
        for worker, told in self._client.run(program_version, on_error="return").items():
            if isinstance(told, Exception):
                raise ClusterUnusable(
                    f"{self._scheduler}: its worker {worker} has no tokentail that can be used "
                    f"({type(told).__name__}: {told}): install version {program_version()} there"
                )
            if told != program_version():
                raise ClusterUnusable(
                    f"{self._scheduler}: its worker {worker} has tokentail {told}, and here is "
                    f"{program_version()}: they must be the same"
                )
        return sum(self._client.nthreads().values())

    def result(self, future: Future[list[Part]], wanted: list[Wanted]) -> list[Part]:
        """Wait for what was read of logs, as long as there is hope.

        Raises:
            ClusterUnusable: there is none.
        """
        self._seen = time.monotonic()
        while True:
            try:
                return future.result(LOOK_SECONDS)
            except TimeoutError:
                self._look(wanted)
            except OtherVersion as error:
                raise self._lost(wanted, f"a worker can't be used: {error}") from error
            except CancelledError as error:
                raise self._lost(wanted, "the scheduler is gone") from error
            except Exception as error:
                killed = type(error).__name__ == "KilledWorker"
                what = "several workers ended while they read it" if killed else _short(error)
                raise self._lost(wanted, what) from error

    def _look(self, wanted: list[Wanted]) -> None:
        if self._has_workers():
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > PATIENCE_SECONDS:
            raise self._lost(wanted, f"no scheduler or no workers for {PATIENCE_SECONDS:.0f} seconds")

    def _has_workers(self) -> bool:
        if self._client.status != "running":
            return False
        try:
            return bool(self._client.sync(self._client.scheduler.ncores, callback_timeout=LOOK_SECONDS))
        except Exception:  # whatever it is, it tells of no worker
            return False

    def _lost(self, wanted: list[Wanted], what: str) -> ClusterUnusable:
        more = f" and {len(wanted) - 1} more" if len(wanted) > 1 else ""
        return ClusterUnusable(f"{self._scheduler}: {what} ({wanted[0].log.shown}{more}): {STAYS}")


@contextmanager
def scanning_ahead(scheduler: str, options: IngestOptions, summary: Summary) -> Iterator[Ahead]:
    """Yield what scans new logs by the workers of a scheduler; in `summary` go those that they couldn't read.

    Raises:
        ClusterUnusable: it can't be reached, or used, or the library that talks to it is not installed.
    """
    with _connected(scheduler) as pool:
        ahead = Ahead(pool, options.zone_of, options.finished)
        yield ahead
    if ahead.refused:
        log, why = ahead.refused[0]
        more = f" and {len(ahead.refused) - 1:,} more" if len(ahead.refused) > 1 else ""
        summary.warnings.append(
            f"{log.shown}{more}: not read by the workers of {scheduler} but here ({why}): give them the same "
            "files under the same path, or name the logs by URLs that both can read"
        )


@contextmanager
def _connected(scheduler: str) -> Iterator[Cluster]:
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise ClusterUnusable(
            f"--scheduler needs distributed, which is not installed ({error}): install the extra "
            '"distributed": pip install "tokentail[distributed]" (a checkout: pip install ".[distributed]")'
        ) from error
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what it says of workers is said here
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, ImportError) as error:
        sys.unraisablehook = lambda _: None  # a client that was never whole complains when it is let go of
        raise ClusterUnusable(
            f"{scheduler}: no Dask scheduler can be reached there ({_short(error)}): check the address and "
            "the network, or run without --scheduler"
        ) from error
    try:
        yield Cluster(client, scheduler)
    finally:
        client.close(timeout=LOOK_SECONDS)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
