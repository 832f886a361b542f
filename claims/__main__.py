"""`make claims`: hold what the reports claim against known truths; leave with 1 if one breaks."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click

from claims import table
from claims.promises import USEFUL, WORLDS
from claims.trials import Found, try_out
from claims.world import World
from reports.calibration import Wish


@click.command()
@click.option("--repeats", default=1000, help="Samples of each world.")
@click.option("--seed", default=1, help="Of all that is drawn.")
@click.option("--jobs", default=2, help="How many worlds are tried at a time.")
@click.option("--write", type=click.Path(path_type=Path), help="Put the tables into this document.")
def main(repeats: int, seed: int, jobs: int, write: Path | None) -> None:
    """Try every world, print how each promise was kept, and where it was kept worst."""
    found: list[Found] = []
    with ProcessPoolExecutor(jobs) as pool:
        for one in pool.map(partial(tried, repeats=repeats, seed=seed), [*WORLDS, *USEFUL]):
            found.append(one)
            click.echo(f"  {table.world_text(one.world)}", err=True)
    rows, kept = table.promises_rows(found)
    click.echo(f"{table.plain(rows)}\n\n{table.plain(table.worlds_rows(found))}")
    if write is not None:
        table.write(write, found, repeats)
    sys.exit(0 if kept else 1)


def tried(case: tuple[World, Wish], repeats: int, seed: int) -> Found:
    """Try a world out in a process of its own."""
    return try_out(*case, repeats, seed)


if __name__ == "__main__":
    main()
