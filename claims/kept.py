"""What was found of worlds, kept in a file: a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from claims.trials import Found
from claims.world import World
from reports.calibration import Wish

Case = tuple[World, Wish]


def read(file: Path | None) -> dict[Case, Found]:
    """Return what was found, of each world the last; nothing where there is no file yet."""
    if file is None or not file.exists():
        return {}
    with file.open(encoding="utf-8") as lines:
        return {(measured.world, measured.wish): measured for measured in map(_found, lines)}


def add(file: Path, found: Found) -> None:
    """Keep what was found of one more world."""
    record = {
        "world": asdict(found.world),
        "max_truncation": found.wish.max_truncation,
        "repeats": found.repeats,
        "numbers": found.numbers,
    }
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(record) + "\n")


def _found(line: str) -> Found:
    record = json.loads(line)
    found = Found(World(**record["world"]), Wish(max_truncation=record["max_truncation"]), record["repeats"])
    found.numbers.update(record["numbers"])
    return found
