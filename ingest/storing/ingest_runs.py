"""Ingest runs: one at a time for each database, across processes, and a row for each invocation.

The operating system holds the lock and gives it back when its holder ends, however it ends, so a
killed process never blocks the next one. The lock file beside the database stays; its content only
names the holder. One that was made for a command that failed, or beside which no database was made,
goes again while it is held: who waited for it makes another. In a folder where others may write, anything
may stand in its place: what is no lock file of ours is not followed, waited for or changed. The row of a
run that was killed stays unfinished. Each log that could not be read when last tried has a row, too.
"""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import IO

from ingest.disk_space import is_full
from ingest.errors import DatabaseHeld, DatabaseUnusable, NoRoom, TokentailError
from ingest.files.paths import shown
from ingest.linking.timestamps import time_text
from ingest.notices import Notice
from ingest.storing import writes
from ingest.storing.database import StrPath, immediate, opened_as_it_is
from ingest.storing.explaining import unwritable
from ingest.version import program_version

POLL_SECONDS = 0.05

STANDING_CODES = frozenset({"unreadable", "damaged", "unfinished", "not-a-log", "vanished", "folder"})
"""Codes of what is wrong with a log, or a folder of logs, until somebody mends it."""


_CAREFULLY = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"))
_PIPE = "1\n"
"""The second line, if the holder reads standard input, which may not end for long."""

_OURS = re.compile(r"[0-9\s\0]{0,20}")
"""All that we ever write; NULs stand in a file whose text was lost with the power."""

_NEWEST = """
SELECT 1 FROM ingest_runs WHERE command = 'follow' AND exit_code IS NULL AND started_at >= ?
ORDER BY ingest_run_id DESC LIMIT 1
"""

if sys.platform == "win32":
    import msvcrt

    _FAR_OFF = 1 << 30  # the byte that is locked, beyond the text, which others may then still read

    def _try_lock(file: IO[str]) -> bool:
        file.seek(_FAR_OFF)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def ingest_lock(database: StrPath, wait_seconds: float, reads_pipe: bool = False) -> Iterator[None]:
    """Hold the database's ingest lock; `reads_pipe` is noted in it, since a pipe may never end.

    Raises:
        DatabaseHeld: another process still holds it after `wait_seconds`.
        DatabaseUnusable: no lock file can be made beside the database, or something else stands there.
    """
    path = _lock_path(database)
    with _locked(database, path, time.monotonic() + wait_seconds) as file:
        is_new, is_of_use = not os.fstat(file.fileno()).st_size, False
        with suppress(OSError):  # on a full disk others can't see who holds it, nothing else is lost
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"{os.getpid()}\n{_PIPE * reads_pipe}".encode())
        try:
            yield
            is_of_use = os.path.exists(database)
        finally:
            if is_new and not is_of_use:
                with suppress(OSError):  # Windows removes no file that is open
                    if _is_at(path, file):
                        os.unlink(path)


@contextmanager
def _locked(database: StrPath, path: str, deadline: float) -> Iterator[IO[str]]:
    """Lock the lock file; one that its holder took away meanwhile excludes nobody, so that is tried again."""
    while True:
        with _opened(database, path) as file:
            while not _tried(database, file):
                if time.monotonic() >= deadline:
                    raise DatabaseHeld(_busy(database, file))
                time.sleep(POLL_SECONDS)
            if _is_at(path, file):
                yield file
                return


def _is_at(path: str, file: IO[str]) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.lstat(path), os.fstat(file.fileno()))
    return False


def _lock_path(database: StrPath) -> str:
    return f"{os.path.realpath(database)}.lock"


def _tried(database: StrPath, file: IO[str]) -> bool:
    """Try to lock it; on a file system without locks that is an error, since two ingests could meet."""
    try:
        return _try_lock(file)
    except OSError as error:
        raise DatabaseUnusable(
            f"{os.fspath(database)}: the file system that it is on has no locks, or none left "
            f"({error.strerror}), so two ingests could meet: put it on a local disk, with --db"
        ) from error


def _opened(database: StrPath, path: str) -> IO[str]:
    """Open the lock file, or make it."""
    in_the_way = DatabaseUnusable(
        f"{path}: not a lock file of tokentail, so not touched: look who made it, move it away, "
        "or choose another database with --db"
    )
    try:
        file = open(path, "r+", encoding="ascii", errors="replace", opener=_open_carefully)  # noqa: SIM115
    except OSError as error:
        if os.path.islink(path) or (os.path.lexists(path) and not os.path.isfile(path)):
            raise in_the_way from error
        kind = NoRoom if is_full(error) else DatabaseUnusable
        raise kind(f"{os.fspath(database)}: {unwritable(database, error)}") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or not _OURS.fullmatch(file.read(21)):
        file.close()
        raise in_the_way
    _share_like(database, file.fileno())
    return file


def _open_carefully(path: str, flags: int) -> int:
    """Open or make a file, but follow no symbolic link and wait for no FIFO."""
    return os.open(path, flags | os.O_CREAT | _CAREFULLY, 0o666)


def _share_like(database: StrPath, lock: int) -> None:
    """Let those lock the database who may write it, where the lock file is ours to give."""
    if sys.platform == "win32":
        return
    with suppress(OSError):  # there is no database yet, or the lock file belongs to somebody else
        wanted, found = os.stat(database), os.fstat(lock)
        if found.st_nlink > 1:  # planted: by its other name it may be a file worth having
            return
        if (wanted.st_uid, wanted.st_gid) != (found.st_uid, found.st_gid):
            with suppress(OSError):  # only root gives a file away; its owner may choose among his groups
                os.fchown(lock, wanted.st_uid if os.geteuid() == 0 else -1, wanted.st_gid)
        mode = stat.S_IMODE(wanted.st_mode) & 0o666 | 0o600
        if mode != stat.S_IMODE(found.st_mode):
            os.fchmod(lock, mode)


def _busy(database: StrPath, file: IO[str]) -> str:
    file.seek(0)
    pid = file.readline(20).strip()
    who = f" (pid {pid})" if pid.isdigit() else ""
    if _is_follow(database, os.fstat(file.fileno()).st_mtime):
        return f"{database}: a follow{who} holds the database: stop it for that, and start it again"
    if file.readline(20) == _PIPE:
        return (
            f"{database}: an ingest of standard input{who} holds the database until its pipe ends: stop what "
            "writes into that, or it, for this"
        )
    return f"{database}: another ingest{who} holds the database; --wait SECONDS waits for it"


def _is_follow(database: StrPath, since: float) -> bool:
    """Whether a follow holds the lock that was acquired then: only the holder has begun a run since."""
    with (
        suppress(sqlite3.Error, TokentailError, OSError, ValueError, OverflowError),
        opened_as_it_is(database, not_ours=True) as connection,
    ):
        moment = time_text(datetime.fromtimestamp(since, UTC))
        return connection.execute(_NEWEST, [moment]).fetchone() is not None
    return False


# Rows


def begin_run(connection: sqlite3.Connection, command: str, done: Mapping[str, int | str]) -> int:
    """Store that an ingest has begun; return the id of its row."""
    values: dict[str, str | int] = {
        "command": command,
        "started_at": _now(),
        "host": platform.node(),
        "version": program_version(),
        **done,
    }
    with immediate(connection):
        return writes.insert_run(connection, values)


def end_run(
    connection: sqlite3.Connection,
    ingest_run_id: int,
    done: Mapping[str, int | str],
    exit_code: int | None,
    is_well: bool = True,
) -> None:
    """Store how an ingest ended; or, without an exit code, that a follow is running without problems."""
    values: dict[str, str | int | None] = {**done}
    if is_well:
        values |= {"finished_at": _now(), "exit_code": exit_code}
    with immediate(connection):
        writes.update_run(connection, ingest_run_id, values)


def keep_problems(
    connection: sqlite3.Connection, notices: Sequence[Notice], paths: Sequence[str]
) -> frozenset[tuple[str, str | None]]:
    """Keep which logs at or below some paths can't be read now; return the keys of what was known before.

    So each problem is reported once, however often its log is tried.
    """
    found = {notice.key: notice for notice in notices if notice.code in STANDING_CODES and notice.path}
    query = "SELECT code, path FROM log_problems"
    known = {(code, path) for code, path in connection.execute(query) if _is_below(path, paths)}
    if not (found or known):
        return frozenset()
    now, gone = _now(), known - found.keys()
    with immediate(connection):
        writes.delete_problems(connection, gone)
        rows = [(notice.path, notice.code, notice.text, now, now) for notice in found.values()]
        writes.put_problems(connection, rows)
    return frozenset(known & found.keys())


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(os.path.join(folder, "")) for folder in map(shown, folders))


def _now() -> str:
    return time_text(datetime.now(UTC))
