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
from typing import NamedTuple

from ingest.errors import UsageMistake

_UTC = frozenset({"UTC", "UCT", "Zulu", "Universal", "Etc/UTC", "Etc/UCT", "Etc/Zulu", "Etc/Universal"})
_MAX_REMEMBERED = 10_000
"""Quarters and minutes that are remembered: a hostile log may name every one there is."""

_EDGES = (b"0001", b"9999")
"""The years in which not every time can be moved by an offset."""

_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")

_LOCAL = "local"
"""What a machine's own zone is called that has no other name."""

_FOLDERS = ("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo")
"""Where systems keep their zones, and where dateutil looks first; then in the package `tzdata`."""

_NO_QUARTER = (b"", 0)
_QUARTERS = {b"%02d" % minute: (b"%02d" % (minute - minute % 15), minute % 15) for minute in range(60)}
"""Which minute of an hour begins a minute's quarter, and how far behind it that minute is."""

_LATER = {
    (f"{first:02d}", behind): f"{first + behind:02d}" for first in range(0, 60, 15) for behind in range(15)
}
"""A minute of an hour by the one that begins its quarter, and how far behind it is."""


class Minute(NamedTuple):
    """A minute in UTC: seconds since the epoch, as text and bytes up to the seconds, its digits."""

    seconds: float
    shown: str
    text: bytes
    digits: str


class Zone:
    """A time zone with its name; offsets are remembered by quarter of an hour.

    No zone in the database changes its offset but at a whole quarter of an hour, and looking an
    offset up costs a hundred times more than adding it.
    """

    def __init__(self, name: str) -> None:
        """Name a zone that is known; see `zone_named` and `machine_zone`."""
        self.name = name
        self._rules: tzinfo | None = None
        self._offsets: dict[tuple[int, int, int, int, int], timedelta] = {}
        self._minutes: dict[bytes, Minute | None] = {}

    def to_utc(self, moment: datetime) -> datetime:
        """Return the aware UTC time of a local (naive) one; an aware one keeps its own offset."""
        if moment.tzinfo is not None:
            try:
                return moment.astimezone(UTC)
            except OverflowError:  # the first and the last day that can be written down
                return moment.replace(tzinfo=UTC)
        quarter = (moment.year, moment.month, moment.day, moment.hour, moment.minute // 15)
        offset = self._offsets.get(quarter)
        if offset is None:
            offset = self._offset(datetime(*quarter[:4], 15 * quarter[4]))  # noqa: DTZ001 - local, as logged
            if len(self._offsets) > _MAX_REMEMBERED:
                self._offsets.clear()
            self._offsets[quarter] = offset
        try:
            return (moment - offset).replace(tzinfo=UTC)
        except OverflowError:
            return moment.replace(tzinfo=UTC)

    def minute(self, text: bytes) -> Minute | None:
        """Return the minute of UTC of a local one as logged, `YYYY-MM-DD HH:MM`.

        `None` where there is no such time, or its seconds are others in UTC, as before zones were agreed.
        """
        found = self._minutes.get(text, _UNSEEN)
        if found is _UNSEEN:
            if len(self._minutes) > _MAX_REMEMBERED:
                self._minutes.clear()
            found = self._minutes[text] = self._minute(text)
        return found

    def seconds(self, text: bytes) -> float:
        """Return the seconds since the epoch of a local time, to the last bit as `datetime` has them.

        `text` begins with it as logged, `YYYY-MM-DD HH:MM:SS` or with `,mmm` behind; there is such a time.
        """
        thousandths = int(text[20:23]) if text[19:20] == b"," else 0
        minute = self.minute(text[:16])
        if minute is None:
            moment = datetime.fromisoformat(text[:19].decode("ascii"))
            return self.to_utc(moment.replace(microsecond=1_000 * thousandths)).timestamp()
        seconds = minute.seconds + int(text[17:19])
        return (int(seconds) * 1_000_000 + thousandths * 1_000) / 1_000_000 if thousandths else seconds

    def _minute(self, text: bytes) -> Minute | None:
        """Tell a minute by the first one of its quarter, whose offset it has; that is looked up once."""
        quarter, behind = _QUARTERS.get(text[14:], _NO_QUARTER)
        first = self.minute(text[:14] + quarter) if behind else None
        of_hour = None if first is None else _LATER.get((first.digits[10:], behind))
        if first is None or of_hour is None or text[:4] in _EDGES:  # it may be of the next hour
            return self._looked_up(text.decode("ascii"))
        shown = f"{first.shown[:14]}{of_hour}:"
        values = (first.seconds + 60 * behind, shown, shown.encode("ascii"), first.digits[:10] + of_hour)
        return tuple.__new__(Minute, values)

    def _looked_up(self, text: str) -> Minute | None:
        try:
            start = self.to_utc(datetime.fromisoformat(f"{text}:00"))
        except ValueError:
            return None
        if start.second or start.microsecond:
            return None
        shown = f"{start.isoformat(' ', 'minutes')[:16]}:"
        digits = f"{shown[:4]}{shown[5:7]}{shown[8:10]}{shown[11:13]}{shown[14:16]}"
        return Minute(start.timestamp(), shown, shown.encode("ascii"), digits)

    def _offset(self, moment: datetime) -> timedelta:
        from dateutil import tz  # noqa: PLC0415 - see above

        if self._rules is None:
            self._rules = tz.tzlocal() if self.name == _LOCAL else _rules_of(self.name)
        try:
            local = moment.replace(tzinfo=self._rules, fold=0)
            existing = tz.resolve_imaginary(local)
            return (existing.utcoffset() or timedelta(0)) - (existing - local)
        except (OverflowError, ValueError, OSError):
            return timedelta(0)


_UNSEEN = Minute(0.0, "", b"", "")


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
    from dateutil import tz  # noqa: PLC0415 - see above

    try:  # a path is no name, though dateutil would open it
        rules = tz.gettz(name) if _NAME.fullmatch(name) else None
    except (ValueError, OSError):
        rules = None
    if rules is None or isinstance(rules, tz.tzstr):  # rules spelled out are no name either
        raise UsageMistake(f"unknown time zone {name!r}: give an IANA name such as Australia/Sydney or UTC")
    return rules


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
