"""One ingest, from top to bottom: list the files, skip what is unchanged, recognise the others, read, write.

This is a library: it takes paths and options, returns a `Summary` and prints nothing. One bad file never ends
the run: it is named among the problems, and the others are read.

Most runs find nothing new. They open no log and query the database once. Modules for reading and writing are
therefore imported only in `read_changed` and what it calls.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingest.errors import (
    ClusterUnusable,
    DatabaseUnusable,
    LogUnfinished,
    LogUnreadable,
    LogVanished,
    NotALog,
)
from ingest.files.listing import Listed, Listing
from ingest.files.paths import STANDARD_INPUT, shown, stored_path
from ingest.files.urls import is_url
from ingest.memory import rare_garbage_collection
from ingest.notices import Level, Notice, notice_of
from ingest.reading.zone import is_same_zone, names_of
from ingest.storing import writes
from ingest.storing.database import StrPath, connected_for_writing, files_of, immediate, network_kind
from ingest.storing.first_look import SeenFile, bookkeeping_trouble, has_own_rows, seen_files
from ingest.storing.ingest_runs import begin_run, end_run, ingest_lock, keep_problems
from ingest.summary import IngestOptions, Summary

if TYPE_CHECKING:
    from ingest.files.logfile import FileState, LogFile
    from ingest.files.watch import Watch
    from ingest.pool import Pool
    from ingest.reading.batch import Batch
    from ingest.recognition import Reading
    from ingest.storing.store import SourceBatch, Store

LARGE_BYTES = 48 << 20
"""How many bytes several new logs must have for it to be worth starting other processes."""

TRIES = 3
"""How often a log is begun anew in one run while somebody rewrites it."""

GROUP_LOGS = 50
GROUP_ROWS = 2_000
GROUP_SECONDS = 0.5
"""How many short logs, or rows of them, share a transaction, since one costs as much as reading a short log;
and how long a log waits at most for others, unless reading the next one takes longer."""


def ingest(paths: Sequence[str], database: StrPath, options: IngestOptions) -> Summary:
    """Read logs into a database, each from where it was read last.

    Raises:
        DatabaseBusy: another ingest, or another writer, holds the database.
        DatabaseUnusable: the database cannot be used as it is.
    """
    is_new = not os.path.exists(database)
    if is_new and paths and not any(map(_may_be_there, paths)):
        os.getcwd()  # raises if the current folder is gone, which is then the reason to report
        return _nothing_there(paths, database, options)
    reads_pipe = STANDARD_INPUT in paths
    with held_for_ingest(database, options.wait_seconds, reads_pipe) as (connection, notices):
        mended = check_bookkeeping(connection, database, options.full)
        changed = changed_files(connection, options, Listing(paths, options.globs, files_of(database)))
        summary = Summary(str(database), options.zone.name, is_new, files=changed.listing.files)
        summary.notices += [*changed.listing.notices, *notices, *mended]
        match_own_rows(connection)
        with _recorded(connection, options, summary), rare_garbage_collection():
            read_changed(connection, options, changed, summary)
            summary.known_notices = keep_problems(connection, summary.notices, paths)
    return summary


def _may_be_there(path: str) -> bool:
    return path == STANDARD_INPUT or is_url(path) or os.path.lexists(path)


def _nothing_there(paths: Sequence[str], database: StrPath, options: IngestOptions) -> Summary:
    """Return a summary which says that no path exists, without making a database."""
    listing = Listing(paths, options.globs)
    summary = Summary(str(database), options.zone.name, exit_code=1, files=len(list(listing)))
    summary.notices += listing.notices
    return summary


@contextmanager
def held_for_ingest(
    database: StrPath, wait_seconds: float, reads_pipe: bool = False
) -> Iterator[tuple[sqlite3.Connection, list[Notice]]]:
    """Open the database for this ingest alone; also return notices about the file system that it is on.

    Raises:
        DatabaseBusy, DatabaseUnusable: as `ingest`.
    """
    network = network_kind(database)
    text = (
        f"{database}: on {network}, so kept with a rollback journal instead of WAL: slower, and "
        "readers and the ingest wait for each other; a local disk is better"
    )
    with (
        ingest_lock(database, wait_seconds, reads_pipe),
        connected_for_writing(database, network) as connection,
    ):
        yield connection, [Notice("note", "network", None, text)] if network else []


def check_bookkeeping(connection: sqlite3.Connection, database: StrPath, full: bool) -> list[Notice]:
    """Check whether somebody edited the bookkeeping of sources; a full run mends it and returns a notice.

    Raises:
        DatabaseUnusable: it is damaged, and this is no full run.
    """
    trouble = bookkeeping_trouble(connection)
    if trouble is None:
        return []
    if not full:
        raise DatabaseUnusable(
            f"{database}: {trouble}: changed by hand, or restored in part, so nothing was read: `tokentail "
            "backfill --full LOGS` mends it, or restore a copy"
        )
    with immediate(connection):
        writes.mend_bookkeeping(connection)
    return [
        Notice("warning", "bookkeeping", None, f"{database}: {trouble}: mended, by reading all logs again")
    ]


def match_own_rows(connection: sqlite3.Connection) -> None:
    """Match rows that the executor has written since the last run, if the database was adopted."""
    if has_own_rows(connection):
        from ingest.storing.executors_rows import import_own_rows  # noqa: PLC0415 - of an adopted database only

        with immediate(connection):
            import_own_rows(connection)


@contextmanager
def _recorded(connection: sqlite3.Connection, options: IngestOptions, summary: Summary) -> Iterator[None]:
    """Store a row for this invocation; that of a killed run stays unfinished."""
    ingest_run_id = begin_run(connection, options.command, summary.recorded())
    yield
    if summary.problems or (options.fail_on_reject and summary.rejects):
        summary.exit_code = 1
    end_run(connection, ingest_run_id, summary.recorded(), summary.exit_code)


# The files that may have changed


@dataclass(slots=True)
class ChangedFiles:
    """The files that are not plainly unchanged, in order; `put_off` are left for a later round."""

    listing: Listing
    is_watched: bool = False
    files: list[Listed] = field(default_factory=list)
    put_off: list[str] = field(default_factory=list)
    unchanged_bytes: int = 0


def changed_files(
    connection: sqlite3.Connection, options: IngestOptions, listing: Listing, watch: Watch | None = None
) -> ChangedFiles:
    """Look up every file without opening any; a `watch` remembers what a follow saw in earlier rounds."""
    changed = ChangedFiles(listing, is_watched=watch is not None)
    known = {} if options.full else _known_files(connection, options)
    for listed in listing:
        path, stored, state, _ = listed
        if watch is not None:
            watch.see(listed)
        file = known.get(stored)
        if state is not None and file == (
            stored,
            state.st_dev,
            state.st_ino,
            state.st_size,
            state.st_mtime_ns,
        ):
            changed.unchanged_bytes += state.st_size
        elif watch is None or watch.wants(listed, is_sure=file is None or file[0] != ""):
            changed.files.append(listed)
        else:
            changed.put_off.append(shown(path))
    return changed


def _known_files(connection: sqlite3.Connection, options: IngestOptions) -> dict[str, SeenFile]:
    if not any(folder.zone for folder in options.folders):
        zones = names_of(options.zone.name) if options.zone_asked else None
        return seen_files(connection, options.finished, zones)
    known = seen_files(connection, options.finished, None)
    for path, zone in connection.execute("SELECT path, timezone FROM log_sources"):
        asked = options.zone_asked_of(path)
        if asked is not None and not is_same_zone(zone, asked):
            known.pop(path, None)
    return known


# Reading and writing


def read_changed(
    connection: sqlite3.Connection,
    options: IngestOptions,
    changed: ChangedFiles,
    summary: Summary,
    store: Store | None = None,
) -> Store | None:
    """Read every log that has anything new, and count it in `summary`.

    Returns:
        The store that wrote it, for a follow's next round; `None` if there never was anything to write.
    """
    listing = changed.listing
    if changed.files or listing.missing:
        if store is None:
            from ingest.storing.store import Store  # noqa: PLC0415 - see above

            store = Store(connection, compares_all=options.full)
        _Run(store, options, changed, summary).read()
    elif options.report is not None:
        options.report(changed.unchanged_bytes, changed.unchanged_bytes)
    if listing.empty:
        from ingest.log_folders import with_emptied  # noqa: PLC0415 - most folders hold some

        summary.notices = with_emptied(connection, listing, summary.notices)
    if options.folders and (changed.files or not changed.is_watched):
        from ingest.log_folders import keep_labels  # noqa: PLC0415 - see above

        keep_labels(connection, options.folders)
    return store


class _Run:
    """One ingest run over the files that changed."""

    def __init__(self, store: Store, options: IngestOptions, changed: ChangedFiles, summary: Summary) -> None:
        from ingest.recognition import Recognition  # noqa: PLC0415 - see above
        from ingest.zones import Zones  # noqa: PLC0415

        self._store = store
        self._options = options
        self._changed = changed
        self._summary = summary
        self._zones = Zones(options)
        self._recognition = Recognition(store, options, self._zones)
        self._pool: Pool | None = None
        self._under_way: dict[int, tuple[Reading, FileState]] = {}
        self._identified: set[LogFile] = set()
        self._done_bytes = changed.unchanged_bytes
        self._under_way_bytes: dict[str, int] = {}
        self._total_bytes = 0
        self._group: list[tuple[SourceBatch, Reading]] = []
        self._group_rows = 0
        self._group_since = 0.0

    def read(self) -> None:
        """Read every log that has anything new, and look for sources whose files are missing."""
        try:
            self._read()
        except ClusterUnusable as error:
            self._summary.notices.append(notice_of(error, None))
        finally:
            try:
                self._commit_group()  # a run that is stopped keeps what it has read
            finally:
                self._store.wait()

    def _read(self) -> None:
        logs = dict(self._looked_up())
        self._recognition.assign(logs, self._changed.listing.met)
        self._total_bytes = self._done_bytes + sum(state.size_bytes for state in logs.values() if state)
        self._read_all(logs)
        self._read_replaced([log for log in logs if log in self._identified])
        self._commit_group()  # notices look at the sources as they are stored
        self._summary.notices += self._recognition.notices()
        self._summary.notices += self._zones.notices(self._store.connection)

    def _looked_up(self) -> Iterator[tuple[LogFile, FileState | None]]:
        """Yield the logs with their states; those that couldn't be looked up are tried once more."""
        from ingest.files.logfile import LogFile  # noqa: PLC0415 - see above

        met = self._changed.listing.met
        for path, stored, found, named in self._changed.files:
            log = LogFile(path, named=named, stored=stored)
            with self._noticed(log):
                state = None if log.is_stream else log.state(found)
                if found is not None or state is None or met.add(*state.number):
                    yield log, state

    def _read_all(self, logs: dict[LogFile, FileState | None]) -> None:
        """Read logs: new ones in a pool if there is one, and all others here in the meantime."""
        is_new = self._recognition.is_new
        new = [state.size_bytes for log, state in logs.items() if state and state.size_bytes and is_new(log)]
        first_notice = len(self._summary.notices)
        with ExitStack() as stack:
            pool = _pool_for(self._options, new)
            self._pool = stack.enter_context(pool) if pool is not None else None
            for number, (log, state) in enumerate(logs.items()):
                with self._noticed(log):
                    self._read_log(log, state, number)
                if number not in self._under_way:
                    self._report(state)
                self._write_received(wait=False)
            self._flush()
            if pool is not None:
                order = {log.shown: number for number, log in enumerate(logs)}
                said = self._summary.notices[first_notice:]
                said.sort(key=lambda notice: order.get(notice.path or "", len(order)))
                self._summary.notices[first_notice:] = [*said, *pool.notices()]
        self._pool = None

    def _report(self, state: FileState | None) -> None:
        """Report the progress of the run; `state` is that of a log whose reading has ended."""
        self._done_bytes += state.size_bytes if state is not None else 0
        if self._options.report is not None:
            under_way = sum(self._under_way_bytes.values())
            self._options.report(self._done_bytes + under_way, self._total_bytes)

    def _read_replaced(self, logs: Sequence[LogFile]) -> None:
        """Read the rest of sources that were at the logs' paths before, wherever they are, or report them."""
        from ingest.files.discover import Rotations  # noqa: PLC0415 - see above
        from ingest.files.logfile import LogFile  # noqa: PLC0415
        from ingest.recognition import places_of  # noqa: PLC0415

        rotations, listing = Rotations(), self._changed.listing
        folders = {stored_path(folder) for folder, _ in listing.folders}
        gone = (LogFile(path, named=False) for path in self._recognition.sources.vanished(folders))
        asked = [*logs, *map(LogFile, listing.missing), *gone]
        replaced = {log: self._recognition.replaced_sources(log) for log in asked}
        places: dict[LogFile, FileState | None] = {}
        for log, sources in replaced.items():
            for other in places_of(sources, log, rotations) if sources else ():
                with self._noticed(other, "elsewhere"):
                    there = other.state()
                    if listing.met.add(*there.number):
                        places[other] = there
        self._recognition.assign(places, listing.met)
        for other, state in places.items():
            with self._noticed(other, "elsewhere"):
                self._read_log(other, state)
        for log in logs:
            for source in replaced[log]:
                self._recognition.mark_gone(log, source)

    @contextmanager
    def _noticed(self, log: LogFile, code: str | None = None) -> Iterator[None]:
        """Report a log that can't be read, and go on with the others."""
        try:
            yield
        except (LogVanished, NotALog) as error:  # a problem only if a person named it
            level: Level = "problem" if log.named else "note"
            self._summary.notice(level, code or error.code, log.shown, str(error))
        except LogUnreadable as error:
            self._summary.notice("problem", code or error.code, log.shown, str(error))
        except LogUnfinished as error:
            text = f"{error}: the rest when it is whole"
            self._summary.notice("warning", code or error.code, log.shown, text)

    # One log

    def _read_log(self, log: LogFile, state: FileState | None, number: int = -1) -> None:
        """Read what is new in a log, here or in the pool, where `number` identifies it."""
        if log.is_stream and log.pipe is None:
            from ingest.files.pipe import piped  # noqa: PLC0415 - most read files

            with piped(log) as opened:
                self._read_log(opened, state)
            return
        self._store.wait()  # from here on the database is queried for sources
        reading = self._recognition.resume(log, state)
        if reading is None:
            self._identified.add(log)
            return
        if reading.is_new and self._pool is not None and state is not None and state.size_bytes:
            from ingest.pool import Task  # noqa: PLC0415 - see above

            zone = self._recognition.zone_of(reading)
            self._under_way[number] = (reading, state)
            prefix = self._recognition.prefix_of(reading)
            self._pool.submit(Task(number, log, state, zone, self._options.finished, prefix))
            return
        for batch in reading.batches or self._recognition.scanned(reading):
            self._add(reading, batch)
        self._finish(reading, state)

    def _write_received(self, wait: bool) -> None:
        """Write what has come from the pool so far; or wait, and write all that it was given to read."""
        while self._under_way and self._pool is not None:
            received = self._pool.take(wait)
            if received is None:
                return
            number, part = received
            reading, state = self._under_way[number]
            if not isinstance(part, tuple):  # a batch, and not its `End`
                self._add(reading, part)
                continue
            with self._noticed(reading.log):
                if not part.is_whole and (reading.last is None or reading.last.state == "reading"):
                    for batch in self._recognition.scanned(reading):
                        self._add(reading, batch)
                self._finish(reading, state)
            del self._under_way[number]
            self._report(state)

    def _finish(self, reading: Reading, state: FileState | None) -> None:
        """Begin a log anew if it was rewritten while it was read; then note that it is done."""
        self._under_way_bytes.pop(reading.log.shown, None)
        for _ in range(TRIES - reading.is_new):
            if reading.last is None or reading.last.state != "replaced":
                break
            reading.begin_anew()
            for batch in self._recognition.scanned(reading):
                self._add(reading, batch)
        if reading.is_new and reading.last is not None and reading.zone is None:
            self._zones.add_new(reading.log)
        if reading.reread and (text := self._recognition.remove_reread(reading)) is not None:
            self._summary.notice("note", "reread", reading.log.shown, text)
        if state is not None and (reading.last is not None or not state.size_bytes):
            self._identified.add(reading.log)

    # Group commit

    def _add(self, reading: Reading, batch: Batch) -> None:
        """Commit a batch with its checkpoint: at once, or together with other short logs."""
        from ingest.storing.store import SourceBatch  # noqa: PLC0415 - see above

        source_batch = SourceBatch(batch, reading.log, reading.source, reading.counters)
        self._zones.add_two_readings(reading.log, batch.rows.two_readings)
        if reading.last is None and self._may_share_commit(source_batch):
            self._add_to_group(source_batch, reading)
        else:
            self._commit_group()
            self._commit([(source_batch, reading)])
        reading.last, reading.counters = batch, batch.counters
        if self._options.report is not None and batch.state == "reading":
            self._under_way_bytes[reading.log.shown] = batch.disk_offset
            self._report(None)

    def _may_share_commit(self, source_batch: SourceBatch) -> bool:
        """Whether a batch may wait for others: it is short, all that its log has, and has no messages."""
        batch = source_batch.batch
        return (
            batch.state in ("complete", "unterminated")
            and len(batch.rows) < GROUP_ROWS
            and not (
                batch.problem
                or batch.remarks
                or batch.warnings
                or source_batch.log.is_stream
                or self._options.full
            )
        )

    def _add_to_group(self, source_batch: SourceBatch, reading: Reading) -> None:
        if not self._group:
            self._group_since = time.monotonic()
        self._group.append((source_batch, reading))
        self._group_rows += len(source_batch.batch.rows)
        if (
            len(self._group) >= GROUP_LOGS
            or self._group_rows >= GROUP_ROWS
            or time.monotonic() - self._group_since >= GROUP_SECONDS
        ):
            self._commit_group()

    def _flush(self) -> None:
        """Wait for the pool, and commit all that was read."""
        self._write_received(wait=True)
        self._commit_group()

    def _commit_group(self) -> None:
        waiting, self._group, self._group_rows = self._group, [], 0
        if waiting:
            self._commit(waiting)

    def _commit(self, source_batches: Sequence[tuple[SourceBatch, Reading]]) -> None:
        """Store and count batches, all or none."""
        stored = self._store.commit([source_batch for source_batch, _ in source_batches])
        for (source_batch, reading), source in zip(source_batches, stored.sources, strict=True):
            reading.source = source
            self._summary.add(source_batch.batch, source_batch.before, source.offset, source_batch.log)
        self._summary.count(stored)


def _pool_for(options: IngestOptions, new_bytes: Sequence[int]) -> Pool | None:
    """Return the pool that reads new logs of these sizes: a given cluster, other processes, or `None`."""
    if options.scheduler is not None:
        from ingest.cluster import Cluster  # noqa: PLC0415 - most runs need none

        return Cluster(options.scheduler)
    if options.jobs > 1 and len(new_bytes) > 1 and sum(new_bytes) >= LARGE_BYTES:
        from ingest.pool import Processes  # noqa: PLC0415 - as above

        return Processes(min(options.jobs, len(new_bytes)))
    return None
