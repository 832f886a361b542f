"""sqlite-utils, imported when it is needed: to make a schema, to write and to report."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

    from sqlite_utils import Database


def import_library() -> None:
    """Import sqlite-utils without pandas and numpy, which it would load wherever they are installed.

    Nothing of ours needs them from it, and they would take half a second of each start.
    """
    hidden: dict[str, Any] = {name: None for name in ("numpy", "pandas") if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        importlib.import_module("sqlite_utils")
    finally:
        for name in hidden:
            del sys.modules[name]


def as_database(connection: sqlite3.Connection) -> Database:
    """Return a connection as the library sees it; nothing of the database is read or changed."""
    import_library()
    from sqlite_utils import Database  # noqa: PLC0415 - it takes longer than all the rest of an idle ingest

    return Database(connection, recursive_triggers=False, execute_plugins=False)
