"""Local times without an offset become UTC, the same way every time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import UsageMistake
from ingest.reading.zone import is_same_zone, machine_zone, zone_named, zone_recorded


def utc(text: str) -> datetime:
    """Read an aware UTC time."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "local", "expected"),
    [
        ("Australia/Sydney", "2025-12-29 19:40:02", "2025-12-29 08:40:02"),
        ("Australia/Sydney", "2025-07-01 19:40:02.123456", "2025-07-01 09:40:02.123456"),
        ("Australia/Sydney", "2025-04-06 01:59:59", "2025-04-05 14:59:59"),
        ("Australia/Sydney", "2025-04-06 02:00:00", "2025-04-05 15:00:00"),
        ("Australia/Sydney", "2025-04-06 02:30:00", "2025-04-05 15:30:00"),
        ("Australia/Sydney", "2025-04-06 02:59:59", "2025-04-05 15:59:59"),
        ("Australia/Sydney", "2025-04-06 03:00:00", "2025-04-05 17:00:00"),
        ("Australia/Sydney", "2025-10-05 01:59:59", "2025-10-04 15:59:59"),
        ("Australia/Sydney", "2025-10-05 02:00:00", "2025-10-04 16:00:00"),
        ("Australia/Sydney", "2025-10-05 02:30:00", "2025-10-04 16:30:00"),
        ("Australia/Sydney", "2025-10-05 03:00:00", "2025-10-04 16:00:00"),
        ("America/New_York", "2025-11-02 01:30:00", "2025-11-02 05:30:00"),
        ("America/New_York", "2025-03-09 02:30:00", "2025-03-09 07:30:00"),
        ("Australia/Lord_Howe", "2025-04-06 01:45:00", "2025-04-05 14:45:00"),
        ("Asia/Kathmandu", "2025-01-01 00:00:00", "2024-12-31 18:15:00"),
        ("UTC", "2025-12-29 19:40:02", "2025-12-29 19:40:02"),
    ],
)
def test_local_time_becomes_utc(name, local, expected):
    """An ambiguous hour takes its first reading; a missing one is moved past the gap."""
    assert zone_named(name).to_utc(datetime.fromisoformat(local)) == utc(expected)


def test_aware_time_keeps_its_own_offset():
    """A container's time says its offset itself; the zone changes nothing."""
    sydney = zone_named("Australia/Sydney")
    aware = datetime(2025, 12, 29, 8, 40, 2, tzinfo=timezone(timedelta(hours=-5)))
    assert sydney.to_utc(aware) == utc("2025-12-29 13:40:02")
    assert sydney.to_utc(aware).tzinfo is UTC


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1),  # noqa: DTZ001
        datetime(9999, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001
        datetime(1, 1, 1, 0, 30),  # noqa: DTZ001
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    ],
    ids=["first", "last", "first-hour", "first-aware", "last-aware"],
)
@pytest.mark.parametrize("name", ["UTC", "Australia/Sydney", "America/New_York"])
def test_first_and_last_moments_are_no_error(name, moment):
    """A hostile log may hold any time that can be written down."""
    assert zone_named(name).to_utc(moment).tzinfo is UTC


@pytest.mark.parametrize("name", ["Mars/Olympus", "Sydney", "", " ", "Australia", "XYZ3", "not a zone"])
def test_unknown_zone_is_refused_with_the_next_step(name):
    """A zone that nobody knows is a mistake that says what to give instead."""
    with pytest.raises(UsageMistake, match=r"unknown time zone .* give an IANA name"):
        zone_named(name)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/localtime",
        "/usr/share/zoneinfo/UTC",
        "../zoneinfo/UTC",
        "Australia/../UTC",
        "./UTC",
        "Australia//Sydney",
        "UTC/",
        "UTC\n",
        "UTC\0",
        ":UTC",
    ],
)
def test_path_is_no_name(name):
    """A path is refused, though the library would open it."""
    with pytest.raises(UsageMistake):
        zone_named(name)


def test_offsets_are_remembered_right():
    """The second look at a quarter of an hour gives what the first one gave."""
    sydney = zone_named("Australia/Sydney")
    before = datetime.fromisoformat("2025-04-06 01:50:00")
    times = [before + timedelta(minutes=5) * step for step in range(60)]
    assert [sydney.to_utc(one) for one in times] == [sydney.to_utc(one) for one in times]
    assert [zone_named("Australia/Sydney").to_utc(one) for one in reversed(times)] == [
        sydney.to_utc(one) for one in reversed(times)
    ]


@settings(deadline=None)
@given(
    st.sampled_from(
        ["UTC", "Australia/Sydney", "Asia/Kathmandu", "Europe/Amsterdam", "Africa/Monrovia", "Asia/Kolkata"]
    ),
    st.sampled_from([1, 1936, 1938, 1972, 2025, 9999]),
    st.lists(st.integers(0, 366 * 24 * 60), max_size=20),
)
def test_a_local_time_is_the_same_in_utc_whatever_was_looked_up_before(name, year, minutes):
    """Told by its hour or by its minute; where offsets have seconds, and where a time can't be moved."""
    zone = zone_named(name)
    for minute in [*minutes, *(one + 1 for one in minutes), 0, 7, 14, 15, 23]:
        local = datetime(year, 1, 1) + timedelta(minutes=minute % (365 * 24 * 60), seconds=minute % 60)  # noqa: DTZ001
        moment = zone_named(name).to_utc(local)
        told = zone.utc_text(local.isoformat(" "))
        if moment.second != local.second:
            assert told is None
        elif told is not None or year not in (1, 9999):  # times that can't be moved take more care
            assert told == moment.isoformat(" ")[:19]


@pytest.mark.parametrize("text", ["2025-02-30 19:40:02", "2025-12-29 24:40:02", "0000-01-01 00:00:00"])
def test_a_time_that_there_is_not_is_none(text):
    """Whatever the pattern of a line lets through."""
    assert zone_named("Europe/Amsterdam").utc_text(text) is None


@settings(deadline=None)
@given(
    st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2036, 12, 31)),  # noqa: DTZ001
    st.sampled_from(
        ["Australia/Sydney", "Australia/Lord_Howe", "America/New_York", "Europe/Dublin", "Pacific/Chatham"]
    ),
)
def test_any_local_time_is_what_the_standard_library_says(moment, name):
    """For any time the result is the first reading of the zone's own rules."""
    try:
        rules = ZoneInfo(name)
    except ZoneInfoNotFoundError:
        pytest.skip("no zones for the standard library here")
    assert zone_named(name).to_utc(moment) == moment.replace(tzinfo=rules, fold=0).astimezone(UTC)


@pytest.mark.parametrize(
    "name",
    [
        "Australia/Sydney",
        ":Australia/Sydney",
        "UTC",
        "Etc/GMT+5",
        "EST5EDT",
        "EST5EDT,M3.2.0,M11.1.0",
        "AEST-10AEDT,M10.1.0,M4.1.0/3",
        "<+11>-11",
        "/usr/share/zoneinfo/UTC",
        "nonsense",
        "",
    ],
)
def test_zone_of_the_machine_is_found_again_by_its_recorded_name(monkeypatch, name):
    """Whatever a machine calls its zone, a later run finds the same one by the name that was recorded."""
    monkeypatch.setenv("TZ", name)
    zone = machine_zone()
    moment = datetime.fromisoformat("2025-12-29 19:40:02")
    assert zone_recorded(zone.name).to_utc(moment) == zone.to_utc(moment)


def test_zone_of_the_machine_comes_from_its_environment(monkeypatch):
    """`TZ` names the machine's zone."""
    monkeypatch.setenv("TZ", "Australia/Sydney")
    assert machine_zone().name == "Australia/Sydney"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("UTC", "Etc/UTC", True), ("Zulu", "Etc/UCT", True), ("UTC", "GMT", False), ("local", "local", True)],
)
def test_names_of_utc_are_one_zone(one: str, other: str, same: bool) -> None:
    """A machine may call it `Etc/UTC`, a person `UTC`: no reason to warn."""
    assert is_same_zone(one, other) is same
