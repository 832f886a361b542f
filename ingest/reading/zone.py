"""Time zones: from local times without an offset to UTC. The one module that talks to dateutil.

It does so when the first time is read: a run that finds nothing new needs a zone's name only. An
hour that occurs twice takes its first reading; an hour that doesn't exist is moved past the gap, as
a clock that was set wrong would be.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from types import ModuleType

from ingest.errors import UsageMistake

_UTC = frozenset({"UTC", "UCT", "Zulu", "Universal", "Etc/UTC", "Etc/UCT", "Etc/Zulu", "Etc/Universal"})
_MAX_REMEMBERED = 10_000
"""Hours and quarters that are remembered: a hostile log may name every one there is."""

_UNEVEN = "uneven"
_DAY = ((0, 0), (23, 45))
"""The first and the last quarter of a day."""

_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")

_LOCAL = "local"
"""What a machine's own zone is called that has no other name."""

_FOLDERS = ("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo")
"""Where systems keep their zones, and where dateutil looks first; then in the package `tzdata`."""


class Zone:
    """A time zone with its name.

    What was looked up is remembered: asking for an offset costs a hundred times more than adding it. No zone
    in the database changes its offset but at a whole quarter of an hour, and none does so twice on a day.
    """

    def __init__(self, name: str) -> None:
        """Name a zone that is known; see `zone_named` and `machine_zone`."""
        self.name = name
        self._rules: tzinfo | None = None
        self._offsets: dict[tuple[int, int, int, int, int], timedelta] = {}
        self._shown: dict[str, str] = {}

    def to_utc(self, moment: datetime) -> datetime:
        """Return the aware UTC time of a local (naive) one; an aware one keeps its own offset."""
        if moment.tzinfo is not None:
            try:
                return moment.astimezone(UTC)
            except OverflowError:  # the first and the last day that can be written down
                return moment.replace(tzinfo=UTC)
        offset = self._of_quarter(moment)
        try:
            return (moment - offset).replace(tzinfo=UTC)
        except OverflowError:
            return moment.replace(tzinfo=UTC)

    def utc_text(self, second: str) -> str | None:
        """Return `YYYY-MM-DD HH:MM:SS` of UTC for a local time of that form.

        `None` where there is no such time, or its seconds are others in UTC, as before zones were agreed.
        """
        hour = self._shown.get(second[:13]) or self._remember(second[:13])
        if hour != _UNEVEN:
            return hour + second[13:]
        minute = self._shown.get(second[:16]) or self._remember(second[:16])
        return None if minute == _UNEVEN else minute + second[16:]

    def _remember(self, beginning: str) -> str:
        """Look up an hour, or a minute, in UTC: `_UNEVEN` where what follows isn't the same there."""
        if len(self._shown) >= _MAX_REMEMBERED:
            self._shown.clear()
        shown = _UNEVEN
        with suppress(ValueError, OverflowError):
            start = datetime.fromisoformat(f"{beginning}:00"[:16])
            is_hour = len(beginning) == 13
            offset = self._of_hour(start) if is_hour else self._of_quarter(start)
            unit = timedelta(hours=1) if is_hour else timedelta(minutes=1)
            if offset is not None and not offset % unit:
                shown = (start - offset).isoformat(" ")[: len(beginning)]
        self._shown[beginning] = shown
        return shown

    def _of_hour(self, start: datetime) -> timedelta | None:
        """Return the offset of a whole hour; `None` where it changes within it."""
        first, last = (self._of_quarter(start.replace(hour=hour, minute=minute)) for hour, minute in _DAY)
        if first != last:
            first, last = (self._of_quarter(start.replace(minute=minute)) for minute in (0, 45))
        return first if first == last else None

    def _of_quarter(self, moment: datetime) -> timedelta:
        """Return the offset of the quarter of an hour that a local time is in."""
        quarter = (moment.year, moment.month, moment.day, moment.hour, moment.minute // 15)
        offset = self._offsets.get(quarter)
        if offset is None:
            offset = self._offset(datetime(*quarter[:4], 15 * quarter[4]))  # noqa: DTZ001 - local, as logged
            if len(self._offsets) >= _MAX_REMEMBERED:
                self._offsets.clear()
            self._offsets[quarter] = offset
        return offset

    def _offset(self, moment: datetime) -> timedelta:
        tz = _dateutil()
        if self._rules is None:
            self._rules = tz.tzlocal() if self.name == _LOCAL else _rules_of(self.name)
        try:
            local = moment.replace(tzinfo=self._rules, fold=0)
            existing: datetime = tz.resolve_imaginary(local)
            return (existing.utcoffset() or timedelta(0)) - (existing - local)
        except (OverflowError, ValueError, OSError):
            return timedelta(0)


def zone_named(name: str) -> Zone:
    """Find a zone by its IANA name (`Australia/Sydney`, `UTC`).

    Raises:
        UsageMistake: no such zone is known on this machine.
    """
    if not _is_installed(name):
        _rules_of(name)
    return Zone(name)


def _is_installed(name: str) -> bool:
    """Whether a zone's rules are seen where dateutil looks, so that it is sure to find them, now or later."""
    if not _NAME.fullmatch(name) or "PYTHONTZPATH" in os.environ:
        return False
    for folder in (*_FOLDERS, *(f"{path}/tzdata/zoneinfo" for path in sys.path)):
        with suppress(OSError), open(f"{folder}/{name}", "rb") as rules:
            return rules.read(4) == b"TZif"
    return False


def _rules_of(name: str) -> tzinfo:
    tz = _dateutil()
    try:  # a path is no name, though dateutil would open it
        rules: tzinfo | None = tz.gettz(name) if _NAME.fullmatch(name) else None
    except (ValueError, OSError):
        rules = None
    if rules is None or isinstance(rules, tz.tzstr):  # rules spelled out are no name either
        raise UsageMistake(
            f"unknown time zone {name!r}: {_meant(name)}give an IANA name such as Australia/Sydney or UTC"
        )
    return rules


def _meant(name: str) -> str:
    """Ask whether a zone was meant whose name is like one that there is none of, or ends so."""
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
    """Return dateutil's zones, imported with the first time that is read: see above."""
    from dateutil import tz  # noqa: PLC0415

    return tz


def names_of(name: str) -> frozenset[str]:
    """Return all names of a zone, as far as they are plain: UTC has many."""
    return _UTC if name in _UTC else frozenset({name})


def is_same_zone(one: str, other: str) -> bool:
    """Whether two names are of one zone, as far as that is plain."""
    return other in names_of(one)


def machine_zone() -> Zone:
    """Return this machine's zone, by its IANA name where the machine tells one."""
    for name in _machine_zone_names():
        with suppress(UsageMistake):
            return zone_named(name)
    return Zone(_LOCAL)


def _machine_zone_names() -> list[str]:
    names = [os.environ.get("TZ", "").lstrip(":")]
    if os.path.islink("/etc/localtime"):
        names.append(os.path.realpath("/etc/localtime").partition("zoneinfo/")[2])
    with suppress(OSError, UnicodeDecodeError), open("/etc/timezone", encoding="ascii") as told:
        names.append(told.read().strip())
    return [name for name in names if name and not name.startswith("/")]


def zone_recorded(name: str) -> Zone:
    """Find the zone that a source was first read with (`local` is the machine's own)."""
    return Zone(_LOCAL) if name == _LOCAL else zone_named(name)
