"""Read times as a person types them: `2026-01-14`, `2026-01-14 09:30`, `7d`, `yesterday`.

Only forms with one meaning are read. A time without an offset is in the given zone, else in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from ingest.errors import UsageMistake
from ingest.reading.zone import Zone

_AGO = re.compile(r"(\d{1,6}) ?(m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)(?: ?ago)?", re.ASCII)
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
"""Seconds."""

_DATED = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII)
_CLOCK = re.compile(r"[T ]\d\d(:\d\d(:\d\d(\.\d+)?)?)?")
_DAY = timedelta(days=1)

FORMS = "2026-01-14, 2026-01-14T09:30, 2026-01-14T09:30:00+11:00, today, yesterday, 12h, 7d or 2w (ago)"
"""What a message about a time proposes; `now`, minutes and the long names of units are read as well."""

_SPAN = re.compile(r"(?:\d{1,6}(?:\.\d+)?[smhdw])+", re.ASCII)
_SPAN_PART = re.compile(r"([\d.]+)([smhdw])")
_SPAN_UNITS = {"s": 1, **_UNITS}


def parse_span(text: str) -> timedelta:
    """Read a span of time: `90s`, `15m`, `1h30m`, `2d`, `1w`.

    Raises:
        UsageMistake: it is no span; the message says how one is written.
    """
    asked = text.strip().lower().replace(" ", "")
    if not _SPAN.fullmatch(asked):
        raise UsageMistake(f"{text!r} is no span of time: write for example 90s, 15m, 1h, 1h30m or 2d")
    return timedelta(
        seconds=sum(float(count) * _SPAN_UNITS[unit] for count, unit in _SPAN_PART.findall(asked))
    )


def span_text(seconds: float) -> str:
    """Write a span as people do, in its two largest units, the rest cut off: `2 h 3 min`."""
    left = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def parse_since(text: str, now: datetime, zone: Zone | None = None) -> datetime:
    """Return the first moment of what was typed, in UTC; `now` is aware, a `zone` of `None` is UTC.

    Raises:
        UsageMistake: it has no single meaning; the message names the forms that have.
    """
    return _parse(text, now, zone)[0]


def parse_until(text: str, now: datetime, zone: Zone | None = None) -> datetime:
    """Return the first moment after what was typed, in UTC: after a day, an hour, a minute as a whole.

    Raises:
        UsageMistake: as in `parse_since`.
    """
    first, length = _parse(text, now, zone)
    if length == _DAY and zone is not None:  # a day on which clocks change is not of 24 hours
        return zone.to_utc(zone.to_local(first) + length)
    return first + min(length, datetime.max.replace(tzinfo=UTC) - first)  # 9999-12-31 has no day after


def _parse(text: str, now: datetime, zone: Zone | None) -> tuple[datetime, timedelta]:
    """Return the first moment of what was typed, and how long that lasts: a day, an hour, ..., or no time."""
    asked = text.strip()
    try:
        if asked.lower() in ("today", "yesterday"):
            today = _local(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
            return _aware(today if asked.lower() == "today" else today - _DAY, zone), _DAY
        if asked.lower() == "now":
            return now, timedelta(0)
        if ago := _AGO.fullmatch(asked.lower()):
            return now - timedelta(seconds=int(ago[1]) * _UNITS[ago[2][0]]), timedelta(0)
        if _DATED.fullmatch(asked):
            moment = datetime.fromisoformat(asked)
            return _aware(moment, zone), _precision(asked)
    except (ValueError, OverflowError):
        pass  # no such day, or too long ago: reported below
    raise UsageMistake(f"{text!r} is no time that has one meaning: write for example {FORMS}")


def _local(moment: datetime, zone: Zone | None) -> datetime:
    """Return an aware moment as the zone's clocks show it, naive."""
    return moment.astimezone(UTC).replace(tzinfo=None) if zone is None else zone.to_local(moment)


def _aware(moment: datetime, zone: Zone | None) -> datetime:
    """Return a moment in UTC, aware; one without an offset is in the zone."""
    if zone is not None:
        return zone.to_utc(moment)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _precision(text: str) -> timedelta:
    clock = _CLOCK.search(text)
    if clock is None:
        return _DAY
    minute, second, fraction = clock.groups()
    if fraction:
        return timedelta(microseconds=1)
    if second:
        return timedelta(seconds=1)
    return timedelta(minutes=1) if minute else timedelta(hours=1)


Parse = Callable[[str, datetime, Zone | None], datetime]
"""`parse_since` or `parse_until`."""


def moment(parse: Parse) -> Callable[..., datetime | None]:
    """Return the callback of an option that is a time, read by `parse` in UTC."""

    def callback(_: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
        return moment_in(None, parse, parameter, text)

    return callback


def moment_in(
    zone: Zone | None, parse: Parse, parameter: click.Parameter, text: str | None
) -> datetime | None:
    """Read the text of an option that is a time.

    Raises:
        click.BadParameter: `parse` can't read it; the error names the option.
    """
    if text is None:
        return None
    try:
        return parse(text, datetime.now(UTC), zone)
    except UsageMistake as error:
        raise click.BadParameter(str(error), param=parameter) from error


def span(_: click.Context, __: click.Parameter, text: str | None) -> timedelta | None:
    """Read an option that is a span of time, by `parse_span`; the callback of such options.

    Raises:
        click.BadParameter: `parse_span` can't read it.
    """
    try:
        return None if text is None else parse_span(text)
    except UsageMistake as error:
        raise click.BadParameter(str(error)) from error
