"""Local times without an offset become UTC, the same way every time."""

from __future__ import annotations

import time
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import UsageMistake
from ingest.reading import zone
from ingest.reading.zone import is_named, is_same_zone, machine_zone, zone_named, zone_recorded


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
        ("Europe/Dublin", "2025-10-26 01:30:00", "2025-10-26 00:30:00"),
        ("Europe/Dublin", "2025-10-26 02:00:00", "2025-10-26 02:00:00"),
        ("Europe/Dublin", "2025-03-30 01:30:00", "2025-03-30 01:30:00"),
        ("Africa/Casablanca", "2025-02-23 02:30:00", "2025-02-23 01:30:00"),
        ("Australia/Sydney", "2045-12-29 19:40:02", "2045-12-29 08:40:02"),
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
    """The second look at an hour gives what the first one gave."""
    sydney = zone_named("Australia/Sydney")
    before = datetime.fromisoformat("2025-04-06 01:50:00")
    times = [before + timedelta(minutes=5) * step for step in range(60)]
    assert [sydney.to_utc(moment) for moment in times] == [sydney.to_utc(moment) for moment in times]
    assert [zone_named("Australia/Sydney").to_utc(moment) for moment in reversed(times)] == [
        sydney.to_utc(moment) for moment in reversed(times)
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
    """Found by its hour or by its minute; where offsets have seconds, and where a time can't be moved."""
    zone = zone_named(name)
    for minute in [*minutes, *(quarter + 1 for quarter in minutes), 0, 7, 14, 15, 23]:
        local = datetime(year, 1, 1) + timedelta(minutes=minute % (365 * 24 * 60), seconds=minute % 60)  # noqa: DTZ001
        moment = zone_named(name).to_utc(local)
        text = zone.utc_text(local.isoformat(" "))
        if moment.second != local.second:
            assert text is None
        elif text is not None or year not in (1, 9999):  # times that can't be moved take more care
            assert text == moment.isoformat(" ")[:19]


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


def changes(rules: ZoneInfo) -> Iterator[datetime]:
    """Yield the first minute (UTC) after each change of a zone's offset from 2000 to 2037."""
    before = datetime(2000, 1, 1, tzinfo=UTC)
    while before.year < 2038:
        after = before + timedelta(days=1)
        if before.astimezone(rules).utcoffset() != after.astimezone(rules).utcoffset():
            minutes = [before + timedelta(minutes=minute) for minute in range(1, 24 * 60 + 1)]
            offset = before.astimezone(rules).utcoffset()
            yield next(minute for minute in minutes if minute.astimezone(rules).utcoffset() != offset)
        before = after


@pytest.mark.parametrize(
    "name",
    [
        "America/St_Johns",
        "America/Goose_Bay",
        "America/Moncton",
        "Antarctica/Casey",
        "Asia/Gaza",
        "Asia/Hebron",
        "Australia/Lord_Howe",
        "Europe/Dublin",
    ],
)
def test_clock_may_change_at_any_minute(name):
    """In some zones it does so at one minute past: each time around is what the standard library says."""
    rules, zone = ZoneInfo(name), zone_named(name)
    for change in changes(rules):
        for minutes in (-181, -180, -61, -60, -59, -31, -30, -15, -2, -1, 0, 1, 2, 14, 15, 29, 59, 60, 61):
            around = (change + timedelta(minutes=minutes)).astimezone(rules).replace(tzinfo=None)
            for local in (around, around + timedelta(hours=1)):
                first, second = (local.replace(tzinfo=rules, fold=fold).astimezone(UTC) for fold in (0, 1))
                assert zone.to_utc(local) == first, local
                assert zone.occurs_twice(local) is (second > first), local
                expected = None if second > first else first.isoformat(" ")[:19]
                assert zone.utc_text(local.isoformat(" ")) == expected, local


MOMENTS = [
    "2025-12-29 19:40:02",
    "2025-07-01 19:40:02",
    "2025-04-06 02:30:00",
    "2025-10-05 02:30:00",
    "2002-04-02 00:00:00",
    "2025-10-31 12:00:00",
]
"""Local times in both halves of a year, in the hours that Sydney's clock passes twice and never, and where
the rules of zones that are equal now were others."""


@pytest.fixture
def clock(monkeypatch):
    """Return what sets this machine's clock by `TZ`; `None`: by files that stand for the usual ones."""

    def is_set(setting: str | None, clock_file: Path | None = None, name_file: Path | None = None) -> None:
        monkeypatch.setattr(zone, "_CLOCK", str(clock_file))
        monkeypatch.setattr(zone, "_CLOCK_NAME", str(name_file))
        monkeypatch.setenv("TZ", str(clock_file) if setting is None else setting)
        time.tzset()
        if setting is None:  # the C library goes on by the file
            monkeypatch.delenv("TZ")

    yield is_set
    monkeypatch.undo()
    time.tzset()


needs_tzset = pytest.mark.skipif(not hasattr(time, "tzset"), reason="no clock that can be set by TZ")


def as_the_clock_has_it(local: str) -> datetime:
    """Return a local time in UTC as the C library converts it."""
    return datetime.fromtimestamp(datetime.fromisoformat(local).timestamp(), UTC)


@needs_tzset
@pytest.mark.parametrize(
    ("setting", "recorded"),
    [
        ("Australia/Sydney", "Australia/Sydney"),
        (":Australia/Sydney", "Australia/Sydney"),
        ("/usr/share/zoneinfo/Australia/Sydney", "Australia/Sydney"),
        (":/usr/share/zoneinfo/Australia/Sydney", "Australia/Sydney"),
        ("posix/Australia/Sydney", None),
        ("right/Australia/Sydney", None),
        ("UTC", "UTC"),
        ("Etc/GMT+5", "Etc/GMT+5"),
        ("EST5EDT", "EST5EDT"),
        ("JST-9", "JST-9"),
        (":JST-9", "JST-9"),
        ("UTC+3", "UTC+3"),
        ("EST5EDT,M3.2.0,M11.1.0", "EST5EDT,M3.2.0,M11.1.0"),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", "AEST-10AEDT,M10.1.0,M4.1.0/3"),
        ("AEST-10AEDT", None),
        ("<+11>-11", "<+11>-11"),
        ("<+0330>-3:30", "<+0330>-3:30"),
        ("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", None),
        ("nonsense", "UTC"),
        ("Mars/Olympus", "UTC"),
        ("/no/such/file", "UTC"),
        (":", "UTC"),
        ("", "UTC"),
    ],
)
def test_zone_that_nobody_named_is_that_of_the_clock(clock, setting, recorded):
    """Whatever `TZ` holds, times are read as the clock shows them, and so they are by the recorded name."""
    clock(setting)
    found = machine_zone()
    assert found.name == recorded or recorded is None
    for local in MOMENTS:
        moment = datetime.fromisoformat(local)
        assert found.to_utc(moment) == as_the_clock_has_it(local)
        assert zone_recorded(found.name).to_utc(moment) == as_the_clock_has_it(local)


@needs_tzset
@pytest.mark.parametrize(
    ("rules", "called", "recorded"),
    [
        ("Australia/Brisbane", "Australia/Sydney", "local"),
        ("Europe/Athens", "Asia/Jerusalem", "local"),
        ("America/New_York", "America/Havana", "local"),
        ("Australia/Sydney", "Australia/Sydney", "Australia/Sydney"),
        ("Australia/Sydney", "", "local"),
        ("Australia/Sydney", "no zone at all", "local"),
        ("Etc/UTC", "Australia/Sydney", "UTC"),
    ],
)
def test_stale_name_beside_the_clock_is_not_believed(clock, tmp_path, rules, called, recorded):
    """Beside a copy of some rules, a name of others that are equal in half of the year, or but for days."""
    file, name = tmp_path / "localtime", tmp_path / "timezone"
    try:
        file.write_bytes(Path("/usr/share/zoneinfo", rules).read_bytes())
    except OSError:
        pytest.skip("no zones in their usual place here")
    name.write_text(f"{called}\n", encoding="ascii")
    clock(None, file, name)
    found = machine_zone()
    assert found.name == recorded
    for local in MOMENTS:
        assert found.to_utc(datetime.fromisoformat(local)) == as_the_clock_has_it(local)


@needs_tzset
def test_link_to_the_clocks_rules_gives_their_name(clock, tmp_path):
    """However many links lead there; what /etc/timezone says is not asked then."""
    link, name = tmp_path / "localtime", tmp_path / "timezone"
    (tmp_path / "further").symlink_to("/usr/share/zoneinfo/Australia/Sydney")
    link.symlink_to(tmp_path / "further")
    name.write_text("Europe/Paris\n", encoding="ascii")
    clock(None, link, name)
    assert machine_zone().name == "Australia/Sydney"


@needs_tzset
def test_slim_rules_are_read(clock, monkeypatch, tmp_path):
    """Files of zones may be slim, without the part that older programs read."""
    fat = Path("/usr/share/zoneinfo/Australia/Sydney")
    if not fat.exists():
        pytest.skip("no zones in their usual place here")
    second = fat.read_bytes().index(b"TZif", 4)
    old_style = b"TZif2" + bytes(15) + b"".join(n.to_bytes(4, "big") for n in (0, 0, 0, 0, 1, 1)) + bytes(7)
    slim = tmp_path / "zoneinfo" / "Australia" / "Sydney"
    slim.parent.mkdir(parents=True)
    slim.write_bytes(old_style + fat.read_bytes()[second:])
    monkeypatch.setattr(zone, "_FOLDERS", (str(tmp_path / "zoneinfo"),))
    zoneinfo.reset_tzpath([str(tmp_path / "zoneinfo")])
    zoneinfo.ZoneInfo.clear_cache()
    clock(str(slim))
    assert as_the_clock_has_it("2025-12-29 19:40:02") == utc("2025-12-29 08:40:02")
    try:
        for found in (machine_zone(), zone_named("Australia/Sydney")):
            assert found.name == "Australia/Sydney"
            assert found.to_utc(datetime.fromisoformat("2025-12-29 19:40:02")) == utc("2025-12-29 08:40:02")
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()


def test_only_a_zone_with_a_name_can_be_asked_for():
    """What is recorded of a machine that has no name is none that a message may advise to give."""
    assert [is_named(name) for name in ("Australia/Sydney", "EST5EDT", "UTC")] == [True, True, True]
    assert [is_named(name) for name in ("local", "JST-9", "AEST-10AEDT,M10.1.0,M4.1.0/3")] == [
        False,
        False,
        False,
    ]
    for unnamed in ("JST-9", "XYZ3"):
        with pytest.raises(UsageMistake):
            zone_named(unnamed)


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "JST-9:", "<+11", "AEST-10AEDT", "AEST-10AEDT,M1", "-3", "\0"]
)
def test_zone_that_a_database_names_and_nobody_knows_is_refused(name):
    """Times would be read as any: the log is named instead, and left."""
    with pytest.raises(UsageMistake):
        zone_recorded(name)


@pytest.mark.parametrize(
    ("name", "other", "same"),
    [("UTC", "Etc/UTC", True), ("Zulu", "Etc/UCT", True), ("UTC", "GMT", False), ("local", "local", True)],
)
def test_names_of_utc_are_one_zone(name: str, other: str, same: bool) -> None:
    """A machine may call it `Etc/UTC`, a person `UTC`: no reason to warn."""
    assert is_same_zone(name, other) is same
