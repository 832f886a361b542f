"""Where events are too few: cells, targets, what to collect next, and the exit code for a build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from conftest import Tokentail
from event_lines import event_message, fallback_message, logged
from event_rows import HOSTILE, Row, event_row, holding, stored, strict
from ingest.cli import cli
from ingest.storing.database import open_for_writing
from reports.coverage import coverage
from reports.selection import Selection
from reports.strata import DEFAULT_BUCKETS, Bucket, Strata
from selection_oracle import bucket_of, is_selected, rows


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Open a database without events, for many tests that leave it so."""
    with open_for_writing(tmp_path_factory.mktemp("coverage") / "telemetry.db") as db:
        yield db


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Make a database in which the coverage can be counted by hand."""
    docs = [event_row(deliverable_count=number) for number in (1, 2, 3, 3, 3, 3, 4, 15)]
    high = [event_row(complexity="high", deliverable_count=16, success=0) for _ in range(2)]
    tests = [event_row(category="tests", deliverable_count=number) for number in (0, 5, 99)]
    left_out = [event_row(actual_is_total=1, category="gone"), event_row(actual_output_tokens=49)]
    return stored(tmp_path / "telemetry.db", [*docs, *high, *tests, *left_out])


HAVE = {
    ("docs", "low"): (6, 1, 1, 0),
    ("docs", "high"): (0, 0, 0, 2),
    ("tests", "low"): (0, 1, 0, 1),
    ("tests", "high"): (0, 0, 0, 0),
}
BUCKETS = ("1-3", "4-7", "8-15", "16+")


def test_cells_have_and_need_what_a_count_by_hand_gives(called: Tokentail, database: Path) -> None:
    """Every category with every complexity and every bucket is a cell, in order, with what is lacking."""
    before = database.read_bytes()
    found = strict(called("coverage", "--json").stdout)
    expected = [
        (*pair, bucket, have, max(0, 5 - have))
        for pair, haves in HAVE.items()
        for bucket, have in zip(BUCKETS, haves, strict=True)
    ]
    names = ("category", "complexity", "bucket", "have", "need")
    assert [tuple(cell[name] for name in names) for cell in found["cells"]] == expected
    assert [cell["clean"] for cell in found["cells"]][:8] == [6, 1, 1, 0, 0, 0, 0, 0]
    assert found | {"cells": [], "next": [], "filters": {}} == {
        "database": "telemetry.db",
        "filters": {},
        "population": {
            "events": 15,
            "selected": 13,
            "left_out_filtered": 0,
            "left_out_totals": 1,
            "left_out_short": 1,
            "min_actual": 50,
            **dict.fromkeys(("first", "last"), "2026-01-14 09:00:00.000000"),
            "zone": "UTC",
            "hints": [],
        },
        "target": 5,
        "total_target": [30, 50],
        "have": 12,
        "total_need": 18,
        "cells_covered": 1,
        "cells_total": 16,
        "covered_rate": 1 / 16,
        "without_bucket": 1,
        "rejects": 0,
        "unread_lines": 0,
        "cells": [],
        "next": [],
    }
    assert database.read_bytes() == before


def test_heat_map_shows_each_cell_and_says_what_is_wanted(called: Tokentail, database: Path) -> None:
    """A person sees have / target of each cell as a bar and as numbers, the totals, and what comes next.

    The order of what comes next: need x (category and complexity + 1) x (bucket + 1), which is here
    5 x 9 x 4, 5 x 4 x 7, 4 x 9 x 3, 5 x 3 x 7, 4 x 9 x 2.
    """
    assert called("coverage").stdout.splitlines() == [
        "13 events of 15 in telemetry.db; left out: 1 whose actual is a total of input and output, "
        "1 with fewer than 50 actual tokens",
        "logged from 2026-01-14 09:00 to 2026-01-14 09:00, UTC",
        "12 events in cells, 30 to 50 wanted: 18 more needed",
        "1 of 16 cells (6%) have their 5 events",
        "",
        "category  complexity  1-3        4-7        8-15       16+",
        "--------  ----------  ---------  ---------  ---------  ---------",
        "docs      low         ##### 6/5  #.... 1/5  #.... 1/5  ..... 0/5",
        "docs      high        ..... 0/5  ..... 0/5  ..... 0/5  ##... 2/5",
        "tests     low         ..... 0/5  #.... 1/5  ..... 0/5  #.... 1/5",
        "tests     high        ..... 0/5  ..... 0/5  ..... 0/5  ..... 0/5",
        "1 event without a number of deliverables, or in no bucket",
        "",
        "Most useful to collect next (much needed, and often met):",
        "  1. 5 x docs, low, 16+ deliverables (have 0)",
        "  2. 5 x tests, low, 1-3 deliverables (have 0)",
        "  3. 4 x docs, low, 4-7 deliverables (have 1)",
        "  4. 5 x docs, high, 1-3 deliverables (have 0)",
        "  5. 4 x docs, low, 8-15 deliverables (have 1)",
    ]
    assert database.is_file()


def test_what_became_no_event_is_said_too(called: Tokentail, tmp_path: Path) -> None:
    """Whoever counts the events sees that lines of the logs are missing among them."""
    lines = [logged(event_message()), logged("[TokenEstimationV2] predicted"), f"%% {event_message()}"]
    (tmp_path / "run.log").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    called("ingest", "run.log", "--tz", "UTC")
    assert (
        "in no cell: 1 reject (`tokentail rejects`), 1 line with the marker not read (`tokentail status`)"
    ) in called("coverage").stdout
    found = strict(called("coverage", "--json").stdout)
    assert (found["have"], found["rejects"], found["unread_lines"]) == (1, 1, 1)


def test_targets_buckets_and_the_number_of_proposals_are_the_callers(database: Path) -> None:
    """Other buckets, another target, another total and more or fewer proposals."""
    arguments = ["--buckets", "1-2,3+", "--target", "2", "--total", "5-6", "--next", "1", "--json"]
    found = strict(run(database, *arguments).stdout)
    assert [(cell["bucket"], cell["have"], cell["need"]) for cell in found["cells"][:4]] == [
        ("1-2", 2, 0),
        ("3+", 6, 0),
        ("1-2", 0, 2),
        ("3+", 2, 0),
    ]
    assert (found["target"], found["total_target"], found["total_need"]) == (2, [5, 6], 0)
    assert [(cell["category"], cell["complexity"], cell["bucket"]) for cell in found["next"]] == [
        ("tests", "low", "1-2")
    ]
    shown = run(database, "--next", "0", "--target", "100", "--total", "12").stdout
    assert "Most useful" not in shown
    assert "12 events in cells, 12 wanted: enough" in shown
    assert "#.... 6/100" in shown


@settings(max_examples=150)
@given(
    rows(),
    st.sampled_from((Selection(), Selection(min_actual=0, normalize_categories=True, with_totals=True))),
    st.sampled_from((DEFAULT_BUCKETS, (Bucket(2, 3), Bucket(16, 16)))),
    st.integers(1, 4),
)
def test_cells_are_what_plain_python_counts(
    empty: Database, events: list[Row], selection: Selection, buckets: tuple[Bucket, ...], target: int
) -> None:
    """Any events: the full grid of what occurs, every selected event in one cell or counted as in none."""
    with holding(empty, events):
        found = coverage(empty, selection, Strata(buckets=buckets), target, (30, 50))
        counted = Counter(
            empty.conn.execute(
                f"SELECT event_key, {selection.category} FROM token_estimation_v2_events"
            ).fetchall()
        )
    names = dict(counted.keys())
    selected = [row for row in events if is_selected(row, selection)]
    expected = Counter(
        (names[row["event_key"]], row["complexity"], bucket_of(row, buckets)) for row in selected
    )
    have = {(cell.category, cell.complexity, cell.bucket): cell.have for cell in found.cells}
    assert have == {
        (category, complexity, bucket.name): expected[category, complexity, bucket.name]
        for category, _, _ in expected
        for _, complexity, _ in expected
        for bucket in buckets
    }
    assert len(have) == len(found.cells)
    assert found.without_bucket == sum(number for key, number in expected.items() if key[2] is None)
    assert found.have + found.without_bucket == found.population.selected == len(selected)
    assert all(cell.need == max(0, target - cell.have) for cell in found.cells)
    assert all(0 <= cell.clean <= cell.have and 0 < cell.weight <= 1 for cell in found.cells)
    useful = found.most_useful(10**6)
    assert {id(cell) for cell in useful} == {id(cell) for cell in found.cells if cell.need}
    worth = [cell.need * cell.weight for cell in useful]
    assert worth == sorted(worth, reverse=True)
    assert found.most_useful(2) == useful[:2]


# The exit code


def run(database: Path, *arguments: str) -> Result:
    """Run the command within this process, which takes no time to start."""
    where = ["--db", str(database), *arguments]
    return CliRunner().invoke(cli, ["coverage", *where], standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 0, []),
        (["--fail-under"], 1, ["1 of 16 cells have their target, under 100%", "12 events in all, 18 fewer"]),
        (["--fail-under", "0"], 1, ["12 events in all, 18 fewer than the 30 needed"]),
        (["--fail-under", "6.25", "--total", "12"], 0, []),
        (["--fail-under", "6.26", "--total", "12"], 1, ["1 of 16 cells have their target, under 6.26%"]),
        (["--fail-under", "--total", "0", "--target", "1", "--buckets", "16+", "--category", "docs"], 1, []),
        (["--fail-under", "--total", "0", "--target", "1", "--complexity", "low", "--buckets", "4-7"], 0, []),
    ],
)
def test_fail_under_makes_what_is_lacking_the_exit_code(
    database: Path, arguments: list[str], code: int, said: list[str]
) -> None:
    """Without a value all cells must be covered, with one so many percent; the least total counts as well."""
    done = run(database, *arguments)
    assert done.return_value == code, done.stderr
    assert all(part in done.stderr for part in said)
    assert bool(done.stderr) == bool(code)
    assert "cells" in done.stdout


@pytest.mark.usefixtures("database")
def test_fail_under_leaves_the_result_whole(called: Tokentail) -> None:
    """What is lacking is said on standard error: the JSON before an exit with 1 is one object."""
    done = called("coverage", "--json", "--fail-under")
    assert done.returncode == 1
    assert strict(done.stdout)["cells_covered"] == 1
    assert len(done.stderr.splitlines()) == 2


def test_fail_under_is_exact(tmp_path: Path) -> None:
    """29 of 50 cells are 58 percent, although 0.58 x 100 is less in floating point."""
    events = [event_row(deliverable_count=number) for number in range(1, 26)]
    events += [event_row(complexity="high", deliverable_count=number) for number in range(1, 5)]
    database = stored(tmp_path / "telemetry.db", events)
    buckets = ",".join(str(number) for number in range(1, 26))
    arguments = ["--buckets", buckets, "--target", "1", "--total", "1", "--fail-under"]
    assert run(database, *arguments, "58").return_value == 0
    assert run(database, *arguments, "58.01").return_value == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fail-under", "nan"],
        ["--fail-under", "101"],
        ["--fail-under=-1"],
        ["--target", "0"],
        ["--total", "50-30"],
        ["--total", "30-"],
        ["--total", "many"],
        ["--total", "٣-٤"],
        ["--next", "-1"],
        ["--buckets", "3-1"],
        ["surplus"],
    ],
    ids=" ".join,
)
def test_nonsense_is_wrong_use(arguments: list[str]) -> None:
    """What can't be meant exits with 2 and prints no result, whether or not there is a database."""
    done = CliRunner().invoke(cli, ["coverage", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr


# The edges


def test_nothing_gives_no_cell_and_says_so(called: Tokentail, tmp_path: Path) -> None:
    """An ingest of an empty log, and filters that nothing passes: no cell, no NaN, and a hint."""
    (tmp_path / "run.log").write_text("")
    called("ingest", "run.log")
    found = strict(run(tmp_path / "telemetry.db", "--json").stdout)
    assert (found["cells"], found["covered_rate"], found["have"], found["next"]) == ([], None, 0, [])
    done = called("coverage", "--fail-under")
    assert "There is nothing to cover: no event is left." in done.stdout
    assert (done.returncode, "0 of 0 cells" in done.stderr) == (1, True)


def test_one_event_of_a_log_counts_once(called: Tokentail, tmp_path: Path) -> None:
    """From a log to its cell: an event of 1 deliverable; the total of the other counts nowhere."""
    lines = [logged(event_message()), logged(fallback_message(), at="2025-12-29 19:40:09")]
    (tmp_path / "run.log").write_text("\n".join(lines) + "\n")
    called("ingest", "run.log")
    found = strict(called("coverage", "--json").stdout)
    assert [(cell["bucket"], cell["have"]) for cell in found["cells"]] == [
        ("1-3", 1),
        ("4-7", 0),
        ("8-15", 0),
        ("16+", 0),
    ]
    assert found["population"]["left_out_totals"] == 1


def test_what_the_log_does_not_say_is_a_name_of_its_own(tmp_path: Path) -> None:
    """NULL is null for programs and `(none)` for people, and stands last."""
    events = [event_row(category=None, complexity=None, success=None, truncated=None), event_row()]
    database = stored(tmp_path / "telemetry.db", events)
    found = strict(run(database, "--json").stdout)
    pairs = [(cell["category"], cell["complexity"], cell["clean"]) for cell in found["cells"][::4]]
    assert pairs == [("docs", "low", 1), ("docs", None, 0), (None, "low", 0), (None, None, 0)]
    assert "(none)    (none)      #.... 1/5" in run(database).stdout


def test_hostile_names_and_huge_numbers_do_no_harm(tmp_path: Path) -> None:
    """Escape sequences are shown, not obeyed; a name of 5,000 characters and 18 digits are just long."""
    events = [
        event_row(category=HOSTILE, complexity="x" * 5000, deliverable_count=10**18 - 1),
        event_row(category="漢字", actual_output_tokens=10**18 - 1, predicted_output_tokens=10**18 - 1),
    ]
    database = stored(tmp_path / "telemetry.db", events)
    shown = run(database)
    assert (shown.return_value, shown.stderr) == (0, "")
    assert not any(control in shown.stdout for control in ("\x1b", "\r", "\x9b", "\u202e"))
    assert "\\x1b[31mred" in shown.stdout
    found = strict(run(database, "--json").stdout)
    assert {cell["category"] for cell in found["cells"]} == {HOSTILE, "漢字"}
    assert {cell["complexity"] for cell in found["cells"]} == {"x" * 5000, "low"}
    assert found["have"] == 2


@pytest.mark.parametrize("command", [["coverage"], ["calibrate"], ["replay", "--estimator", "json:loads"]])
def test_a_database_that_is_not_there_is_named(called: Tokentail, tmp_path: Path, command: list[str]) -> None:
    """Exit 1, the name and what to do; and no database is made."""
    done = called(*command, "--db", "missing.db", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "missing.db: no such database: run `tokentail ingest LOGS --db missing.db` first" in done.stderr
    assert list(tmp_path.iterdir()) == []
