"""Another estimator over the stored events: what it is given, what it may do, and old against new."""

from __future__ import annotations

import json
import ntpath
import os
import posixpath
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from conftest import ROOT, Tokentail
from event_rows import HOSTILE, Row, event_row, holding, stored, strict
from executor_log import Shape, executor_run
from faults.tables import opened
from ingest.cli import cli
from ingest.errors import UnusableEstimator, UnusableImport, UsageMistake
from ingest.storing.database import open_for_reading, open_for_writing
from reports.replaying.comparison import Replay, made_up, replay
from reports.replaying.estimator import EstimateFailed, load_estimator, running, token_count
from reports.replaying.events import ReplayEvent, is_safe, replay_events
from reports.replaying.predictions import read_predictions
from reports.selection import Selection
from reports.strata import Strata

HALF = """
class Answer:
    def __init__(self, tokens):
        self.estimated_tokens = tokens

class Half:
    def estimate(self, deliverables, category, complexity, scope_paths=None, *, task="", **more):
        assert scope_paths is None and task == "" and not more
        return Answer(500 * len(deliverables))
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Make a folder for an estimator's source."""
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Open a database without events, for many tests that leave it so."""
    with open_for_writing(tmp_path_factory.mktemp("replay") / "telemetry.db") as db:
        yield db


def with_source(code: Path, source: str) -> dict[str, str]:
    """Write the module `mine`; return the environment in which it is found."""
    (code / "mine.py").write_text(source, encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join((str(ROOT), str(code))), "PYTHONDONTWRITEBYTECODE": "1"}


def with_paths(*paths: str, **columns: object) -> Row:
    """Return an event whose paths are all known."""
    known = {"deliverables_json": json.dumps(paths), "deliverables_source": "applied"}
    return event_row(deliverable_count=len(paths), deliverables_complete=1, **known, **columns)


# Old against new, through the command line


def test_replay_compares_old_and_new_by_hand(tokentail: Tokentail, tmp_path: Path, code: Path) -> None:
    """An estimator with further optional parameters: each number of the comparison, counted by hand."""
    events = [
        with_paths("a.py", "b.py", actual_output_tokens=1000, predicted_output_tokens=3000),
        with_paths("a.py", actual_output_tokens=1500, predicted_output_tokens=500, truncated=1),
        event_row(deliverable_count=3, actual_output_tokens=500, predicted_output_tokens=1000),
        event_row(category="tests", deliverable_count=0, actual_output_tokens=60, success=None),
    ]
    database = stored(tmp_path / "telemetry.db", events)
    before, environment = database.read_bytes(), with_source(code, HALF)
    done = tokentail("replay", "--estimator", "mine:Half", "--json", **environment)
    assert done.returncode == 0
    assert "warning: 1 event of 3 replayed with deliverable paths that are made up" in done.stderr
    found = strict(done.stdout)
    assert (found["estimates"], found["replayed"], found["not_predicted"]) == ("mine:Half", 3, 0)
    assert found["left_out_unknown"] == 1
    assert found["deliverables"] == {"real": 2, "partial": 0, "synthetic": 1}
    assert [(row["deliverables"], row["old_prediction"], row["new_prediction"]) for row in found["rows"]] == [
        ("real", 3000, 1000),
        ("real", 500, 500),
        ("synthetic", 1000, 1500),
    ]
    (docs,) = found["strata"]
    assert (docs["category"], docs["complexity"], docs["n"]) == ("docs", "low", 3)
    old, new = docs["old"]["clean"], docs["new"]["clean"]
    assert (old["n"], old["smape_mean"]) == (2, pytest.approx((100 + 200 / 3) / 2))
    assert (new["n"], new["smape_mean"], new["smape_median"]) == (2, 50.0, 50.0)
    assert (docs["old"]["waste_median"], docs["new"]["waste_median"]) == (2.5, 2.0)
    assert (docs["old"]["underestimated"], docs["new"]["underestimated"]) == (1, 1)
    assert docs["smape_difference"] == {
        "n": 2,
        "value": pytest.approx(50 - (100 + 200 / 3) / 2),
        "phases": 1,
        "phase_mean": pytest.approx(50 - (100 + 200 / 3) / 2),
        "interval": None,
        "p": None,
        "p_corrected": None,
    }
    assert (docs["verdict"], found["overall"]["n"]) == ("too few", 3)
    assert database.read_bytes() == before
    shown = tokentail("replay", "--estimator", "mine:Half", "--rows", "--by", "bucket", **environment).stdout
    assert "3 events replayed; their deliverables: 2 real, 0 partial, 1 synthetic" in shown
    assert "83.3% > 50.0%" in " ".join(shown.split())
    assert "1,500+" in shown
    assert "+ truncated: the actual is a lower bound" in shown


def predictions(file: Path, rows: list[Row], column: str) -> Path:
    """Write predictions that are one of the columns."""
    lines = [json.dumps({"event_key": row["event_key"], "prediction": row[column]}) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def some_events(count: int = 30) -> list[Row]:
    """Return events of two strata, clean ones, truncated ones, and ones that were not parsed."""
    chance = random.Random(5)
    return [
        event_row(
            phase_id=f"phase-{number}",
            category=chance.choice(("docs", "tests")),
            predicted_output_tokens=chance.randrange(100, 9000),
            actual_output_tokens=chance.randrange(100, 9000),
            success=chance.choice((1, 1, 1, 0, None)),
            truncated=chance.choice((0, 0, 0, 1)),
        )
        for number in range(count)
    ]


def test_the_old_predictions_differ_by_nothing(tokentail: Tokentail, tmp_path: Path) -> None:
    """Predicting what was predicted is no difference in any stratum, without an interval, and no warning."""
    events = [*some_events(), event_row(predicted_output_tokens=123_456_789_012_345_678)]
    stored(tmp_path / "telemetry.db", events)
    predictions(tmp_path / "same.ndjson", events, "predicted_output_tokens")
    done = tokentail("replay", "--predictions", "same.ndjson", "--json")
    found = strict(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(row["old_prediction"] == row["new_prediction"] for row in found["rows"])
    named = {(event["event_key"], event["run_id"], event["phase_id"]) for event in events}
    assert {(row["event_key"], row["run_id"], row["phase_id"]) for row in found["rows"]} <= named
    shown = tokentail("replay", "--predictions", "same.ndjson", "--rows", COLUMNS="80").stdout
    header = next(line.split() for line in shown.splitlines() if line.startswith("event key"))
    assert {"phase", "old", "new", "actual"} <= set(header)
    for stratum in (found["overall"], *found["strata"]):
        assert stratum["old"] == stratum["new"]
        for name in ("smape_difference", "underestimated_difference"):
            assert stratum[name]["value"] == 0
            assert (stratum[name]["interval"], stratum[name]["p"]) == (None, None)
        assert stratum["verdict"] == "no difference shown"


def test_the_truth_is_better_and_its_contrary_worse(tokentail: Tokentail, tmp_path: Path) -> None:
    """Predicting the outcome has SMAPE 0 and is "better" everywhere; hundreds of times too much "worse"."""
    events = some_events(60)
    stored(tmp_path / "telemetry.db", events)
    predictions(tmp_path / "truth.ndjson", events, "actual_output_tokens")
    found = strict(tokentail("replay", "--predictions", "truth.ndjson", "--json").stdout)
    for stratum in (found["overall"], *found["strata"]):
        assert (stratum["new"]["clean"]["smape_mean"], stratum["new"]["smape_max"]) == (0, 0)
        assert (stratum["new"]["underestimated"], stratum["new"]["waste_median"]) == (0, 1)
        assert stratum["smape_difference"]["value"] == pytest.approx(-stratum["old"]["clean"]["smape_mean"])
        assert stratum["verdict"] == "better"
    wrong = [row | {"predicted_output_tokens": 10**7} for row in events]
    predictions(tmp_path / "wrong.ndjson", wrong, "predicted_output_tokens")
    shown = tokentail("replay", "--predictions", "wrong.ndjson").stdout
    assert shown.count("worse") == 3
    assert "better" not in shown


# Old against new, against plain Python

TOKENS = st.one_of(st.integers(1, 9000), st.just(10**7), st.just(10**18 - 1))
CASES = st.lists(
    st.tuples(
        st.sampled_from(("docs", "tests", None)),
        TOKENS,
        TOKENS,
        TOKENS,
        st.sampled_from((True, True, False, None)),
        st.sampled_from((False, False, True, None)),
    ),
    max_size=14,
)
Case = tuple[str | None, int, int, int, bool | None, bool | None]


def event(number: int, case: Case, kind: str = "real") -> ReplayEvent:
    """Return the event of a case."""
    category, old, _, actual, success, truncated = case
    return ReplayEvent(
        (category,), str(number), category, "low", (), kind, 0, old, actual, 0, success, truncated, number
    )


def error(predicted: int, actual: int) -> float:
    """Return SMAPE, computed exactly and rounded once."""
    return float(Fraction(200 * abs(predicted - actual), predicted + actual))


@settings(max_examples=80)
@given(CASES)
def test_comparison_is_what_plain_python_computes(cases: list[Case]) -> None:
    """In each stratum and over all: means, medians, shares and differences over the same events."""
    found = replay(
        [event(number, case) for number, case in enumerate(cases)],
        lambda event: cases[int(event.event_key)][2],
        Strata(("category",)),
    )
    assert [stratum.key for stratum in found.strata] == [
        (name,) for name in ("docs", "tests", None) if any(case[0] == name for case in cases)
    ]
    for stratum in (found.overall, *found.strata):
        mine = [case for case in cases if stratum is found.overall or case[0] == stratum.key[0]]
        clean = [case for case in mine if case[4] and case[5] is False]
        for side, place in ((stratum.old, 1), (stratum.new, 2)):
            assert (side.n, side.clean.n) == (len(mine), len(clean))
            assert side.underestimated.count == sum(case[3] > case[place] for case in mine)
            assert side.smape.mean == middle([error(case[place], case[3]) for case in mine])
            assert side.clean.smape.mean == middle([error(case[place], case[3]) for case in clean])
            wastes = [case[place] / case[3] for case in clean]
            assert side.clean.waste.median == (statistics.median(wastes) if clean else None)
        changes = [error(case[2], case[3]) - error(case[1], case[3]) for case in clean]
        assert (stratum.smape.n, stratum.smape.value) == (len(clean), middle(changes))
        known = [case for case in mine if not (case[5] and max(case[1], case[2]) > case[3])]
        risks = [0 if case[5] else (case[3] > case[2]) - (case[3] > case[1]) for case in known]
        assert (stratum.underestimated.n, stratum.underestimated.value) == (len(known), middle(risks))
        assert stratum.undecided == len(mine) - len(known)
        assert stratum.old_risks == sum(bool(case[5]) or case[3] > case[1] for case in known)
        assert stratum.new_risks == sum(bool(case[5]) or case[3] > case[2] for case in known)
        differing = sum(change != 0 for change in changes)
        assert (stratum.smape.interval is None) == (stratum.smape.p is None) == (differing < 6)
        assert (stratum.verdict == "too few") == (len(clean) < 6)


def middle(values: list[Any]) -> Any:
    """Return the mean to within rounding, `None` of nothing."""
    return pytest.approx(statistics.fmean(values), abs=1e-9) if values else None


@pytest.mark.parametrize(
    ("new", "verdict"),
    [(1000, "better"), (4000, "worse"), (2000, "no difference shown")],
)
def test_verdict_needs_signs_that_chance_does_not_give(new: int, verdict: str) -> None:
    """With noise of both signs around nothing there is no verdict; with a clear change there is."""
    chance = random.Random(3)
    cases: list[Case] = [("docs", 2000, new, chance.randrange(900, 1200), True, False) for _ in range(40)]
    if verdict == "no difference shown":
        cases = [("docs", 2000, chance.choice((1900, 2100)), 1000, True, False) for _ in range(40)]
    events = [event(number, case) for number, case in enumerate(cases)]
    found = replay(events, lambda event: cases[int(event.event_key)][2], Strata(("category",)))
    assert [stratum.verdict for stratum in (found.overall, *found.strata)] == [verdict] * 2


@pytest.mark.parametrize(
    ("old", "new", "decided"),
    [(999, 1000, (1, 1)), (1000, 1000, (1, 1)), (999, 1001, None), (1001, 999, None), (2000, 3000, None)],
    ids=["below", "at", "new-above", "old-above", "both-above"],
)
def test_cut_answer_predicted_above_its_cut_is_undecided(
    old: int, new: int, decided: tuple[int, int] | None
) -> None:
    """It was cut at 1,000 tokens and needed more: whether 1,001 had been enough nobody knows."""
    cases: list[Case] = [("docs", old, new, 1000, False, True), ("docs", 900, 1100, 1000, True, False)]
    found = replay(
        [event(number, case) for number, case in enumerate(cases)],
        lambda event: cases[int(event.event_key)][2],
        Strata(("category",)),
    ).overall
    cut = decided or (0, 0)
    assert (found.old_risks, found.new_risks, found.undecided) == (1 + cut[0], cut[1], decided is None)
    assert found.underestimated.n == (1 if decided is None else 2)


def test_undecided_answers_are_said(tmp_path: Path) -> None:
    """The shares shown are over the answers whose need is known, and how many are not is said."""
    rows = [event_row(predicted_output_tokens=900), event_row(truncated=1, predicted_output_tokens=900)]
    stored(tmp_path / "t.db", rows)
    predictions(tmp_path / "new.ndjson", rows, "predicted_output_tokens")
    where = ["--predictions", str(tmp_path / "new.ndjson"), "--db", str(tmp_path / "t.db")]
    shown = CliRunner().invoke(cli, ["replay", *where], standalone_mode=False, catch_exceptions=False)
    assert "0% > 0%" in shown.stdout
    assert "underest. is over n but for 1 cut answer that an estimate places above the cut" in shown.stdout
    replayed = CliRunner().invoke(
        cli, ["replay", *where, "--json"], standalone_mode=False, catch_exceptions=False
    )
    difference = strict(replayed.stdout)["overall"]["underestimated_difference"]
    assert (difference["n"], difference["old"], difference["new"], difference["undecided"]) == (1, 0, 0, 1)


def test_several_strata_are_corrected_for_looking_at_all_of_them() -> None:
    """The same six phases are a difference where they are the only stratum, and none among four."""
    cases: list[Case] = [
        (name, 2000, 1990 if name == "a" else chance, 1000 + number, True, False)
        for name in "abcd"
        for number, chance in enumerate((1990, 2010) * 3)
    ]
    events = [event(number, case) for number, case in enumerate(cases)]

    def verdicts(some: list[ReplayEvent]) -> list[tuple[str, float | None]]:
        found = replay(some, lambda event: cases[int(event.event_key)][2], Strata(("category",)))
        return [(stratum.verdict, stratum.p) for stratum in found.strata]

    assert verdicts(events[:6]) == [("better", 2 / 64)]
    assert verdicts(events)[0] == ("no difference shown", 4 * 2 / 64)


def test_tries_of_a_phase_are_one_piece_of_evidence(tmp_path: Path) -> None:
    """Forty tries of five phases show nothing; those of six do, whatever run the seventh is of."""
    for phases, verdict in ((5, "too few"), (6, "better")):
        rows = [
            event_row(phase_id=f"p{number % phases}", predicted_output_tokens=3000 + number)
            for number in range(40)
        ]
        stored(tmp_path / f"{phases}.db", rows)
        predictions(tmp_path / "new.ndjson", rows, "actual_output_tokens")
        where = ["--predictions", str(tmp_path / "new.ndjson"), "--db", str(tmp_path / f"{phases}.db")]
        replayed = CliRunner().invoke(
            cli, ["replay", *where, "--json"], standalone_mode=False, catch_exceptions=False
        )
        overall = strict(replayed.stdout)["overall"]
        assert (overall["verdict"], overall["smape_difference"]["phases"]) == (verdict, phases)


def test_real_only_leaves_out_and_counts_what_is_made_up() -> None:
    """With `real_only` no estimator is asked about made-up paths; without, each kind is counted."""
    case: Case = ("docs", 1, 2, 3, True, False)
    events = [event(n, case, kind) for n, kind in enumerate(("real", "partial", "synthetic", "real"))]
    asked: list[str] = []

    def estimate(event: ReplayEvent) -> int:
        asked.append(event.kind)
        return 2

    found = replay(events, estimate, Strata(("category",)), real_only=True)
    assert (asked, found.left_out_not_real, made_up(found)) == (["real", "real"], 2, 0)
    found = replay(events, estimate, Strata(("category",)))
    assert (found.kinds, made_up(found)) == ({"real": 2, "partial": 1, "synthetic": 1}, 2)


def test_real_only_on_the_command_line_needs_no_warning(
    tokentail: Tokentail, tmp_path: Path, code: Path
) -> None:
    """What is left is said to be real, what was left out is counted, and nothing is warned of."""
    stored(tmp_path / "telemetry.db", [with_paths("a.py"), event_row(), event_row(deliverable_count=0)])
    environment = with_source(code, HALF)
    done = tokentail("replay", "--estimator", "mine:Half", "--real-only", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 event replayed; their deliverables: 1 real, 0 partial, 0 synthetic" in done.stdout
    assert "2 events left out: paths not all known" in done.stdout


# What an estimator is given


@pytest.mark.parametrize(
    ("columns", "given_paths", "kind", "unsafe"),
    [
        ({}, ("src/file0.py", "src/file1.py", "src/file2.py"), "synthetic", 0),
        ({"deliverable_count": 0}, (), "synthetic", 0),
        (
            {"deliverable_count": 0, "estimated_deliverable_count": 2},
            ("src/file0.py", "src/file1.py"),
            "synthetic",
            0,
        ),
        ({"paths": ["a", "b/ü.py", "c"]}, ("a", "b/ü.py", "c"), "real", 0),
        ({"paths": ["a", "b"], "deliverables_complete": 0}, ("a", "b", "src/file2.py"), "partial", 0),
        ({"paths": ["a", "/etc/passwd", "c"]}, ("a", "c", "src/file2.py"), "partial", 1),
        (
            {"paths": ["../x", "C:\\x"], "deliverable_count": 2},
            ("src/file0.py", "src/file1.py"),
            "synthetic",
            2,
        ),
        (
            {"paths": ["a"], "deliverables_source": None, "deliverable_count": 1},
            ("src/file0.py",),
            "synthetic",
            0,
        ),
        ({"paths": ["x" * 197 + "..."], "deliverable_count": 1}, ("src/file0.py",), "synthetic", 0),
        ({"paths": ["x" * 196 + "..."], "deliverable_count": 1}, ("x" * 196 + "...",), "real", 0),
        ({"deliverables_json": "[1, null]", "deliverable_count": 1}, ("src/file0.py",), "synthetic", 0),
        ({"deliverables_json": "[" * 100_000, "deliverable_count": 1}, ("src/file0.py",), "synthetic", 0),
        ({"deliverables_json": '{"a": 1}', "deliverable_count": 1}, ("src/file0.py",), "synthetic", 0),
        ({"deliverables_json": "not json", "deliverable_count": 1}, ("src/file0.py",), "synthetic", 0),
    ],
)
def test_paths_are_real_partial_or_synthetic_and_say_so(
    empty: Database, columns: dict[str, Any], given_paths: tuple[str, ...], kind: str, unsafe: int
) -> None:
    """Real paths where all are known, made-up ones in the place of the others; no crash on nonsense."""
    row = event_row(**{name: value for name, value in columns.items() if name != "paths"})
    if "paths" in columns:
        row["deliverables_json"] = json.dumps(columns["paths"])
    if row["deliverables_json"] != "[]":
        row = row | {"deliverables_source": "applied", "deliverables_complete": 1} | columns
        row.pop("paths", None)
    with holding(empty, [row]):
        (found,) = replay_events(empty, Selection(), Strata())
    assert (found.deliverables, found.kind, found.unsafe_paths) == (given_paths, kind, unsafe)


def test_a_log_cannot_ask_for_a_billion_paths(empty: Database) -> None:
    """However many deliverables a line claims, at most a thousand paths are made up."""
    with holding(empty, [event_row(deliverable_count=10**18 - 1)]):
        (found,) = replay_events(empty, Selection(), Strata())
    assert len(found.deliverables) == 1000


def test_real_paths_are_those_of_the_phase(tokentail: Tokentail, tmp_path: Path) -> None:
    """From executor logs: whatever is called real is the list that its phase had to deliver."""
    log = executor_run(random.Random(11), "run-7", Shape(phases=25))
    (tmp_path / "run.log").write_text(log.text(), encoding="utf-8")
    tokentail("ingest", "run.log", "--tz", "Australia/Sydney")
    truth = {event.phase: event.paths for event in log.events}
    with opened(tmp_path / "telemetry.db") as connection:
        query = "SELECT event_key, phase_id FROM token_estimation_v2_events ORDER BY timestamp, event_id"
        phases = dict(connection.execute(query))
        oldest_first = list(phases)
    with open_for_reading(tmp_path / "telemetry.db") as db:
        events = list(replay_events(db, Selection(min_actual=0, with_totals=True), Strata()))
    real = [event for event in events if event.kind == "real"]
    assert len(events) == len(log.events)
    assert len(real) > 5
    for event in real:
        assert event.deliverables == truth[phases[event.event_key]]
    assert [event.event_key for event in events] == oldest_first


HARMFUL = (
    *("/etc/passwd", "//host/share", "~/.ssh/id_rsa", "~root/x", "..", "../x", "a/../../x", "a/..", "./../x"),
    *("C:\\Windows", "c:x", "C:/x", "1:x", "é:x", "\\\\host\\share", "\\x", "\\\\?\\C:\\x", "a\\..\\..\\x"),
    *("..\\x", "a/..\\../x", "a\0b", "a\nb", "\x1b[2J", "", " ", "\u2003", "a\x7f"),
)


@pytest.mark.parametrize("path", HARMFUL, ids=ascii)
def test_harmful_paths_are_not_safe(path: str) -> None:
    """Absolute ones of POSIX, Windows and UNC, homes, `..` with either slash, control characters, nothing."""
    assert not is_safe(path)


@pytest.mark.parametrize(
    "path",
    [
        *("a", "src/a.py", "a/b\\c", "...", "a..b", "..a/b", "a/...", "a~", "x/~/y", ".hidden", "./a"),
        "ü 漢/字.py",
    ],
)
def test_ordinary_paths_are_safe(path: str) -> None:
    """Dots, tildes and spaces in names are no reason to refuse a path."""
    assert is_safe(path)


PARTS = st.sampled_from(
    (
        "..",
        ".",
        "a",
        "~",
        "C:",
        "c",
        ":",
        "1:",
        "/",
        "\\",
        "//",
        "\\\\",
        " ",
        "...",
        "\0",
        "\n",
        "é",
        "?",
        "x.py",
    )
)


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=12), st.lists(PARTS, max_size=8).map("".join)))
@example("a/../..")
@example("1:x")
def test_a_safe_path_never_leaves_its_folder(path: str) -> None:
    """Joined to a folder and normalized, by the rules of POSIX and of Windows, it is still below it."""
    if not is_safe(path):
        return
    assert not PurePosixPath(path).is_absolute()
    assert not PureWindowsPath(path).anchor
    assert ".." not in PurePosixPath(path).parts
    assert ".." not in PureWindowsPath(path).parts
    for rules, folder in ((posixpath, "/work/space"), (ntpath, "D:\\work\\space")):
        joined = rules.normpath(rules.join(folder, path))
        assert joined == folder or joined.startswith(folder + rules.sep)
    assert PurePosixPath("/work", path).is_relative_to("/work")
    assert PureWindowsPath("D:\\work", path).is_relative_to("D:\\work")


def test_no_harmful_path_of_a_log_reaches_an_estimator(
    tokentail: Tokentail, tmp_path: Path, code: Path
) -> None:
    """In the database they are, to the estimator they don't come: each is replaced, and counted."""
    stored(tmp_path / "telemetry.db", [with_paths("good.py", *HARMFUL), with_paths(*HARMFUL[:4])])
    environment = with_source(
        code,
        "import json\n"
        "class Show:\n"
        "    def estimate(self, deliverables, category, complexity):\n"
        "        print('GIVEN', json.dumps(deliverables))\n"
        "        self.estimated_tokens = len(deliverables)\n"
        "        return self\n",
    )
    done = tokentail("replay", "--estimator", "mine:Show", **environment)
    given_paths = [
        json.loads(line.removeprefix("GIVEN ")) for line in done.stderr.splitlines() if "GIVEN" in line
    ]
    assert [len(paths) for paths in given_paths] == [1 + len(HARMFUL), 4]
    assert given_paths[0][0] == "good.py"
    made = {path for paths in given_paths for path in paths} - {"good.py"}
    assert made == {f"src/file{number}.py" for number in range(len(HARMFUL) + 1)}
    assert f"{len(HARMFUL) + 4} paths outside the workspace replaced by made-up ones" in done.stdout
    assert "0 real, 1 partial, 1 synthetic" in done.stdout


# Where an estimator runs


LOOKS = """
import os, pathlib
class Look:
    def __init__(self):
        print("MADE", os.getcwd(), os.listdir())
        pathlib.Path("made.txt").write_text("x")
        self.estimated_tokens = 7
    def estimate(self, **told):
        print("ASKED", os.getcwd(), os.listdir())
        for path in told["deliverables"]:
            pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
            pathlib.Path(path).write_text("x")
        return self
"""


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return every path below a folder with its content, but SQLite's own bookkeeping."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.name.startswith("telemetry.db-")
    }


def test_an_estimator_runs_in_an_empty_folder_that_is_gone_afterwards(
    tokentail: Tokentail, tmp_path: Path, code: Path
) -> None:
    """It is made and asked in one empty temporary folder; what it writes there is removed with it."""
    stored(tmp_path / "telemetry.db", [with_paths("src/a.py"), event_row()])
    environment = with_source(code, LOOKS)
    before = tree(tmp_path)
    done = tokentail("replay", "--estimator", "mine:Look", "--json", **environment)
    assert done.returncode == 0, done.stderr
    assert strict(done.stdout)["replayed"] == 2
    made, first, second = (line.split(" ", 2) for line in done.stderr.splitlines() if "[" in line)
    assert (made[0], made[2], first[2]) == ("MADE", "[]", "['made.txt']")
    assert made[1] == first[1] == second[1]
    assert Path(made[1]) != tmp_path
    assert not Path(made[1]).exists()
    assert tree(tmp_path) == before


def test_a_workspace_is_where_an_estimator_runs(tokentail: Tokentail, tmp_path: Path, code: Path) -> None:
    """With --workspace it sees the files of that folder, which stays; the database is still the caller's."""
    stored(tmp_path / "telemetry.db", [with_paths("a.py")])
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "there.txt").write_text("x")
    environment = with_source(code, LOOKS)
    done = tokentail("replay", "--estimator", "mine:Look", "--workspace", "space", **environment)
    assert done.returncode == 0
    assert f"MADE {tmp_path / 'space'} ['there.txt']" in done.stderr
    assert {path.name for path in (tmp_path / "space").iterdir()} == {"there.txt", "made.txt", "a.py"}


def test_the_callers_folder_is_returned_to_whatever_happens(tmp_path: Path) -> None:
    """After an answer, an exception, or the loss of its own folder, this process is where it was."""
    started_in, seen = Path.cwd(), []

    class Strays:
        def estimate(self, **_: object) -> SimpleNamespace:
            seen.append(Path.cwd())
            os.rmdir(Path.cwd())
            os.chdir(tmp_path)
            return SimpleNamespace(estimated_tokens=1)

    case: Case = ("docs", 1, 2, 3, True, False)
    with running(Strays) as estimate:
        assert estimate(event(0, case)) == 1
    assert Path.cwd() == started_in
    with pytest.raises(ZeroDivisionError), running(Strays):
        1 / 0  # noqa: B018 - our own bug, while it runs
    assert Path.cwd() == started_in
    for folder in (tmp_path / "missing", Path(__file__)):
        with pytest.raises(UnusableEstimator, match="name a folder that is there"), running(Strays, folder):
            pass
    assert Path.cwd() == started_in
    assert not seen[0].exists()


# What an estimator may do


BEHAVES = """
import sys, warnings
print("printed while imported")
class Answer:
    def __init__(self, tokens):
        self.estimated_tokens = tokens
class Raises:
    @property
    def estimated_tokens(self):
        raise KeyError("on reading")
def forever(n=0):
    return forever(n + 1) + 1
class Any:
    def __init__(self):
        print("printed while made")
    def estimate(self, deliverables, category, complexity):
        print("printed\\x1b[2J while asked", category)
        deliverables.clear()
        deliverables.append("/etc/passwd")
        if category == "raises": raise RuntimeError("no\\nidea \\x1b[31m")
        if category == "exits": sys.exit(0)
        if category == "quits": raise SystemExit("quit")
        if category == "recurses": return Answer(forever())
        if category == "nothing": return None
        if category == "on reading": return Raises()
        if category == "warns": warnings.warn("a warning")
        bad = {"nan": float("nan"), "inf": float("inf"), "-inf": -float("inf"), "negative": -1, "bool": True,
               "text": "5", "none": None, "list": [5], "complex": 5j, "huge": 10**400, "1e19": 1e19}
        if category in bad: return Answer(bad[category])
        good = {"fraction": 2.5, "zero": 0, "most": 10**18, "tiny": 1e-300, "-0": -0.0}
        return Answer(good.get(category, 77))
"""
GOOD = {"fraction": 2, "most": 10**18, "warns": 77, "plain": 77}
BAD = {
    "raises": "RuntimeError: no\nidea \x1b[31m",
    "exits": "SystemExit: 0",
    "quits": "SystemExit: quit",
    "recurses": "RecursionError: maximum recursion depth exceeded",
    "nothing": "AttributeError: 'NoneType' object has no attribute 'estimated_tokens'",
    "on reading": "KeyError: 'on reading'",
    "nan": "nan is no number of tokens",
    "inf": "inf is no number of tokens",
    "-inf": "-inf is no number of tokens",
    "negative": "-1 is no number of tokens",
    "bool": "True is no number of tokens",
    "text": "'5' is no number of tokens",
    "none": "None is no number of tokens",
    "list": "[5] is no number of tokens",
    "complex": "5j is no number of tokens",
    "huge": "is no number of tokens",
    "1e19": "1e+19 is no number of tokens",
    "zero": "0 tokens are no prediction",
    "tiny": "0 tokens are no prediction",
    "-0": "0 tokens are no prediction",
}


def test_an_estimator_may_do_anything_and_each_event_has_its_own_result(
    tokentail: Tokentail, tmp_path: Path, code: Path
) -> None:
    """Printing, raising, exiting, recursing, nonsense: the JSON is whole, failures are named, exit 1."""
    events = {name: with_paths("a.py", category=name) for name in (*GOOD, *BAD)}
    stored(tmp_path / "telemetry.db", events.values())
    environment = with_source(code, BEHAVES)
    done = tokentail("replay", "--estimator", "mine:Any", "--json", **environment)
    found = strict(done.stdout)
    assert {row["category"]: row["new_prediction"] for row in found["rows"]} == GOOD
    why = {failure["event_key"]: failure["why"] for failure in found["failures"]}
    assert found["not_predicted"] == len(why) == len(BAD)
    for name, said in BAD.items():
        assert said in why[events[name]["event_key"]], name
    assert (done.returncode, found["replayed"]) == (1, len(GOOD))
    assert found["deliverables"] == {"real": len(GOOD), "partial": 0, "synthetic": 0}
    for printed in ("printed while imported", "printed while made", "while asked plain"):
        assert printed in done.stderr
    complaint = done.stderr.splitlines()[-1]
    assert complaint.startswith(f"tokentail: {len(BAD)} events without a prediction; the first, event-")
    assert "RuntimeError: no\\nidea \\x1b[31m" in complaint


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        (np.int64(5), 5),
        (np.uint8(255), 255),
        (np.float32(2.0), 2),
        (np.float64(1e6), 1_000_000),
        (np.float16(7), 7),
        (Fraction(7, 2), 4),
        (123_456_789_012_345_678, 123_456_789_012_345_678),
    ],
    ids=repr,
)
def test_real_numbers_of_any_type_are_tokens(value: object, tokens: int) -> None:
    """What numpy computes counts, as a plain whole number; 18 digits are kept to the last."""
    found = token_count(value)
    assert (found, type(found)) == (tokens, int)


@pytest.mark.parametrize(
    "value",
    [np.nan, np.float32("inf"), np.bool_(True), np.array([1, 2]), np.int8(-1), 10**18 + 1, b"5"],
    ids=repr,
)
def test_what_is_no_number_of_tokens_is_refused(value: object) -> None:
    """Neither numpy's truth values and arrays nor what is negative, endless or beyond all measure."""
    with pytest.raises(EstimateFailed, match="is no number of tokens"):
        token_count(value)


@given(st.one_of(st.integers(), st.floats(), st.fractions(), st.text(max_size=3), st.none(), st.booleans()))
def test_token_count_gives_a_plain_number_or_refuses(value: object) -> None:
    """For any answer: an int from 0 to 10^18 that is the value rounded, or `EstimateFailed`."""
    fits = not isinstance(value, (bool, str)) and value is not None and 0 <= value <= 10**18  # type: ignore[operator]
    if fits:
        found = token_count(value)
        assert type(found) is int
        assert abs(found - value) <= 0.5 or isinstance(value, Fraction)  # type: ignore[operator]
    else:
        with pytest.raises(EstimateFailed):
            token_count(value)


def test_each_event_gets_a_list_of_its_own() -> None:
    """An estimator that empties its argument changes nothing for the next, nor for the rows."""
    given_lists: list[list[str]] = []

    class Empties:
        def estimate(self, deliverables: list[str], **_: object) -> SimpleNamespace:
            given_lists.append(list(deliverables))
            deliverables.clear()
            return SimpleNamespace(estimated_tokens=1)

    event = ReplayEvent(("x",), "k", "x", "low", ("a", "b"), "real", 0, 1, 1, 0, True, False, 0)
    with running(Empties) as estimate:
        assert (estimate(event), estimate(event)) == (1, 1)
    assert given_lists == [["a", "b"]] * 2
    assert event.deliverables == ("a", "b")


def make_nothing() -> None:
    """Make something that has no `estimate`."""


def make_trouble() -> None:
    """Make nothing."""
    raise LookupError("no model here")


def make_an_end() -> None:
    """End the program."""
    sys.exit("usage: ...")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_nothing, "AttributeError: 'NoneType'"),
        (make_trouble, "LookupError: no model here"),
        (make_an_end, "SystemExit: usage"),
        (lambda needed: needed, "TypeError"),
    ],
)
def test_an_estimator_that_cannot_be_made_is_named(make: Callable[[], object], said: str) -> None:
    """An error while it is made says what it was and how it is called; it is no traceback and no exit."""
    with (
        pytest.raises(UnusableEstimator, match=rf"can't be made: {said}.*called without arguments"),
        running(make),
    ):
        pass


@pytest.mark.parametrize("name", ["", ":", "module", "module:", ":Class", "json.loads"])
def test_an_estimators_name_has_two_parts(name: str) -> None:
    """What is not module:Class is wrong use, and shown how to write it."""
    with pytest.raises(UsageMistake, match="write module:Class"):
        load_estimator(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module_here:X", "ModuleNotFoundError.*put the folder that holds no_such_module_here on"),
        ("json.no_such:X", "ModuleNotFoundError.*holds json on PYTHONPATH"),
        ("json:NoSuch", "json has no NoSuch"),
        ("json:loads.nothing", "json has no nothing"),
        ("json:__name__", "can't be called"),
        ("..:X", "TypeError"),
        ("a b:X", "ModuleNotFoundError"),
    ],
)
def test_an_estimator_that_is_not_there_is_named(name: str, said: str) -> None:
    """What can't be found or called is an error for a person, with the next step."""
    with pytest.raises(UnusableEstimator, match=said):
        load_estimator(name)


def test_nested_names_are_found() -> None:
    """A class inside of another is named with dots."""
    assert load_estimator("json:decoder.JSONDecoder") is json.decoder.JSONDecoder


SCRIPT = "print('usage: ...')\nimport sys\nsys.exit(0)"


def test_a_script_that_exits_is_no_success(tokentail: Tokentail, tmp_path: Path, code: Path) -> None:
    """A module that ends the program when it is imported: exit 1, named, nothing on standard output."""
    stored(tmp_path / "telemetry.db", [event_row()])
    done = tokentail("replay", "--estimator", "mine:X", "--json", **with_source(code, SCRIPT))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "usage: ...\ntokentail: mine:X: can't be imported (SystemExit: 0)\n"
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (SCRIPT, "SystemExit"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module_here'"),
    ],
    ids=["exits", "raises", "no-python", "needs-another"],
)
def test_a_module_that_cannot_be_imported_says_why(
    code: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str, said: str
) -> None:
    """Whatever fails inside of a module is shown as its own error, and nothing is printed as a result."""
    (code / "mine_that_fails.py").write_text(source)
    monkeypatch.syspath_prepend(code)
    with pytest.raises(UnusableEstimator, match=rf"mine_that_fails:X: can.t be imported \({said}"):
        load_estimator("mine_that_fails:X")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either --estimator MODULE:CLASS or --predictions FILE"),
        (["--estimator", "json:loads", "--predictions", "x"], "give either"),
        (["--predictions", "x", "--workspace", "."], "--workspace is for an --estimator"),
    ],
)
def test_sources_of_estimates_exclude_each_other(arguments: list[str], said: str) -> None:
    """There is one source of new estimates: none, or two, is wrong use."""
    with pytest.raises(UsageMistake, match=said):
        cli.main(["replay", *arguments], standalone_mode=False)


# Predictions from a file


def test_predictions_are_read_from_either_key_and_the_last_word_counts(tmp_path: Path) -> None:
    """BOM, blank lines, a full export's key, numbers with a fraction, and a correction further down."""
    lines = [
        '{"event_key": "a", "prediction": 1}',
        "",
        '{"event_key": "b", "predicted_output_tokens": 2.6, "more": null}',
        '{"event_key": "a", "prediction": 3, "predicted_output_tokens": 9}',
        '{"event_key": "é\\u0000", "prediction": 123456789012345678}',
    ]
    file = tmp_path / "p.ndjson"
    file.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    assert read_predictions(file) == {"a": 3, "b": 3, "é\0": 123_456_789_012_345_678}
    file.write_text("")
    assert read_predictions(file) == {}


@pytest.mark.parametrize(
    "line",
    [
        *(
            "nonsense",
            "[]",
            "5",
            "null",
            "{}",
            '{"event_key": "a"}',
            '{"prediction": 5}',
            '{"event_key": "a", ',
        ),
        *('{"event_key": 5, "prediction": 5}', '{"event_key": "", "prediction": 5}'),
        *(
            f'{{"event_key": "a", "prediction": {value}}}'
            for value in (
                "null",
                "-1",
                "NaN",
                "Infinity",
                "true",
                '"5"',
                "[5]",
                "1e400",
                "1" * 400,
                "1" * 5000,
            )
        ),
        "[" * 100_000,
    ],
    ids=lambda line: line[:60],
)
def test_a_broken_line_of_predictions_is_named(tmp_path: Path, line: str) -> None:
    """One bad line and nothing is compared: the file and the line are named."""
    file = tmp_path / "p.ndjson"
    file.write_text('{"event_key": "z", "prediction": 1}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(UnusableImport, match=r"p\.ndjson:2: "):
        read_predictions(file)


def test_predictions_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    """A file that is missing, a folder, or not UTF-8."""
    (tmp_path / "latin").write_bytes(b'{"event_key": "\xe9", "prediction": 1}')
    for file in (tmp_path / "missing", tmp_path, tmp_path / "latin"):
        with pytest.raises(UnusableImport, match=f"--predictions .*{file.name}: .*: "):
            read_predictions(file)


def test_events_without_a_prediction_are_counted_and_named(tokentail: Tokentail, tmp_path: Path) -> None:
    """What the file lacks is a failure with the event's key; what it has beyond the events is said."""
    events = [event_row(event_key=f"k{number}") for number in range(3)]
    stored(tmp_path / "telemetry.db", events)
    others = [event_row(event_key="other")]
    predictions(tmp_path / "p.ndjson", [events[1], *others], "actual_output_tokens")
    done = tokentail("replay", "--predictions", "p.ndjson", "--json")
    found = strict(done.stdout)
    assert (done.returncode, found["replayed"], found["not_predicted"]) == (1, 1, 2)
    assert [failure["event_key"] for failure in found["failures"]] == ["k0", "k2"]
    assert done.stderr.splitlines() == [
        "1 prediction in p.ndjson of no event that is selected here",
        "tokentail: 2 events without a prediction; the first, k0: no prediction of it in the file",
    ]


# The edges


@pytest.mark.parametrize("by", ["", "model", "bucket,model,complexity,category"])
def test_edges_give_json_without_nan(tmp_path: Path, by: str) -> None:
    """Zeros, NULLs, 18 digits, all truncated and hostile names, by any strata: numbers or null."""
    events = [
        event_row(predicted_output_tokens=0, actual_output_tokens=0),
        event_row(predicted_output_tokens=0, actual_output_tokens=10**18 - 1, success=None),
        event_row(predicted_output_tokens=10**18 - 1, actual_output_tokens=1, model=None),
        event_row(category=None, complexity=None, model=None, success=None, truncated=None),
        event_row(category=HOSTILE, complexity=HOSTILE, model=HOSTILE, truncated=1),
        event_row(category="x" * 5000, predicted_output_tokens=10**7, actual_output_tokens=10**7),
    ]
    stored(tmp_path / "telemetry.db", events)
    predictions(tmp_path / "p.ndjson", events, "actual_output_tokens")
    where = ["--db", str(tmp_path / "telemetry.db"), "--predictions", str(tmp_path / "p.ndjson")]
    arguments = [*where, "--min-actual", "0", "--by", by]
    done = CliRunner().invoke(cli, ["replay", *arguments, "--json"], standalone_mode=False)
    found = strict(done.stdout)
    assert (done.return_value, found["replayed"], found["not_predicted"]) == (1, 5, 1)
    assert "0 tokens are no prediction" in done.stderr
    dimensions = by.split(",") if by else ["category", "complexity"]
    assert found["by"] == dimensions
    assert all(set(dimensions) <= stratum.keys() for stratum in found["strata"])
    assert sum(stratum["n"] for stratum in found["strata"]) == 5
    shown = CliRunner().invoke(cli, ["replay", *arguments, "--rows"], standalone_mode=False)
    assert shown.return_value == 1
    assert not any(control in shown.stdout for control in ("\x1b", "\r", "\x9b", "\u202e"))


def test_nothing_to_replay_is_said(tokentail: Tokentail, tmp_path: Path, code: Path) -> None:
    """An empty database: no comparison, empty lists, exit 0."""
    stored(tmp_path / "telemetry.db", [])
    environment = with_source(code, HALF)
    done = tokentail("replay", "--estimator", "mine:Half", "--rows", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "There is nothing to compare: no event was replayed." in done.stdout
    found = strict(tokentail("replay", "--estimator", "mine:Half", "--json", **environment).stdout)
    assert (found["rows"], found["strata"], found["overall"]["verdict"]) == ([], [], "too few")


def test_a_replay_has_every_event_once() -> None:
    """Rows, failures and events left out add up to the events."""
    cases: list[Case] = [("docs", 5, 5, 5, True, False)] * 9

    def estimate(event: ReplayEvent) -> int:
        if int(event.event_key) % 4 == 0:
            raise EstimateFailed("every fourth")
        return 5

    events = [event(n, case, ("real", "partial", "synthetic")[n % 3]) for n, case in enumerate(cases)]
    found: Replay = replay(events, estimate, Strata(("category",)), real_only=True)
    assert len(found.rows) + found.not_predicted + found.left_out_not_real == 9
    assert (sorted(found.failures), found.left_out_not_real) == (["0"], 6)
