"""One module writes to our tables, beside the migrations, which change the tables themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT

TABLES = re.findall(r"CREATE TABLE (\w+)", (ROOT / "ingest" / "schema.sql").read_text("utf-8"))
WRITERS = {"writes.py", "migrations.py", "facts_migration.py"}
STATEMENT = re.compile(
    r"(?<!`)\b(?:(?:INSERT(?: OR \w+)?|REPLACE) INTO|UPDATE(?: OR \w+)?|DELETE FROM)\s+"
    rf"(?:{'|'.join(TABLES)}|\{{)"
)
"""What writes to a table of ours, or to one that isn't known yet; in backquotes it is advice to a person."""


def texts(source: str) -> Iterator[str]:
    """Yield the texts in a module, `{` where a value is put into one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{" for part in node.values)


def modules() -> list[Path]:
    folders = ("ingest", "parsers", "reports")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_no_module_writes_to_our_tables_but_one() -> None:
    writing = {path.name for path in modules() if any(map(STATEMENT.search, texts(path.read_text("utf-8"))))}
    assert writing <= WRITERS
    assert "writes.py" in writing


@pytest.mark.parametrize(
    "source",
    [
        "x = 'DELETE FROM event_sightings WHERE 1'",
        "x = f'UPDATE OR IGNORE {table} SET a = 1'",
        'x = """\nINSERT INTO log_sources (path) VALUES (?)\n"""',
    ],
)
def test_a_statement_is_seen(source: str) -> None:
    assert any(map(STATEMENT.search, texts(source)))


@pytest.mark.parametrize("source", ["x = 'SELECT 1 FROM log_sources'", "x = f'INSERT INTO staged ({names})'"])
def test_what_writes_to_none_of_our_tables_is_not(source: str) -> None:
    assert not any(map(STATEMENT.search, texts(source)))
