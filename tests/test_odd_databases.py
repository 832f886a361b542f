"""Whatever stands where the database should be, every command says what it is, and raises nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import EXAMPLES, Tokentail
from reference import commands, exit_codes

WITH = {
    "init": "logs --force",
    "ingest": "logs",
    "backfill": "logs --full",
    "follow": "logs --until-idle 0.1",
    "verify": "logs",
    "explain": "logs/collect.log:1",
    "events": "1",
    "replay": "--predictions none.ndjson",
    "import": "full.ndjson",
    "dashboard": "--html page.html",
    "merge": "good.db",
    "backup": "copy.db",
    "prune": "--older-than 7d --force",
    "sources forget": "1",
    "deliverables import": "none.ndjson",
}
"""What a command is given, beside the database."""


def _text(path: Path) -> None:
    path.write_text("no database\n" * 500, encoding="utf-8")


def _foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE token_estimation_v2_events (event_id INTEGER)")


def _torn(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(9_000)
        file.write(b"\xff" * 20_000)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


ODD: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: os.truncate(path, 0),
    "cut": lambda path: os.truncate(path, 40_000),
    "text": _text,
    "foreign": _foreign,
    "torn": _torn,
    "folder": _folder,
}


@pytest.fixture
def folder(called: Tokentail, tmp_path: Path) -> Path:
    """Return a folder with logs, a database of theirs, a copy of it, and files to import."""
    shutil.copytree(EXAMPLES / "logs", tmp_path / "logs")
    assert called("ingest", "logs", "--tz", "UTC", "--db", "good.db").returncode == 0
    assert called("export", "--full", "-o", "full.ndjson", "--db", "good.db").returncode == 0
    (tmp_path / "none.ndjson").touch()
    return tmp_path


@pytest.mark.parametrize("name", ["", *commands()])
def test_no_database_is_a_traceback(called: Tokentail, folder: Path, name: str) -> None:
    """A trouble has one of our exit codes, and a sentence that names the file."""
    for kind, spoil in ODD.items():
        path = folder / f"{kind}.db"
        shutil.copy(folder / "good.db", path)
        spoil(path)
        where = [path] if name == "upgrade" else [] if not name else ["--db", path]
        more = {} if name else {"DATABASE_URL": f"sqlite:///{path}"}
        done = called(*name.split(), *WITH.get(name, "").split(), *where, **more)
        assert done.returncode in exit_codes(), kind
        assert done.returncode != 1 or path.name in done.stderr, (kind, done.stderr)
        (folder / "copy.db").unlink(missing_ok=True)
