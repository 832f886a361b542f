"""Replay's verdicts in worlds whose truth is known: a small slice of `make claims`, and its table."""

from __future__ import annotations

from pathlib import Path

import pytest

from claims.verdicts import BEGIN, END, HEADER, WORLDS, Found, World, kept, row, try_out, write
from conftest import ROOT

DOCUMENT = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("world", [World(9, 3), World(9, 2, cut=0.3), World(16, strata=2)], ids=str)
def test_equal_estimators_differ_in_one_of_twenty_samples(world: World) -> None:
    """With retries, cut answers and strata, over all and in any stratum; intervals hold the truth."""
    found = try_out(world, repeats=100, seed=2)
    assert found.verdict <= 0.06
    assert found.in_a_stratum <= 0.07
    assert found.covered is not None
    assert found.covered >= 0.93


def test_bootstrap_of_answers_would_find_differences_far_more_often() -> None:
    """Otherwise the slice above would show nothing: these worlds distinguish a bad test from a good one."""
    assert try_out(World(9, 3), repeats=120, seed=1).bootstrap > 0.15


def test_better_estimator_is_found_on_57_phases() -> None:
    """Where the bootstrap found it in four of five samples."""
    found = try_out(World(57, error=0.4), repeats=12, seed=3)
    assert found.verdict >= 0.7


def test_documented_rates_are_within_what_is_promised() -> None:
    """Every world is in the table; equal estimators differ in at most 6%, a better one is found."""
    table = DOCUMENT.partition(BEGIN)[2].partition(END)[0].strip()
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][2:]
    nothing = Found(0, 0, 0, 0, None)
    assert [tuple(cells[:5]) for cells in rows] == [row(world, nothing)[:5] for world in WORLDS]
    for world, cells in zip(WORLDS, rows, strict=True):
        shown = dict(zip(HEADER, cells, strict=True))
        share, held = (shown[name].strip() for name in ("verdict", "interval holds"))
        covered = None if held == "-" else float(held.rstrip("%")) / 100
        samples = int(shown["samples"].replace(",", ""))
        assert kept(world, Found(samples, float(share.rstrip("%")) / 100, 0, 0, covered)), cells


def test_promise_is_broken_by_more_than_chance_gives() -> None:
    """Of 1,000 samples 7.5% are within two standard errors of 6%, 8% are not; so for the others."""
    equal, better = World(57), World(57, error=0.4)
    assert kept(equal, Found(1000, 0.075, 0, 0, 0.95))
    assert not kept(equal, Found(1000, 0.08, 0, 0, 0.95))
    assert not kept(equal, Found(1000, 0.05, 0.08, 0, 0.95))
    assert not kept(equal, Found(1000, 0.05, 0, 0, 0.91))
    assert kept(better, Found(1000, 0.73, 0, 0, None))
    assert not kept(better, Found(1000, 0.71, 0, 0, None))


def test_table_goes_between_the_marks_and_nowhere_else(tmp_path: Path) -> None:
    """What stands around them stays; a document without marks is refused."""
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write(document, [row(World(9, 3), Found(1000, 0.04, 0.05, 0.2, None))])
    lines = document.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[1], lines[-2], lines[-1]) == ("before", BEGIN, END, "after")
    assert "| 9 | 3 | 1 | 0% | equal | 1,000 | 4.0% |  | 20.0% | - |" in lines
    assert "old" not in lines
    document.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="has no"):
        write(document, [])
