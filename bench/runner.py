"""The rounds of a case: each competitor in turn, each run in an empty folder, all it found checked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.competitor import DATABASE, Competitor
from bench.measure import Failed, run, warm
from bench.program import Program
from bench.results import Result
from bench.targets import Target

SLOW_S, SLOW_ROUNDS = 60.0, 2
"""What takes longer than this runs fewer rounds."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is read, who reads it, and what is wanted of it.

    `optional` targets name what is not everywhere: the last version, or processes that can be weighed.
    `times` multiplies the rounds, since what takes milliseconds needs more of them to stand out from noise.
    """

    name: str
    title: str
    inputs: tuple[Path, ...]
    competitors: tuple[Competitor, ...]
    targets: tuple[Target, ...] = ()
    optional: tuple[Target, ...] = ()
    times: int = 1

    @property
    def wanted(self) -> tuple[Target, ...]:
        """All targets; those that lead come first."""
        return tuple(sorted((*self.targets, *self.optional), key=lambda target: not target.leads))


def paired(case: Case, last: Program) -> Case:
    """Put the last version after the competitor that is compared with it."""
    wanted = {target.other for target in case.optional}
    competitors: list[Competitor] = []
    for competitor in case.competitors:
        competitors.append(competitor)
        if competitor.by is not None and last.named(competitor.name) in wanted:
            competitors.append(competitor.by(last))
    return replace(case, competitors=tuple(competitors))


def play(case: Case, rounds: int, folder: Path, say: Callable[[str], None]) -> list[Result]:
    """Run every round of a case.

    Raises:
        Failed: a competitor failed, or found something else than there is: nothing of it counts.
    """
    for path in case.inputs:
        warm(path)
    results = {
        competitor.name: Result(case.name, competitor.name, added=competitor.added)
        for competitor in case.competitors
    }
    for number in range(rounds * case.times):
        for competitor in case.competitors:
            result = results[competitor.name]
            if number >= SLOW_ROUNDS and result.wall_s > SLOW_S:
                continue
            _run_once(competitor, result, folder / "run")
            say(f"{case.name}, round {number + 1}: {competitor.name}: {result.runs[-1].wall_s:.3f} s")
    return list(results.values())


def _run_once(competitor: Competitor, result: Result, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    competitor.prepare(place)
    try:
        measured = run(competitor.command(place), competitor.environment)
        result.disk_bytes = sum(file.stat().st_size for file in place.glob(f"{DATABASE}*"))
        _check(competitor, result, place, measured.output)
    except Failed as failure:
        raise Failed(f"{result.case}: {competitor.name}: {failure}") from failure
    result.runs.append(measured)
    shutil.rmtree(place)


def _check(competitor: Competitor, result: Result, place: Path, output: str) -> None:
    if competitor.expected is not None:
        found = competitor.find(place, output)
        if found is None or not found.agrees(competitor.expected):
            raise Failed(f"found {found}, but there is {competitor.expected}")
        result.events = found.events
    if not result.runs:
        competitor.prove(place)
