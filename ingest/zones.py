"""New logs that were read in this machine's zone, since nobody named one: maybe it was only forgotten."""

from __future__ import annotations

import sqlite3

from ingest.reading.zone import is_same_zone
from ingest.summary import IngestOptions, Summary

_ZONES = "SELECT timezone, COUNT(*) FROM log_sources WHERE state <> 'imported' GROUP BY timezone"


class Unasked:
    """The logs of one run whose zone was not asked for."""

    def __init__(self, options: IngestOptions) -> None:
        """Begin with none."""
        self._options = options
        self._logs: list[str] = []

    def note(self, stored_path: str, shown: str) -> None:
        """Note a log that became a source of its own."""
        if self._options.zone_asked_of(stored_path) is None:
            self._logs.append(shown)

    def tell(self, connection: sqlite3.Connection, summary: Summary) -> None:
        """Warn if every other log of the database was read in another zone."""
        if not self._logs:
            return
        ours, others = 0, {}
        for zone, count in connection.execute(_ZONES):
            if is_same_zone(zone, self._options.zone.name):
                ours += count
            else:
                others[zone] = count
        if not others or ours > len(self._logs):
            return
        usual = max(others, key=lambda zone: others[zone])
        count = sum(others.values())
        what = "1 new log" if len(self._logs) == 1 else f"{len(self._logs):,} new logs"
        before = "the only one before was" if count == 1 else f"all {count:,} before were"
        summary.warnings.append(
            f"{self._logs[0]}: {what} read as {self._options.zone.name}, this machine's zone, since none was "
            f"named; {before} read as {', '.join(sorted(others))}: name the executor's with --tz {usual}, or "
            f"as `zone` in tokentail.toml; `tokentail backfill --full --tz {usual} LOGS` mends what was read"
        )
