"""A container's own prefix has the exact time, the executor's a local one: what one says of the other."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from conftest import Tokentail
from event_lines import docker, event_message, logged
from ingest.reading.clock import what_the_zone_leaves
from ingest.reading.zone import Zone, zone_named

SYDNEY = ZoneInfo("Australia/Sydney")

Wrapped = Callable[[str, datetime], str]


def cri(line: str, at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.123456789Z stderr F {line}"


def docker_at(line: str, at: datetime) -> str:
    return docker(line, f"{at:%Y-%m-%dT%H:%M:%S}.123456789Z")


def journal(line: str, at: datetime) -> str:
    return f"{at.astimezone(SYDNEY):%Y-%m-%dT%H:%M:%S%z} host executor[77]: {line}"


FORMS: dict[str, Wrapped] = {"CRI": cri, "Docker": docker_at, "journal": journal}


def lines_of(form: Wrapped, start: datetime, count: int, step: timedelta, zone: ZoneInfo) -> list[str]:
    """Return events of an executor in a zone, each in a container's line."""
    lines = []
    for number in range(count):
        at = start + step * number
        text = event_message(predicted_output=1_000 + number)
        lines.append(form(logged(text, f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"), at))
    return lines


def times(folder: Path) -> list[str]:
    """Return when the events were, in the order of their numbers."""
    query = "SELECT timestamp FROM token_estimation_v2_events ORDER BY predicted_output_tokens"
    with closing(sqlite3.connect(folder / "telemetry.db")) as connection:
        return [time for (time,) in connection.execute(query)]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("grown", [False, True], ids=["whole", "grown"])
def test_exact_time_decides_an_hour_that_occurs_twice(
    called: Tokentail, tmp_path: Path, form: Wrapped, grown: bool
) -> None:
    """Sydney's clock went back from 3 to 2 at 16:00 UTC: each event is at its own time, whatever it shows."""
    start, step = datetime(2025, 4, 5, 14, 30, tzinfo=UTC), timedelta(minutes=6)
    lines = lines_of(form, start, 30, step, SYDNEY)
    for part in [lines[:12], lines[12:18], lines[18:]] if grown else [lines]:
        with (tmp_path / "run.log").open("a") as log:
            log.writelines(f"{line}\n" for line in part)
        done = called("ingest", "run.log", "--tz", "Australia/Sydney")
        assert (done.returncode, done.stderr) == (0, "")
    assert times(tmp_path) == [f"{start + step * number:%Y-%m-%d %H:%M:%S}.000000" for number in range(30)]
    assert called("verify").returncode == 0


def test_first_reading_stands_where_nothing_exact_does(called: Tokentail, tmp_path: Path) -> None:
    """As ever, in the executor's own prefix alone."""
    (tmp_path / "run.log").write_text(logged(event_message(), "2025-04-06 02:30:00") + "\n")
    called("ingest", "run.log", "--tz", "Australia/Sydney")
    assert times(tmp_path) == ["2025-04-05 15:30:00.000000"]


@pytest.mark.parametrize("form", [lambda line, _: line, *FORMS.values()], ids=["plain", *FORMS])
@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    ("last", "start", "run"),
    [
        ("02:59:59", "03:00:01", "unknown"),
        ("02:00:00", "02:59:59", "unknown"),
        ("01:59:59", "02:30:00", "unknown"),
        ("02:30:00", "03:29:59", "unknown"),
        ("02:30:00", "03:30:00", "run-B"),
        ("01:30:00", "02:30:00", "run-B"),
        ("01:59:59", "03:00:00", "run-B"),
    ],
)
def test_silence_is_believed_only_if_it_is_certain(
    called: Tokentail, tmp_path: Path, form: Wrapped, one_by_one: bool, last: str, start: str, run: str
) -> None:
    """A run is over after an hour, whichever readings its last line and the next one have; wherever cut."""
    at = datetime(2025, 4, 5, 16, 30, tzinfo=UTC)
    lines = [
        logged("Initialized autonomous executor for run: run-A", f"2025-04-06 {last}"),
        logged("[BUILD-041] Next phase: p0", f"2025-04-06 {last}"),
        logged("Initialized autonomous executor for run: run-B", f"2025-04-06 {start}"),
        logged(event_message(), "2025-04-06 04:00:00"),
    ]
    for part in [[line] for line in lines] if one_by_one else [lines]:
        with (tmp_path / "run.log").open("a") as log:
            log.writelines(f"{form(line, at)}\n" for line in part)
        called("ingest", "run.log", "--tz", "Australia/Sydney")
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        runs = connection.execute("SELECT run_id FROM token_estimation_v2_events").fetchall()
    assert runs == [(run,)]
    assert called("verify").returncode == 0


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_difference_that_the_zone_does_not_explain_is_said_once(
    called: Tokentail, tmp_path: Path, form: Wrapped
) -> None:
    """With both times and the way out, under --quiet too; what it advises leaves no difference."""
    start, log = datetime(2025, 12, 29, 8, 40, tzinfo=UTC), tmp_path / "run.log"
    lines = lines_of(form, start, 9, timedelta(minutes=1), SYDNEY)
    log.write_text("".join(f"{line}\n" for line in lines[:5]))
    done = called("ingest", "run.log", "--tz", "UTC", "-q")
    assert done.stderr.count("apart") == 1
    exact = "2025-12-29T19:40:00+1100" if form is journal else "2025-12-29T08:40:00.123456789Z"
    for said in (
        "run.log: the container's own prefix says " + exact,
        "the executor's 2025-12-29 19:40:00, which as UTC is 2025-12-29 19:40:00 UTC: ",
        "`tokentail backfill --full --tz ZONE`",
    ):
        assert said in done.stderr
    with log.open("a") as more:
        more.writelines(f"{line}\n" for line in lines[5:])
    assert called("ingest", "run.log", "--tz", "UTC", "-q").stderr == ""
    assert called("backfill", "--full", "run.log", "--tz", "Australia/Sydney", "-q").stderr == ""
    assert times(tmp_path)[0] == "2025-12-29 08:40:00.000000"


def test_difference_that_comes_with_summer_is_said_when_it_comes(called: Tokentail, tmp_path: Path) -> None:
    """Brisbane and Sydney agree in winter; a whole log in one pass, of several blocks."""
    lines = lines_of(cri, datetime(2025, 9, 1, tzinfo=UTC), 3_000, timedelta(minutes=30), SYDNEY)
    (tmp_path / "run.log").write_text("".join(f"{line}\n" for line in lines))
    done = called("ingest", "run.log", "--tz", "Australia/Brisbane")
    assert done.stderr.count(" apart") == 1
    assert ": 1:00:00 apart" in done.stderr or ": 0:59:59 apart" in done.stderr


@pytest.mark.parametrize("late", [0, 4 * 60])
def test_container_that_is_a_little_late_is_no_difference(
    called: Tokentail, tmp_path: Path, late: int
) -> None:
    """It takes a line when the pipe gives it; and an object's local time is not exact."""
    inner = logged(event_message(), "2025-12-29 19:40:02")
    at = datetime(2025, 12, 29, 8, 40, 2, tzinfo=UTC) + timedelta(seconds=late)
    naive = json.dumps({"timestamp": "2025-01-01 00:00:00", "message": inner})
    (tmp_path / "run.log").write_text(f"{cri(inner, at)}\n{naive}\n")
    assert called("ingest", "run.log", "--tz", "Australia/Sydney").stderr == ""


@pytest.mark.parametrize("apart", [-26 * 60, -15, -6, 6, 15, 11 * 60])
def test_any_difference_of_more_than_minutes_is_one(apart: int) -> None:
    """Whichever clock shows the later time."""
    at = datetime(2025, 12, 29, 8, 40, 2, tzinfo=UTC) + timedelta(minutes=apart)
    line = cri(logged(event_message(), "2025-12-29 08:40:02"), at).encode()
    assert what_the_zone_leaves(zone_named("UTC"), line) is not None


@pytest.mark.parametrize(
    "name", ["Australia/Sydney", "Australia/Lord_Howe", "America/Havana", "America/Santiago", "Europe/Dublin"]
)
def test_times_that_occur_twice_are_those_of_the_standard_library(name: str) -> None:
    """At any quarter of an hour of a year: half hours, at midnight, with winter as the exception."""
    zone, rules = zone_named(name), ZoneInfo(name)
    days = [datetime(2025, 1, 1) + timedelta(days=day) for day in range(1, 364)]  # noqa: DTZ001
    for day in days:
        around = {(day + timedelta(days=days)).replace(tzinfo=rules).utcoffset() for days in (-1, 2)}
        for local in (
            day + timedelta(minutes=15 * quarter) for quarter in range(96 if len(around) > 1 else 1)
        ):
            first, second = (local.replace(tzinfo=rules, fold=fold).astimezone(UTC) for fold in (0, 1))
            assert zone.occurs_twice(local) is (second > first), local
            if second > first:
                assert zone.utc_text(local.isoformat(" ")) is None
                for exact in (first, second):
                    assert zone.to_utc_near(local, exact + timedelta(seconds=3)) == exact


def test_clock_without_a_name_shows_times_twice_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read by this machine's clock alone."""
    if not hasattr(time, "tzset"):
        pytest.skip("no clock that can be set by TZ")
    monkeypatch.setenv("TZ", "AEST-10AEDT,M10.1.0/02:00:00,M4.1.0/3:00:00")
    time.tzset()
    zone, local = Zone("local"), datetime(2025, 4, 6, 2, 30)  # noqa: DTZ001
    exact = datetime(2025, 4, 5, 16, 30, tzinfo=UTC)
    try:
        assert zone.occurs_twice(local)
        assert zone.to_utc_near(local, exact) == exact
        assert not zone.occurs_twice(local + timedelta(hours=1))
        assert not zone.occurs_twice(datetime(2025, 10, 5, 2, 30))  # noqa: DTZ001
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("command", ["ingest", "backfill"])
@pytest.mark.parametrize(
    "put", [logged, lambda text, at: cri(logged(text, at), datetime(2025, 12, 29, tzinfo=UTC))]
)
@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("America/New_York", "9999-12-31 23:59:59"),
        ("Etc/GMT+1", "9999-12-31 23:00:00"),
        ("Australia/Sydney", "0001-01-01 00:00:00"),
        ("Etc/GMT-1", "0001-01-01 00:59:59"),
    ],
)
def test_event_whose_time_utc_has_no_year_for_is_a_reject(
    called: Tokentail, tmp_path: Path, command: str, put: Callable[[str, str], str], zone: str, text: str
) -> None:
    """It would be stored hours off. The last and the first time that can be stored are events."""
    there = "9999-12-31 18:59:59" if text.startswith("9999") and "York" in zone else "2025-12-29 19:40:02"
    at_last = "0001-01-01 10:05:00" if "Sydney" in zone else there
    lines = [
        logged("Initialized autonomous executor for run: run-A", text),
        logged("[BUILD-129:P10] ESCALATE-ONCE: phase=p attempt=1 tokens=1->2 (1.25x, truncation)", text),
        put(event_message(), text),
        put(event_message(predicted_output=1_000), at_last),
    ]
    (tmp_path / "run.log").write_text("".join(f"{line}\n" for line in lines))
    done = called(command, "run.log", "--tz", zone)
    assert done.returncode == 0
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        rejects = connection.execute("SELECT reason, line FROM rejected_lines").fetchall()
        events = connection.execute(
            "SELECT run_id, timestamp_text FROM token_estimation_v2_events"
        ).fetchall()
        escalations = connection.execute("SELECT COUNT(*) FROM token_budget_escalation_events").fetchone()
    assert rejects == [("time out of range", lines[2])]
    assert events == [("run-A", at_last)]
    assert escalations == (0,)
    checked = called("verify")
    assert (checked.returncode, "no difference" in checked.stdout) == (0, True)
    assert "a reject: time out of range" in called("explain", "run.log:3").stdout


def test_clock_that_cannot_give_a_time_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock has an end; what it doesn't know is not taken for UTC."""
    zone = Zone("local")
    monkeypatch.setattr(Zone, "_offset", lambda *_: (_ for _ in ()).throw(OSError("no such time")))
    assert zone.in_utc(datetime(1969, 12, 31)) is None  # noqa: DTZ001 - local, as logged
    assert zone.utc_text("1969-12-31 00:00:00") is None
