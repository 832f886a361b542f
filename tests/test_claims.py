"""A small slice of `make claims`: the commands' own functions on rows of worlds with a known truth."""

from __future__ import annotations

import math
import random
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from claims.__main__ import main
from claims.kept import read
from claims.promises import PROMISES, USEFUL, WORLDS, Promise
from claims.table import BEGIN, END, plain, promises_rows, world_text, worlds_rows, write
from claims.trials import Found, try_out
from claims.world import Rows, World
from conftest import ROOT
from reports.calibration import Wish


@pytest.mark.parametrize("world", [World(3000), World(3000, 3, 0.3, skewed=True)], ids=world_text)
def test_a_world_has_the_truth_that_it_claims(world: World) -> None:
    """Half of what answers need is below 1, the share that is to be cut is cut, new answers are the same."""
    chance = random.Random(1)
    rows = list(world.rows(world.levels(chance), chance))
    with closing(Rows()) as held:
        cut, below = (
            held.hold(iter(rows))
            .conn.execute(
                "SELECT AVG(truncated), AVG(actual_output_tokens < predicted_output_tokens) "
                "FROM token_estimation_v2_events"
            )
            .fetchone()
        )
    assert cut == pytest.approx(world.cut, abs=0.03)
    assert below == pytest.approx(0.5, abs=0.04) or world.cut
    new_answers = world.new_answers(chance, 20_000)
    for ratio in (0.7, 1.0, 2.0):
        assert sum(new > ratio for new in new_answers) / 20_000 == pytest.approx(
            world.beyond(ratio), abs=0.015
        )


SLICE = (World(10), World(30, 3), World(60), World(60, 1, 0.3, skewed=True), World(60, strata=4, mixed=False))


@pytest.fixture(scope="module")
def found() -> list[Found]:
    """Try a few worlds out, a few times."""
    return [try_out(world, Wish(), 40, seed=3) for world in SLICE]


OFTEN = [promise for promise in PROMISES[:9] if "safe" not in promise.name]  # a safe budget takes 149 phases


@pytest.mark.parametrize("promise", OFTEN, ids=lambda promise: promise.name)
def test_promises_are_kept_as_far_as_a_few_samples_show(found: list[Found], promise: Promise) -> None:
    """Each rate is what is promised, give or take three deviations of forty samples."""
    worst = promise.worst(found)
    assert worst is not None
    value, _ = worst
    slack = 0.9 if "points" in promise.name else 3 * math.sqrt(promise.wanted * (1 - promise.wanted) / 40)
    assert promise.is_kept(value + slack if promise.least else value - slack), value


def test_what_is_shown_is_of_use(found: list[Found]) -> None:
    """A factor at 30 phases in nine of ten samples, a 2% budget at sixty in nineteen of twenty."""
    by_world = {case.world: case for case in found}
    assert by_world[World(30, 3)].shown("factor covered") >= 0.9
    assert by_world[World(60)].shown("budget") >= 0.95


def test_tables_say_what_was_not_kept_and_where(found: list[Found], tmp_path: Path) -> None:
    """A broken promise is named, with the world; the document gets both tables between its marks."""
    rows, _ = promises_rows(found)
    assert len(rows) == 1 + len(PROMISES)
    found[2].numbers["proposed"] += [1.0] * 600
    broken, kept = promises_rows(found)
    assert not kept
    assert [row[-1] for row in broken if row[0].startswith("factors proposed")] == ["NOT KEPT"]
    assert "60 phases, 0% cut" in plain(broken)
    document = tmp_path / "reports.md"
    document.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n", encoding="utf-8")
    write(document, found)
    text = document.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "stale" not in text
    assert "5 worlds, 40 samples of each" in text
    assert sum(line.startswith("| ---") for line in text.splitlines()) == 2
    assert len(worlds_rows(found)) == 5
    with pytest.raises(ValueError, match="has no"):
        write(ROOT / "README.md", found)


def test_what_is_kept_is_not_tried_again(tmp_path: Path) -> None:
    """A run goes on where it was: what was found comes back as it was, and more samples take its place."""
    file, runner = tmp_path / "kept.ndjson", CliRunner()
    few = ["--jobs", "1", "--keep", str(file), "--worlds", "10 phases, 0% cut, 3 tries, skewed, 4 strata"]
    first = runner.invoke(main, [*few, "--repeats", "3"])
    assert runner.invoke(main, [*few, "--repeats", "2"]).stdout == first.stdout
    assert [case.repeats for case in read(file).values()] == [3]
    assert len(file.read_text(encoding="utf-8").splitlines()) == 1
    runner.invoke(main, [*few, "--repeats", "4"])
    assert [case.repeats for case in read(file).values()] == [4]


def test_worlds_are_all_that_was_asked_for() -> None:
    """10, 30, 100 and 300 phases, no cuts, 5 and 30%, one try and three, in order and mixed."""
    asked = {(world.phases, world.cut, world.tries) for world, _ in WORLDS}
    assert asked == {
        (n, cut, tries) for n in (10, 30, 100, 300) for cut in (0, 0.05, 0.3) for tries in (1, 3)
    }
    assert {world.mixed for world, _ in WORLDS} == {world.skewed for world, _ in WORLDS} == {True, False}
    assert len({*WORLDS, *USEFUL}) == len(WORLDS) + len(USEFUL) - 1
