"""The report: its numbers, computed by hand, and what it leaves out."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from conftest import Tokentail
from event_lines import anchor_message, event_message, fallback_message, logged
from event_rows import event_row, stored
from reports.terminal import bytes_text, counted, printable, table


def written(folder: Path, *messages: str) -> None:
    """Write a log of these messages, a second apart."""
    lines = [logged(message, at=f"2026-01-14 09:00:{number:02}") for number, message in enumerate(messages)]
    (folder / "run.log").write_text("\n".join(lines) + "\n", encoding="utf-8")


def docs_event(predicted: int, actual: int, **fields: object) -> str:
    """Build an event of docs with these tokens."""
    return event_message(category="docs", predicted_output=predicted, actual_output=actual, **fields)


EVENTS = (
    docs_event(100, 300),
    docs_event(300, 100),
    docs_event(200, 200, truncated="True"),
    event_message(category="tests", predicted_output=0, actual_output=60, smape="200.0%"),
    event_message(category="tests", predicted_output=90, actual_output=49, smape="59.0%"),
    fallback_message(category="tests"),
)


def test_strata_are_computed_over_every_event_but_totals_and_short_answers(
    called: Tokentail, tmp_path: Path
) -> None:
    """Counts, means, SMAPE and risk are over all n; cost is over the clean ones: all worked out by hand."""
    written(tmp_path, *EVENTS)
    called("ingest", "run.log")
    found = json.loads(called("report", "--json").stdout)
    docs, tests = found["strata"]
    wanted = {
        "category": "docs",
        "complexity": "low",
        "n": 3,
        "phases": 3,
        "mean_predicted": 200,
        "mean_actual": 200,
        "smape_n": 3,
        "smape_mean": 200 / 3,
        "smape_median": 100,
        "smape_sd": statistics.stdev([100, 100, 0]),
        "smape_min": 0,
        "smape_max": 100,
        "waste_n": 2,
        "waste_mean": (1 / 3 + 3) / 2,
        "waste_median": (1 / 3 + 3) / 2,
        "waste_sd": statistics.stdev([1 / 3, 3]),
        "waste_min": 1 / 3,
        "waste_max": 3,
        "waste_p90": 3,
        "ceiling_waste_n": 2,
        "ceiling_waste_median": (8192 / 300 + 8192 / 100) / 2,
        "underestimated": 1,
        "underestimated_rate": 1 / 3,
        "underestimated_low": 1 - 0.975 ** (1 / 3),
        "underestimated_high": 0.9057007,
        "truncated": 1,
        "parsed": 3,
        "with_deliverables": 0,
        "unstable": True,
        "unstable_because": ["n < 5", "variation > 0.5"],
    }
    for name, value in wanted.items():
        assert docs[name] == (pytest.approx(value) if isinstance(value, float) else value), name
    clean = docs["clean"]
    assert (clean["n"], clean["mean_predicted"], clean["mean_actual"]) == (2, 200, 200)
    assert (clean["smape_mean"], docs["ratio_min"], docs["ratio_max"]) == (100, pytest.approx(1 / 3), 3)
    assert docs["ratio_median"] == pytest.approx((3 + 1 / 3) / 2)
    assert (tests["n"], tests["smape_mean"], tests["waste_median"], tests["underestimated"]) == (
        *(1, None, None, 1),
    )
    assert (found["overall"]["n"], found["overall"]["truncated"]) == (4, 1)
    assert found["population"] == {
        "events": 6,
        "selected": 4,
        "left_out_filtered": 0,
        "left_out_totals": 1,
        "left_out_short": 1,
        "min_actual": 50,
        "first": "2026-01-14 09:00:00.000000",
        "last": "2026-01-14 09:00:03.000000",
        "zone": "UTC",
        "hints": [],
    }
    shown = called("report").stdout
    assert (
        "4 events of 6 in telemetry.db; left out: 1 whose actual is a total of input and output, 1 with "
        in shown
    )
    assert json.loads(called("report", "--json", "--min-actual", 0).stdout)["overall"]["n"] == 5


def test_gates_hold_risk_and_cost_against_their_limits(called: Tokentail, tmp_path: Path) -> None:
    """A gate is passed at its limit, certain where the interval is on one side, and exit 1 is asked for."""
    written(tmp_path, *(docs_event(100, 100) for _ in range(20)))
    called("ingest", "run.log")
    passed = called("report", "--json", "--fail-on-gate")
    assert passed.returncode == 0
    gates = {gate["name"]: gate for gate in json.loads(passed.stdout)["gates"]}
    assert [(gate["passed"], gate["certain"]) for gate in gates.values()] == [
        (True, False),  # none of 20: the interval reaches to 16%
        (True, False),
        (True, None),
    ]
    missed = called("report", "--fail-on-gate", "--under-multiplier", 0.5)
    assert missed.returncode == 1
    assert missed.stderr == "tokentail: not passed: underestimation rate\n"
    assert "FAIL" in missed.stdout
    assert called("report", "--under-multiplier", 0.5).returncode == 0
    assert called("report", "--under-multiplier", "nan").returncode == 2


def test_phase_outcome_is_not_builder_success(called: Tokentail, tmp_path: Path) -> None:
    """An answer that was parsed and a phase that failed are shown as the two things that they are."""
    log = [
        logged(anchor_message("alpha", output=1157), at="2026-01-14 09:00:00"),
        logged(event_message(), at="2026-01-14 09:00:01"),
        logged("Updated phase alpha status to FAILED", at="2026-01-14 09:00:09"),
    ]
    (tmp_path / "run.log").write_text("\n".join(log) + "\n", encoding="utf-8")
    called("ingest", "run.log")
    found = json.loads(called("report", "--json").stdout)
    assert found["overall"]["parsed"] == 1
    assert found["phase_outcomes"] == [{"phase_outcome": "FAILED", "events": 1}]
    shown = called("report").stdout
    assert "Builder success (the answer was parsed): 1 of 1" in shown
    assert "Phase outcome (what became of the work): FAILED 1" in shown


@pytest.mark.parametrize(
    ("events", "status"),
    [
        pytest.param(29, "not enough data", id="too few"),
        pytest.param(30, "validation incomplete", id="no real deliverables"),
    ],
)
def test_status_says_how_much_the_events_can_carry(
    called: Tokentail, tmp_path: Path, events: int, status: str
) -> None:
    """The status line names phases, real deliverables and strata, and the reason."""
    written(tmp_path, *(docs_event(100 + number, 100) for number in range(events)))
    called("ingest", "run.log")
    shown = called("report").stdout.splitlines()
    assert shown[1].startswith(
        f"How sure: {status}: {events} of at least 30 phases, whose tries are alike ({events} events); "
        "0% with real deliverable paths"
    )


def test_tries_of_a_phase_count_once(called: Tokentail, tmp_path: Path) -> None:
    """Ten tries of each of three phases: both numbers are shown, and the intervals are those of three."""
    rows = [
        event_row(phase_id=f"phase-{number}", actual_output_tokens=3000 if number == 1 else 500, truncated=0)
        for number in range(3)
        for _ in range(10)
    ]
    stored(tmp_path / "telemetry.db", rows)
    found = json.loads(called("report", "--json").stdout)
    (stratum,) = found["strata"]
    assert (stratum["n"], stratum["phases"], found["samples"], found["phases"]) == (30, 3, 30, 3)
    assert (found["status"], stratum["unstable_because"]) == (
        "not enough data",
        ["phases < 5", "variation > 0.5"],
    )
    assert stratum["underestimated_low"] == pytest.approx(1 - 0.975 ** (1 / 3))
    shown = called("report").stdout
    assert "Risk, over all 30 events of 3 phases" in shown
    assert "3 of at least 30 phases" in shown


def test_success_only_leaves_truncated_answers_in_and_says_so(called: Tokentail, tmp_path: Path) -> None:
    """They never parse: without them the truncation gate would be passed with none of 57."""
    rows = [event_row(phase_id=f"phase-{number}") for number in range(57)]
    rows += [event_row(phase_id=f"cut-{number}", success=0, truncated=1) for number in range(3)]
    rows.append(event_row(phase_id="not-parsed", success=0))
    stored(tmp_path / "telemetry.db", rows)
    found = json.loads(called("report", "--json", "--success-only").stdout)
    assert (found["overall"]["n"], found["overall"]["truncated"], found["overall"]["clean"]["n"]) == (
        60,
        3,
        57,
    )
    gates = {gate["name"]: gate["passed"] for gate in found["gates"]}
    assert gates["truncation rate"] is False
    assert (
        "Truncated answers stay, though none of them was parsed" in called("report", "--success-only").stdout
    )
    exported = called("export", "--success-only").stdout
    assert len(exported.splitlines()) == 57
    covered = json.loads(called("coverage", "--json", "--success-only").stdout)
    assert covered["have"] == 57


def test_a_change_of_the_estimates_is_said(called: Tokentail, tmp_path: Path) -> None:
    """When, and from what to what; without one nothing is said."""
    rows = [
        event_row(
            phase_id=f"phase-{number}",
            timestamp=f"2026-01-{1 + number // 20:02} 09:{number % 20:02}:00.000000",
            actual_output_tokens=(4000 if number < 40 else 700) + 13 * (number * 7 % 11),
        )
        for number in range(60)
    ]
    stored(tmp_path / "telemetry.db", rows)
    (change,) = json.loads(called("report", "--json").stdout)["changes"]
    assert (change["at"], change["phases_before"], change["phases_after"]) == (rows[40]["timestamp"], 40, 20)
    before, after = (
        statistics.median(row["actual_output_tokens"] / 1000 for row in part)
        for part in (rows[:40], rows[40:])
    )
    said = f"went from {before:.2f} to {after:.2f} (median of 40 and 20 phases) at 2026-01-03 09:00 UTC"
    shown = called("report").stdout
    assert f"Over all strata, actual / predicted {said}" in shown
    assert "What to set: estimates changed, and what came before says nothing of them now." in shown
    assert "than estimated" not in shown
    assert "at 2026-01-03 20:00 Australia/Sydney" in called("report", "--tz", "Australia/Sydney").stdout
    assert json.loads(called("report", "--json", "--until", "2026-01-02").stdout)["changes"] == []


def test_status_is_validated_with_enough_phases_of_real_deliverables(
    called: Tokentail, tmp_path: Path
) -> None:
    """Thirty events of which most have their paths, in strata of five or more, validate."""
    log = []
    for number in range(30):
        log += [
            logged(f"[BUILD-041] Next phase: p{number}", at=f"2026-01-14 09:{number:02}:00"),
            logged(anchor_message(f"p{number}", output=100), at=f"2026-01-14 09:{number:02}:01"),
            logged(docs_event(100, 100), at=f"2026-01-14 09:{number:02}:01"),
            logged(f"[p{number}] Applied files: ['a.py']", at=f"2026-01-14 09:{number:02}:02"),
        ]
    (tmp_path / "run.log").write_text("\n".join(log) + "\n", encoding="utf-8")
    called("ingest", "run.log")
    found = json.loads(called("report", "--json").stdout)
    assert (found["status"], found["real_share"], found["strata_covered"]) == ("validated on real data", 1, 1)


@pytest.mark.parametrize("by", ["category", "model,bucket", "complexity,category,bucket,model"])
def test_strata_are_by_any_combination(called: Tokentail, tmp_path: Path, by: str) -> None:
    """Whatever the strata, their n add up to all, and each names just what was asked for."""
    written(tmp_path, *EVENTS, event_message(model="other model", deliverables=5, actual_output=7000))
    called("ingest", "run.log")
    found = json.loads(called("report", "--json", "--by", by).stdout)
    names = by.split(",")
    assert found["by"] == names
    assert sum(stratum["n"] for stratum in found["strata"]) == found["overall"]["n"] == 5
    assert all(list(stratum)[: len(names)] == names for stratum in found["strata"])
    if "bucket" in names:
        assert {stratum["bucket"] for stratum in found["strata"]} == {"1-3", "4-7"}
    assert called("report", "--by", "colour").returncode == 2


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param((), id="empty database"),
        pytest.param((docs_event(100, 100),), id="one event"),
        pytest.param((docs_event(100, 100, truncated="True", success="False"),) * 3, id="all truncated"),
        pytest.param((docs_event(100, 0),), id="actual 0"),
        pytest.param((docs_event(0, 100),), id="predicted 0"),
        pytest.param((docs_event(10_000_000, 9_999_999),), id="ten million tokens"),
        pytest.param((docs_event(10**18 - 1, 10**18 - 1),) * 12, id="largest numbers"),
        pytest.param((event_message(category="None", model="None", success="None"),), id="nothing told"),
        pytest.param((event_message(category="a\x1b[31mb", model="<script>"),), id="hostile names"),
    ],
)
def test_reports_of_little_are_sentences_and_never_nan(
    called: Tokentail, tmp_path: Path, messages: tuple[str, ...]
) -> None:
    """No traceback, no NaN, no terminal escape: numbers where there are some, else a dash or a sentence."""
    written(tmp_path, *messages)
    called("ingest", "run.log")
    shown = called("report", "--min-actual", 0)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert not re.search(r"\bnan|\binf\b|None|\x1b", shown.stdout)
    asked = called("report", "--json", "--min-actual", 0, "--by", "category,complexity,bucket,model")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    n = json.loads(asked.stdout, parse_constant=refuse)["overall"]["n"]
    if not n:
        assert "There is nothing to report: no event is left" in shown.stdout


def test_validation_view_has_true_medians(tokentail: Tokentail, tmp_path: Path) -> None:
    """A column of the view that is called median is a median, for odd and even numbers of events."""
    import sqlite3  # noqa: PLC0415 - only here

    predicted = {"odd": [100, 200, 900], "even": [100, 200, 300, 900]}
    lines = [
        logged(
            event_message(category=name, predicted_output=value, actual_output=100),
            at=f"2026-01-14 09:00:{n:02}",
        )
        for n, (name, value) in enumerate(
            (name, value) for name, all_of in predicted.items() for value in all_of
        )
    ]
    (tmp_path / "run.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokentail("ingest", "run.log")
    columns = "category, sample_count, median_waste_ratio, avg_waste_ratio"
    query = f"SELECT {columns} FROM v_token_estimation_validation"
    with sqlite3.connect(tmp_path / "telemetry.db") as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    assert found == [("even", 4, 2.5, 3.75), ("odd", 3, 2.0, 4.0)]


def test_text_for_terminals_is_harmless_and_readable() -> None:
    """Control characters are shown, numbers have units, and tables align."""
    assert printable("a\x1b[0m\u202eb\n") == "a\\x1b[0m\\u202eb\\n"
    assert printable("ünï✓ ok") == "ünï✓ ok"
    assert [bytes_text(n) for n in (0, 999, 1000, 2_500_000)] == ["0 bytes", "999 bytes", "1.0 KB", "2.5 MB"]
    assert (counted(1, "file"), counted(2000, "file")) == ("1 file", "2,000 files")
    assert table(("a", "n"), [("bb", "10"), ("c", "9")]) == ["a    n", "--  --", "bb  10", "c    9"]


@pytest.mark.parametrize(
    "arguments",
    [("--min-actual", 2**63), ("--under-multiplier", "inf"), ("--under-multiplier", 0), ("--since", "soon")],
    ids=repr,
)
def test_values_that_can_not_be_meant_are_wrong_use(called: Tokentail, arguments: tuple[Any, ...]) -> None:
    """A number that no database holds, or a time without a meaning: exit 2 and one line, no traceback."""
    done = called("report", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_filters_that_nothing_passes_say_so(called: Tokentail, tmp_path: Path) -> None:
    """A mistyped name is another message than that of an empty database."""
    written(tmp_path, *EVENTS)
    called("ingest", "run.log")
    shown = called("report", "--category", "dosc").stdout
    assert "There is nothing to report: no event passes the filters." in shown


@pytest.mark.parametrize(("actual", "count"), [(9007199254740993, 0), (9007199254740994, 1)])
def test_counts_beyond_the_precision_of_floats_are_compared_exactly(
    called: Tokentail, tmp_path: Path, actual: int, count: int
) -> None:
    """Equal is not underestimated, one more is, whatever a float can distinguish; a whole factor is exact."""
    predicted = 9007199254740993
    line = event_message(predicted_output=predicted, actual_output=actual)
    (tmp_path / "run.log").write_text(logged(line) + "\n")
    called("ingest", "run.log", "--tz", "UTC")
    found = json.loads(called("report", "--json").stdout)
    assert found["overall"]["underestimated"] == count
    doubled = json.loads(called("report", "--json", "--under-multiplier", "2").stdout)
    assert doubled["overall"]["underestimated"] == 0
