"""Explain why a database can't be used: its file, the true reason, and what a person can do next."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from contextlib import suppress

from ingest.disk_space import is_full, largest_file
from ingest.errors import DatabaseBusy, DatabaseUnusable, NoRoom, SchemaChanged, TokentailError

StrPath = str | os.PathLike[str]

_LITTLE_BYTES = 64 << 10
"""With less room than this, a failure to write is one of room: a file of shared memory takes half of it."""

_TEMPORARY_FOLDERS = ("/var/tmp", "/usr/tmp", "/tmp", os.curdir)  # noqa: S108 - where SQLite looks
_OF_A_FILE_THAT_GROWS = frozenset(
    {"SQLITE_FULL", "SQLITE_IOERR", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_GETTEMPPATH"}
)
"""What SQLite says where a file can't be made or made longer; a failure to read is none of room."""

_OF_A_FILE_THAT_MAY_NOT_GROW = frozenset(
    {"SQLITE_IOERR", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMOPEN", "SQLITE_IOERR_SHMSIZE"}
)
"""What it says at a limit on the size of files, as where the disk fails."""

_MUCH_BYTES = 1 << 30
"""What a write-ahead log or a temporary file may take beyond twice the database, at the most."""

_WAL_VERSION = b"\x02\x02"
"""Bytes 18 and 19 of a database in WAL mode."""

_NO_TEXT = "Could not decode to UTF-8"
"""How the error begins that is of a value which no program of ours writes."""

_ADVICE = {
    "SQLITE_NOTADB": ("it is not a SQLite database, and was left as it is", "choose another with --db"),
    "SQLITE_CORRUPT": (
        "it is damaged, and was not deleted",
        "restore a copy, or ingest the logs into a new one with --db",
    ),
}


def explanation(
    path: StrPath, error: sqlite3.DatabaseError, not_ours: bool = False, reading: bool = False
) -> TokentailError | None:
    """Return what an error of SQLite's means; `None`: it is a bug of ours.

    A database that is `not_ours` was not named by --db. `reading` says that nothing was to be written to it.
    """
    name, code = os.fspath(path), getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_CORRUPT"):
        code = "SQLITE_CORRUPT"
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return DatabaseBusy(f"{name}: database is locked by another program: try again when that is done")
    if str(error).startswith(_NO_TEXT):
        return DatabaseUnusable(
            f"{name}: a value in it was changed by another program, and can't be read ({error}): restore a "
            "copy, or read the logs into a new database with --db"
        )
    if code in {"SQLITE_ERROR", "SQLITE_SCHEMA"} or code.startswith("SQLITE_CONSTRAINT"):
        return _schema(name, error)
    if code in _ADVICE:
        what, advice = _ADVICE[code]
        return DatabaseUnusable(f"{name}: {what}" + ("" if not_ours else f": {advice}"))
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return _failed_write(name, code, reading)
    reason = _reason(name, code, reading)
    return None if reason is None else DatabaseUnusable(f"{name}: {reason}")


def _schema(name: str, error: sqlite3.DatabaseError) -> TokentailError | None:
    from ingest.storing.schema import schema_trouble  # noqa: PLC0415 - where something has failed alone

    trouble = None
    with suppress(sqlite3.Error, OSError):
        trouble = schema_trouble(name, error)
    return None if trouble is None else SchemaChanged(f"{name}: {trouble}")


def _reason(name: str, code: str, reading: bool) -> str | None:
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return _unreadable(name) if reading else unwritable(name)
    if code.startswith("SQLITE_PROTOCOL"):
        return (
            "its locks can't be taken: see what the system's log says, and whether the disk that it is on "
            "has locks; then run the command again, or choose another place with --db"
        )
    if code.startswith("SQLITE_NOMEM"):
        return "there is not enough memory for it: end other programs, and run the command again"
    if code.startswith("SQLITE_NOLFS"):
        return "larger than this file system can hold: move it to another one"
    if code.startswith("SQLITE_TOOBIG"):
        return "a value in it is larger than SQLite takes: restore a copy, or choose another with --db"
    return None


def _failed_write(name: str, code: str, reading: bool) -> DatabaseUnusable:
    """Say where there is no room, or that the disk failed."""
    folder = os.path.dirname(os.path.abspath(name))
    if (text := _too_large(name, folder, code)) is not None:
        return DatabaseUnusable(f"{name}: {text}")
    if (text := _no_room_for_temporary_files(folder, code, reading)) is not None:
        return NoRoom(f"{name}: {text}")
    if code in {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"} or _free_bytes(folder) < _LITTLE_BYTES:
        return NoRoom(f"{name}: {no_room(folder)}")
    return DatabaseUnusable(
        f"{name}: the disk failed to read or write it ({code}): see what the system's log says, and run the "
        "command again when it is mended"
    )


def _too_large(name: str, folder: str, code: str) -> str | None:
    """Say so, if a write must have failed at a limit on file sizes: SQLite doesn't say."""
    limit = largest_file()
    if limit is None or code not in _OF_A_FILE_THAT_MAY_NOT_GROW or _free_bytes(folder) < _LITTLE_BYTES:
        return None
    size = os.path.getsize(name) if os.path.exists(name) else 0
    if limit > 2 * size + _MUCH_BYTES:
        return None
    return (
        f"it, or a file that SQLite keeps beside it, would be larger than {limit:,} bytes, which is all that "
        "a process may write here into a file: raise that limit (`ulimit -f`), and run the command again; "
        "nothing is lost or doubled"
    )


def no_room(folder: str) -> str:
    """Say that a disk is full."""
    return (
        f"no room: the disk of {folder}, or what you may use of it, is full: free some space and run the "
        "command again; nothing is lost or doubled"
    )


def _no_room_for_temporary_files(folder: str, code: str, reading: bool) -> str | None:
    """Say so, if that is what failed: reading a database writes nothing else."""
    place = temporary_folder()
    if code not in _OF_A_FILE_THAT_GROWS:
        return None
    if place is None:
        where = "no folder for them may be written"
    elif _free_bytes(place) < _LITTLE_BYTES <= _free_bytes(folder):
        where = f"{os.path.abspath(place)} is full"
    elif reading and code in {"SQLITE_FULL", "SQLITE_IOERR_WRITE"}:
        where = f"{os.path.abspath(place)} takes no more"
    elif code == "SQLITE_IOERR_GETTEMPPATH":
        where = "their folder can't be told"
    else:
        return None
    return (
        f"no room for temporary files ({where}), which SQLite needs here: set SQLITE_TMPDIR to a folder that "
        "may be written and has as much room as the database takes"
    )


def temporary_folder() -> str | None:
    """Return the folder in which SQLite makes temporary files; `None`: there is none that may be written."""
    named = [os.environ.get(variable) for variable in ("SQLITE_TMPDIR", "TMPDIR")]
    for folder in (*filter(None, named), *_TEMPORARY_FOLDERS):
        if os.path.isdir(folder) and _may(folder, os.W_OK | os.X_OK):
            return folder
    return None


def temporary_room() -> int:
    """Return how much SQLite may write into temporary files, in bytes; where that isn't known, plenty."""
    folder = temporary_folder()
    return 0 if folder is None else _free_bytes(folder)


def _free_bytes(folder: str) -> int:
    """Return how much a user may still write in a folder's file system; where that isn't known, plenty."""
    if sys.platform != "win32":
        with suppress(OSError):
            found = os.statvfs(folder)
            return found.f_bavail * found.f_frsize
    return 1 << 60


def unwritable(path: StrPath, error: OSError | None = None) -> str:
    """Say why a database can't be made or written, and who can change that.

    `error` is what the operating system said when something was to be made beside it.
    """
    name = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(name))
    if not os.path.isdir(folder):
        return f"the folder {folder} does not exist: make it, or choose another place with --db"
    if is_full(error):
        return no_room(folder)
    if _is_read_only(folder) or (error is not None and error.errno == errno.EROFS):
        return (
            f"{folder} is mounted read-only, so nothing can be written there: mount it writable, or choose "
            "another place with --db"
        )
    for place in (name, f"{name}-wal", f"{name}-shm", f"{name}.lock", folder):
        if os.path.exists(place) and not _may(place, os.W_OK):
            what = folder if place == folder else f"{name}*"
            way = (
                "let it be yours" if sys.platform == "win32" else f"`chown {_user()} {what}` gives it to you"
            )
            return (
                f"{_user()} may not write {place}, which belongs to {_owner(place)}: {way}, or choose "
                "another place with --db"
            )
    if error is None:
        return f"can't be opened, and why is not known: is {folder} a disk that SQLite can use?"
    return f"can't write beside it, in {folder} ({error.strerror}): choose another place with --db"


def _unreadable(name: str) -> str:
    """Say why a database can't be read by somebody who may not write it."""
    if not _may(name, os.R_OK):
        return (
            f"{_user()} may not read it: it belongs to {_owner(name)}, who can let you (`chmod g+r`, and a "
            "group that you are in), or read a copy that `backup` made for you"
        )
    folder = os.path.dirname(os.path.abspath(name))
    if _has_wal(name) and not _may(folder, os.W_OK):
        hindrance = (
            f"{folder} is mounted read-only"
            if _is_read_only(folder)
            else f"{_user()} may not write {folder}, which belongs to {_owner(folder)}"
        )
        return (
            f"its write-ahead log ({os.path.basename(name)}-wal, -shm) can't be read or made: {hindrance}; "
            "let readers have a group that may write that folder and those files (`chgrp`, `chmod g+ws`), or "
            "read a copy that `backup` makes there for you"
        )
    return unwritable(name)


def _has_wal(name: str) -> bool:
    with suppress(OSError), open(name, "rb") as file:
        return file.read(20)[18:] == _WAL_VERSION
    return False


def _is_read_only(folder: str) -> bool:
    if sys.platform != "win32":
        with suppress(OSError):
            return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    return False


def _may(path: str, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _owner(path: str) -> str:
    """Return who owns a file, by name where it has one."""
    if sys.platform == "win32":
        return "somebody else"
    return _name_of(os.stat(path).st_uid)


def _user() -> str:
    """Return who we are."""
    return os.environ.get("USERNAME", "you") if sys.platform == "win32" else _name_of(os.geteuid())


def _name_of(number: int) -> str:
    import pwd  # noqa: PLC0415 - Windows has none

    with suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return f"user {number}"
