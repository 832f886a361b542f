"""The two clocks of a container's log: that of its own prefix, which is exact, and the executor's.

Where both stand in one line the exact one settles an hour that occurs twice, and shows a zone that is wrong.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ingest.reading.zone import Zone
from parsers.prefix import times_of
from parsers.records import Stamp

_APART = timedelta(minutes=5)
"""How much later a container may take a line than it was written; zones differ by a quarter of an hour."""


NO_SUCH_TIME = "time out of range"
"""Why an event is a reject whose time UTC has no year for: what is not moved there would be false."""


def moment_of_line(zone: Zone, line: bytes, stamp: Stamp) -> datetime | None:
    """Return the aware UTC time of a line whose time is known as it was logged; `None`: UTC has none."""
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
