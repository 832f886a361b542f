"""What a run of the program costs: steps of SQLite's machine, processor time, the most memory it ever had.

Steps are counted, not timed: the same run takes the same on a machine that is busy.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faults.tailers import run_process
from faults.world import World

COSTS = "TOKENTAIL_FAULT_COSTS"
"""A file that gets what the run cost, at its end."""

STEPS_AT_A_TIME = 100

PATIENCE_SECONDS = 3_600
"""How long a command may take whose costs are measured: it reads a million lines, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of one process, without those of processes that it started."""

    sql_steps: int
    cpu_seconds: float
    peak_bytes: int


def install(file: str) -> None:
    """Count in this process, and write down what it cost when it ends."""
    original: Any = sqlite3.connect
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += STEPS_AT_A_TIME

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = original(*arguments, **options)
        connection.set_progress_handler(count, STEPS_AT_A_TIME)
        return connection

    def write() -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        costs = Costs(counted, used.ru_utime + used.ru_stime, peak_bytes())
        Path(file).write_text(json.dumps(asdict(costs)), encoding="ascii")

    sqlite3.connect = connect  # type: ignore[assignment]
    atexit.register(write)


def peak_bytes() -> int:
    """Return the most memory that this process had since its program was started."""
    status = Path("/proc/self/status")
    if status.exists():  # `ru_maxrss` may count the parent's memory, from before the program was replaced
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def measured(world: World, command: Sequence[str], more: dict[str, str] | None = None) -> Costs:
    """Run a command of our program, which must leave with 0, and return what it cost."""
    file = world.root / "costs"
    environment = {**(more or {}), COSTS: os.fspath(file)}
    outcome = run_process(world, command, environment, timeout_seconds=PATIENCE_SECONDS)
    world.outcomes.append(outcome)
    world.check(outcome, 0, ())
    return Costs(**json.loads(file.read_text(encoding="ascii")))
