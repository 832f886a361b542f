"""Databases whose logs are gone, which is the normal case: they know what nobody can read again.

Whatever is done to them, each value of each event stays, unless the rule of what is done says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from faults.calls import Call
from faults.known import IDS, Known, known, lost, name_of
from faults.scenarios.scenario import FINISHED, FOLDER, Scenario
from faults.scenarios.versions import altered
from faults.tables import Tables, check_invariants, escalations, events
from faults.tailers import call, run_process, verify_command
from faults.world import World, append

RUN = "Initialized autonomous executor for run: run-a"
CALLS, COPIED, GREPPED = 20, 10, 5
"""Calls of the log, how many of them stand in its copy as well, and how many only in an excerpt."""


def with_context(call: Call) -> str:
    """Write a call with the lines that tell its context; every fifth announces another attempt."""
    phase = call.phase
    lines = [
        call.logged(RUN),
        call.opening,
        call.logged(
            "[MODEL-SELECT] Builder: model=some-model-4, complexity=low->low, attempt=0, category=docs"
        ),
        call.logged(
            f"[BUILD-129] Token estimate: {call.predicted} output tokens (1 deliverables, confidence=0.80), "
            "selected budget: 8192"
        ),
        call.anchor,
        call.event,
        call.logged(f"[{phase}] Builder succeeded ({900 + call.actual} tokens)"),
    ]
    if call.number % 5 == 0:
        escalated = (
            f"phase={phase} attempt=0 base=8192 (from selected_budget) → retry=10240 (1.25x, truncation)"
        )
        lines.append(call.logged(f"[BUILD-129:P10] ESCALATE-ONCE: {escalated}"))
    if call.number % 5 != 1:  # the paths of every fifth are only imported
        lines.append(call.applied(f"src/{phase}.py"))
    lines.append(call.logged(f"Updated phase {phase} status to COMPLETE"))
    return "".join(f"{line}\n" for line in lines)


def all_with_context(calls: Sequence[Call]) -> bytes:
    """Write calls with the lines that tell their context."""
    return "".join(map(with_context, calls)).encode()


def excerpt(calls: Sequence[Call]) -> bytes:
    """Write what `grep` leaves of calls: their event lines."""
    return "".join(f"{call.event}\n" for call in calls).encode()


def read_and_gone(world: World) -> tuple[list[Call], Known]:
    """Read a log, its copy, an excerpt and imported paths; take away all logs; return what is known then."""
    world.needs_phase = False
    calls, grepped = world.made(CALLS), world.made(GREPPED)
    append(world.log, all_with_context(calls))
    append(world.logs / "copy.log", all_with_context(calls[:COPIED]))
    append(world.logs / "samples.txt", excerpt([*calls[COPIED:], *grepped]) + b"[TokenEstimationV2] broken\n")
    world.read()
    paths = world.root / "paths.ndjson"
    paths.write_text(
        "".join(
            json.dumps({"run_id": made.run, "phase_id": made.phase, "deliverables": [f"src/{made.phase}.py"]})
            + "\n"
            for made in calls
        )
    )
    call(world, "deliverables", "import", paths, "--db", world.database)
    for log in world.logs.iterdir():
        log.unlink()
    before = known(world.database)
    world.require(_is_all_known(before, calls, grepped), "the scenario itself is wrong: too little is known")
    return calls, before


def _is_all_known(before: Known, calls: Sequence[Call], grepped: Sequence[Call]) -> bool:
    whole = {"run_id", "phase_id", "actual_max_tokens", "input_tokens", "total_tokens", "confidence"}
    whole |= {"attempt_index", "estimated_deliverable_count", "phase_outcome", "deliverables_json"}
    return all(whole <= before[name_of(made)].keys() for made in calls) and all(
        not whole & before[name_of(made)].keys() for made in grepped
    )


def nothing_lost(world: World, before: Known, what: str, besides: Sequence[str] = ()) -> None:
    """Complain of each value that was known before, and isn't after something was done."""
    gone = lost(before, known(world.database), besides)
    world.require(not gone, f"{what}: {'; '.join(gone[:5])}")
    check_invariants(world.database)
    found = run_process(world, verify_command(world))
    world.require(found.exit_code == 0, f"{what}: verify: {(found.output + found.errors).strip()[:300]}")


def ingested(world: World) -> None:
    """Other logs, half a copy of the lost log, excerpts with and without context, all from their start."""
    calls, before = read_and_gone(world)
    append(world.logs / "other.log", all_with_context(world.made(5)))
    world.read()
    nothing_lost(world, before, "another log")
    append(world.logs / "backup.log", all_with_context(calls)[: len(all_with_context(calls)) // 2])
    world.read()
    nothing_lost(world, before, "a part of the log that is gone")
    append(world.logs / "grep.txt", excerpt(calls))
    anchored = "".join(f"{made.anchor}\n{made.event}\n" for made in calls)
    append(world.logs / "grep-C1.txt", anchored.encode())
    world.read()
    nothing_lost(world, before, "excerpts")
    append(world.log, all_with_context(world.made(5)))
    world.read()
    nothing_lost(world, before, "another log where the one that is gone was")
    if world.mode == "backfill":
        world.read("--full")
        nothing_lost(world, before, "a full reading of what there is")


def merged(world: World) -> None:
    """Merged with a database of an excerpt, into it and the other way round, twice."""
    calls, before = read_and_gone(world)
    earlier = world.root / "earlier.db"
    call(world, "backup", "--db", world.database, earlier)
    append(world.logs / "grep.txt", excerpt(calls[::2]))
    world.database.unlink()
    world.read()
    other = world.root / "other.db"
    call(world, "backup", "--db", world.database, other)
    for _ in range(2):
        call(world, "merge", "--db", world.database, earlier)
        nothing_lost(world, before, "merged into another", IDS)
    for _ in range(2):
        call(world, "merge", "--db", earlier, other)
        gone = lost(before, known(earlier))
        world.require(not gone, f"another merged into it: {'; '.join(gone[:5])}")


def pruned(world: World) -> None:
    """What is older than a moment goes, and does not come back; all of the rest stays."""
    calls, before = read_and_gone(world)
    first = calls[COPIED - 3]
    call(world, "prune", "--db", world.database, "--older-than", f"{first.moment:%Y-%m-%dT%H:%M:%S}")
    old = [made for made in calls if made.moment < first.moment]
    world.gone(old)
    begin = f"{first.moment:%Y-%m-%d %H:%M:%S}"
    kept = {name: values for name, values in before.items() if values.get("timestamp", "") >= begin}
    nothing_lost(world, kept, "pruned")
    append(world.logs / "backup.log", all_with_context(calls))
    world.read()
    nothing_lost(world, kept, "a copy of what was pruned")
    world.require(not set(map(name_of, old)) & known(world.database).keys(), "what was pruned came back")


def forgotten(world: World) -> None:
    """Sources whose events others have too, or they alone: only the latter go with them."""
    _, before = read_and_gone(world)
    others = world.made(5)
    append(world.logs / "other.log", all_with_context(others))
    world.read()
    (world.logs / "other.log").unlink()
    _forget(world, "other.log")
    world.gone(others)
    nothing_lost(world, before, "another source forgotten")
    _forget(world, "copy.log")
    nothing_lost(world, before, "a copy forgotten")
    _forget(world, "samples.txt")
    alone = list(world.calls.values())[CALLS : CALLS + GREPPED]
    world.gone(alone)
    before = {name: values for name, values in before.items() if not name.startswith("reject ")}
    for made in alone:
        del before[name_of(made)]
    nothing_lost(world, before, "an excerpt forgotten")


def _forget(world: World, name: str) -> None:
    call(world, "sources", "--db", world.database, "forget", world.logs / name)


def remains_of_a_forgotten_log(world: World) -> None:
    """Forgotten, where a copy of one half and an excerpt of the other remain: only what these say stays."""
    world.needs_phase = False
    calls = world.made(CALLS)
    append(world.logs / "copy.log", all_with_context(calls[:COPIED]))
    append(world.logs / "samples.txt", excerpt(calls[COPIED:]))
    world.read()
    right = _linked(world.database)
    world.database.unlink()
    append(world.log, all_with_context(calls))
    world.read()
    _forget(world, world.log.name)
    world.log.unlink()
    world.read()
    remaining = _linked(world.database)
    for table, rows in right.items():
        unfounded = [row for row in remaining[table] if row not in rows]
        world.require(
            not unfounded and len(rows) == len(remaining[table]),
            f"{len(unfounded)} {table} hold what no remaining place says, {unfounded[:1]}"[:300],
        )


def _linked(database: Path) -> Tables:
    return {"events": events(database), "escalations": escalations(database)}


def said_by_nobody(world: World) -> None:
    """A row says more of its event than its only place, an excerpt, does: `verify` names it."""
    world.needs_phase = False
    append(world.log, excerpt(world.made(5)))
    world.read()
    altered(
        world, "UPDATE token_estimation_v2_events SET run_id = 'run-a', total_tokens = 7 WHERE event_id = 3"
    )
    found = run_process(world, verify_command(world))
    world.require(
        found.exit_code == 1 and ":3: " in found.output + found.errors, "verify says that all is well"
    )
    altered(
        world,
        "UPDATE token_estimation_v2_events SET run_id = 'unknown', total_tokens = NULL WHERE event_id = 3",
    )


SCENARIOS = (
    Scenario("R59", "logs gone: others, parts and excerpts are read", ingested, FINISHED, False),
    Scenario("R60", "logs gone: merged into another, and another into it", merged, FOLDER, False),
    Scenario("R61", "logs gone: pruned, and a copy comes back", pruned, FOLDER, False),
    Scenario("R62", "logs gone: other sources forgotten", forgotten, FOLDER, False),
    Scenario(
        "R63",
        "forgotten: of its events, only what a copy and an excerpt say",
        remains_of_a_forgotten_log,
        FOLDER,
        False,
    ),
    Scenario(
        "R64",
        "a row that says more than its only place",
        said_by_nobody,
        FOLDER,
        False,
    ),
)
