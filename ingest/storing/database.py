"""Opening the database: its path, owner and version, its transactions and its journal.

The schema is `schema.sql` and the migrations after it, recorded by sqlite-utils in the same
transaction that makes them. A database that a newer version made, or that is not ours, is refused
and not changed by a byte.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from ingest import memory
from ingest.errors import DatabaseUnusable, NoDatabase, UsageMistake
from ingest.files.paths import quoted
from ingest.storing.explaining import explanation, temporary_room
from ingest.storing.library import as_database
from ingest.storing.migrations import KNOWN_MIGRATIONS, applied_migrations, apply_migrations, has_table
from ingest.storing.readonly import is_on_readonly_disk, unchanged

if TYPE_CHECKING:
    from sqlite_utils import Database

StrPath = str | os.PathLike[str]

DEFAULT_PATH = "telemetry.db"
EVENTS_TABLE = "token_estimation_v2_events"

PAGE_BYTES = 8192
"""The size of a page: a tenth faster for our rows than 4096; larger ones gain no more."""

OLDEST_SQLITE = (3, 26)
"""The oldest SQLite that was tried. What it lacks is not used: UPDATE ... FROM, RETURNING, IIF, ->>."""

POLL_SECONDS = 0.5
"""How long SQLite itself waits at a time: while it does, no signal is heard."""

BUSY_SECONDS = 30.0
"""How long a transaction waits for another writer, such as a query tool, before it gives up."""


def database_path(option: str | None, environment: Mapping[str, str], otherwise: str | None = None) -> str:
    """Return the database's path: the option, else `DATABASE_URL`, else `otherwise` or `telemetry.db`.

    Raises:
        UsageMistake: `DATABASE_URL` is not a SQLite file's.
    """
    if option == ":memory:":
        raise UsageMistake("--db :memory: would be gone at the end of the command: name a file")
    if option and not option.startswith("sqlite:"):
        return option
    url = option or environment.get("DATABASE_URL", "")
    if not url:
        return otherwise or DEFAULT_PATH
    scheme, found, rest = url.partition(":///")
    path = rest.partition("?")[0]
    if not found or scheme not in ("sqlite", "sqlite+pysqlite") or path in ("", ":memory:") or "\0" in path:
        shown = url.partition(":")[0]  # the rest may hold a password
        where = "--db" if option else "DATABASE_URL"
        if shown == url:
            raise UsageMistake(f"{where} names a path, and has to be an address: write sqlite:///{url}")
        raise UsageMistake(
            f"{where} names no SQLite file (its scheme is {shown!r}): tokentail writes SQLite only, as "
            "sqlite:///relative.db or sqlite:////absolute.db; or give --db PATH"
        )
    return path


def files_of(database: StrPath) -> list[str]:
    """Return a database's file and those that stand beside it: none of them is ever a log."""
    return [f"{os.fspath(database)}{end}" for end in ("", "-wal", "-shm", ".lock")]


def remove_database(database: StrPath) -> None:
    """Remove a database that was made in vain, while its lock is held, which takes its file away itself."""
    for name in files_of(os.path.realpath(database))[:-1]:
        with suppress(OSError):  # somebody looks at it already: an empty database does no harm
            os.unlink(name)


def is_unused(path: StrPath) -> bool:
    """Whether there is no database at a path yet, nor anything else that could be one."""
    return not os.path.exists(path) or os.path.getsize(path) == 0


@contextmanager
def open_for_writing(path: StrPath, makes: bool = True) -> Iterator[Database]:
    """Open the database as `connected_for_writing` does, as an object of sqlite-utils.

    Raises:
        DatabaseBusy, DatabaseUnusable: as there.
    """
    with connected_for_writing(path, network_kind(path), makes) as connection:
        yield as_database(connection)


@contextmanager
def connected_for_writing(
    path: StrPath, network: str | None, makes: bool = True
) -> Iterator[sqlite3.Connection]:
    """Open the database, make or migrate its schema, and close it at the end.

    `network` is the kind of network file system that it is on; `None`: a local one. Unless it `makes` a
    schema, what holds nothing of ours is refused.

    Raises:
        DatabaseBusy: another process writes to it for longer than `BUSY_SECONDS`.
        DatabaseUnusable: it is corrupt, read-only, newer, has a table of ours that we did not make, or holds
            nothing of ours.
    """
    _refuse_folder(path)
    with explained(path), _connected(path) as connection:
        ready = is_current(connection, path)
        if not makes:
            require_ours(connection, path)
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new database
        connection.execute(f"PRAGMA cache_size = -{memory.CACHE_BYTES // 1024}")
        connection.execute("PRAGMA temp_store = MEMORY")
        mode = journal_mode(network)
        connection.execute(f"PRAGMA journal_mode = {mode}")
        # A power cut may take the last commits in a WAL with it, rows and checkpoint alike: nothing doubles.
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'WAL' else 'FULL'}")
        if not ready:
            db = as_database(connection)
            with immediate(connection):  # nobody else makes the schema meanwhile
                apply_migrations(db)
        yield connection


def _refuse_folder(path: StrPath) -> None:
    if os.path.isdir(path):
        raise DatabaseUnusable(f"{path}: a folder, not a database: name a file with --db")


def require_database(path: StrPath) -> None:
    """Check that a database is there.

    Raises:
        NoDatabase: it isn't.
        DatabaseUnusable: a folder is there.
    """
    _refuse_folder(path)
    if not os.path.isfile(path):
        raise NoDatabase(
            f"{path}: no such database: run `tokentail ingest LOGS` first, or name it with --db, or its "
            "settings with --config or TOKENTAIL_CONFIG"
        )


Remark = Callable[[str], object]
"""Is called with a sentence that is worth knowing."""


def unsaid(text: str) -> None:
    """Ignore a sentence that nobody asked for."""


@contextmanager
def open_for_reading(path: StrPath, remark: Remark = unsaid) -> Iterator[Database]:
    """Open an existing database for queries only; of an older version, open an upgraded copy and say so.

    Raises:
        DatabaseUnusable: it isn't there, is not ours, or is of a newer version.
    """
    require_database(path)
    with explained(path, reading=True), _connected(path) as connection, ExitStack() as stack:
        read = connection
        if not is_current(connection, path):
            require_ours(connection, path)
            remark(
                f"{path}: of an older version, so read in a temporary copy that is upgraded: `tokentail "
                f"upgrade {quoted(path)}` does that for good"
            )
            from ingest.storing.temporary_copy import upgraded_copy  # noqa: PLC0415 - once in a database's life

            read = stack.enter_context(upgraded_copy(connection, path))
        read.execute("PRAGMA query_only = ON")
        if temporary_room() < memory.SORTED_BYTES:
            read.execute(f"PRAGMA cache_size = -{memory.SORTED_BYTES // 1024}")
        yield as_database(read)


def require_ours(connection: sqlite3.Connection, path: StrPath) -> None:
    """Check that a database holds tables of ours.

    Raises:
        DatabaseUnusable: it doesn't.
    """
    if not applied_migrations(connection):
        raise DatabaseUnusable(
            f"{path}: holds nothing of tokentail: run `tokentail ingest LOGS`, or name another with --db"
        )


@contextmanager
def opened_as_it_is(path: StrPath, not_ours: bool = False) -> Iterator[sqlite3.Connection]:
    """Open a database of whatever version, and whoever made it, for queries only.

    One that is `not_ours` to tidy is not changed by a byte, not even by what SQLite does on closing.
    """
    had_journal = os.path.exists(f"{os.fspath(path)}-wal")
    how = "mode=ro" if not_ours else ""
    with explained(path, not_ours, reading=True), _connected(path, how) as connection:
        connection.execute("PRAGMA query_only = ON")
        yield connection
    if not_ours and not had_journal and os.path.exists(f"{os.fspath(path)}-wal"):
        _remove_journal(path)


def _remove_journal(path: StrPath) -> None:
    """Let SQLite remove the empty files that it made to read in WAL mode, if nobody has the database open."""
    with suppress(sqlite3.Error, OSError), _connected(path) as connection:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()


@contextmanager
def _connected(path: StrPath, how: str = "") -> Iterator[sqlite3.Connection]:
    _check_sqlite()
    name, is_frozen = os.path.abspath(path), is_on_readonly_disk(path)
    if is_frozen:  # opened without its journal's help files, which can't be made there
        how = "immutable=1"
    if how:
        from pathlib import Path  # noqa: PLC0415 - seldom needed, and half as slow as SQLite itself

        name = f"{Path(name).as_uri()}?{how}"
    connection = sqlite3.connect(
        name, timeout=POLL_SECONDS, isolation_level=None, uri=bool(how), check_same_thread=False
    )
    try:
        with unchanged(path) if is_frozen else nullcontext():
            yield connection
    finally:
        connection.close()


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise DatabaseUnusable(
            f"this Python has SQLite {sqlite3.sqlite_version}, and tokentail needs "
            f"{'.'.join(map(str, OLDEST_SQLITE))} or newer: install it in another Python"
        )


def is_current(connection: sqlite3.Connection, path: StrPath, not_ours: bool = False) -> bool:
    """Whether a database has every migration; one of a newer version, or that is not ours, is refused.

    One that is `not_ours` was not named by --db, so that is not the advice.
    """
    applied = applied_migrations(connection)
    if newer := sorted(applied - KNOWN_MIGRATIONS):
        raise DatabaseUnusable(
            f"{path}: made by a newer version of tokentail ({newer[0]}): upgrade tokentail"
            + ("" if not_ours else ", or choose another database with --db")
        )
    if not applied and not_ours:
        raise DatabaseUnusable(
            f"{path}: no database of tokentail; an executor's own is read by `tokentail import "
            f"{quoted(path)}`"
        )
    if not applied and has_table(connection, EVENTS_TABLE):
        raise DatabaseUnusable(
            f"{path}: has a table {EVENTS_TABLE} that tokentail did not make (the executor's own "
            "database?), so nothing was changed: choose another file with --db; "
            f"`tokentail import {quoted(path)} --db OTHER.db` takes its rows in"
        )
    return applied == KNOWN_MIGRATIONS


# Transactions


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold one write transaction: commit everything inside, or nothing of it.

    The deferred transaction of most libraries would die of "database is locked" when two processes
    read and then write.
    """
    _patiently(connection, "BEGIN IMMEDIATE")
    try:
        yield
        _patiently(connection, "COMMIT")  # in a rollback journal readers hold it up
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Execute a statement as soon as others let it, within `BUSY_SECONDS`."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
        else:
            return


@contextmanager
def explained(path: StrPath, not_ours: bool = False, reading: bool = False) -> Iterator[None]:
    """Turn an error of SQLite's into one that a person can act on; a bug of ours stays as it is.

    One that is `not_ours` was not named by --db; `reading` says that nothing is written to it.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        explained_error = explanation(path, error, not_ours, reading)
        if explained_error is None:
            raise
        raise explained_error from error


# The journal: WAL, unless the disk is another machine's

MOUNTS = "/proc/self/mountinfo"

_NETWORK = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "pvfs2", "smb3", "smbfs"),
        *("fakeowner", "grpcfuse", "osxfs", "vboxsf", "virtiofs", "vmhgfs"),  # of a virtual machine's host
        *("fuse.davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "fuse.vmhgfs-fuse"),
    }
)
"""Types of file systems whose files another machine may change, as Linux names them."""


def journal_mode(network: str | None) -> str:
    """Return the journal mode that is safe on a kind of network file system, or on a local one (`None`).

    WAL shares memory between processes, which a network file system can't do for two machines.
    """
    return "DELETE" if network else "WAL"


def network_kind(database: StrPath) -> str | None:
    """Return what kind of network file system a database is on; `None`: a local one, as far as is known."""
    folder = os.path.realpath(os.path.dirname(database) or os.curdir)
    if sys.platform == "win32":
        return "a network drive" if _is_remote_drive(folder) else None
    with suppress(OSError, UnicodeError), open(MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
        kind = mounted_as(folder, mounts.read())
        return kind if kind in _NETWORK else None
    return None  # not Linux: nothing is known


def mounted_as(folder: str, mounts: str) -> str | None:
    """Return the type of the file system that a folder is on, by the text of `mountinfo`."""
    best, found = "", None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = _unescaped(fields[4])
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two on one another the later one counts
            best, found = point, after.split(" ")[0]
    return found


def _unescaped(text: str) -> str:
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, character)
    return text


if sys.platform == "win32":
    import ctypes

    _DRIVE_REMOTE = 4

    def _is_remote_drive(folder: str) -> bool:
        drive = os.path.splitdrive(folder)[0]
        return drive.startswith("\\\\") or ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == _DRIVE_REMOTE
