"""The report: its numbers, computed by hand, and what it leaves out."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import Tokentail
from event_lines import event_message, fallback_message, logged
from reports.metrics import mean, median, rate
from reports.terminal import bytes_text, counted, printable, table


def test_metrics_of_nothing_are_none() -> None:
    """Where there is nothing to measure there is no number, not a zero."""
    assert (mean([]), median([]), rate(0, 0)) == (None, None, None)
    assert (mean([1, 2, 6]), median([1, 2, 6]), median([1, 2]), rate(1, 4)) == (3, 2, 1.5, 0.25)


def test_strata_are_computed_over_every_event_but_totals_and_short_answers(
    tokentail: Tokentail, tmp_path: Path
) -> None:
    """Counts, SMAPE, waste and rates of each stratum agree with a calculation by hand."""
    events = [
        event_message(category="docs", predicted_output=100, actual_output=300, smape="100.0%"),
        event_message(category="docs", predicted_output=300, actual_output=100, smape="100.0%"),
        event_message(
            category="docs", predicted_output=200, actual_output=200, truncated="True", smape="0.0%"
        ),
        event_message(category="tests", predicted_output=0, actual_output=60, smape="200.0%"),
        event_message(category="tests", predicted_output=90, actual_output=49, smape="59.0%"),
        fallback_message(category="tests"),
    ]
    lines = [logged(message, at=f"2026-01-14 09:00:0{number}") for number, message in enumerate(events)]
    (tmp_path / "run.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokentail("ingest", "run.log")
    found = json.loads(tokentail("report", "--json").stdout)
    docs, tests = found["strata"]
    assert docs | {
        "smape_mean": round(docs["smape_mean"], 6),
        "underestimated_rate": None,
        "truncated_rate": None,
    } == {
        "category": "docs",
        "complexity": "low",
        "n": 3,
        "smape_mean": round(200 / 3, 6),
        "smape_median": 100.0,
        "waste_median": 1.0,
        "underestimated": 1,
        "underestimated_rate": None,
        "truncated": 1,
        "truncated_rate": None,
    }
    assert (tests["n"], tests["smape_mean"], tests["waste_median"], tests["underestimated"]) == (
        1,
        None,
        None,
        0,
    )
    assert (found["overall"]["n"], found["left_out_totals"], found["left_out_short"]) == (4, 1, 1)
    shown = tokentail("report").stdout
    assert (
        "docs      low         3       66.7%        100.0%         1.00x         1 (33%)    1 (33%)" in shown
    )
    assert "left out: 1 shorter event, 1 event whose actual is a total" in shown
    assert json.loads(tokentail("report", "--json", "--min-actual", 0).stdout)["overall"]["n"] == 5


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
