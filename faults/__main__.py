"""`make faults`: play the scenarios, print what came of each, leave with 1 unless all is as it must be."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from bench.documents import plain
from faults import table
from faults.scenarios import SCENARIOS
from faults.scenarios.scenario import Scenario
from faults.tailers import Tokentail, installed
from faults.verdict import Verdict, play
from faults.world import Tailer


@click.command()
@click.argument("ids", nargs=-1)
@click.option("--others", is_flag=True, help="Try the other tailers that are installed as well.")
@click.option("--write", type=click.Path(path_type=Path), help="Put the table into this document.")
@click.option("--keep", type=click.Path(path_type=Path), help="Leave the folders of the scenarios here.")
@click.option("--jobs", default=2, help="How many scenarios are played at a time.")
def main(ids: tuple[str, ...], others: bool, write: Path | None, keep: Path | None, jobs: int) -> None:
    """Play the scenarios, or those with these IDS, with our program and with other tailers."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background would have it ignored
    chosen = [scenario for scenario in SCENARIOS if not ids or scenario.id in ids]
    ours: list[tuple[Scenario, Tailer, str]] = [
        (scenario, Tokentail(), mode) for scenario in chosen for mode in scenario.all_modes
    ]
    theirs: list[tuple[Scenario, Tailer, str]] = [
        (scenario, other, "named")
        for other in (installed() if others else ())
        for scenario in chosen
        if scenario.others
    ]
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(jobs) as pool:
        for verdict in pool.map(lambda work: play(work[0], work[1], work[2], keep), [*ours, *theirs]):
            verdicts.append(verdict)
            if verdict.tailer == Tokentail.name:
                click.echo(table.line(verdict))
    if theirs:
        click.echo(f"\n{plain(table.rows(verdicts))}")
    if write is not None:
        table.write(write, verdicts)
    our_verdicts = [verdict for verdict in verdicts if verdict.tailer == Tokentail.name]
    click.echo(table.summary(our_verdicts))
    sys.exit(0 if all(verdict.is_clean for verdict in our_verdicts) else 1)


if __name__ == "__main__":
    main()
