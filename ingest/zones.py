"""Warn where the logs of one run are read in another zone than a person may have meant.

A log keeps the zone that it was read in first; a new one gets this machine's, if nobody named one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from ingest.errors import UsageMistake
from ingest.files.logfile import LogFile
from ingest.files.paths import STANDARD_INPUT, quoted
from ingest.linking.timestamps import moment_of, time_text
from ingest.notices import Notice
from ingest.reading.batch import TwoReadings
from ingest.reading.zone import LOCAL, Zone, is_named, is_same_zone, zone_recorded
from ingest.summary import IngestOptions

_ZONES = "SELECT timezone, COUNT(*) FROM log_sources WHERE state <> 'imported' GROUP BY timezone"

_MOST_LOGS, _MOST_EVENTS = 20, 4
"""How many new logs are looked at, and how many events at either end of each, where zones differ."""

_MOST_READINGS = 1_000
"""How many events of a log in an hour that occurs twice are looked for at its other reading."""

_NEWEST_SOURCE = "SELECT MAX(source_id), timezone FROM log_sources WHERE path = ?"
_EVENTS = """
SELECT event_id, timestamp FROM token_estimation_v2_events WHERE event_id IN (
    SELECT * FROM (SELECT event_id FROM event_sightings WHERE source_id = :source_id
                   ORDER BY byte_offset LIMIT :most)
    UNION SELECT * FROM (SELECT event_id FROM event_sightings WHERE source_id = :source_id
                         ORDER BY byte_offset DESC LIMIT :most))
ORDER BY timestamp
"""
_SEEN_AT_ANOTHER_TIME = """
SELECT source.path FROM token_estimation_v2_events AS event
JOIN token_estimation_v2_events AS other ON other.timestamp = :timestamp
    AND other.timestamp_text = event.timestamp_text
    AND other.predicted_output_tokens = event.predicted_output_tokens
    AND other.actual_output_tokens = event.actual_output_tokens
    AND (other.category, other.complexity, other.model) IS (event.category, event.complexity, event.model)
JOIN event_sightings AS seen ON seen.event_id = other.event_id
JOIN log_sources AS source ON source.source_id = seen.source_id
"""
_AT_THE_OTHER_TIME = _SEEN_AT_ANOTHER_TIME + "WHERE event.event_id = :event_id AND source.timezone = :zone"
_AT_THE_OTHER_READING = (
    _SEEN_AT_ANOTHER_TIME
    + """
WHERE event.timestamp = :own AND source.path <> :path AND EXISTS (
    SELECT 1 FROM event_sightings JOIN log_sources USING (source_id)
    WHERE event_id = event.event_id AND path = :path)
"""
)


class _Twice(NamedTuple):
    """A new log whose events are stored already, from another log that was read in another zone."""

    log: LogFile
    source_id: int
    zone: str
    other: str
    other_zone: str
    apart: timedelta


class Zones:
    """The zones of one run's logs."""

    def __init__(self, options: IngestOptions) -> None:
        """Begin with no log."""
        self._options = options
        self._new: list[LogFile] = []
        self._unasked: list[LogFile] = []
        self._kept: dict[tuple[str, str], list[LogFile]] = {}
        self._two_readings: dict[LogFile, list[TwoReadings]] = {}

    def add_new(self, log: LogFile) -> None:
        """Add a log that became a source of its own."""
        self._new.append(log)
        if self._options.zone_asked_of(log.stored_path) is None:
            self._unasked.append(log)

    def add_known(self, log: LogFile, zone: str) -> None:
        """Add a log whose source has a zone already."""
        asked = self._options.zone_asked_of(log.stored_path)
        if asked is not None and not is_same_zone(zone, asked):
            self._kept.setdefault((zone, asked), []).append(log)

    def add_two_readings(self, log: LogFile, readings: list[TwoReadings]) -> None:
        """Add the times of a log's new events that are in an hour that occurs twice."""
        if readings:
            known = self._two_readings.setdefault(log, [])
            known += readings[: _MOST_READINGS - len(known)]

    def notices(self, connection: sqlite3.Connection) -> Iterator[Notice]:
        """Warn of logs that keep another zone than was asked for, and of new ones that got an unusual one.

        Also of logs that have the events of another log at another time.
        """
        yield from self._read_otherwise(connection)
        for (zone, asked), logs in self._kept.items():
            more = f" and {len(logs) - 1:,} more" if len(logs) > 1 else ""
            text = (
                f"{logs[0].shown}{more}: times stay read as {zone}, as they were the first time, "
                f"not as {asked} (`tokentail backfill --full --tz ZONE` changes it)"
            )
            yield Notice("warning", "kept-zone", logs[0].shown, text)
        twice = list(self._twice(connection)) if self._new else []
        if twice:
            yield _at_two_times(twice)
        elif self._unasked:
            yield from self._unusual(connection)

    def _twice(self, connection: sqlite3.Connection) -> Iterator[_Twice]:
        """Yield new logs some of whose events are stored at the times, too, that another zone gives them."""
        zones = [str(zone) for zone, _ in connection.execute(_ZONES)]
        for log in self._new[:_MOST_LOGS] if len(zones) > 1 else ():
            source_id, zone = connection.execute(_NEWEST_SOURCE, [log.stored_path]).fetchone()
            others = [other for other in zones if source_id is not None and not is_same_zone(other, zone)]
            found = (_event_of(connection, log, source_id, zone, other) for other in others)
            yield from list(filter(None, found))[:1]

    def _read_otherwise(self, connection: sqlite3.Connection) -> Iterator[Notice]:
        """Warn of logs of which other logs' events are stored at the other reading of their time."""
        said: set[str] = set()
        for log, twice in self._two_readings.items():
            found = {
                readings: str(path)
                for readings in twice
                for own, timestamp in (readings, readings[::-1])
                for (path,) in connection.execute(
                    _AT_THE_OTHER_READING, {"own": own, "timestamp": timestamp, "path": log.stored_path}
                )
            }
            if not found or log.stored_path in said:  # of a pair one is enough
                continue
            said.update(found.values())
            (first, last), other = next(iter(found.items()))
            text = (
                f"{log.shown}: tells events of {other} in an hour that occurs twice, and only one of the two "
                "has a container's own prefix, which shows the time: they are there twice, "
                f"{moment_of(last) - moment_of(first)} apart; if one is a copy, `tokentail sources forget` "
                "takes out the one without such a prefix"
            )
            yield Notice("warning", "two-readings", log.shown, text)

    def _unusual(self, connection: sqlite3.Connection) -> Iterator[Notice]:
        ours, others = 0, {}
        for zone, count in connection.execute(_ZONES):
            if zone == LOCAL or is_same_zone(zone, self._options.zone.name):  # whatever its name is now
                ours += count
            else:
                others[zone] = count
        if not others or ours > len(self._unasked):
            return
        usual = max(others, key=lambda zone: (is_named(zone), others[zone]))
        usual = usual if is_named(usual) else "ZONE"
        count = sum(others.values())
        new = self._unasked
        what = "1 new log" if len(new) == 1 else f"{len(new):,} new logs"
        before = "the only one before was" if count == 1 else f"all {count:,} before were"
        text = (
            f"{new[0].shown}: {what} read as {self._options.zone.name}, this machine's zone, since "
            f"none was named; {before} read as {', '.join(sorted(others))}: name the executor's with --tz "
            f"{usual}, or as `zone` in tokentail.toml; `tokentail backfill --full --tz {usual} LOGS` mends "
            "what was read"
        )
        yield Notice("warning", "new-zone", new[0].shown, text)


def _event_of(
    connection: sqlite3.Connection, log: LogFile, source_id: int, zone: str, other: str
) -> _Twice | None:
    """Find an event of a source that another source has, too, read in another zone and so at another time."""
    with suppress(UsageMistake):  # this machine doesn't know every zone
        own, others = zone_recorded(zone), zone_recorded(other)
        sample = connection.execute(_EVENTS, {"source_id": source_id, "most": _MOST_EVENTS}).fetchall()
        for event_id, text in sample:
            moment = moment_of(text)
            elsewhere = _elsewhere(moment, own, others)
            values = {"event_id": event_id, "timestamp": time_text(elsewhere), "zone": other}
            found = connection.execute(_AT_THE_OTHER_TIME, values).fetchone() if elsewhere != moment else None
            if found is not None:
                return _Twice(log, source_id, zone, found[0], other, abs(elsewhere - moment))
    return None


def _elsewhere(moment: datetime, own: Zone, other: Zone) -> datetime:
    """Return the moment at which clocks of the other zone show what those of its own show at this one."""
    return other.to_utc(own.to_local(moment))


def _at_two_times(found: list[_Twice]) -> Notice:
    first, *others = found
    others = [twice for twice in others if twice.log.stored_path != first.other]  # of a pair one is enough
    more = f" (and so of {len(others):,} more new logs)" if others else ""
    zone = first.other_zone if is_named(first.other_zone) else "ZONE"
    mends = (
        f"`tokentail sources forget {first.source_id}` takes it out"
        if first.log.stored_path == STANDARD_INPUT
        else f"`tokentail backfill --full --tz {zone} {quoted(first.log.path)}` reads it as that is"
    )
    text = (
        f"{first.log.shown}: read as {first.zone}, but it tells events of {first.other}, which was read as "
        f"{first.other_zone}: they are there twice, {first.apart} apart{more}; if it is a part of a copy, "
        f"{mends}"
    )
    return Notice("warning", "two-zones", first.log.shown, text)
