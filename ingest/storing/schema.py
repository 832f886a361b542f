"""A schema that somebody changed: which tables and columns of ours are gone, and which are somebody else's.

It is looked at when SQLite has failed already, so that a database as it should be costs nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ingest.storing.migrations import schema_statements

Tables = dict[str, list[str]]
"""Columns by their table."""


def schema_trouble(path: str, failure: sqlite3.DatabaseError) -> str | None:
    """Return what somebody changed in the schema of a database of this version, so that a statement fails.

    `None`: nothing that explains it.
    """
    with closing(sqlite3.connect(":memory:")) as model:
        for statement in schema_statements():
            model.execute(statement)
        ours, unique = _tables(model), _unique(model)
    with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
        theirs = _tables(connection)
        if isinstance(failure, sqlite3.IntegrityError):
            return next(_strangers_in_the_way(ours, theirs, str(failure)), None)
        missing = next(_missing(path, ours, theirs), None)
        return missing or next(_not_unique(connection, unique), None)


def _tables(connection: sqlite3.Connection) -> Tables:
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    names = [str(name) for (name,) in connection.execute(query)]
    column = "SELECT name FROM pragma_table_info(?)"
    return {name: [found for (found,) in connection.execute(column, [name])] for name in names}


def _missing(path: str, ours: Tables, theirs: Tables) -> Iterator[str]:
    """Say which table or column is not there any more."""
    back = (
        "restore a copy that has it (`tokentail backup` makes them), or read the logs into a new database "
        "with --db"
    )
    for table, columns in ours.items():
        if table not in theirs:
            yield f"its table {table} is not there any more, renamed or dropped by another program: {back}"
            continue
        strangers = [column for column in theirs[table] if column not in columns]
        for column in columns:
            if column not in theirs[table]:
                renamed = "".join(
                    f"if it is {stranger} now, `sqlite-utils transform {path} {table} --rename {stranger} "
                    f"{column}` brings it back; else "
                    for stranger in strangers[:1]
                )
                yield (
                    f"its table {table} has no column {column} any more, renamed or dropped by another "
                    f"program: {renamed}{back}"
                )


def _unique(connection: sqlite3.Connection) -> dict[str, set[tuple[str, ...]]]:
    """Return which columns are unique, by their table."""
    return {table: _unique_of(connection, table) for table in _tables(connection)}


def _unique_of(connection: sqlite3.Connection, table: str) -> set[tuple[str, ...]]:
    indexes = connection.execute('SELECT name FROM pragma_index_list(?) WHERE "unique" = 1', [table])
    column = "SELECT name FROM pragma_index_info(?) ORDER BY seqno"
    return {tuple(name for (name,) in connection.execute(column, index)) for index in indexes.fetchall()}


def _not_unique(connection: sqlite3.Connection, unique: dict[str, set[tuple[str, ...]]]) -> Iterator[str]:
    """Say which columns have no unique index any more."""
    for table, wanted in unique.items():
        for columns in sorted(wanted - _unique_of(connection, table)):
            names = ", ".join(columns)
            yield (
                f"its table {table} has no unique index on {names} any more, dropped by another program: "
                f"`CREATE UNIQUE INDEX {table}_key ON {table} ({names})` brings it back"
            )


def _strangers_in_the_way(ours: Tables, theirs: Tables, failure: str) -> Iterator[str]:
    """Say which column that is not ours keeps a row of ours out."""
    for table, columns in ours.items():
        for column in theirs.get(table, ()):
            if column not in columns and f"{table}.{column}" in failure:
                yield (
                    f"its table {table} has a column {column} that is not tokentail's, and that takes no row "
                    f"of ours ({failure}): give it a default value, or drop it"
                )
