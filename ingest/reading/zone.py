"""Time zones: from local times without an offset to UTC. The one module that talks to dateutil.

An hour that occurs twice takes its first reading; an hour that doesn't exist is moved past the
gap, as a clock that was set wrong would be.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import NamedTuple

from dateutil import tz

from ingest.errors import UsageMistake

_UTC = frozenset({"UTC", "UCT", "Zulu", "Universal", "Etc/UTC", "Etc/UCT", "Etc/Zulu", "Etc/Universal"})
_MAX_REMEMBERED = 10_000
"""Quarters and minutes that are remembered: a hostile log may name every one there is."""

_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")


class Minute(NamedTuple):
    """A minute in UTC: its start, that up to the seconds as text and as bytes, and its digits alone."""

    start: datetime
    shown: str
    text: bytes
    digits: str


class Zone:
    """A time zone with its name; offsets are remembered by quarter of an hour.

    No zone in the database changes its offset but at a whole quarter of an hour, and looking an
    offset up costs a hundred times more than adding it.
    """

    def __init__(self, name: str, rules: tzinfo) -> None:
        """Name a zone for which `rules` are known; see `zone_named` and `machine_zone`."""
        self.name = name
        self._rules = rules
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
            offset = self._offset(moment)
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
        try:
            return self._minutes[text]
        except KeyError:
            if len(self._minutes) > _MAX_REMEMBERED:
                self._minutes.clear()
            found = self._minutes[text] = self._minute(text.decode("ascii"))
            return found

    def _minute(self, text: str) -> Minute | None:
        try:
            start = self.to_utc(datetime.fromisoformat(f"{text}:00"))
        except ValueError:
            return None
        if start.second or start.microsecond:
            return None
        shown = f"{start.isoformat(' ', 'minutes')[:16]}:"
        return Minute(start, shown, shown.encode("ascii"), "".join(filter(str.isdigit, shown)))

    def _offset(self, moment: datetime) -> timedelta:
        try:
            local = moment.replace(tzinfo=self._rules, fold=0)
            existing = tz.resolve_imaginary(local)
            return (existing.utcoffset() or timedelta(0)) - (existing - local)
        except (OverflowError, ValueError, OSError):
            return timedelta(0)


def zone_named(name: str) -> Zone:
    """Find a zone by its IANA name (`Australia/Sydney`, `UTC`).

    Raises:
        UsageMistake: no such zone is known on this machine.
    """
    try:  # a path is no name, though dateutil would open it
        rules = tz.gettz(name) if _NAME.fullmatch(name) else None
    except (ValueError, OSError):
        rules = None
    if rules is None or isinstance(rules, tz.tzstr):  # rules spelled out are no name either
        raise UsageMistake(f"unknown time zone {name!r}: give an IANA name such as Australia/Sydney or UTC")
    return Zone(name, rules)


def is_same_zone(one: str, other: str) -> bool:
    """Whether two names are of one zone, as far as that is plain: UTC has many."""
    return one == other or {one, other} <= _UTC


def machine_zone() -> Zone:
    """Return this machine's zone, by its IANA name where the machine tells one."""
    for name in _machine_zone_names():
        with suppress(UsageMistake):
            return zone_named(name)
    return Zone("local", tz.tzlocal())


def _machine_zone_names() -> list[str]:
    names = [os.environ.get("TZ", "").lstrip(":")]
    link = Path("/etc/localtime")
    if link.is_symlink():
        names.append(str(link.resolve()).partition("zoneinfo/")[2])
    with suppress(OSError, UnicodeDecodeError):
        names.append(Path("/etc/timezone").read_text(encoding="ascii").strip())
    return [name for name in names if name and not name.startswith("/")]


def zone_recorded(name: str) -> Zone:
    """Find the zone that a source was first read with (`local` is the machine's own)."""
    return Zone("local", tz.tzlocal()) if name == "local" else zone_named(name)
