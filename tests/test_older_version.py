"""A database of an older version: reading leaves it unchanged, and gives what an upgraded one gives."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from conftest import EXAMPLES, Tokentail
from faults.scenarios.versions import make_older
from faults.tables import tables
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing.ingest_runs import ingest_lock
from ingest.summary import IngestOptions
from older import forget_migration

PREVIEWS = {
    "prune": ("prune", "--older-than", "2026-01-13", "--dry-run"),
    "forget": ("sources", "forget", "1", "2", "--dry-run"),
}
READING = {
    **PREVIEWS,
    "status": ("status",),
    "sources": ("sources",),
    "rejects": ("rejects",),
    "report": ("report",),
    "coverage": ("coverage",),
    "calibrate": ("calibrate",),
    "replay": ("replay", "--estimator", "fixed_estimator:Fixed"),
    "export": ("export", "--full"),
    "verify": ("verify",),
}
ESTIMATOR = """
from types import SimpleNamespace

class Fixed:
    def estimate(self, **known):
        return SimpleNamespace(estimated_tokens=1000)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database of this version, and the same one as an older version had it."""
    folder = tmp_path_factory.mktemp("made")
    ingest([str(EXAMPLES / "logs")], folder / "new.db", IngestOptions("ingest", zone_named("UTC")))
    shutil.copy(folder / "new.db", folder / "old.db")
    forget_migration(folder / "old.db")
    return folder


@pytest.fixture
def both(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return copies of both databases, each in a folder of its own, for one test."""
    (tmp_path / "fixed_estimator.py").write_text(ESTIMATOR)
    monkeypatch.syspath_prepend(tmp_path)
    new, old = tmp_path / "new" / "telemetry.db", tmp_path / "old" / "telemetry.db"
    for copy in (new, old):
        copy.parent.mkdir()
        shutil.copy(made / f"{copy.parent.name}.db", copy)
    return new, old


@pytest.mark.parametrize("command", READING.values(), ids=READING)
def test_older_database_is_read_as_if_it_were_upgraded(
    called: Tokentail, both: tuple[Path, Path], command: tuple[str, ...]
) -> None:
    """Each command that reads prints what it prints of the upgraded one, and once that this one is older."""
    new, old = both
    before = old.read_bytes()
    expected, found = called(*command, "--db", new), called(*command, "--db", old)
    assert (found.returncode, found.stdout.replace(str(old), str(new))) == (
        expected.returncode,
        expected.stdout,
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr.count(f"`tokentail upgrade {old}`") == 1
    assert "older version" not in expected.stderr
    assert old.read_bytes() == before
    assert [path.name for path in old.parent.iterdir()] == ["telemetry.db"]


@pytest.mark.parametrize("command", PREVIEWS.values(), ids=PREVIEWS)
def test_preview_beside_an_ingest_says_what_would_go(
    called: Tokentail, both: tuple[Path, Path], command: tuple[str, ...]
) -> None:
    """A preview needs no lock, neither an ingest's nor SQLite's, and what is done then is what it said."""
    new, _ = both
    with ingest_lock(new, 0), closing(sqlite3.connect(new, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        before = tables(new)
        preview = called(*command, "--db", new)
        writer.execute("ROLLBACK")
    assert (preview.returncode, preview.stderr) == (0, "")
    assert tables(new) == before
    done = called(*command[:-1], "--db", new)
    assert done.returncode == 0
    said = preview.stdout.replace("would be pruned", "pruned").replace("would be forgotten", "forgotten")
    assert done.stdout.split("; database")[0].startswith(said.split("\ndatabase")[0])
    assert tables(new) != before


def test_preview_of_forgetting_counts_each_event_once(called: Tokentail, both: tuple[Path, Path]) -> None:
    """Two sources that share events: those that a third one has stay, those that only they have go."""
    new, _ = both
    with closing(sqlite3.connect(new)) as connection:
        before = connection.execute("SELECT COUNT(*) FROM token_estimation_v2_events").fetchone()[0]
        names = [str(one) for (one,) in connection.execute("SELECT source_id FROM log_sources")]
    for chosen in (names[:1], names[:3], names[1:], names):
        copy = new.with_name("copy.db")
        shutil.copy(new, copy)
        preview = called("sources", "forget", *chosen, "--dry-run", "--db", copy)
        called("sources", "forget", *chosen, "--db", copy)
        with closing(sqlite3.connect(copy)) as connection:
            (after,) = connection.execute("SELECT COUNT(*) FROM token_estimation_v2_events").fetchone()
        assert f"would be forgotten: {before - after} event" in preview.stdout


def test_upgrade_needs_no_logs_and_lasts(called: Tokentail, both: tuple[Path, Path]) -> None:
    """It names what was made, the second time nothing; and then the tables are those of this version."""
    new, old = both
    first = called("upgrade", old)
    assert (first.returncode, first.stdout) == (0, f"upgraded (m005_labels); database {old}\n")
    assert called("upgrade", old).stdout == f"of this version already; database {old}\n"
    assert tables(old) == tables(new)
    assert called("report", "--db", old).stderr == ""


def test_room_that_an_upgrade_takes_is_said_before(called: Tokentail, both: tuple[Path, Path]) -> None:
    """Where every event is written anew; an upgrade that writes little says nothing of it."""
    _, old = both
    assert "written anew" not in called("upgrade", old).stderr
    make_older(old)
    assert re.search(
        r"every event is written anew: that takes up to \d+\.\d MB", called("upgrade", old).stderr
    )


def test_upgrade_beside_an_ingest_waits_or_leaves(called: Tokentail, both: tuple[Path, Path]) -> None:
    """The program of the older version that holds the database is not disturbed."""
    _, old = both
    before = old.read_bytes()
    with ingest_lock(old, 0):
        assert called("upgrade", old).returncode == 75
    assert old.read_bytes() == before


@pytest.mark.parametrize(
    "command", [("report",), ("upgrade",), PREVIEWS["prune"]], ids=lambda command: command[0]
)
def test_somebody_elses_database_stays_as_it_is(
    called: Tokentail, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """A database without our tables is named as such, and gets none from a command that only reads."""
    database = tmp_path / "theirs.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE places (name TEXT)")
        connection.commit()
    before = database.read_bytes()
    done = called(*command, "--db", database)
    assert done.returncode == 1
    assert "holds nothing of tokentail" in done.stderr
    assert database.read_bytes() == before


def test_no_room_for_the_copy_is_said_with_the_variable_to_set(
    called: Tokentail, both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no temporary folder can be made, the sentence names TMPDIR and the way without one."""
    _, old = both

    def nowhere(*_: object, **__: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.mkdtemp", nowhere)
    done = called("report", "--db", old)
    assert done.returncode == 1
    assert "set TMPDIR" in done.stderr
    assert f"`tokentail upgrade {old}`" in done.stderr
