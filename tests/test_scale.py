"""docs/scale.md: what it says of the fleet follows from its own costs, by its own formula."""

from __future__ import annotations

import re

import pytest

from conftest import ROOT

TEXT = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


def table(title: str) -> dict[str, list[str]]:
    """Return the rows of a table by their first cell, without its header."""
    part = TEXT.partition(f"### {title}")[2].partition("\n#")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows[2:]}


def seconds(text: str) -> float:
    """Return a time that is written with its unit."""
    value, unit = text.split()
    return float(value.replace(",", "")) * SECONDS[unit]


COSTS = {name: row[1] for name, row in table("The costs that this follows from").items()}
START, LOOKUP, OPENING, MB, DATABASE, NEW, KNOWN, REPORT, BACKUP, PRUNE = map(
    seconds, [cost for cost in COSTS.values() if not cost.endswith(" B")]
)
EXECUTORS, DAYS, PRUNED_AFTER, FOUND, ROTATED = 1000, 365, 180, 15, 0.8
DAILY = 99.9
KEPT = EXECUTORS * PRUNED_AFTER * DAILY
LOG_MB = EXECUTORS * DAYS * DAILY * 13_730 / 1e6


def ingests(per_day: int, machines: int) -> float:
    """Return what all ingests take."""
    runs, opened = DAYS * per_day * machines, EXECUTORS * DAYS * (per_day + ROTATED)
    found = runs * EXECUTORS / machines * FOUND
    return runs * START + found * LOOKUP + opened * OPENING + LOG_MB * MB


def merges(days_between: int) -> float:
    """Return what all merges take."""
    new = EXECUTORS * DAILY * days_between
    return DAYS / days_between * (START + EXECUTORS * DATABASE + new * NEW + (KEPT - new) * KNOWN)


@pytest.mark.parametrize(
    ("part", "cpu_s"),
    [
        ("one machine ingests every 5 minutes", ingests(288, 1)),
        ("one machine ingests every hour", ingests(24, 1)),
        ("each executor ingests every 5 minutes", ingests(288, EXECUTORS)),
        ("each executor ingests every hour", ingests(24, EXECUTORS)),
        ("a merge every day", merges(1)),
        ("a merge every week", merges(7)),
        ("a report every day", DAYS * KEPT * REPORT),
        ("a backup every day", DAYS * KEPT * BACKUP),
        ("a pruning every month", DAYS / 30 * KEPT * PRUNE),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_fleet_takes_follows_from_the_costs(part: str, cpu_s: float) -> None:
    """Each cost times how often it occurs is what the table says; figures there are rounded."""
    figures = table("The fleet: what it takes")[part]
    assert seconds(figures[0]) == pytest.approx(cpu_s, rel=0.03)
    assert float(figures[2].replace(",", "")) == pytest.approx(cpu_s / 3600 * 0.05, rel=0.03, abs=0.005)


def test_what_the_fleet_holds_follows_from_the_workload() -> None:
    """Events, logs and the database are executors x days x what one logs."""
    rows = table("The fleet: how much there is")
    figures = {name: float(re.sub("[^0-9.]", "", row[0])) for name, row in rows.items()}
    assert figures["events"] == pytest.approx(EXECUTORS * DAYS * DAILY / 1e6, rel=0.001)
    assert figures["logs"] == pytest.approx(LOG_MB / 1e3, rel=0.001)
    assert figures["events in the database, at most"] == pytest.approx(KEPT / 1e6, rel=0.001)
    event_bytes = float(COSTS["an event on disk, with its sightings and context"].removesuffix(" B"))
    assert figures["database"] == pytest.approx(KEPT * event_bytes / 1e9, rel=0.005)
