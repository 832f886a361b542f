"""Back up a database: a consistent copy, also while it is written, checked before it gets its name."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import DatabaseUnusable, Unwritable, UsageMistake
from ingest.storing.database import (
    EVENTS_TABLE,
    StrPath,
    explained,
    files_of,
    opened_as_it_is,
    require_database,
)
from ingest.storing.migrations import has_table
from ingest.storing.temporary_copy import COPIED_PAGES


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy that was made; `events` is `None` for a database without their table."""

    file: str
    size_bytes: int
    events: int | None


def back_up(database: StrPath, file: StrPath, force: bool = False) -> Backup:
    """Copy a database, of whatever version, to a file; with `force` the copy replaces one that is there.

    Raises:
        UsageMistake: the file is the database itself.
        Unwritable: it is there already, or can't be written.
        DatabaseUnusable: the database can't be read, or is damaged: no copy was kept.
    """
    require_database(database)
    path = Path(os.path.realpath(file))
    if path in {Path(os.path.realpath(name)) for name in files_of(database)}:
        raise UsageMistake(f"{file}: the database itself: choose another file")
    if path.exists() and not (force and path.is_file()):
        advice = "--force replaces it" if path.is_file() else "not a file that can be replaced"
        raise Unwritable(f"{file}: is there already: {advice}, or choose another name")
    part = path.with_name(f".tokentail-{secrets.token_hex(8)}.part")
    try:
        _reserve(file, part)
        events = _copy(database, file, part)
        with suppress(OSError):
            shutil.copymode(path if path.exists() else database, part)
        return Backup(os.fspath(file), _named(file, part, path, force), events)
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{part}{suffix}").unlink(missing_ok=True)


def _reserve(file: StrPath, part: Path) -> None:
    """Make an empty file that nobody else may read yet."""
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise Unwritable(f"{file}: can't be written ({error.strerror}): choose another place") from error


def _named(file: StrPath, part: Path, path: Path, force: bool) -> int:
    """Give the copy its name; return its size."""
    size = part.stat().st_size
    try:
        if not force and path.exists():
            raise Unwritable(f"{file}: was made by somebody else meanwhile: choose another name")
        part.replace(path)
    except OSError as error:
        raise Unwritable(f"{file}: can't be written ({error.strerror}): choose another place") from error
    return size


def _copy(database: StrPath, file: StrPath, part: Path) -> int | None:
    with opened_as_it_is(database) as connection, closing(sqlite3.connect(part)) as target:
        connection.execute("BEGIN")  # one moment, whatever is committed meanwhile: no page is copied twice
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        try:
            with explained(file):
                connection.backup(target, pages=COPIED_PAGES)
                target.execute("PRAGMA journal_mode = DELETE")  # one file, that opens on a read-only disk too
        except DatabaseUnusable as error:
            raise Unwritable(str(error)) from error
        found = [text for (text,) in target.execute("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            raise DatabaseUnusable(
                f"{database}: damaged ({found[0]}), so no copy of it was kept: restore an older copy, or "
                "ingest the logs into a new one with --db"
            )
        if not has_table(target, EVENTS_TABLE):
            return None
        (events,) = target.execute(f"SELECT COUNT(*) FROM {EVENTS_TABLE}").fetchone()
        return int(events)
