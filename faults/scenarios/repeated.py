"""One event a million times: a log that was copied into itself, again and again.

Whatever is done with it takes time in proportion to how often the event stands there, and memory that doesn't
depend on it.
"""

from __future__ import annotations

from pathlib import Path

from faults.calls import text_of
from faults.costs import Costs, measured
from faults.injection import BATCH_RECORDS
from faults.scenarios.scenario import BACKFILL, FOLDER, Scenario
from faults.tables import opened
from faults.tailers import command_of, program, verify_command
from faults.world import MODES, World

FACTOR = 4
MAX_RATIO = 6.0
"""How many times the cost four times as many may have: linear is 4, quadratic 16."""

AT_ONCE = 1_000

LIMIT_BYTES = 100_000_000


def one_event_again_and_again(world: World) -> None:
    """512 times, then four times as often: SQLite takes about four times as many steps."""
    _repeated(world, 1 << 9, {BATCH_RECORDS: "100"})


def one_event_a_million_times(world: World) -> None:
    """A million times: four times as long as a quarter of them, within 100 MB."""
    costs = _repeated(world, 1 << 18, {})
    for what, (small, large) in costs.items():
        ratio = large.cpu_seconds / small.cpu_seconds
        world.require(ratio < MAX_RATIO, f"{what}: {ratio:.1f} times as long for {FACTOR} times as many")
        world.require(large.peak_bytes < LIMIT_BYTES, f"{what}: {large.peak_bytes:,} bytes of memory")


def _repeated(world: World, times: int, faults: dict[str, str]) -> dict[str, tuple[Costs, Costs]]:
    """Have the event so often, and four times as often; return what each command costs then."""
    data = text_of(world.made(1)).encode()
    found: dict[str, list[Costs]] = {}
    for count in (times, times * (FACTOR - 1)):
        with world.log.open("ab") as log:
            for first in range(0, count, AT_ONCE):
                log.write(data * min(AT_ONCE, count - first))
        for what, command in _commands(world, world.root / f"merged-{count}.db").items():
            found.setdefault(what, []).append(measured(world, command, faults))
    costs = {what: (small, large) for what, (small, large) in found.items()}
    for what, (small, large) in costs.items():
        ratio = large.sql_steps / small.sql_steps
        world.require(ratio < MAX_RATIO, f"{what}: {ratio:.1f} times the steps for {FACTOR} times as many")
    with opened(world.database) as connection:
        (places,) = connection.execute("SELECT COUNT(*) FROM event_sightings").fetchone()
    world.require(
        places == times * FACTOR, f"it stands in {times * FACTOR} places, of which {places} are known"
    )
    world.verified = False  # it was compared above
    return costs


def _commands(world: World, merged: Path) -> dict[str, list[str]]:
    """Return what is done with the event, in order: the first command reads what is new."""
    database = str(world.database)
    return {
        MODES[world.mode]: command_of(world, ("--jobs", "1")),
        "verify": verify_command(world),
        "merge": program("merge", "--db", str(merged), database),
        "prune": program("prune", "--db", database, "--older-than", "1d", "--dry-run"),
        "forget": program("sources", "--db", database, "forget", str(world.logs), "--dry-run"),
    }


SCENARIOS = (
    Scenario("R58", "one event 2,048 times: SQL in proportion", one_event_again_and_again, FOLDER, False),
    Scenario(
        "R58b",
        "one event 1,048,576 times: time in proportion, 100 MB",
        one_event_a_million_times,
        BACKFILL,
        False,
        quick=False,
    ),
)
