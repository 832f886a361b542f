"""sqlite-utils, imported when it is needed: to make a schema, to write and to report.

Importing it takes two thirds of the time of an ingest that finds nothing new. Modules of such an ingest get
it from this one; all others import it as usual, after `import_library`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

    from sqlite_utils import Database, Migrations


def import_library() -> ModuleType:
    """Import sqlite-utils without pandas and numpy, which it would load wherever they are installed.

    Nothing of ours needs them from it, and they would take half a second of each start.
    """
    hidden: dict[str, Any] = {name: None for name in ("numpy", "pandas") if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        import sqlite_utils  # noqa: PLC0415 - see above
    finally:
        for name in hidden:
            del sys.modules[name]
    return sqlite_utils


def as_database(connection: sqlite3.Connection) -> Database:
    """Return a connection as the library sees it; nothing of the database is read or changed."""
    db: Database = import_library().Database(connection, recursive_triggers=False, execute_plugins=False)
    return db


def new_migrations(name: str) -> Migrations:
    """Return a set of migrations that has none yet."""
    migrations: Migrations = import_library().Migrations(name)
    return migrations
