"""`make claims`: hold what the reports claim against known truths; leave with 1 if one breaks."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click

from claims import kept, table
from claims.promises import USEFUL, WORLDS
from claims.trials import Found, try_out
from claims.world import World
from reports.calibration import Wish


@click.command()
@click.option("--repeats", default=1000, help="Samples of each world.")
@click.option("--seed", default=1, help="Of all that is drawn.")
@click.option("--jobs", default=2, help="How many worlds are tried at a time.")
@click.option("--worlds", default="", help="Try only those whose description has this in it.")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep what is found here; it is not tried again."
)
@click.option("--write", type=click.Path(path_type=Path), help="Put the tables into this document.")
def main(repeats: int, seed: int, jobs: int, worlds: str, keep: Path | None, write: Path | None) -> None:
    """Try every world, print how each promise was kept, and where it was kept worst."""
    found = kept.read(keep)
    cases = [case for case in dict.fromkeys([*WORLDS, *USEFUL]) if worlds in table.world_text(case[0])]
    cases = [case for case in cases if case not in found or found[case].repeats < repeats]
    with ProcessPoolExecutor(jobs) as pool:
        for measured in pool.map(partial(tried, repeats=repeats, seed=seed), cases):
            found[measured.world, measured.wish] = measured
            if keep is not None:
                kept.add(keep, measured)
            click.echo(f"  {table.world_text(measured.world)}", err=True)
    rows, held = table.promises_rows([*found.values()])
    click.echo(f"{table.plain(rows)}\n\n{table.plain(table.worlds_rows([*found.values()]))}")
    if write is not None:
        table.write(write, [*found.values()])
    sys.exit(0 if held else 1)


def tried(case: tuple[World, Wish], repeats: int, seed: int) -> Found:
    """Try a world out, in a process of the pool."""
    return try_out(*case, repeats, seed)


if __name__ == "__main__":
    main()
