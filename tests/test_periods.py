"""Reports by period, one period against another, and what is said where a filter lets nothing through."""

from __future__ import annotations

import json
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commandline.moments import parse_since, parse_until
from conftest import Tokentail
from event_rows import Row, event_row, holding, stored
from ingest.reading.zone import zone_named
from ingest.storing.database import open_for_writing
from reports.against import compared
from reports.selection import Selection
from reports.strata import Strata
from reports.validation import validate

SYDNEY = zone_named("Australia/Sydney")


def strata(called: Tokentail, *arguments: str) -> list[dict[str, Any]]:
    """Return the strata of a report."""
    found: list[dict[str, Any]] = json.loads(called("report", "--json", *arguments).stdout)["strata"]
    return found


def test_day_begins_at_midnight_of_a_zone_with_three_quarters(called: Tokentail, tmp_path: Path) -> None:
    """Kathmandu is 5:45 ahead: its day begins at 18:15 UTC, between two times of one cached hour."""
    times = ("2026-01-14 18:10:00.000000", "2026-01-14 18:14:59.999999", "2026-01-14 18:15:00.000000")
    stored(tmp_path / "telemetry.db", [event_row(timestamp=moment) for moment in times])
    days = {row["day"]: row["n"] for row in strata(called, "--by", "day", "--tz", "Asia/Kathmandu")}
    assert days == {"2026-01-14": 2, "2026-01-15": 1}


@pytest.mark.parametrize(
    ("by", "zone", "names"),
    [
        ("day", "UTC", ["2026-01-11", "2026-01-12", "2026-02-01"]),
        ("day", "Australia/Sydney", ["2026-01-12", "2026-01-13", "2026-02-02"]),
        ("week", "UTC", ["2026-01-05", "2026-01-12", "2026-01-26"]),
        ("week", "Australia/Sydney", ["2026-01-12", "2026-02-02"]),
        ("month", "UTC", ["2026-01", "2026-02"]),
        ("run", "UTC", ["r1", "r2"]),
        ("phase", "UTC", ["p1", "p2", "p3"]),
    ],
)
def test_strata_by_period_run_and_phase(
    called: Tokentail, tmp_path: Path, by: str, zone: str, names: list[str]
) -> None:
    """Days are those of the zone that is asked for, a week is named by its Monday."""
    times = ("2026-01-11 22:00:00.000000", "2026-01-12 13:30:00.000000", "2026-02-01 23:00:00.000000")
    rows = [
        event_row(timestamp=moment, run_id=run, phase_id=f"p{number}")
        for number, (moment, run) in enumerate(zip(times, ("r1", "r1", "r2"), strict=True), 1)
    ]
    stored(tmp_path / "telemetry.db", rows)
    assert [stratum[by] for stratum in strata(called, "--by", by, "--tz", zone)] == names
    (tmp_path / "tokentail.toml").write_text(f'zone = "{zone}"\n')
    assert [stratum[by] for stratum in strata(called, "--by", by)] == names


def test_time_that_somebody_broke_has_no_day(called: Tokentail, tmp_path: Path) -> None:
    """A row whose time is none stands among those of unknown day, and ends no report."""
    stored(tmp_path / "telemetry.db", [event_row(timestamp="never"), event_row()])
    assert [stratum["day"] for stratum in strata(called, "--by", "day")] == ["2026-01-14", None]
    assert "logged from 2026-01-14 09:00 to never, UTC" in called("report").stdout


def test_range_is_said_in_the_zone_of_who_asks(called: Tokentail, tmp_path: Path) -> None:
    """From when to when the events were logged, and in which zone that is."""
    stored(tmp_path / "telemetry.db", [event_row(), event_row(timestamp="2026-01-20 23:59:59.000000")])
    for name in ("report", "coverage"):
        assert "logged from 2026-01-14 09:00 to 2026-01-20 23:59, UTC" in called(name).stdout
    shown = called("report", "--tz", "Australia/Sydney").stdout
    assert "logged from 2026-01-14 20:00 to 2026-01-21 10:59, Australia/Sydney" in shown


def test_events_of_the_future_are_said(called: Tokentail, tmp_path: Path) -> None:
    """They pass --since, and are a sign of a wrong zone or clock."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    stored(tmp_path / "telemetry.db", [event_row(timestamp=f"{tomorrow:%Y-%m-%d %H:%M:%S}.000000")])
    assert "is in the future" in called("report", "--since", "7d").stdout
    stored(tmp_path / "past.db", [event_row()])
    assert "is in the future" not in called("report", "--db", "past.db").stdout


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-01-14", "2026-01-13 13:00", "2026-01-14 13:00"),
        ("2026-04-05", "2026-04-04 13:00", "2026-04-05 14:00"),  # clocks go back: a day of 25 hours
        ("2026-10-04", "2026-10-03 14:00", "2026-10-04 13:00"),  # and forward: one of 23
        ("2026-01-14T09:30", "2026-01-13 22:30", "2026-01-13 22:31"),
        ("2026-01-14T09:30Z", "2026-01-14 09:30", "2026-01-14 09:31"),
        ("today", "2026-02-28 13:00", "2026-03-01 13:00"),
        ("yesterday", "2026-02-27 13:00", "2026-02-28 13:00"),
    ],
)
def test_typed_days_are_those_of_the_zone(text: str, since: str, until: str) -> None:
    """A day is from midnight to midnight as clocks of the zone have it, however long that is."""
    now = datetime(2026, 3, 1, 12, 34, tzinfo=UTC)
    expected = tuple(datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (since, until))
    assert (parse_since(text, now, SYDNEY), parse_until(text, now, SYDNEY)) == expected


def test_filter_that_lets_nothing_through_says_what_there_is(called: Tokentail, tmp_path: Path) -> None:
    """A name like the mistyped one, else the names there are; and from when to when there is anything."""
    stored(tmp_path / "telemetry.db", [event_row(category="docs"), event_row(category="tests", run_id="r7")])
    assert "No category is 'dcos': did you mean docs?" in called("report", "--category", "dcos").stdout
    shown = called("report", "--category", "zzzz", "--run", "r7").stdout
    assert "No category is 'zzzz': there are docs, tests." in shown
    assert "No run" not in shown
    shown = called("calibrate", "--since", "2027-01-01").stdout
    assert "All events were logged from 2026-01-14 09:00 to 2026-01-14 09:00, UTC." in shown


NUMBERS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 2_000), st.integers(1, 2_000)), min_size=1, max_size=12
)


@given(NUMBERS, NUMBERS)
def test_change_is_the_sum_of_mix_and_within(
    then: list[tuple[str, int, int]], now: list[tuple[str, int, int]]
) -> None:
    """The two parts add up to the change; with equal shares none of it is mix."""
    with TemporaryDirectory() as folder, open_for_writing(f"{folder}/t.db") as db:
        found = []
        for period in (then, now):
            with holding(db, [_row(*values) for values in period]):
                found.append(validate(db, Selection(min_actual=0), Strata(("category",))))
    split = compared(*found)
    means = [statistics.fmean(200 * abs(p - a) / (p + a) for _, p, a in period) for period in (then, now)]
    assert split.change == pytest.approx(means[1] - means[0], abs=1e-9)
    assert split.by_mix is not None
    assert split.within is not None
    assert split.by_mix + split.within == pytest.approx(split.change, abs=1e-9)
    if sorted(name for name, _, _ in then) == sorted(name for name, _, _ in now):
        assert split.by_mix == pytest.approx(0, abs=1e-9)
    if {name for name, _, _ in then}.isdisjoint(name for name, _, _ in now):
        assert split.within == pytest.approx(0, abs=1e-9)


def _row(category: str, predicted: int, actual: int) -> Row:
    return event_row(category=category, predicted_output_tokens=predicted, actual_output_tokens=actual)


def test_report_against_the_period_before(called: Tokentail, tmp_path: Path) -> None:
    """The newest seven days are reported; below, the seven before them, and what changed."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        event_row(timestamp=f"{first + timedelta(days=day):%Y-%m-%d} 12:00:00.000000", category=category)
        | {"smape_percent": None, "predicted_output_tokens": 1000, "actual_output_tokens": actual}
        for day, category, actual in (
            (0, "docs", 9_000),
            (2, "docs", 1000),
            (3, "docs", 3000),
            (9, "docs", 1000),
        )
    ]
    stored(tmp_path / "telemetry.db", rows)
    asked = ("--against", "7d", "--until", "2026-01-15")
    shown = called("report", *asked).stdout
    assert "1 event of 4" in shown
    assert "Against the period before, 2 events: underestimated 50.0% -> 0.0%" in shown
    assert (
        "SMAPE mean 50.0% -> 0.0%: -50.0 points, +0.0 by another mix of strata, -50.0 within strata" in shown
    )
    found = json.loads(called("report", "--json", *asked).stdout)
    assert (found["overall"]["n"], found["against"]["overall"]["n"]) == (1, 2)
    assert (found["against"]["change"], found["against"]["by_mix"]) == (-50, 0)
    wrong = called("report", *asked, "--since", "2026-01-01")
    assert wrong.returncode == 2
    assert "--against says how long a period is" in wrong.stderr
