"""In which zones the logs of one run are read, where a person may have meant another.

A log keeps the zone that it was read in first; a new one gets this machine's, if nobody named one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from ingest.files.logfile import LogFile
from ingest.notices import Notice
from ingest.reading.zone import LOCAL, is_named, is_same_zone
from ingest.summary import IngestOptions

_ZONES = "SELECT timezone, COUNT(*) FROM log_sources WHERE state <> 'imported' GROUP BY timezone"


class Zones:
    """The zones of one run's logs."""

    def __init__(self, options: IngestOptions) -> None:
        """Begin with no log."""
        self._options = options
        self._new: list[LogFile] = []
        self._kept: dict[tuple[str, str], list[LogFile]] = {}

    def add_new(self, log: LogFile) -> None:
        """Add a log that became a source of its own."""
        if self._options.zone_asked_of(log.stored_path) is None:
            self._new.append(log)

    def add_known(self, log: LogFile, zone: str) -> None:
        """Add a log whose source has a zone already."""
        asked = self._options.zone_asked_of(log.stored_path)
        if asked is not None and not is_same_zone(zone, asked):
            self._kept.setdefault((zone, asked), []).append(log)

    def notices(self, connection: sqlite3.Connection) -> Iterator[Notice]:
        """Warn of logs that keep another zone than was asked for, and of new ones that got an unusual one."""
        for (zone, asked), logs in self._kept.items():
            more = f" and {len(logs) - 1:,} more" if len(logs) > 1 else ""
            text = (
                f"{logs[0].shown}{more}: times stay read as {zone}, as they were the first time, "
                f"not as {asked} (`tokentail backfill --full --tz ZONE` changes it)"
            )
            yield Notice("warning", "kept-zone", logs[0].shown, text)
        if self._new:
            yield from self._unusual(connection)

    def _unusual(self, connection: sqlite3.Connection) -> Iterator[Notice]:
        ours, others = 0, {}
        for zone, count in connection.execute(_ZONES):
            if zone == LOCAL or is_same_zone(zone, self._options.zone.name):  # whatever it is called now
                ours += count
            else:
                others[zone] = count
        if not others or ours > len(self._new):
            return
        usual = max(others, key=lambda zone: (is_named(zone), others[zone]))
        usual = usual if is_named(usual) else "ZONE"
        count = sum(others.values())
        what = "1 new log" if len(self._new) == 1 else f"{len(self._new):,} new logs"
        before = "the only one before was" if count == 1 else f"all {count:,} before were"
        text = (
            f"{self._new[0].shown}: {what} read as {self._options.zone.name}, this machine's zone, since "
            f"none was named; {before} read as {', '.join(sorted(others))}: name the executor's with --tz "
            f"{usual}, or as `zone` in tokentail.toml; `tokentail backfill --full --tz {usual} LOGS` mends "
            "what was read"
        )
        yield Notice("warning", "new-zone", self._new[0].shown, text)
