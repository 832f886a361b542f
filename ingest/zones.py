"""In which zones the logs of one run are read, where a person may have meant another.

A log keeps the zone that it was read in first; a new one gets this machine's, if nobody named one.
"""

from __future__ import annotations

import sqlite3

from ingest.reading.zone import is_same_zone
from ingest.summary import IngestOptions, Summary

_ZONES = "SELECT timezone, COUNT(*) FROM log_sources WHERE state <> 'imported' GROUP BY timezone"


class Zones:
    """What is noted of the zones of one run's logs."""

    def __init__(self, options: IngestOptions) -> None:
        """Begin with none."""
        self._options = options
        self._new: list[str] = []
        self._kept: dict[tuple[str, str], list[str]] = {}

    def note_new(self, stored_path: str, shown: str) -> None:
        """Note a log that became a source of its own."""
        if self._options.zone_asked_of(stored_path) is None:
            self._new.append(shown)

    def note_known(self, stored_path: str, shown: str, zone: str) -> None:
        """Note a log whose source has a zone already."""
        asked = self._options.zone_asked_of(stored_path)
        if asked is not None and not is_same_zone(zone, asked):
            self._kept.setdefault((zone, asked), []).append(shown)

    def tell(self, connection: sqlite3.Connection, summary: Summary) -> None:
        """Warn of logs that keep another zone than was asked for, and of new ones that got an unusual one."""
        for (zone, asked), logs in self._kept.items():
            more = f" and {len(logs) - 1:,} more" if len(logs) > 1 else ""
            summary.warnings.append(
                f"{logs[0]}{more}: times stay read as {zone}, as they were the first time, "
                f"not as {asked} (`tokentail backfill --full --tz ZONE` changes it)"
            )
        if self._new:
            self._tell_unusual(connection, summary)

    def _tell_unusual(self, connection: sqlite3.Connection, summary: Summary) -> None:
        ours, others = 0, {}
        for zone, count in connection.execute(_ZONES):
            if is_same_zone(zone, self._options.zone.name):
                ours += count
            else:
                others[zone] = count
        if not others or ours > len(self._new):
            return
        usual = max(others, key=lambda zone: others[zone])
        count = sum(others.values())
        what = "1 new log" if len(self._new) == 1 else f"{len(self._new):,} new logs"
        before = "the only one before was" if count == 1 else f"all {count:,} before were"
        summary.warnings.append(
            f"{self._new[0]}: {what} read as {self._options.zone.name}, this machine's zone, since none was "
            f"named; {before} read as {', '.join(sorted(others))}: name the executor's with --tz {usual}, or "
            f"as `zone` in tokentail.toml; `tokentail backfill --full --tz {usual} LOGS` mends what was read"
        )
