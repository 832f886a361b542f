"""What an ingest says of zones, and records, is the one that it used."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import event_message, logged


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine be where no log is from."""
    monkeypatch.setenv("TZ", "Europe/Berlin")


def write(log: Path, *numbers: int) -> None:
    """Append events to a log."""
    with log.open("a") as file:
        file.writelines(logged(event_message(predicted_output=number)) + "\n" for number in numbers)


def recorded(folder: Path) -> list[str]:
    """Return the zones of all ingests, the newest last."""
    with closing(sqlite3.connect(folder / "telemetry.db")) as connection:
        rows = connection.execute("SELECT timezone FROM ingest_runs ORDER BY ingest_run_id").fetchall()
    return [zone for (zone,) in rows]


@pytest.mark.parametrize("command", [("ingest",), ("backfill",), ("backfill", "--full")], ids="".join)
def test_log_that_keeps_its_zone_is_said_to_be_read_in_it(
    called: Tokentail, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """In the summary, in JSON, in `ingest_runs`: not this machine's, which no time was read as."""
    for number in (1, 2):
        write(tmp_path / "run.log", number)
        if number == 1:
            called("ingest", "--tz", "Australia/Sydney", "run.log")
    assert "times read as Australia/Sydney; " in called(*command, "run.log").stdout
    write(tmp_path / "run.log", 3)
    assert json.loads(called(*command, "run.log", "--json").stdout)["timezone"] == "Australia/Sydney"
    assert recorded(tmp_path) == ["Australia/Sydney"] * 3
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        rows = connection.execute("SELECT DISTINCT timestamp FROM token_estimation_v2_events").fetchall()
    assert rows == [("2025-12-29 08:40:02.000000",)]


def test_all_zones_that_were_used_are_said(called: Tokentail, tmp_path: Path) -> None:
    """One log keeps its zone, a new one gets this machine's; a log that is not read says nothing."""
    write(tmp_path / "a.log", 1)
    write(tmp_path / "unread.log", 9)
    called("ingest", "--tz", "Australia/Sydney", "a.log")
    called("ingest", "--tz", "Asia/Tokyo", "unread.log")
    write(tmp_path / "a.log", 2)
    write(tmp_path / "b.log", 3)
    done = called("ingest", ".")
    assert "times read as Australia/Sydney, Europe/Berlin; " in done.stdout
    assert recorded(tmp_path)[-1] == "Australia/Sydney, Europe/Berlin"


def test_follow_says_the_zones_that_it_used(called: Tokentail, tmp_path: Path) -> None:
    """At its end, in the row of the ingest; at its beginning only that of new logs is known."""
    write(tmp_path / "a.log", 1)
    called("ingest", "--tz", "Australia/Sydney", "a.log")
    write(tmp_path / "a.log", 2)
    lines = called("follow", "a.log", "--until-idle", "0").stdout.splitlines()
    assert lines[0].startswith("following, times of new logs read as Europe/Berlin; ")
    assert lines[-1].startswith("times read as Australia/Sydney; ")
    assert recorded(tmp_path)[-1] == "Australia/Sydney"


def test_zone_of_new_logs_is_recorded_where_nothing_was_read(called: Tokentail, tmp_path: Path) -> None:
    """No time was read in any."""
    write(tmp_path / "a.log", 1)
    called("ingest", "--tz", "Australia/Sydney", "a.log")
    assert json.loads(called("ingest", "a.log", "--json").stdout)["timezone"] == "Europe/Berlin"
    assert recorded(tmp_path) == ["Australia/Sydney", "Europe/Berlin"]


@pytest.mark.parametrize(("zone", "warned"), [("local", False), ("JST-9", True)])
def test_zone_that_has_no_name_is_never_advised(
    called: Tokentail, tmp_path: Path, zone: str, warned: bool
) -> None:
    """`local` was this machine's zone, whatever that is called now; rules spelled out can't be given."""
    write(tmp_path / "a.log", 1)
    called("ingest", "--tz", "UTC", "a.log")
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        connection.execute("UPDATE log_sources SET timezone = ?", [zone])
        connection.commit()
    write(tmp_path / "b.log", 2)
    done = called("ingest", "b.log")
    assert ("1 new log read as Europe/Berlin" in done.stderr) is warned
    assert f"--tz {zone}" not in done.stderr


def _events(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "telemetry.db")) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM token_estimation_v2_events").fetchone()
    return int(count)


@pytest.mark.parametrize("command", ["ingest", "backfill"])
@pytest.mark.parametrize("asked", [("--tz", "America/New_York"), ()], ids=["asked", "this machine's"])
@pytest.mark.parametrize("first", ["run.log", "part.log"])
def test_part_of_a_log_that_was_read_in_another_zone_is_said_once(
    called: Tokentail, tmp_path: Path, command: str, asked: tuple[str, ...], first: str
) -> None:
    """It doubles its events: both logs are named, how far apart they are, and the command that mends it."""
    write(tmp_path / "run.log", *range(30))
    write(tmp_path / "part.log", 100, *range(10, 30))
    second = "part.log" if first == "run.log" else "run.log"
    called("ingest", "--tz", "Australia/Sydney", first)
    done = called(command, *asked, second)
    (said,) = done.stderr.splitlines()
    zone, apart = ("America/New_York", "16:00:00") if asked else ("Europe/Berlin", "10:00:00")
    assert f"{second}: read as {zone}, but it tells events of " in said
    assert f"{first}, which was read as Australia/Sydney: they are there twice, {apart} apart; " in said
    mends = f"tokentail backfill --full --tz Australia/Sydney {second}"
    assert f"`{mends}`" in said
    assert called(command, *asked, second).stderr == ""
    assert _events(tmp_path) == 51
    assert called(*mends.split()[1:]).returncode == 0
    assert _events(tmp_path) == 31


def test_pipe_that_was_read_in_another_zone_is_said(tokentail: Tokentail, tmp_path: Path) -> None:
    """It can't be read again: it is taken out."""
    write(tmp_path / "run.log", *range(9))
    tokentail("ingest", "--tz", "Australia/Sydney", "run.log")
    done = tokentail("ingest", "--tz", "UTC", "-", stdin=(tmp_path / "run.log").read_bytes())
    assert (
        "11:00:00 apart; if it is a part of a copy, `tokentail sources forget 2` takes it out" in done.stderr
    )


def test_both_of_a_pair_that_are_new_are_said_as_one(called: Tokentail, tmp_path: Path) -> None:
    """Two zones in the settings, and one log in both folders."""
    for folder, zone in (("one", "Australia/Sydney"), ("two", "UTC")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "run.log", *range(9))
        with (tmp_path / "tokentail.toml").open("a") as settings:
            settings.write(f'[[folder]]\npath = "{folder}"\nzone = "{zone}"\n')
    (said,) = called("ingest", "one", "two").stderr.splitlines()
    assert "which was read as UTC: they are there twice, 11:00:00 apart; " in said


def test_logs_of_two_zones_that_share_nothing_are_no_trouble(called: Tokentail, tmp_path: Path) -> None:
    """Nor is the same call in the same zone, nor another one at the same time on its own clock."""
    write(tmp_path / "a.log", *range(9))
    write(tmp_path / "b.log", *range(20, 29))
    write(tmp_path / "c.log", 20, 21, 40)
    called("ingest", "--tz", "Australia/Sydney", "a.log")
    called("ingest", "--tz", "UTC", "b.log")
    assert called("ingest", "--tz", "UTC", "b.log").stderr == ""


@pytest.mark.parametrize("first", ["run.log", "pod.log", None])
@pytest.mark.parametrize("before", [0, 30])
def test_call_of_which_two_logs_tell_two_readings_of_a_time_is_said(
    called: Tokentail, tmp_path: Path, first: str | None, before: int
) -> None:
    """Of a new log, or one that grows; not of the calls of which both tell the same time."""
    plain, pod = tmp_path / "run.log", tmp_path / "pod.log"
    for log in (plain, pod):
        write(log, *range(before))
    if before:
        assert called("ingest", "--tz", "Australia/Sydney", ".").stderr == ""
    for hour, text in ((14, "01:30:00"), (15, "02:30:00"), (16, "02:40:00"), (16, "02:50:00")):
        line = logged(event_message(predicted_output=hour + 100), f"2025-04-06 {text}") + "\n"
        for log, prefix in ((plain, ""), (pod, f"2025-04-05T{hour}:{text[3:]}.1Z stderr F ")):
            with log.open("a") as file:
                file.write(prefix + line)
    asked = ("ingest", "--tz", "Australia/Sydney")
    if first is not None:
        assert called(*asked, first).stderr == ""
    (said,) = called(*asked, ".").stderr.splitlines()
    names = ("run.log", "pod.log")
    new = {None: names, "run.log": names[1:], "pod.log": names[:1]}[first]
    assert any(
        f"{log}: tells events of " in said and f"{other} " in said
        for log, other in (names, names[::-1])
        if log in new
    )
    assert "1:00:00 apart" in said
    assert _events(tmp_path) == before + 6
    assert called(*asked, ".").stderr == ""


def test_calls_at_both_readings_of_a_time_are_no_trouble(called: Tokentail, tmp_path: Path) -> None:
    """In one container's log, or others than another log's."""
    for name, number in (("a", 1), ("b", 2)):
        with (tmp_path / f"{name}.log").open("w") as log:
            line = logged(event_message(predicted_output=number), "2025-04-06 02:30:00")
            log.writelines(f"2025-04-05T{hour}:30:00.1Z stderr F {line}\n" for hour in (15, 16))
    assert called("ingest", "--tz", "Australia/Sydney", "a.log").stderr == ""
    assert called("ingest", "--tz", "Australia/Sydney", "b.log").stderr == ""
