"""`make model`: random lives of a folder of logs, thousands of them, against an oracle that sees every line.

A life writes whole lines and pieces, rotates in every way, copies, compresses, deletes, restores, links;
runs an ingest, kills one, runs two at once, or lets things happen while a file is opened and while a batch
waits for its commit. Every whole event line that stood on the disk during a quiet run must be a row, once,
and as it was written.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click

import ingest.files.logfile
import ingest.files.paths
import ingest.memory
from faults.life import Life
from ingest.storing.store import Store

BANNER = "".join(f"# the same banner in every generation, line {number:02d}\n" for number in range(30))


def live(seed: int) -> list[str]:
    """Live one life, and return what is wrong in the end."""
    rng = random.Random(seed)
    size = rng.choice((64, 200, 1024, 1 << 18))
    ingest.files.logfile.CHUNK_BYTES = size
    ingest.memory.MAX_BATCH_RECORDS = rng.choice((1, 3, 5000))
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        life = Life(Path(folder), rng, BANNER if rng.random() < 0.5 else "")
        _CURRENT[:] = [life]
        ways = ("quiet", "quiet", "disturbed", "disturbed", "killed", "twice", "finished")
        try:
            for _ in range(rng.randrange(4, 12)):
                for _ in range(rng.randrange(1, 5)):
                    life.happen()
                life.run(rng.choice(ways))
            wrong = life.check()
        except Exception as error:
            wrong = [f"died: {error!r}"]
        finally:
            life.writer.close()
        return [f"seed {seed}: {text}\n  {' '.join(life.history)}" for text in wrong]


_CURRENT: list[Life] = []
"""The life that this process lives now: a list of one, which `watch` looks at."""


def watch() -> None:
    """Let things happen where a log is about to be opened, and where a batch is about to be stored."""
    paths: Any = ingest.files.paths
    store: Any = Store
    opened, commit = paths._opened_file, store.commit

    def opening(path: str) -> Any:
        _meanwhile("open")
        return opened(path)

    def committing(self: Any, *arguments: Any, **options: Any) -> Any:
        _meanwhile("commit")
        return commit(self, *arguments, **options)

    paths._opened_file = opening
    store.commit = committing


def _meanwhile(where: str) -> None:
    if _CURRENT and _CURRENT[0].meanwhile is not None:
        _CURRENT[0].meanwhile(where)


@click.command()
@click.option("--number", default=5_000, help="How many lives.")
@click.option("--seed", type=int, help="The first one's; another one each time if it is left out.")
@click.option("--jobs", default=2, help="Processes that do this side by side.")
def main(number: int, seed: int | None, jobs: int) -> None:
    """Live random lives of a folder of logs; a seed that fails is printed, and is to become a test."""
    first = random.SystemRandom().randrange(1 << 30) if seed is None else seed
    click.echo(f"lives {first} to {first + number - 1}")
    started, failed = time.monotonic(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=watch) as pool:
        for wrong in pool.map(live, range(first, first + number), chunksize=8):
            failed += bool(wrong)
            for text in wrong[:2] if failed <= 10 else ():
                click.echo(f"WRONG: {text}")
    click.echo(f"{number:,} lives: {failed} not exact ({time.monotonic() - started:.0f} s)")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
