"""Follow logs as they grow: one turn of an ingest after another, whenever a look at the files says so.

A turn is that of `ingest.pipeline`: it lists files, looks which changed, and reads those. The database
stays open, and locked, from beginning to end. If it can't be used for a while, that is waited out.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Protocol

from ingest.errors import DatabaseBusy, DatabaseHeld, DatabaseUnusable, NoRoom, SchemaChanged, TokentailError
from ingest.files.listing import Listing
from ingest.files.paths import stored_path
from ingest.files.watch import POLL_SECONDS, Watch
from ingest.memory import rare_garbage_collection
from ingest.notices import Notice, StandingNotices, notice_of
from ingest.pipeline import (
    changed_files,
    check_bookkeeping,
    held_for_ingest,
    match_own_rows,
    read_changed,
)
from ingest.storing.database import StrPath, files_of
from ingest.storing.ingest_runs import begin_run, end_run, keep_problems
from ingest.summary import IngestOptions, Summary

if TYPE_CHECKING:  # a follow that finds nothing new needs none
    from ingest.storing.store import Store

BEAT_SECONDS, SOON_SECONDS = 15.0, 1.0
"""How often `ingest_runs` records that the follow is alive; and how soon that something new was read."""

RETRY_SECONDS, MAX_RETRY_SECONDS = 0.5, 30.0
"""How long to wait for a database that can't be used: twice as long each time."""

INTERRUPTED = 130


@dataclass(slots=True)
class TurnReport:
    """What one turn did: its counts, the notices that are new, the problems that are over."""

    summary: Summary
    mended: list[str] = field(default_factory=list)

    @property
    def is_worth_saying(self) -> bool:
        """Whether there is anything to report; lines without a marker are not reported."""
        found = self.summary
        counts = (found.events_new, found.events_updated, found.further_sightings, found.rejects)
        is_said = any(counts) or bool(found.notices or self.mended)
        return is_said or found.calls_without_telemetry > 0 or found.legacy_lines > 0


class Listener(Protocol):
    """Is called with what happens in a follow."""

    def begun(self, total: Summary) -> None:
        """Is called when the database is open, and nothing read yet."""

    def report(self, turn: TurnReport) -> None:
        """Is called after a turn in which there was something to report."""

    def beat(self, total: Summary) -> None:
        """Is called from time to time, when all that was read is committed."""

    def waits(self) -> None:
        """Is called again and again between turns; what it raises ends the follow."""


class _Hindered(TokentailError):
    """A turn could not be done; the next one may succeed."""

    code = "hindered"


class _Moved(_Hindered):
    """In the place of the database's file there is another file, or none."""

    code = "moved"


def follow(
    paths: Sequence[str],
    database: StrPath,
    options: IngestOptions,
    listener: Listener,
    idle_seconds: float | None = None,
) -> Summary:
    """Read logs as they grow; return what was done when nothing was new for `idle_seconds` (`None`: never).

    What is raised from outside, such as Ctrl-C, ends it too, after one more turn. The problems of what is
    returned are those that are left in the end.

    Raises:
        DatabaseHeld: another ingest holds the database when this one begins.
        DatabaseBusy, DatabaseUnusable: the database cannot be used, and waiting would not help, or did not
            for `idle_seconds`.
    """
    following = _Following(paths, database, options, listener, idle_seconds)
    while True:
        try:
            wait_seconds = 0.0 if following.has_begun else options.wait_seconds
            with held_for_ingest(database, wait_seconds) as (connection, notices):
                return following.run(connection, notices)
        except (DatabaseBusy, DatabaseUnusable, _Hindered) as error:
            if following.is_idle or not _may_pass(error, following.has_begun):
                raise
            following.say_trouble(error)
        following.wait_for_database()


def _may_pass(error: TokentailError, has_begun: bool) -> bool:
    """Whether a trouble may pass by itself: a lock, a full disk, a share that is away for a while."""
    if isinstance(error, DatabaseHeld | SchemaChanged):
        return has_begun and isinstance(error, DatabaseHeld)
    if isinstance(error, DatabaseUnusable) and not isinstance(error, NoRoom):
        if not has_begun:  # it may be a name that was mistyped
            return False
        return isinstance(error.__cause__, sqlite3.OperationalError | OSError)
    return True


class _Following:
    """One follow, however often its database has to be opened."""

    def __init__(
        self,
        paths: Sequence[str],
        database: StrPath,
        options: IngestOptions,
        listener: Listener,
        idle_seconds: float | None,
    ) -> None:
        self._paths = paths
        self._named = {stored_path(path) for path in paths}
        self._database = database
        self._options = options
        self._listener = listener
        self._idle_seconds = float("inf") if idle_seconds is None else idle_seconds
        self._total = Summary(str(database), options.zone.name, not os.path.exists(database))
        self._standing = StandingNotices()
        self._last_new = time.monotonic()
        self._watch = Watch()
        self._kept_problems = False
        self.has_begun = False
        self.retry_seconds = RETRY_SECONDS

    @property
    def is_idle(self) -> bool:
        """Whether nothing was new for so long that it is to end."""
        return time.monotonic() - self._last_new >= self._idle_seconds

    def run(self, connection: sqlite3.Connection, notices: list[Notice]) -> Summary:
        """Follow with an open database until nothing is new for long enough."""
        self._connection = connection
        self._notices = [*notices, *check_bookkeeping(connection, self._database, full=False)]
        self._store: Store | None = None
        self._watch = Watch()
        self._opened = self._identity()
        self._record = _Record(connection, self._options, self._total)
        if not self.has_begun:
            self.has_begun = True
            self._listener.begun(self._total)
        try:
            with rare_garbage_collection():
                self._loop()
        except Exception:
            raise
        except BaseException as signal:
            self._record.end(INTERRUPTED if isinstance(signal, KeyboardInterrupt) else 0)
            raise
        self._record.end(self._total.exit_code)
        return self._total

    def _loop(self) -> None:
        more = True
        while more:
            self._turn()
            try:
                more = self._waited()
            except Exception:
                raise
            except BaseException:  # asked to end: what was written before that is read, and what was put off
                self._watch = Watch()
                with suppress(TokentailError, sqlite3.Error):
                    self._turn()
                raise

    def _waited(self) -> bool:
        """Wait until another turn is due; say whether there is to be one."""
        while True:
            if self._record.beat():
                self._listener.beat(self._total)
            self._listener.waits()
            if self.is_idle and not self._watch.is_packing:
                return False
            time.sleep(POLL_SECONDS)
            if self._watch.is_due():
                return True

    # A turn

    def _turn(self) -> None:
        """Do one turn of an ingest, and report what is new in it."""
        if self._identity() != self._opened:
            raise _Moved(f"{self._database}: moved or deleted while it was in use: opened anew")
        watch, connection, options = self._watch, self._connection, self._options
        summary = Summary(str(self._database), options.zone.name)
        watch.begin()
        try:
            listing = Listing(self._paths, options.globs, files_of(self._database))
            changed = changed_files(connection, options, listing, watch)
        except OSError as error:  # the folder that we are in was deleted
            raise _Hindered(f"the logs can't be looked up: {error}") from error
        summary.files = listing.files
        summary.notices += [*listing.notices, *self._notices]
        is_done = False
        try:
            match_own_rows(connection)
            self._store = read_changed(connection, options, changed, summary, self._store)
            watch.end(listing, self._elsewhere())
            is_done = True
            self.retry_seconds = RETRY_SECONDS
        finally:  # what was read is stored, and said, though the rest could not be
            self._count(summary)
            self._say(summary, changed.put_off if is_done else None)

    def _elsewhere(self) -> list[str]:
        """Return other places of logs that were read at a named path: rotations, a link's old target."""
        return [real_path for real_path, path in self._connection.execute(_ELSEWHERE) if path in self._named]

    def _identity(self) -> tuple[int, int] | None:
        try:
            state = os.stat(self._database)
        except OSError:
            return None
        return (state.st_dev, state.st_ino)

    def _count(self, summary: Summary) -> None:
        """Add a turn's counts to the totals."""
        total = self._total
        for name in _COUNTED:
            setattr(total, name, getattr(total, name) + getattr(summary, name))
        total.files = summary.files
        total.read_as(summary.zones)
        if summary.files_read:
            self._last_new = time.monotonic()
            self._record.has_new = True

    def _say(self, summary: Summary, put_off: Collection[str] | None) -> None:
        """Report what is new in a turn that `put_off` some files; `None`: it failed, so nothing is over."""
        found = [notice for notice in summary.notices if not self._watch.expects(notice)]
        over = [] if put_off is None else self._standing.clear(found, put_off)
        summary.notices = self._standing.add(found)
        total = self._total
        total.notices = self._standing.problems
        if put_off is not None and (summary.notices or over or not self._kept_problems):
            self._kept_problems = True  # those of the run before this one, too
            keep_problems(self._connection, total.notices, self._paths)
        total.exit_code = int(bool(total.problems or (self._options.fail_on_reject and total.rejects)))
        turn = TurnReport(summary, [notice.text for notice in over if notice.level == "problem"])
        if turn.is_worth_saying:
            self._listener.report(turn)

    def wait_for_database(self) -> None:
        """Wait before the database is tried again: each time twice as long."""
        deadline = time.monotonic() + self.retry_seconds
        while time.monotonic() < deadline and not self.is_idle:
            self._listener.waits()
            time.sleep(POLL_SECONDS)
        self.retry_seconds = min(2 * self.retry_seconds, MAX_RETRY_SECONDS)

    def say_trouble(self, error: TokentailError) -> None:
        """Report once what hindered a turn."""
        summary = Summary(str(self._database), self._options.zone.name)
        summary.notices.append(notice_of(error, None, "warning" if isinstance(error, _Moved) else "problem"))
        self._say(summary, None)


class _Record:
    """The row of a follow in `ingest_runs`."""

    def __init__(self, connection: sqlite3.Connection, options: IngestOptions, total: Summary) -> None:
        """Record that it has begun; `total` is kept up to date by the follow."""
        self._connection, self._total = connection, total
        self._run_id = begin_run(connection, options.command, total.recorded())
        self._beaten_at = float("-inf")
        self.has_new = False

    def beat(self) -> bool:
        """Record that all is well, if it is time to; while there are problems, the last such time stays."""
        now = time.monotonic()
        if now < self._beaten_at + (SOON_SECONDS if self.has_new else BEAT_SECONDS):
            return False
        self._beaten_at, self.has_new = now, False
        total = self._total
        end_run(self._connection, self._run_id, total.recorded(), None, is_well=not total.problems)
        return True

    def end(self, exit_code: int) -> None:
        """Record how it ended."""
        with suppress(sqlite3.Error):  # nothing depends on this record
            end_run(self._connection, self._run_id, self._total.recorded(), exit_code)


_ELSEWHERE = """
SELECT real_path, path FROM log_sources
WHERE real_path <> path AND path <> '-' AND state NOT IN ('replaced', 'imported')
"""
_COUNTED = [
    field.name
    for field in fields(Summary)
    if field.type == "int" and field.name not in ("exit_code", "files")
]
