"""The oldest SQLite that is said to do, and the message for an older one."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from conftest import EXAMPLES, ROOT, Tokentail
from ingest.storing.database import OLDEST_SQLITE

NEWER = {
    "UPDATE ... FROM (3.33)": r"\bUPDATE\s+\w+(?:\s+AS\s+\w+)?\s+SET\b"
    r"(?:(?!\bWHERE\b|\(\s*SELECT)[\s\S])*?\bFROM\b",
    "RETURNING (3.35)": r"\bRETURNING\b",
    "IIF (3.32)": r"\bIIF\(",
    "->> (3.38)": r"->>",
    "IS DISTINCT FROM (3.39)": r"\bIS (?:NOT )?DISTINCT FROM\b",
    "NULLS FIRST (3.30)": r"\bNULLS (?:FIRST|LAST)\b",
    "FILTER (3.30)": r"\bFILTER \(WHERE\b",
    "MATERIALIZED (3.35)": r"\bMATERIALIZED\b",
    "STRICT (3.37)": r"\)\s*STRICT\b",
    "UNIXEPOCH (3.38)": r"\bUNIXEPOCH\(",
    "DROP COLUMN (3.35)": r"\bDROP COLUMN\b",
    "generated columns (3.31)": r"\bGENERATED ALWAYS\b",
    "?1 (of which Python 3.12.0 to 3.12.3 warn)": r"\?[1-9]\b",
    "RIGHT JOIN (3.39)": r"\b(?:RIGHT|FULL) (?:OUTER )?JOIN\b",
}
"""What SQLite can do since the version in brackets, or Python's own minds, as the program would write it."""


@pytest.mark.parametrize("pattern", NEWER.values(), ids=NEWER)
def test_no_statement_needs_a_newer_sqlite(pattern: str) -> None:
    """Nothing that the oldest one lacks stands in a statement of the program's."""
    folders = [ROOT / name for name in ("commandline", "ingest", "reports")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".sql"}]
    assert len(files) > 100
    found = [(path.name, match[0]) for path in files for match in re.finditer(pattern, _statements(path))]
    assert found == []


def _statements(path: Path) -> str:
    """Return a file without the sentence that lists these words, and what only a newer one is asked to do."""
    text = path.read_text(encoding="utf-8").replace("UPDATE ... FROM, RETURNING, IIF, ->>", "")
    return re.sub(r"if sqlite3.sqlite_version_info >= .*\n.*", "", text)


def test_older_sqlite_is_named_at_the_start(called: Tokentail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was to be done, one sentence names both versions, and nothing is made."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 22, 0))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.22.0")
    done = called("ingest", EXAMPLES / "logs", "--db", "t.db")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "tokentail: this Python has SQLite 3.22.0, and tokentail needs 3.26 or newer"
    )
    assert not Path("t.db").exists()


def test_readme_names_the_oldest_sqlite() -> None:
    """A person who installs it finds the version that the program checks."""
    assert f"SQLite {'.'.join(map(str, OLDEST_SQLITE))}" in (ROOT / "README.md").read_text(encoding="utf-8")
