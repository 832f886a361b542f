"""Replay's verdicts: how often two equal estimators seem to differ, and how often a better one is found.

Both estimators err by a factor whose logarithm is normal, once for each phase: tries get the same
estimate. The new one's deviation is a share of the old one's. What the tries of a phase need is correlated.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import NormalDist, fmean

import click
import numpy as np

from bench.documents import markdown, put
from claims.world import LIKENESS
from reports.replaying.comparison import Replay, replay
from reports.replaying.events import REAL, ReplayEvent
from reports.strata import Strata

BEGIN, END = "<!-- verdicts: begin -->", "<!-- verdicts: end -->"
OLD_ERROR = 0.6
"""Standard deviation of the logarithm of predicted / needed: a SMAPE of about 45."""

RESAMPLES, LEAST_ANSWERS = 2000, 5

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class World:
    """So many phases and tries, in strata; `error` is the new error as a share of the old; a share is cut."""

    phases: int
    tries: int = 1
    error: float = 1.0
    strata: int = 1
    cut: float = 0.0

    def events(self, chance: random.Random) -> Iterator[tuple[ReplayEvent, int]]:
        """Yield events with the new estimator's prediction."""
        ceiling = math.exp(-NormalDist().inv_cdf(self.cut)) if self.cut else math.inf
        for phase in range(self.phases):
            typical, common = chance.lognormvariate(8.5, 0.8), chance.gauss(0, math.sqrt(LIKENESS))
            old, new = (
                max(1, round(typical * chance.lognormvariate(0, OLD_ERROR * share)))
                for share in (1, self.error)
            )
            for number in range(self.tries):
                apart = common + chance.gauss(0, math.sqrt(1 - LIKENESS))
                needed, most = math.exp(apart * 0.5), ceiling**0.5
                cut = needed > most
                actual = max(1, round(typical * min(needed, most)))
                yield _event(phase, number, f"work-{phase % self.strata}", old, actual, cut), new

    def replayed(self, chance: random.Random) -> Replay:
        """Replay a sample of this world."""
        events = list(self.events(chance))
        new = {event.event_key: predicted for event, predicted in events}
        return replay(
            [event for event, _ in events], lambda event: new[event.event_key], Strata(("category",))
        )


def _event(phase: int, number: int, stratum: str, predicted: int, actual: int, cut: bool) -> ReplayEvent:
    return ReplayEvent(
        key=(stratum,),
        event_key=f"{phase}-{number}",
        category=stratum,
        complexity=None,
        deliverables=(),
        kind=REAL,
        unsafe_paths=0,
        predicted=predicted,
        actual=actual,
        ceiling=actual,
        success=not cut,
        truncated=cut,
        phase=phase,
    )


@dataclass(frozen=True, slots=True)
class Found:
    """In which share of the samples there was a verdict: over all, in any stratum, by the former bootstrap.

    `covered` is how often the interval held the true difference, of the samples that have one.
    """

    samples: int
    verdict: float
    in_a_stratum: float
    bootstrap: float
    covered: float | None


def try_out(world: World, repeats: int, seed: int, with_bootstrap: bool = True) -> Found:
    """Replay so many samples of a world."""
    chance = random.Random(f"{seed} {world}")
    truth = _truth(world)
    verdicts, any_stratum, bootstraps, covered = [], [], [], []
    for _ in range(repeats):
        found = world.replayed(chance)
        verdicts.append(found.overall.verdict in ("better", "worse"))
        any_stratum.append(any(stratum.verdict in ("better", "worse") for stratum in found.strata))
        if with_bootstrap:
            bootstraps.append(_bootstrapped(found, chance))
        interval = found.overall.smape.interval
        if interval is not None:
            covered.append(interval.low <= truth <= interval.high)
    return Found(
        samples=repeats,
        verdict=fmean(verdicts),
        in_a_stratum=fmean(any_stratum),
        bootstrap=fmean(bootstraps or [0.0]),
        covered=fmean(covered) if covered else None,
    )


def _truth(world: World) -> float:
    """Return the difference of SMAPE over very many phases."""
    if world.error == 1:
        return 0.0
    many = World(20_000, 1, world.error, 1, world.cut)
    chance = random.Random(0)
    errors = [
        _smape(new, event.actual) - _smape(event.predicted, event.actual)
        for event, new in many.events(chance)
        if not event.truncated
    ]
    return fmean(errors)


def _smape(value: float, other: float) -> float:
    return 200 * abs(value - other) / (value + other)


def _bootstrapped(found: Replay, chance: random.Random) -> bool:
    """Whether a paired bootstrap of answers finds a difference, which was the test before."""
    differences = [
        _smape(row.predicted, row.event.actual) - _smape(row.event.predicted, row.event.actual)
        for row in found.rows
        if not row.event.truncated
    ]
    if len(differences) < LEAST_ANSWERS:
        return False
    numbers = np.array(differences)
    drawn = np.random.default_rng(chance.getrandbits(32)).integers(
        len(numbers), size=(RESAMPLES, len(numbers))
    )
    low, high = np.percentile(numbers[drawn].mean(axis=1), [2.5, 97.5])
    return bool(low > 0 or high < 0)


WORLDS = (
    *(World(phases, tries) for tries in (1, 3) for phases in (5, 6, 10, 30, 57, 300)),
    *(World(57, tries, cut=0.3) for tries in (1, 3)),
    *(World(phases, strata=strata) for phases, strata in ((57, 4), (100, 10))),
    *(World(phases, tries, error=0.4) for tries in (1, 3) for phases in (30, 57)),
)

HEADER = (
    "phases",
    "tries",
    "strata",
    "cut",
    "new error",
    "samples",
    "verdict",
    "in a stratum",
    "formerly",
    "interval holds",
)


def row(world: World, found: Found) -> Row:
    """Return a line of the table."""
    return (
        f"{world.phases}",
        f"{world.tries}",
        f"{world.strata}",
        f"{world.cut:.0%}",
        "equal" if world.error == 1 else f"{world.error:g} x",
        f"{found.samples:,}",
        f"{found.verdict:.1%}",
        f"{found.in_a_stratum:.1%}" if world.strata > 1 else "",
        f"{found.bootstrap:.1%}",
        "-" if found.covered is None else f"{found.covered:.1%}",
    )


def kept(world: World, found: Found) -> bool:
    """Whether what is promised was found, give or take chance.

    Of equal estimators at most 6% seem to differ, and 93% of the intervals hold; of better ones 75% are
    found, where there are 57 phases or more of one try each.
    """
    if world.error == 1:
        wrong, covered = max(found.verdict, found.in_a_stratum), found.covered
        n = found.samples
        return _within(wrong, 0.06, n) and (covered is None or _within(1 - covered, 0.07, n))
    return world.phases < 57 or world.tries > 1 or _within(1 - found.verdict, 0.25, found.samples)


def _within(share: float, most: float, repeats: int) -> bool:
    """Whether a share is at most so much, or two standard errors more."""
    return share <= most + 2 * math.sqrt(most * (1 - most) / repeats)


def write(document: Path, rows: Sequence[Row]) -> None:
    """Put the table between the marks of a document.

    Raises:
        ValueError: the document has no marks.
    """
    put(document, (BEGIN, END), markdown([HEADER, *rows], "---:"))


@click.command()
@click.option("--repeats", default=1000, help="Samples of each world.")
@click.option("--seed", default=1, help="Of all that is drawn.")
@click.option("--jobs", default=2, help="How many worlds are tried at a time.")
@click.option(
    "--write", "document", type=click.Path(path_type=Path), help="Put the table into this document."
)
@click.pass_context
def main(context: click.Context, repeats: int, seed: int, jobs: int, document: Path | None) -> None:
    """Try every world; leave with 1 if a promise breaks."""
    rows, broken = [], False
    with ProcessPoolExecutor(jobs) as pool:
        for world, found in zip(
            WORLDS, pool.map(partial(try_out, repeats=repeats, seed=seed), WORLDS), strict=True
        ):
            rows.append(row(world, found))
            broken |= not kept(world, found)
            click.echo("  ".join(rows[-1]) + ("" if kept(world, found) else "  NOT KEPT"))
    if document is not None:
        write(document, rows)
    context.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
