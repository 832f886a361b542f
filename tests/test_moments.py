"""Times as a person types them: every form that has one meaning, and no other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from commandline.moments import FORMS, parse_since, parse_until
from ingest.cli import cli
from ingest.errors import UsageMistake

NOW = datetime(2026, 3, 1, 12, 34, 56, 789, tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)


def utc(text: str) -> datetime:
    """Read a time that is certain."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-01-14", "2026-01-14", "2026-01-15"),
        ("2026-01-14T09", "2026-01-14 09:00", "2026-01-14 10:00"),
        ("2026-01-14T09:30", "2026-01-14 09:30", "2026-01-14 09:31"),
        ("2026-01-14 09:30", "2026-01-14 09:30", "2026-01-14 09:31"),
        ("2026-01-14 09:30:05", "2026-01-14 09:30:05", "2026-01-14 09:30:06"),
        ("2026-01-14 09:30:05.25", "2026-01-14 09:30:05.250000", "2026-01-14 09:30:05.250001"),
        ("2026-01-14T09:30Z", "2026-01-14 09:30", "2026-01-14 09:31"),
        ("2026-01-14T09:30:00+11:00", "2026-01-13 22:30", "2026-01-13 22:30:01"),
        ("2026-01-14T09:30:00-0330", "2026-01-14 13:00", "2026-01-14 13:00:01"),
        ("2026-01-14 23:59+00:00", "2026-01-14 23:59", "2026-01-15 00:00"),
        ("today", "2026-03-01", "2026-03-02"),
        ("yesterday", "2026-02-28", "2026-03-01"),
        ("now", "2026-03-01 12:34:56.000789", "2026-03-01 12:34:56.000789"),
        ("0d", "2026-03-01 12:34:56.000789", "2026-03-01 12:34:56.000789"),
        ("30m", "2026-03-01 12:04:56.000789", "2026-03-01 12:04:56.000789"),
        ("12h", "2026-03-01 00:34:56.000789", "2026-03-01 00:34:56.000789"),
        ("7d", "2026-02-22 12:34:56.000789", "2026-02-22 12:34:56.000789"),
        ("2w", "2026-02-15 12:34:56.000789", "2026-02-15 12:34:56.000789"),
    ],
)
def test_each_form_has_its_first_moment_and_the_moment_after_its_last(
    text: str, since: str, until: str
) -> None:
    """`--since` takes the first moment of what was typed, `--until` goes on to its end: a day is whole."""
    assert (parse_since(text, NOW), parse_until(text, NOW)) == (utc(since), utc(until))


@pytest.mark.parametrize("form", FORMS.replace(", or ", ", ").replace(" or ", ", ").split(", "))
def test_forms_that_the_message_names_are_read(form: str) -> None:
    """Whoever follows the advice of the message gets a time."""
    text = form.removesuffix(" (ago)")
    assert parse_since(text, NOW) < parse_until(text, NOW) or text[-1] in "hdw"


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("1h", ["1 hour", "1 hr", "1 hours", "1h ago", "1 hour ago", " 1H ", "01h", "60m", "60 minutes ago"]),
        ("5m", ["5 min", "5mins", "5 minute", "5 minutes", "5 Minutes Ago"]),
        ("7d", ["7 days", "7 day ago", "7days", "1w", "1 week", "1 weeks ago", "168h"]),
    ],
)
def test_ways_of_saying_how_long_ago_agree(short: str, long: list[str]) -> None:
    """Units may be spelt out, in any case, with `ago` after them or not."""
    assert {parse_since(text, NOW) for text in (short, *long)} == {parse_since(short, NOW)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "later",
        "tomorrow",
        "monday",
        "last week",
        "10",
        "2026",
        "2026-01",
        "May",
        "14.01.2026",
        "01/14/2026",
        "20260114",
        "2026-W03-1",
        "09:30",
        "-7d",
        "+7d",
        "1.5h",
        "7",
        "d",
        "7dd",
        "7 d d",
        "7d 3h",
        "７d",
        "6 months",
        "3mo",
        "10 ms",
        "1 millennium",
        "7 dogs",
        "2 years",
        "10s",
        "7d  ago",
        "999999w",
        "9999999d",
        "2026-02-29",
        "2026-13-01",
        "2026-00-10",
        "2026-04-31",
        "0000-01-01",
        "2026-01-14T",
        "2026-01-14T24:01",
        "2026-01-14T09:60",
        "2026-01-14T09:30:60",
        "2026-01-14T0930",
        "2026-01-14T09:3",
        "2026-01-14T09:30:00,5",
        "2026-01-14T09:30:00.",
        "2026-01-14_09:30",
        "2026-01-14-09:30",
        "2026-01-14+11:00",
        "2026-01-14Z",
        "2026-01-14t09:30",
        "2026-01-14T09:30z",
        "2026-01-14T09:30 +11:00",
        "2026-01-14T09:30+99:00",
        "2026-01-14T09:30 AEST",
        "2026-01-14T09:30[Australia/Sydney]",
        "2026-01-14 09:30 UTC",
        "2026-01-14 to 2026-01-15",
        "2026-01-14\n2026-01-15",
        "٢٠٢٦-٠١-١٤",
        "0001-01-01T00:00+11:00",
        "9999-12-31T23:59-11:00",
    ],
)
def test_what_has_not_one_meaning_is_refused_and_the_forms_are_named(text: str) -> None:
    """A guess would show a report about other events: the message says what to write instead."""
    for parse in (parse_since, parse_until):
        with pytest.raises(UsageMistake, match="no time that has one meaning") as caught:
            parse(text, NOW)
        assert FORMS in str(caught.value)
        assert repr(text) in str(caught.value)


@given(st.dates(max_value=date(9999, 12, 30)))
@example(date(2024, 2, 29))
@example(date(2026, 2, 28))
@example(date(2025, 12, 31))
@example(date(1, 1, 1))
def test_a_day_is_from_midnight_to_the_next_midnight(day: date) -> None:
    """At the end of months, years and leap years as on any other day: 24 hours, in UTC."""
    since, until = parse_since(day.isoformat(), NOW), parse_until(day.isoformat(), NOW)
    assert since == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert until == since + timedelta(days=1)
    assert until.date() == day + timedelta(days=1)


@pytest.mark.parametrize("text", ["9999-12-31", "9999-12-31T23:59", "9999-12-31 23:59:59.999999"])
def test_the_last_day_of_all_has_an_end(text: str) -> None:
    """`9999-12-31`, which people write for "for ever", is no overflow."""
    assert parse_until(text, NOW) == LAST


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001 - aware below
    st.integers(-23 * 60, 23 * 60),
)
def test_an_offset_is_taken_away(moment: datetime, minutes: int) -> None:
    """A time with an offset is the same moment in UTC, to the microsecond."""
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = parse_since(aware.isoformat(), NOW)
    assert found == aware
    assert found.tzinfo is UTC


@given(st.integers(0, 999_999), st.sampled_from("mhd"))
def test_ago_is_counted_from_now(count: int, unit: str) -> None:
    """So many minutes, hours or days before now exactly, and never after it."""
    seconds = {"m": 60, "h": 3600, "d": 86400}[unit] * count
    if seconds < (NOW - datetime.min.replace(tzinfo=UTC)).total_seconds():
        assert parse_since(f"{count}{unit}", NOW) == NOW - timedelta(seconds=seconds)
        assert parse_until(f"{count}{unit}", NOW) == NOW - timedelta(seconds=seconds)


PIECES = ("2026-01-14", "2026-02-30", "9999-12-31", "0001-01-01", "T", " ", "09", ":30", ":05", ".5", "Z")
MORE = (
    "+11:00",
    "-00:30",
    "+24:00",
    "7",
    "d",
    "w",
    "months",
    " ago",
    "now",
    "today",
    "\0",
    "é",
    "\n",
    "-",
    ",",
)


@given(st.one_of(st.text(max_size=12), st.lists(st.sampled_from(PIECES + MORE), max_size=6).map("".join)))
def test_no_text_gives_a_naive_time_or_another_error(text: str) -> None:
    """Whatever is typed is an aware time in UTC, the first not after the second, or a refusal."""
    found, refusal = read(text)
    assert found or FORMS in refusal
    if found:
        assert found[0].utcoffset() == found[1].utcoffset() == timedelta(0)
        assert found[0] <= found[1]


def read(text: str) -> tuple[tuple[datetime, datetime] | None, str]:
    """Read a time both ways, or return why it was refused."""
    try:
        return (parse_since(text, NOW), parse_until(text, NOW)), ""
    except UsageMistake as error:
        return None, str(error)


@pytest.fixture
def sydney(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put this process into a time zone with daylight saving."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Australia/Sydney")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("sydney")
@pytest.mark.skipif(not hasattr(time, "tzset"), reason="zones of a process are POSIX")
def test_the_machines_own_zone_and_its_daylight_saving_are_irrelevant() -> None:
    """The day on which the clocks change has 24 hours, and `today` is UTC's, not the machine's."""
    assert time.localtime(0).tm_gmtoff == 10 * 3600 or time.localtime(0).tm_gmtoff == 11 * 3600
    for text in ("2025-10-05", "2026-04-05", "2026-04-05T02:30", "2025-10-05T02:30"):
        assert parse_since(text, NOW) == utc(text)
    assert parse_until("2026-04-05", NOW) - parse_since("2026-04-05", NOW) == timedelta(days=1)
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)  # the next day in Sydney
    assert parse_since("today", late) == utc("2026-03-01")


def test_now_in_another_zone_is_the_same_now() -> None:
    """`today` is UTC's day also where now is given in a zone that has another date already."""
    now = datetime(2026, 3, 2, 10, 0, tzinfo=timezone(timedelta(hours=11)))
    assert parse_since("today", now) == utc("2026-03-01")
    assert parse_since("1d", now) == utc("2026-02-28 23:00")


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_mistyped_time_is_wrong_use(option: str) -> None:
    """The command leaves with 2, names the option, what was typed and what may be."""
    done = CliRunner().invoke(cli, ["coverage", option, "6 months"])
    assert (done.exit_code, done.stdout) == (2, "")
    for part in (option, "'6 months'", "2026-01-14", "7d"):
        assert part in done.stderr
