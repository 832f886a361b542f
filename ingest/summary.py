"""The options of an ingest, and the summary of what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ingest.notices import Level, Notice

if TYPE_CHECKING:  # an ingest that finds nothing new needs none of it
    from ingest.files.folders import Folder
    from ingest.files.logfile import LogFile
    from ingest.reading.batch import Batch
    from ingest.reading.batch_builder import Watcher
    from ingest.reading.checkpoint import Counters
    from ingest.reading.unread import Unread
    from ingest.reading.zone import Zone
    from ingest.storing.store import StoreResult


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest.

    `zone` reads the times of sources that are new; `zone_asked` says that a person named it.
    `finished` logs have their unterminated last line counted. `full` reads every log from its start,
    whatever was read of it before. `jobs` processes read large logs; the workers of the Dask
    cluster at `scheduler` read new ones. `report` is called with the bytes
    read so far of those there are (compressed files count as they are on disk). `folders`, the nearest
    first, may name another zone for the logs below them, and a label. `prefix` is the template of what stands
    before the lines of sources that are new. A `watcher` sees each line that this process reads, which takes
    several times as long.
    """

    command: str
    zone: Zone
    zone_asked: bool = False
    finished: bool = False
    full: bool = False
    globs: tuple[str, ...] = ()
    wait_seconds: float = 0.0
    fail_on_reject: bool = False
    jobs: int = 1
    scheduler: str | None = None
    report: Callable[[int, int], None] | None = None
    folders: tuple[Folder, ...] = ()
    watcher: Watcher | None = None
    prefix: str | None = None

    def zone_of(self, stored_path: str) -> str:
        """Return the name of the zone in which a log is read that is new."""
        return self._zone_of_folder(stored_path) or self.zone.name

    def zone_asked_of(self, stored_path: str) -> str | None:
        """Return the zone that a person named for a log; `None`: nobody did."""
        return self._zone_of_folder(stored_path) or (self.zone.name if self.zone_asked else None)

    def _zone_of_folder(self, stored_path: str) -> str | None:
        if not self.folders:
            return None
        from ingest.files.folders import zone_for  # noqa: PLC0415 - most have no folders of their own

        return zone_for(self.folders, stored_path)


@dataclass(slots=True)
class LogCounts:
    """What was read of one log in a run: sightings, rejects, and how many lines have which new keys."""

    sightings: int = 0
    rejects: int = 0
    new_keys: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Summary:
    """What one ingest did. An event that it stored and then completed is new, not updated.

    `timezone` is the zone, or all of them, in which times were read; where none was, that of new logs.
    `notices` are about files; an earlier ingest has reported those with keys in `known_notices`. `by_log` has
    the counts of each log. `pruned` lines are older than what is kept.
    """

    database: str
    timezone: str
    database_is_new: bool = False
    exit_code: int = 0
    files: int = 0
    files_read: int = 0
    bytes_read: int = 0
    marker_lines: int = 0
    events_new: int = 0
    events_updated: int = 0
    further_sightings: int = 0
    rejects: int = 0
    pruned: int = 0
    quoted_lines: int = 0
    unread_lines: int = 0
    legacy_lines: int = 0
    calls_without_telemetry: int = 0
    notices: list[Notice] = field(default_factory=list)
    zones: list[str] = field(default_factory=list)
    known_notices: frozenset[tuple[str, str | None]] = frozenset()
    by_log: dict[str, LogCounts] = field(default_factory=dict, compare=False, repr=False)

    @property
    def problems(self) -> list[str]:
        """Files that could not be read, or not wholly."""
        return self._texts("problem")

    @property
    def warnings(self) -> list[str]:
        """What a person should look at: bytes may have been lost before they could be read."""
        return self._texts("warning")

    @property
    def notes(self) -> list[str]:
        """What is worth knowing."""
        return self._texts("note")

    def _texts(self, level: Level) -> list[str]:
        return [notice.text for notice in self.notices if notice.level == level]

    def values(self) -> dict[str, Any]:
        """Return everything by name, as JSON has it: notices as texts, by their levels."""
        counts = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _NO_COUNTS}
        return {**counts, "problems": self.problems, "warnings": self.warnings, "notes": self.notes}

    def troubles(self, only_new: bool = False) -> list[str]:
        """Return problems and warnings, problems first; or only those that no earlier ingest has reported."""
        return [
            notice.text
            for level in ("problem", "warning")
            for notice in self.notices
            if notice.level == level and not (only_new and notice.key in self.known_notices)
        ]

    def recorded(self) -> dict[str, int | str]:
        """Return what `ingest_runs` keeps of it, by the names of columns."""
        counts = {name: getattr(self, name) for name in _RECORDED}
        return {**counts, "problems": len(self.problems), "timezone": self.timezone}

    def notice(self, level: Level, code: str, path: str | None, text: str) -> None:
        """Add a notice."""
        self.notices.append(Notice(level, code, path, text))

    def read_as(self, zones: Iterable[str]) -> None:
        """Add the zones in which times were read."""
        self.zones += [zone for zone in zones if zone not in self.zones]
        self.timezone = ", ".join(self.zones) or self.timezone

    def count(self, stored: StoreResult) -> None:
        """Count what committed batches changed."""
        self.events_new += stored.events_new
        self.events_updated += stored.events_updated
        self.further_sightings += stored.further_sightings
        self.pruned += stored.pruned

    def add(self, batch: Batch, before: Counters, offset: int, log: LogFile) -> None:
        """Count what a committed batch read of a log, up to `offset`.

        The counters of its source stood at `before`.
        """
        counters = batch.counters
        self.read_as([batch.checkpoint.zone])
        self.files_read += batch.state != "reading"
        self.bytes_read += batch.bytes_read
        self.marker_lines += counters.marker_lines - before.marker_lines
        self.rejects += max(0, counters.rejects - before.rejects)  # what was cut may have become whole
        self.legacy_lines += counters.legacy_lines - before.legacy_lines
        self.calls_without_telemetry += counters.calls_without_telemetry - before.calls_without_telemetry
        self.quoted_lines += (counters.quoted_lines or 0) - (before.quoted_lines or 0)
        unread = (counters.unread_lines or 0) - (before.unread_lines or 0)
        self.unread_lines += unread
        if unread > 0 and batch.unread is not None:
            self._notice_unread(log.shown, counters.unread_lines or 0, batch.unread)
        self._add_notices(batch, before, log.shown)
        for remark in batch.remarks:
            self.notice("note", "changed-encoding", log.shown, remark)
        for warning in batch.warnings:
            self.notice("warning", "clocks", log.shown, warning)
        if batch.problem is not None:
            text = f"{batch.problem}: read up to offset {offset}, the rest when it is whole"
            if batch.state == "damaged":
                self.notice("problem", "damaged", log.shown, text)
            else:
                self.notice("warning", "unfinished", log.shown, text)
        if batch.state == "replaced":
            text = (
                f"{log.shown}: truncated or rewritten while it was read, after offset {offset}: "
                "read from its start"
            )
            self.notice("warning", "rewritten", log.shown, text)

    def _notice_unread(self, path: str, count: int, unread: Unread) -> None:
        """Add a notice that a log has marked lines that are not understood."""
        from ingest.reading.unread import unread_text  # noqa: PLC0415 - most logs have none

        self._replace_notice("warning", "unread", path, unread_text(path, count, unread))

    def _add_notices(self, batch: Batch, before: Counters, path: str) -> None:
        """Add notices that the events of a log have new keys, and that it brought only rejects."""
        counters = batch.counters
        if counters.marker_lines == before.marker_lines:
            return
        counts = self.by_log.setdefault(path, LogCounts())
        counts.sightings += counters.sightings - before.sightings
        counts.rejects += max(0, counters.rejects - before.rejects)
        for key, count in batch.new_keys.items():
            counts.new_keys[key] = counts.new_keys.get(key, 0) + count
        if counts.new_keys:
            from ingest.reading.unread import keys_text  # noqa: PLC0415 - most logs have none

            self._replace_notice("note", "new-keys", path, keys_text(path, counts.new_keys))
        lines = (
            "the only new marker line" if counts.rejects == 1 else f"all {counts.rejects:,} new marker lines"
        )
        rejected = f"{path}: {lines} became no event: `tokentail rejects` says why"
        self._replace_notice("warning", "only-rejects", path, None if counts.sightings else rejected)

    def _replace_notice(self, level: Level, code: str, path: str, text: str | None) -> None:
        """Replace the notice of a log with a code; without a text, only remove it."""
        self.notices = [notice for notice in self.notices if notice.key != (code, path)]
        if text is not None:
            self.notice(level, code, path, text)


_NO_COUNTS = ("notices", "by_log", "known_notices", "zones")
_RECORDED = (
    "files",
    "files_read",
    "bytes_read",
    "marker_lines",
    "events_new",
    "events_updated",
    "further_sightings",
    "rejects",
)
