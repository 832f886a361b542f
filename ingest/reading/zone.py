"""Time zones: from local times without an offset to UTC. The one module that talks to dateutil.

Named zones are read by the standard library, from the system or the package `tzdata`: dateutil reads "slim"
files as UTC, and is wrong in zones whose winter time is the exception, as in Dublin. dateutil is used where
the system has no zones, and for rules that are spelled out. Both are imported when the first time is read: a
run that finds nothing new needs only a zone's name.

Of an hour that occurs twice the first reading is taken. An hour that doesn't exist is moved past the gap, as
if the clock had not been changed.

If no zone is named, it is that of this machine's clock. The machine's name for it is used only if its rules
give what the clock gives.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from types import ModuleType

from ingest.errors import UsageMistake

_UTC = frozenset({"UTC", "UCT", "Zulu", "Universal", "Etc/UTC", "Etc/UCT", "Etc/Zulu", "Etc/Universal"})
_MAX_REMEMBERED = 10_000
"""Days, hours and minutes that are cached: a hostile log may name every one there is."""

_UNEVEN = "uneven"
_LAST = (23, 59, 59, 999_999)
"""The hour, minute, second and microsecond at the end of a day."""

_NAME = r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*"
_SPELLED_NAME, _HOURS = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]+>)", r"[+-]?\d{1,2}(?::\d\d){0,2}"
_SPELLED_OUT = rf"{_SPELLED_NAME}{_HOURS}(?:{_SPELLED_NAME}(?:{_HOURS})?,[MJ0-9.,/:+-]+)?"
"""Rules as `TZ` may spell them out: `JST-9`, `AEST-10AEDT,M10.1.0,M4.1.0/3`, `<+0330>-3:30`."""

LOCAL = "local"
"""The name of a machine's own zone if it has no other."""

_CLOCK, _CLOCK_NAME = "/etc/localtime", "/etc/timezone"
"""The rules of this machine's clock if `TZ` is not set, and a file that may hold their name or an old one."""

_COMPARED_SECONDS = range(946_684_800, 1 << 31, 7 * 86_400)
"""The times at which rules are compared with the clock: each week from 2000 on, as far as 32 bits go."""

_MOST_BYTES = 1 << 20
"""More than the rules of any zone have."""

_FOLDERS = ("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo")
"""Where systems keep their zones, and where they are looked for first; then in the package `tzdata`."""


class Zone:
    """A time zone with its name.

    Offsets are cached, since looking one up costs a hundred times more than adding it: of a day, an hour or
    a minute as a whole, if its begin and its end have the same. A clock may change at any minute.
    """

    def __init__(self, name: str) -> None:
        """Name a zone that is known; see `zone_named` and `machine_zone`."""
        self.name = name
        self._rules: tzinfo | None = None
        self._offsets: dict[tuple[int, ...], timedelta | None] = {}
        self._shown: dict[str, str] = {}

    def to_utc(self, moment: datetime) -> datetime:
        """Return the aware UTC time of a local (naive) one; an aware one keeps its own offset.

        One for which `in_utc` gives `None` keeps its local reading.
        """
        return self.in_utc(moment) or moment.replace(tzinfo=UTC)

    def in_utc(self, moment: datetime) -> datetime | None:
        """Return the same; `None` if it is out of range, before the year 1 or after 9999 in UTC."""
        try:
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
            offset = self._offset_in(moment.year, moment.month, moment.day, moment.hour)
            return (moment - (self._offset(moment) if offset is None else offset)).replace(tzinfo=UTC)
        except (OverflowError, ValueError, OSError):
            return None

    def to_local(self, moment: datetime) -> datetime:
        """Return the naive local time of an aware moment."""
        try:
            if self.name == LOCAL:
                return datetime.fromtimestamp(moment.timestamp())  # noqa: DTZ006 - what the clock shows
            return moment.astimezone(self._found_rules()).replace(tzinfo=None)
        except (OverflowError, ValueError, OSError):  # on the first or the last day of the range
            return moment.astimezone(UTC).replace(tzinfo=None)

    def to_utc_last(self, moment: datetime) -> datetime:
        """Return the UTC time of a local one as `to_utc` does, but of two readings the last."""
        return self.to_utc(moment) + self._between_readings(moment)

    def to_utc_near(self, moment: datetime, exact: datetime) -> datetime:
        """Return the UTC time of a local one; of two readings the one that is nearer to an exact time."""
        readings = self.to_utc(moment), self.to_utc_last(moment)
        return min(readings, key=lambda reading: abs(reading - exact))

    def occurs_twice(self, moment: datetime) -> bool:
        """Whether a local time occurs twice, as when clocks go back in autumn."""
        return bool(self._between_readings(moment))

    def utc_text(self, second: str) -> str | None:
        """Return `YYYY-MM-DD HH:MM:SS` of UTC for a local time down to a second, as a prefix has it.

        `None` if there is no such time, or there are two, or its offset is no whole minute, as those before
        zones were agreed.
        """
        hour = self._shown.get(second[:13]) or self._remember(second[:13])
        if hour != _UNEVEN:
            return hour + second[13:]
        minute = self._shown.get(second[:16]) or self._remember(second[:16])
        return None if minute == _UNEVEN else minute + second[16:]

    def _remember(self, beginning: str) -> str:
        """Cache an hour, or a minute, in UTC: `_UNEVEN` if what follows it differs in UTC."""
        from parsers.prefix import moment_of  # noqa: PLC0415 - a run that finds nothing new reads no time

        if len(self._shown) >= _MAX_REMEMBERED:
            self._shown.clear()
        shown = _UNEVEN
        with suppress(ValueError, OverflowError, OSError):
            start = moment_of(f"{beginning}:00"[:16])
            is_hour = len(beginning) == 13
            numbers = (start.year, start.month, start.day, start.hour, start.minute)
            offset = self._offset_in(*numbers[: 4 if is_hour else 5])
            if offset is not None and not offset % timedelta(minutes=60 if is_hour else 1):
                shown = (start - offset).isoformat(" ")[: len(beginning)]
        self._shown[beginning] = shown
        return shown

    def _offset_in(self, *unit: int) -> timedelta | None:
        """Return the offset of a day, an hour or a minute (its numbers from the year on).

        `None` if the offset changes within it, or a part of it occurs twice.
        """
        if unit not in self._offsets:
            longer = self._offset_in(*unit[:-1]) if len(unit) > 3 else None
            offset = self._throughout(unit) if longer is None else longer
            if len(self._offsets) >= _MAX_REMEMBERED:
                self._offsets.clear()
            self._offsets[unit] = offset
        return self._offsets[unit]

    def _throughout(self, unit: tuple[int, ...]) -> timedelta | None:
        """Look up the same: what occurs twice ends with the unit or later, or the offset changes within."""
        with suppress(OverflowError, ValueError, OSError):
            begin = datetime(*unit, *(0,) * (5 - len(unit)))  # type: ignore[arg-type] # noqa: DTZ001 - local, as logged
            end = datetime(*unit, *_LAST[len(unit) - 3 :])  # type: ignore[arg-type] # noqa: DTZ001
            offset = self._offset(begin)
            if offset == self._offset(end) and offset <= self._offset(end, 1):
                return offset
        return None

    def _between_readings(self, moment: datetime) -> timedelta:
        """Return how much later the last reading of a time is; zero if there is only one."""
        if moment.tzinfo is None:
            with suppress(OverflowError, ValueError, OSError):
                if self._offset_in(moment.year, moment.month, moment.day, moment.hour) is None:
                    return max(self._offset(moment) - self._offset(moment, 1), timedelta(0))
        return timedelta(0)

    def _offset(self, moment: datetime, fold: int = 0) -> timedelta:
        """Return the offset of the first reading of a local time, or with a `fold` of the last one."""
        if self.name == LOCAL:
            seconds = moment.replace(fold=fold).timestamp()
            return moment - datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
        local = moment.replace(tzinfo=self._found_rules(), fold=fold)
        if hasattr(self._rules, "key"):  # it is of the standard library
            return local.utcoffset() or timedelta(0)
        existing: datetime = _dateutil().resolve_imaginary(local)
        return (existing.utcoffset() or timedelta(0)) - (existing - local)

    def _found_rules(self) -> tzinfo:
        if self._rules is None:
            self._rules = _recorded_rules(self.name)
        return self._rules


def zone_named(name: str) -> Zone:
    """Find a zone by its IANA name (`Australia/Sydney`, `UTC`).

    Raises:
        UsageMistake: no such zone is known on this machine.
    """
    if not _is_installed(name):
        _rules_of(name)
    return Zone(name)


def _is_installed(name: str) -> bool:
    """Whether a file with a zone's rules is where the libraries will look for it."""
    if not re.fullmatch(_NAME, name) or "PYTHONTZPATH" in os.environ:
        return False
    with suppress(OSError), open(_file_of(name), "rb") as rules:
        return rules.read(4) == b"TZif"
    return False


def _file_of(name: str) -> str:
    """Return the first file with the rules of a zone; an empty path if there is none."""
    folders = (*_FOLDERS, *(f"{path}/tzdata/zoneinfo" for path in sys.path))
    return next((file for folder in folders if os.path.isfile(file := f"{folder}/{name}")), "")


def _rules_of(name: str) -> tzinfo:
    if re.fullmatch(_NAME, name):  # a path is no name, though the libraries would open it
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - see above

        with suppress(ValueError, OSError, KeyError):
            return ZoneInfo(name)
        with suppress(ValueError, OSError):
            rules: tzinfo | None = _dateutil().gettz(name)  # it has zones of its own
            if rules is not None and not isinstance(
                rules, _dateutil().tzstr
            ):  # rules spelled out are no name
                return rules
    raise UsageMistake(
        f"unknown time zone {name!r}: {_meant(name)}give an IANA name such as Australia/Sydney or UTC"
    )


def _recorded_rules(name: str) -> tzinfo:
    """Return the rules of a zone by its name, or as `TZ` spells them out."""
    if _is_installed(name) or not re.fullmatch(_SPELLED_OUT, name):
        return _rules_of(name)
    try:
        spelled: tzinfo = _dateutil().tzstr(re.sub("<.*?>", "XXX", name), posix_offset=True)
    except (ValueError, TypeError, IndexError, AttributeError) as error:  # the library raises what it likes
        raise UsageMistake(f"time zone {name!r}: rules that are spelled out so are not read") from error
    return spelled


def _meant(name: str) -> str:
    """Return a question whether another zone was meant, with a similar name or the same ending."""
    from difflib import get_close_matches  # noqa: PLC0415 - once, before the end
    from zoneinfo import available_timezones  # noqa: PLC0415

    known = {zone.lower(): zone for zone in sorted(available_timezones())}
    asked = name.lower().replace(" ", "_")
    places = [zone for zone in known if zone.endswith(f"/{asked}")]
    likely = places[:1] or get_close_matches(asked, known, 1, 0.75)
    likely = likely or [
        zone
        for place in get_close_matches(
            asked.rpartition("/")[2], {zone.rpartition("/")[2] for zone in known}, 1
        )
        for zone in known
        if zone.endswith(f"/{place}")
    ]
    return f"did you mean {known[likely[0]]}? Else " if likely else ""


def _dateutil() -> ModuleType:
    """Return dateutil's zones: see above."""
    from dateutil import tz  # noqa: PLC0415

    return tz


def names_of(name: str) -> frozenset[str]:
    """Return all known names of a zone: UTC has many."""
    return _UTC if name in _UTC else frozenset({name})


def is_same_zone(name: str, other: str) -> bool:
    """Whether two names are known to be of one zone."""
    return other in names_of(name)


def is_named(zone: str) -> bool:
    """Whether a recorded zone has a name that a person may give: not `local`, nor rules spelled out."""
    return zone != LOCAL and not (re.fullmatch(_SPELLED_OUT, zone) and not _is_installed(zone))


def zone_recorded(name: str) -> Zone:
    """Find the zone that a source was first read in: a name, rules spelled out, or this machine's `local`.

    Raises:
        UsageMistake: this machine knows no zone of that name.
    """
    if name != LOCAL and not _is_installed(name):
        _recorded_rules(name)
    return Zone(name)


# The zone of this machine's clock


def machine_zone() -> Zone:
    """Return the zone of this machine's clock, by a name under which any later run finds the same one.

    That is the machine's IANA name, or the rules that `TZ` spells out; `local` if neither gives what the
    clock gives.
    """
    setting = os.environ.get("TZ")
    if setting is None:
        file, names = _CLOCK, [_name_of(_CLOCK), _name_in_text(_CLOCK_NAME)]
    else:
        setting = setting.removeprefix(":")
        file = os.path.join(os.environ.get("TZDIR") or _FOLDERS[0], setting)
        names = [_name_of(file)] if os.path.isabs(setting) else [setting, _name_of(file)]
    for name in (*filter(None, names), "UTC"):  # a clock that nobody set is at UTC
        if _is_of_file(name, file) or _is_of_clock(name):
            return Zone(name)
    return Zone(LOCAL)


def _name_of(file: str) -> str:
    """Return the name of a zone by the path of its rules, with links followed."""
    return os.path.realpath(file).partition("zoneinfo/")[2].removeprefix("posix/")


def _name_in_text(file: str) -> str:
    with suppress(OSError, UnicodeDecodeError), open(file, encoding="ascii") as text:
        return text.read().strip()
    return ""


def _is_of_file(name: str, file: str) -> bool:
    """Whether the rules of a name are those in the file that the clock reads."""
    if not _is_installed(name) or name.startswith("right/"):  # the clock counts leap seconds there
        return False
    with suppress(OSError), open(file, "rb") as clock, open(_file_of(name), "rb") as rules:
        return clock.read(_MOST_BYTES) == rules.read(_MOST_BYTES)
    return False


def _is_of_clock(name: str) -> bool:
    """Whether the rules of a name agree with this machine's clock at all times."""
    try:
        rules = UTC if name in _UTC else _recorded_rules(name)
        if rules is not UTC and isinstance(
            rules, _dateutil().tzlocal
        ):  # an abbreviation that holds only here
            return False
        weeks, changes = map(partial(_agrees_with_clock, rules), _COMPARED_SECONDS), _changes_of_clock()
        return all(weeks) and all(map(partial(_agrees_with_clock, rules), changes))
    except (UsageMistake, OSError, OverflowError, ValueError):
        return False


def _agrees_with_clock(rules: tzinfo, seconds: int) -> bool:
    clock = datetime.fromtimestamp(seconds)  # noqa: DTZ006 - what the clock shows is asked for
    return clock == datetime.fromtimestamp(seconds, rules).replace(tzinfo=None)


def _changes_of_clock() -> Iterator[int]:
    """Yield the last second before each change of the clock's offset, and the first one after it."""
    for start in _COMPARED_SECONDS:
        before, after = start, start + _COMPARED_SECONDS.step
        if _clock_offset(before) == _clock_offset(after):
            continue
        while after - before > 1:
            middle = (before + after) // 2
            is_before = _clock_offset(middle) == _clock_offset(start)
            before, after = (middle, after) if is_before else (before, middle)
        yield from (before, after)


def _clock_offset(seconds: int) -> int:
    return time.localtime(seconds).tm_gmtoff
