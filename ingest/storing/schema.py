"""Find what somebody changed in the schema: which tables, columns and indexes of ours are gone or in the way.

That is looked for after SQLite has failed, so an intact database costs nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ingest.storing.migrations import KNOWN_MIGRATIONS, applied_migrations, schema_statements

_LAST_RESORT = (
    "restore a copy that has it (`backup` makes them), or read the logs into a new database with --db"
)


@dataclass(frozen=True, slots=True)
class Table:
    """Columns with their types, what is unique, and which columns lead to which rows (table and column)."""

    columns: dict[str, str]
    unique: frozenset[tuple[str, ...]]
    references: dict[str, tuple[str, str]]


@cache
def own_tables() -> dict[str, Table]:
    """Return the tables of `schema.sql`."""
    with closing(sqlite3.connect(":memory:")) as model:
        for statement in schema_statements():
            model.execute(statement)
        return _tables(model)


def own_columns(table: str) -> tuple[str, ...]:
    """Return the columns that a table of ours has; somebody may have added others to it."""
    return tuple(own_tables()[table].columns)


def schema_trouble(path: str, failure: sqlite3.DatabaseError) -> str | None:
    """Return what somebody changed in the schema of a database of this version, so that a statement fails.

    `None`: nothing that explains it.
    """
    with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
        if applied_migrations(connection) != KNOWN_MIGRATIONS:
            return None
        theirs = _tables(connection)
    if isinstance(failure, sqlite3.IntegrityError):
        return next(_strangers_in_the_way(theirs, str(failure)), None)
    return next(_missing(path, theirs), None)


def _tables(connection: sqlite3.Connection) -> dict[str, Table]:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name: _table(connection, name) for (name,) in names}


def _table(connection: sqlite3.Connection, name: str) -> Table:
    columns = connection.execute("SELECT name, type FROM pragma_table_info(?)", [name]).fetchall()
    indexes = connection.execute('SELECT name FROM pragma_index_list(?) WHERE "unique"', [name]).fetchall()
    of_index = "SELECT name FROM pragma_index_info(?) ORDER BY seqno"
    unique = (tuple(column for (column,) in connection.execute(of_index, index)) for index in indexes)
    keys = connection.execute('SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)', [name])
    return Table(dict(columns), frozenset(unique), {name: (table, to) for name, table, to in keys})


def _missing(path: str, theirs: dict[str, Table]) -> Iterator[str]:
    """Say which table, column or index is not there any more, and how to get it back."""
    for name, ours in own_tables().items():
        found = theirs.get(name)
        if found is None:
            yield f"its table {name} is gone, renamed or dropped by another program: {_LAST_RESORT}"
            continue
        for column in ours.columns.keys() - found.columns.keys():
            yield (
                f"its table {name} has no column {column} any more, renamed or dropped by another program: "
                f"{_way_back(path, name, column, ours, found)}{_LAST_RESORT}"
            )
        for columns in sorted(ours.unique - found.unique):
            names = ", ".join(columns)
            yield (
                f"its table {name} has no unique index on {names} any more, dropped by another program: "
                f"`CREATE UNIQUE INDEX {name}_unique ON {name} ({names})` brings it back"
            )


def _way_back(path: str, name: str, column: str, ours: Table, found: Table) -> str:
    """Say how a column comes back that was only renamed, or moved to a table of its own."""
    kind = ours.columns[column]
    for stranger in found.columns.keys() - ours.columns.keys():
        if stranger in found.references:
            table, key = found.references[stranger]
            return (
                f"if {stranger} leads to its values now, `ALTER TABLE {name} ADD COLUMN {column} {kind}` and "
                f"`UPDATE {name} SET {column} = (SELECT {table}.{column} FROM {table} WHERE {table}.{key} = "
                f"{stranger})` bring it back; else "
            )
        if found.columns[stranger] == kind:
            command = f"sqlite-utils transform {path} {name} --rename {stranger} {column}"
            return f"if it is {stranger} now, `{command}` brings it back; else "
    return ""


def _strangers_in_the_way(theirs: dict[str, Table], failure: str) -> Iterator[str]:
    """Say which column or index that is not ours rejects a row of ours."""
    for name, ours in own_tables().items():
        found = theirs.get(name, ours)
        for column in found.columns.keys() - ours.columns.keys():
            if f"{name}.{column}" in failure:
                yield (
                    f"its table {name} has a column {column} that is not tokentail's, and that takes no row "
                    f"of ours ({failure}): give it a default value, or drop it"
                )
        for columns in found.unique - ours.unique:
            if ", ".join(f"{name}.{column}" for column in columns) in failure:
                yield (
                    f"its table {name} has a unique index on {', '.join(columns)} that is not tokentail's, "
                    f"and that takes no row of ours ({failure}): drop it"
                )
