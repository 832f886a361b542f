"""`make bench`: play the cases, print the tables, leave with 1 if a competitor failed or found other rows."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from bench import table
from bench.cases import CASES
from bench.conditions import load, machine
from bench.documents import Rows, plain
from bench.inputs import Inputs
from bench.measure import Failed
from bench.program import last_version
from bench.runner import Case, paired, play
from bench.targets import Verdict, judge


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(CASES)))
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path(".bench"), help="Where inputs are kept."
)
@click.option("--scale", default=1.0, help="Multiplies the sizes.")
@click.option("--rounds", default=5, help="How often each competitor runs.")
@click.option("--seed", default=1, help="Of the generated logs.")
@click.option(
    "--base",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A checkout of the last version: what is to be no slower than it is paired with it.",
)
@click.option("--write", type=click.Path(path_type=Path), help="Put the tables into this document.")
def main(
    names: tuple[str, ...],
    folder: Path,
    scale: float,
    rounds: int,
    seed: int,
    base: Path | None,
    write: Path | None,
) -> None:
    """Play the cases of these NAMES, or all."""
    before = load()
    inputs = Inputs(folder.absolute(), scale, seed)
    work = inputs.folder / "work"
    verdicts: list[Verdict] = []
    played: list[tuple[Case, Rows]] = []
    try:
        last = None if base is None else last_version(base)
        for name in names or CASES:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            case = CASES[name](inputs, work)
            case = case if last is None else paired(case, last)
            results = play(case, rounds, work, lambda line: click.echo(f"  {line}", err=True))
            rows = table.results_of(results)
            click.echo(f"\n{case.name}: {case.title}\n\n{plain(rows)}")
            played.append((case, rows))
            verdicts += judge(case.name, case.wanted, results)
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    conditions = f"Scale {scale:g}, up to {rounds} rounds; {machine(before)}"
    click.echo(f"\n{conditions}\n\n{plain(table.targets_of(verdicts))}\n\n{table.summary(verdicts)}")
    if write is not None:
        table.write(write, table.leading(conditions, verdicts), table.LEADING)
        table.write(write, table.report(conditions, played, verdicts))


if __name__ == "__main__":
    main()
