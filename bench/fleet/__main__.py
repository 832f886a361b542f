"""`make scale`: simulate a sample of a fleet, print the tables; leave with 1 if rows are missing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench import table
from bench.cases import HELD_EVENTS
from bench.conditions import load, machine
from bench.fleet import measured, told
from bench.fleet.simulation import Simulated, simulate
from bench.fleet.told import Prices
from bench.fleet.workload import Fleet, Sample
from bench.inputs import Inputs
from bench.measure import Failed
from bench.table import Rows

RATES = (2, 6, 24)
BACKFILL_SCALE = 0.05
"""Of the usual log: 50 MB."""


def tables(simulated: Simulated, prices: Prices) -> list[tuple[str, Rows]]:
    """Return every table under its title."""
    use, volumes, year = told.of(simulated, prices)
    return [
        ("What to use, and until when", use),
        ("The workload", measured.workload(simulated)),
        ("The fleet: how much there is", volumes),
        (
            f"The fleet: what it takes, at {prices.cpu_hour:g} a CPU hour and {prices.gb_month:g} a GB-month "
            "(examples; give yours)",
            year,
        ),
        ("The costs that this follows from", measured.costs_of(simulated.costs)),
        ("The sample, and what the formula says of it", measured.ways(simulated)),
        ("Merges of the sample", measured.merges(simulated)),
        ("Old logs", measured.backfills(simulated.backfills)),
        ("Is it linear? Event lines alone, CPU", measured.growth(simulated.held)),
    ]


@click.command()
@click.option("--executors", default=1000, show_default=True, help="Of the fleet.")
@click.option("--days", default=365, show_default=True, help="The time that is asked about.")
@click.option(
    "--phases-per-hour", type=click.IntRange(1, 12), default=4, show_default=True, help="Of each executor."
)
@click.option(
    "--logs-kept-days", default=14, show_default=True, help="How long rotations stay in the folders."
)
@click.option("--prune-days", default=180, show_default=True, help="How long events are kept.")
@click.option(
    "--sample-executors", type=click.IntRange(1), default=20, show_default=True, help="That are simulated."
)
@click.option("--sample-days", type=click.IntRange(2), default=5, show_default=True, help="That they live.")
@click.option(
    "--held",
    "sizes",
    type=click.IntRange(2),
    multiple=True,
    default=HELD_EVENTS,
    help="Events of the databases that grow.",
)
@click.option("--price-per-cpu-hour", default=0.05, show_default=True, help="In any currency.")
@click.option("--price-per-gb-month", default=0.10, show_default=True, help="In the same.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path(".bench"), help="Where inputs are kept."
)
@click.option(
    "--scale", default=BACKFILL_SCALE, show_default=True, help="Of the log that is backfilled; 1: a GB."
)
@click.option("--seed", default=1, show_default=True, help="Of the generated logs.")
@click.option("--write", type=click.Path(path_type=Path), help="Put the tables into this document.")
def main(
    executors: int,
    days: int,
    phases_per_hour: int,
    logs_kept_days: int,
    prune_days: int,
    sample_executors: int,
    sample_days: int,
    sizes: tuple[int, ...],
    price_per_cpu_hour: float,
    price_per_gb_month: float,
    folder: Path,
    scale: float,
    seed: int,
    write: Path | None,
) -> None:
    """Simulate a sample of a fleet, and say what the whole takes in its time."""
    before = load()
    fleet = Fleet(executors, days, phases_per_hour, logs_kept_days, prune_days)
    sample = Sample(fleet, sample_executors, min(sample_days, days), seed)
    inputs = Inputs(folder.absolute(), scale, seed)
    try:
        simulated = simulate(
            sample,
            RATES,
            sorted(sizes),
            inputs,
            inputs.folder / "fleet",
            lambda line: click.echo(f"  {line}", err=True),
        )
    except Failed as failure:
        sys.exit(f"scale: {failure}")
    found = tables(simulated, Prices(price_per_cpu_hour, price_per_gb_month))
    conditions = machine(before)
    for title, rows in found:
        click.echo(f"\n{title}\n\n{table.plain(rows)}")
    click.echo(f"\n{conditions}")
    if write is not None:
        parts = [conditions]
        for title, rows in found:
            parts += [f"### {title}", table.markdown(rows)]
        table.write(write, "\n\n".join(parts))


if __name__ == "__main__":
    main()
