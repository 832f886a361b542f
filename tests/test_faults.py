"""A slice of the campaign: of each number a quick scenario, through the command line; and the campaign sees.

`make faults` plays all of them in all their modes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the scenarios are POSIX's", allow_module_level=True)

from faults import table
from faults.calls import number_in
from faults.scenarios import SCENARIOS
from faults.scenarios.scenario import Scenario
from faults.tailers import OTHERS, Tokentail
from faults.verdict import Verdict, play
from faults.world import Outcome, Seen, World

BY_ID = {scenario.id: scenario for scenario in SCENARIOS}
SLICE = {scenario.id[:3]: scenario for scenario in reversed(SCENARIOS) if scenario.quick}
"""The first of each number."""


class NotYet(Exception):
    """What is right doesn't hold yet."""


def _played(scenario: Scenario) -> pytest.param:
    awaited = pytest.mark.xfail(raises=NotYet, strict=True, reason=scenario.awaited)
    return pytest.param(scenario, id=scenario.id, marks=[awaited] if scenario.awaited else [])


@pytest.mark.parametrize("scenario", list(map(_played, SLICE.values())))
def test_nothing_is_lost_or_doubled_or_damaged(scenario: Scenario) -> None:
    """Exactly what was written is there, and whatever else the scenario asks for holds."""
    verdict = play(scenario, Tokentail(), scenario.modes[0])
    if verdict.skipped:
        pytest.skip(verdict.skipped)
    assert verdict.complaints == ()
    assert verdict.is_clean
    assert verdict.expected > 0
    if verdict.awaited:
        raise NotYet(*verdict.awaited)


def _scripted(*rules: tuple[bool, str], awaited: str) -> Scenario:
    def play(world: World) -> None:
        """Write and read one call, and hold what is awaited against it."""
        world.write(1)
        world.read()
        for holds, rule in rules:
            world.await_rule(holds, rule)

    return Scenario("R00", "one call", play, awaited=awaited)


@pytest.mark.parametrize(
    ("scenario", "clean", "shown"),
    [
        (_scripted((False, "no"), awaited="soon"), True, "expected failure, soon: no"),
        (_scripted((False, "no"), (True, "yes"), awaited="soon"), True, "expected failure, soon: no"),
        (
            _scripted((True, "yes"), awaited="soon"),
            False,
            "WRONG: holds, so nothing is awaited any more: soon",
        ),
        (_scripted((False, "no"), awaited=""), False, "WRONG: no"),
    ],
    ids=["fails", "fails in part", "holds", "fails unexpectedly"],
)
def test_expected_failure_must_fail(scenario: Scenario, clean: bool, shown: str) -> None:
    """What is awaited is shown and no fault while it doesn't hold; once it does, the scenario is wrong."""
    verdict = play(scenario, Tokentail(), "folder")
    assert (verdict.is_clean, verdict.lost) == (clean, 0)
    assert shown in table.line(verdict)


def test_every_scenario_has_an_id_of_its_own() -> None:
    """An id names one scenario, and its script says what happens."""
    assert len(BY_ID) == len(SCENARIOS)
    assert all(scenario.play.__doc__ for scenario in SCENARIOS)


class Careless:
    """A tailer as many are: an offset for each name, and a file that is smaller begins anew."""

    name = "careless"

    def __init__(self) -> None:
        self.offsets: dict[Path, int] = {}
        self.lines: list[str] = []

    def run(self, world: World, options: Sequence[str], environment: dict[str, str]) -> Outcome:  # noqa: ARG002
        """Read from the old offset on."""
        for log in world.paths:
            data = log.read_bytes()
            start = self.offsets.get(log, 0)
            start = start if start <= len(data) else 0
            self.lines += data[start:].decode("utf-8", "replace").splitlines()
            self.offsets[log] = len(data)
        return Outcome(0)

    def seen(self, world: World) -> Seen:
        """Count the events among the lines."""
        written = {call.event: number for number, call in world.calls.items()}
        counts: dict[int, int] = {}
        for line in self.lines:
            if line in written:
                counts[written[line]] = counts.get(written[line], 0) + 1
        damaged = [line for line in self.lines if line not in written and number_in(line) is not None]
        return Seen(counts, damaged)


@pytest.mark.parametrize(
    ("scenario", "lost", "doubled", "damaged"),
    [("R01", 0, 0, 0), ("R02", 150, 0, 0), ("R25", 0, 100, 0), ("R26b", 50, 50, 0), ("R45", 1, 0, 1)],
)
def test_campaign_sees_what_a_careless_tailer_does(
    scenario: str, lost: int, doubled: int, damaged: int
) -> None:
    """Loss, doubling and damage are counted, and a tailer without them is clean."""
    verdict = play(BY_ID[scenario], Careless(), "named")
    found = (verdict.lost, verdict.doubled, verdict.damaged)
    assert [count > 0 for count in found] == [count > 0 for count in (lost, doubled, damaged)], found
    assert verdict.is_clean is (found == (0, 0, 0))


def test_table_shows_each_tailer_beside_ours(tmp_path: Path) -> None:
    """A column for each tailer, a row for each scenario, the worst of its modes."""
    first, second = BY_ID["R01"], BY_ID["R02"]
    other = OTHERS[0].name
    verdicts = [
        Verdict(first, "folder", "tokentail", 100),
        Verdict(first, "named", other, 100, doubled=5),
        Verdict(second, "folder", "tokentail", 300),
        Verdict(second, "named", "tokentail", 300, lost=2),
        Verdict(second, "named", other, skipped="not here"),
        Verdict(_scripted(awaited="soon"), "folder", "tokentail", 1, awaited=("no",)),
    ]
    document = tmp_path / "reliability.md"
    document.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write(document, verdicts)
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert f"| R01 | {first.title} | 100 | exact | 5 doubled |" in text
    assert f"| R02 | {second.title} | 300 | 2 lost | - |" in text
    assert "| R00 | one call | 1 | expected failure: soon | - |" in text
    assert "|  | exact in |  | 1 of 3 | 0 of 1 |" in text
    assert "2 lost, 0 doubled, 0 damaged, 1 wrong, 1 expected failures; 0 not played" in table.summary(
        [verdict for verdict in verdicts if verdict.tailer == "tokentail"]
    )
