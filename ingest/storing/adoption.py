"""Adoption: the executor's own database becomes one that logs can be read into.

Nothing in its rows changes. Its tables gain the columns that they lack, and ours are made beside them.
Where its columns may not be NULL though a log may not tell them, that is allowed, so that an event of
which the executor has no row can be stored as it was logged; its own INSERTs work as before.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from ingest.errors import DatabaseUnusable
from ingest.storing.database import EVENTS_TABLE, StrPath
from ingest.storing.executors_rows import key_escalations
from ingest.storing.library import as_database
from ingest.storing.migrations import has_table, record_migrations, schema_statements

ESCALATIONS_TABLE = "token_budget_escalation_events"
KEYS = {EVENTS_TABLE: "event_key", ESCALATIONS_TABLE: "escalation_key"}
_NEEDED = {
    EVENTS_TABLE: {
        *("event_id", "run_id", "phase_id", "timestamp", "predicted_output_tokens", "actual_output_tokens"),
        *("deliverable_count", "deliverables_json"),
    },
    ESCALATIONS_TABLE: {
        *("event_id", "phase_id", "timestamp", "attempt_index", "base_value", "retry_max_tokens"),
    },
}
"""Columns without which rows can't be matched."""

_OBJECT = re.compile(r"\s*(?:--[^\n]*\n\s*)*CREATE (TABLE|VIEW|INDEX) (\w+)")
_REFERENCE = re.compile(rf" REFERENCES {EVENTS_TABLE}\(event_id\)")
_SHAPES = (
    "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? AND type <> 'table' AND sql IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column as SQLite tells it."""

    name: str
    kind: str
    is_required: bool
    default: str | None
    is_key: bool


def columns_of(connection: sqlite3.Connection, table: str) -> dict[str, Column]:
    """Return a table's columns by their names."""
    rows = connection.execute(f"PRAGMA table_info({table})")
    return {
        name: Column(name, kind, bool(no), default, bool(key)) for _, name, kind, no, default, key in rows
    }


class Adoption:
    """One adoption, inside the caller's transaction; `steps` say what was done, as sentences' beginnings."""

    def __init__(self, connection: sqlite3.Connection, path: StrPath) -> None:
        """Use a connection that is open for writing, to a database that is not ours yet."""
        self._conn = connection
        self._path = path
        self.steps: list[str] = []

    def adopt(self) -> None:
        """Make a database ours to write to.

        Raises:
            DatabaseUnusable: its tables are not those that are known of the executor.
        """
        with closing(sqlite3.connect(":memory:")) as model:
            for statement in schema_statements():
                model.execute(statement)
            for table in KEYS:
                if has_table(self._conn, table):
                    self._adopt_table(table, columns_of(model, table))
        self._make_the_rest()
        key_escalations(self._conn)
        record_migrations(as_database(self._conn))

    def _adopt_table(self, table: str, wanted: dict[str, Column]) -> None:
        found = columns_of(self._conn, table)
        self._check(table, found, wanted)
        strict = [one.name for one in found.values() if one.is_required and _may_be_null(one, wanted)]
        if strict:
            self._relax(table, strict)
            self.steps.append(
                f"{table}: {', '.join(strict)} may be NULL where a log doesn't tell (written anew)"
            )
        missing = [one for one in wanted.values() if one.name not in found]
        for column in missing:
            fixed = column.is_required and column.kind == "INTEGER" and column.name not in _NEEDED[table]
            more = " NOT NULL DEFAULT 0" if fixed else ""
            self._conn.execute(f"ALTER TABLE {table} ADD COLUMN {column.name} {column.kind}{more}")
        if missing:
            names = ", ".join(column.name for column in missing)
            self.steps.append(f"{table}: columns added: {names}")
        key = KEYS[table]
        self._conn.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {table}_{key} ON {table} ({key})")

    def _check(self, table: str, found: dict[str, Column], wanted: dict[str, Column]) -> None:
        if lacking := sorted(_NEEDED[table] - found.keys()):
            self._refuse(f"its {table} has no column {lacking[0]}")
        event_id = found["event_id"]
        if not event_id.is_key or event_id.kind.upper() != "INTEGER":
            self._refuse(f"event_id of {table} is no INTEGER PRIMARY KEY")
        for column in found.values():
            unknown = column.name not in wanted
            if unknown and column.is_required and column.default is None:
                self._refuse(f"{table}.{column.name} must not be NULL, and no log tells it")

    def _refuse(self, why: str) -> None:
        raise DatabaseUnusable(
            f"{self._path}: can't be adopted: {why}; nothing was changed: choose another file with --db"
        )

    def _relax(self, table: str, names: list[str]) -> None:
        """Write a table anew, with its own definition but for some NOT NULL."""
        (definition,) = self._conn.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", [table]
        ).fetchone()
        around = self._conn.execute(_SHAPES, [table]).fetchall()
        before = columns_of(self._conn, table)
        relaxed = definition
        for name in names:
            relaxed = re.sub(
                rf'([(,\s]["`\[]?{name}["`\]]?\s[^,]*?)\s+NOT\s+NULL',
                r"\1",
                relaxed,
                count=1,
                flags=re.IGNORECASE,
            )
        new = f"{table}_adopted"
        relaxed = re.sub(
            rf'(CREATE\s+TABLE\s+)["`\[]?{table}["`\]]?', rf"\1{new}", relaxed, count=1, flags=re.IGNORECASE
        )
        self._conn.execute(relaxed)
        wanted = {
            name: Column(name, one.kind, one.is_required and name not in names, one.default, one.is_key)
            for name, one in before.items()
        }
        if columns_of(self._conn, new) != wanted:
            self._refuse(f"the definition of {table} can't be read, and {names[0]} must not be NULL")
        self._conn.execute(f"INSERT INTO {new} SELECT * FROM {table}")
        self._conn.execute(f"DROP TABLE {table}")
        self._conn.execute(f"ALTER TABLE {new} RENAME TO {table}")
        for _, _, statement in around:
            self._conn.execute(statement)

    def _make_the_rest(self) -> None:
        made: list[str] = []
        left: list[str] = []
        known = {name for (name,) in self._conn.execute("SELECT name FROM sqlite_master")}
        for kind, name, statement in _objects():
            if name not in known:
                self._conn.execute(_REFERENCE.sub("", statement))  # the executor deletes its rows freely
                made.append(name)
            elif kind == "TABLE" and name not in KEYS:
                self._refuse(f"it has a table {name} of another kind")
            elif kind == "VIEW":
                left.append(name)
        self.steps.append(f"made: {', '.join(made)}")
        if left:
            self.steps.append(f"left as they are: {', '.join(left)}")


def _may_be_null(column: Column, wanted: dict[str, Column]) -> bool:
    """Whether we store NULL in a column where a log doesn't tell it."""
    ours = wanted.get(column.name)
    return ours is not None and not ours.is_required and not ours.is_key


def _objects() -> Iterator[tuple[str, str, str]]:
    for statement in schema_statements():
        if found := _OBJECT.match(statement):
            yield found[1], found[2], statement
