"""The two clocks of a container's log: the container's, with an exact offset, and the executor's local one.

A line with both times shows which of two readings of a local time is meant, and whether the zone is wrong.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ingest.reading.zone import Zone
from parsers.prefix import times_of
from parsers.records import Stamp

_APART = timedelta(minutes=5)
"""How much later a container may log a line; wrong zones differ by a quarter of an hour at least."""


NO_SUCH_TIME = "time out of range"
"""The reason of a reject whose time in UTC is before the year 1 or after 9999."""


def moment_of_line(zone: Zone, line: bytes, stamp: Stamp) -> datetime | None:
    """Return the aware UTC time of a line, from its time as logged; `None` if it is out of range in UTC."""
    if stamp.moment.tzinfo is None and zone.occurs_twice(stamp.moment):
        times = times_of(line)
        if times is not None:
            return zone.to_utc_near(stamp.moment, times[0].moment)
    return zone.in_utc(stamp.moment)


def what_the_zone_leaves(zone: Zone, line: bytes) -> str | None:
    """Say how far the two times of a line are apart, if the zone doesn't explain it."""
    times = times_of(line)
    if times is None:
        return None
    exact, local = times
    moment = zone.to_utc_near(local.moment, exact.moment)
    apart = abs(moment - exact.moment)
    if apart <= _APART:
        return None
    return (
        f"the container's own prefix says {exact.text}, the executor's {local.text}, which as {zone.name} is "
        f"{moment:%Y-%m-%d %H:%M:%S} UTC: {apart - apart % timedelta(seconds=1)} apart; if it ran in another "
        "zone, `tokentail backfill --full --tz ZONE` corrects it"
    )
