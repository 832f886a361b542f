"""Play a scenario with a tailer, and hold what came of it against what was written."""

from __future__ import annotations

import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.scenarios.scenario import Impossible, Scenario
from faults.tables import check_invariants, rows_as_stored
from faults.tailers import run_process, verify_command
from faults.world import Tailer, World


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one scenario in one mode with one tailer; `skipped` says why it was not played.

    `awaited` is what doesn't hold yet, as the scenario says; that is no complaint.
    """

    scenario: Scenario
    mode: str
    tailer: str
    expected: int = 0
    lost: int = 0
    doubled: int = 0
    damaged: int = 0
    exit_codes: tuple[int, ...] = ()
    complaints: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    skipped: str | None = None

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, doubled or damaged, and nothing else was amiss."""
        return not (self.lost or self.doubled or self.damaged or self.complaints)


def play(scenario: Scenario, tailer: Tailer, mode: str, keep: Path | None = None) -> Verdict:
    """Play a scenario in a folder of its own; `keep` is where that is left for a person to look at."""
    with tempfile.TemporaryDirectory(prefix="faults-") as made:
        root = Path(made) if keep is None else keep / f"{scenario.id}-{mode}-{tailer.name}"
        world = World(root, tailer, mode)
        try:
            scenario.play(world)
        except Impossible as reason:
            return Verdict(scenario, mode, tailer.name, skipped=str(reason))
        except (OSError, AssertionError, sqlite3.Error, subprocess.SubprocessError) as error:
            world.complaints.append(f"the scenario itself failed: {error!r}")
        if world.is_tokentail:
            _check_in_the_end(world)
        seen = tailer.seen(world)
    lost = [number for number in world.expected if not seen.counts.get(number)]
    extra = [count - 1 for count in seen.counts.values() if count > 1]
    return Verdict(
        scenario,
        mode,
        tailer.name,
        expected=len(world.expected),
        lost=len(lost),
        doubled=sum(extra),
        damaged=len(seen.damaged),
        exit_codes=tuple(outcome.exit_code for outcome in world.outcomes),
        complaints=(
            *world.complaints,
            *_not_awaited(scenario, world),
            *_shown("lost", lost),
            *_shown("damaged", seen.damaged),
        ),
        awaited=tuple(world.awaited),
    )


def _not_awaited(scenario: Scenario, world: World) -> list[str]:
    """Complain of what fails and was not expected to, and of what was expected to and holds."""
    if not scenario.awaited:
        return world.awaited
    return [] if world.awaited else [f"holds, so nothing is awaited any more: {scenario.awaited}"]


def _shown(what: str, found: Sequence[object]) -> list[str]:
    return [f"{what}: {', '.join(map(str, found[:3]))}{' ...' if len(found) > 3 else ''}"] if found else []


def _check_in_the_end(world: World) -> None:
    """Complain if another run changes rows, an invariant is broken, or `verify` finds a difference."""
    if not world.database.exists():
        world.complaints.append("there is no database")
        return
    before = rows_as_stored(world.database)
    again = world.tailer.run(world, (), {})
    if again.exit_code not in (0, 1) or "Traceback" in again.errors:
        world.complaints.append(f"the last run leaves with {again.exit_code}: {again.errors[-300:]}")
    if rows_as_stored(world.database) != before:
        world.complaints.append("another run changed rows")
    try:
        check_invariants(world.database)
    except AssertionError as error:
        world.complaints.append(f"an invariant is broken: {error}")
    if world.verified:
        found = run_process(world, verify_command(world))
        if found.exit_code:
            world.complaints.append(f"verify: {(found.output + found.errors).strip()[:300]}")
