"""Every scenario, in an explicit tuple: to add one, write its script and list it in its module."""

from __future__ import annotations

from faults.scenarios import (
    changed,
    content,
    copies,
    databases,
    files,
    following,
    lines,
    linked,
    piped,
    processes,
    remaining,
    repeated,
    rewriting,
    rotation,
    versions,
)
from faults.scenarios.scenario import Scenario

_ALL: tuple[Scenario, ...] = (
    *rotation.SCENARIOS,
    *rewriting.SCENARIOS,
    *copies.SCENARIOS,
    *changed.SCENARIOS,
    *content.SCENARIOS,
    *files.SCENARIOS,
    *databases.SCENARIOS,
    *processes.SCENARIOS,
    *repeated.SCENARIOS,
    *remaining.SCENARIOS,
    *following.SCENARIOS,
    *linked.SCENARIOS,
    *piped.SCENARIOS,
    *lines.SCENARIOS,
    *versions.SCENARIOS,
)

SCENARIOS = tuple(sorted(_ALL, key=lambda scenario: scenario.id))
