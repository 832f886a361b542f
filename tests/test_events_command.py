"""The events themselves: newest or worst, filtered, and one in full with the lines it comes from."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import event_message, fallback_message

ANCHOR = (
    "[TOKEN_BUDGET] phase={phase} complexity=low input=5056 output={actual}/16384 total=6213 "
    "utilization=7.1% model=some-model-4"
)


def line(second: int, message: str) -> str:
    return f"[2026-01-14 09:12:{second:02}] INFO: {message}\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of a run with three events, one of them a total."""
    path = tmp_path / "logs/run.log"
    path.parent.mkdir()
    path.write_text(
        line(1, "Initialized autonomous executor for run: run-1")
        + line(2, ANCHOR.format(phase="p1", actual=1157))
        + line(2, event_message())
        + line(3, "[p1] Applied files: ['src/a.py']")
        + line(4, ANCHOR.format(phase="p2", actual=20))
        + line(4, event_message(predicted_output=20000, actual_output=20, category="docs"))
        + line(5, fallback_message())
        + line(6, "Updated phase p1 status to COMPLETE"),
        encoding="utf-8",
    )
    return path


def listed(called: Tokentail, *arguments: object) -> list[dict[str, object]]:
    done = called("events", *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows: list[dict[str, object]] = json.loads(done.stdout)["events"]
    return rows


def test_events_come_newest_first_with_every_column(called: Tokentail, log: Path, tmp_path: Path) -> None:
    """The list holds the rows as they are, totals and short answers among them, and where each stands."""
    called("ingest", log, "--tz", "UTC")
    rows = listed(called)
    assert [row["timestamp"][17:19] for row in rows] == ["05", "04", "02"]  # type: ignore[index]
    assert rows[0]["place"] == f"{log}:7"
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(token_estimation_v2_events)")]
    assert [*columns, "place"] == list(rows[0])


def test_worst_are_ordered_by_their_error(called: Tokentail, log: Path) -> None:
    """The largest SMAPE comes first; what has none that means anything is left out."""
    called("ingest", log, "--tz", "UTC")
    assert [row["phase_id"] for row in listed(called, "--worst")] == ["p2", "p1"]


def test_filters_are_those_of_the_reports(called: Tokentail, log: Path) -> None:
    """Run, phase, category and time narrow the list; what matches nothing says so."""
    called("ingest", log, "--tz", "UTC")
    assert [row["phase_id"] for row in listed(called, "--phase", "p1")] == ["p1"]
    docs = listed(called, "--category", "docs", "--until", "2026-01-14T09:12:04")
    assert [row["phase_id"] for row in docs] == ["p2"]
    assert listed(called, "--since", "2026-01-15") == []
    assert "no event passes the filters" in called("events", "--run", "other").stdout


def test_the_newest_twenty_are_shown_unless_all_are_asked_for(called: Tokentail, tmp_path: Path) -> None:
    """A screen full is shown, and it is said how many there are; JSON holds all."""
    log = tmp_path / "run.log"
    log.write_text(
        "".join(line(n, event_message(predicted_output=1000 + n)) for n in range(25)), encoding="utf-8"
    )
    called("ingest", log, "--tz", "UTC")
    shown = called("events").stdout
    assert shown.count("2026-01-14 09:12") == 20
    assert "25 events of 25" in shown
    assert "the first 20 are shown" in shown
    assert called("events", "--all").stdout.count("2026-01-14 09:12") == 25
    assert len(listed(called)) == 25


def shown_event(called: Tokentail, name: object, *arguments: object) -> dict[str, object]:
    done = called("events", name, "--json", *arguments)
    assert done.returncode == 0
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_one_event_has_its_provenance_and_the_lines_around_it(called: Tokentail, log: Path) -> None:
    """Each fact comes with the file and the line that said it; the log around the event is shown."""
    called("ingest", log, "--tz", "UTC")
    found = shown_event(called, 1, "--around", "2")
    facts = {fact["what"]: (fact["value"], fact["path"], fact["line"]) for fact in found["facts"]}  # type: ignore[attr-defined]
    assert facts["run"] == ("run-1", str(log), 1)
    assert facts["phase"] == ("p1", str(log), 2)
    assert facts["deliverables"] == (["src/a.py"], str(log), 4)
    assert facts["outcome"] == ("COMPLETE", str(log), 8)
    around = found["around"]
    assert isinstance(around, dict)
    assert [row["line_number"] for row in around["lines"]] == [1, 2, 3, 4, 5]
    shown = called("events", "1").stdout
    assert "p1, from the budget line, run.log:2" in shown
    assert f"\n  {log}:3\n" in shown
    assert ">      3  [2026-01-14 09:12:02] INFO: [TokenEstimationV2]" in shown


def test_facts_of_several_logs_are_found_in_each(called: Tokentail, log: Path, tmp_path: Path) -> None:
    """A grepped sample has neither run nor phase: those are found in the log that has them."""
    samples = tmp_path / "a-samples.txt"
    samples.write_text(log.read_text("utf-8").splitlines(keepends=True)[2], encoding="utf-8")
    called("ingest", samples, log, "--tz", "UTC")
    name = next(row["event_id"] for row in listed(called) if row["phase_id"] == "p1")
    found = shown_event(called, name)
    facts = {fact["what"]: (fact["path"], fact["line"]) for fact in found["facts"]}  # type: ignore[attr-defined]
    assert facts["phase"] == (str(log), 2)
    assert len(found["sightings"]) == 2  # type: ignore[arg-type]


def test_an_event_is_named_by_the_beginning_of_its_key(called: Tokentail, log: Path) -> None:
    """The key, or as much of it as no other event has, names an event as its number does."""
    called("ingest", log, "--tz", "UTC")
    key = str(listed(called)[0]["event_key"])
    assert shown_event(called, key)["event"] == shown_event(called, key[:20])["event"]


@pytest.mark.parametrize("what", ["gone", "another"])
def test_an_event_whose_log_is_gone_keeps_what_is_stored(called: Tokentail, log: Path, what: str) -> None:
    """Without its log an event is shown with the kinds of its lines, and never with another's lines."""
    called("ingest", log, "--tz", "UTC")
    if what == "gone":
        log.unlink()
    else:
        log.write_text(
            log.read_text("utf-8").replace("predicted_output=5200", "predicted_output=5201"), "utf-8"
        )
    done = called("events", "1")
    assert done.returncode == 0
    assert "p1, from the budget line\n" in done.stdout
    assert "not there any more, or another log" in done.stderr
    assert "around it" not in done.stdout


def test_an_event_that_there_is_not_is_named(called: Tokentail, log: Path) -> None:
    """A number or key of no event is an error that says where to look."""
    called("ingest", log)
    for name in ("99", "nonsense"):
        done = called("events", name)
        assert (done.returncode, "`tokentail events` lists them" in done.stderr) == (1, True)


def test_times_are_in_the_zone_of_the_settings_as_in_the_report(called: Tokentail, log: Path) -> None:
    """An event is found again by its time: in the list, alone, in the report, on the first screen."""
    called("init", log, "--tz", "Australia/Sydney", "--db", "telemetry.db")
    called("ingest")
    assert "to 2026-01-14 09:12, Australia/Sydney" in called("report").stdout
    shown = called("events", "--wide").stdout
    assert "time (Australia/Sydney)" in shown
    assert "2026-01-14 09:12" in shown
    assert "event 1, 2026-01-14 09:12:02 Australia/Sydney (logged as" in called("events", 1).stdout
    assert "2026-01-14 09:12 Australia/Sydney" in " ".join(called().stdout.split())
    assert "event 1, 2026-01-13 22:12:02 UTC (" in called("events", 1, "--tz", "UTC").stdout


def test_a_long_line_around_an_event_is_seen_to_be_cut(called: Tokentail, log: Path) -> None:
    """Three dots stand for what is not shown, as where a line is explained."""
    with log.open("a", encoding="utf-8") as file:
        file.write(line(7, event_message(predicted_output=4321)) + "x" * 200 + "\n" + "y" * 201 + "\n")
    called("ingest", log, "--tz", "UTC")
    around = called("events", 4).stdout
    assert f"{'x' * 200}\n" in around
    assert f"{'y' * 200}...\n" in around
