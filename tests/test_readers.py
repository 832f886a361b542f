"""Readers that may not write: they get the whole answer, or a sentence that says what to do; never a part."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import EXAMPLES, Tokentail
from ingest.errors import DatabaseUnusable
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing.database import open_for_reading
from ingest.summary import IngestOptions

NOBODY = 65534
COUNT = "SELECT COUNT(*) FROM token_estimation_v2_events"


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user who owns nothing, where we may become one."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a database in a folder that others may read and not write."""
    if os.name == "nt":
        pytest.skip("Windows has no such permissions")
    folder = Path(tempfile.mkdtemp(prefix="tokentail-test-"))
    database = folder / "telemetry.db"
    ingest([str(EXAMPLES / "logs")], database, IngestOptions("ingest", zone_named("UTC")))
    folder.chmod(0o555)
    try:
        yield database
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_reader_without_permission_learns_what_to_do(called: Tokentail, shared: Path) -> None:
    """Nobody has the database open, and the reader can't make the files that reading a WAL needs."""
    assert called("report", "--db", shared).returncode == 0
    with somebody_else():
        done = called("report", "--db", shared)
    if os.geteuid() != 0:
        pytest.skip("this user owns the database")
    assert (done.returncode, done.stdout) == (1, "")
    for words in (str(shared), "telemetry.db-wal", "belongs to root", "`chgrp`", "`backup`"):
        assert words in done.stderr


def test_reader_beside_a_writer_gets_all_of_one_moment(called: Tokentail, shared: Path) -> None:
    """While a writer has it open, what is committed is read, though it stands in the WAL alone."""
    called("status", "--db", shared)  # what this imports is not for everybody to read
    shared.parent.chmod(0o755)
    with closing(sqlite3.connect(shared)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        (count,) = writer.execute(COUNT).fetchone()
        writer.execute(
            "INSERT INTO event_horizon VALUES (1, '2026-01-01 00:00:00.000000')"
        )  # in the WAL alone
        writer.commit()
        shared.parent.chmod(0o555)
        with somebody_else():
            done = called("status", "--db", shared)
        shared.parent.chmod(0o755)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{count} events" in done.stdout
    assert "from before 2026-01-01" in done.stdout


def test_reader_who_may_not_read_learns_whose_it_is(called: Tokentail, shared: Path) -> None:
    """It is not the folder and not the WAL: the file itself is somebody else's."""
    called("status", "--db", shared)
    shared.chmod(0o600)
    with somebody_else():
        done = called("status", "--db", shared)
    if os.geteuid() != 0:
        pytest.skip("this user owns the database")
    assert done.returncode == 1
    assert f"{shared}: nobody may not read it: it belongs to root" in done.stderr


@pytest.fixture
def mounted_read_only(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a database on a disk of which the operating system says that it is mounted read-only."""
    monkeypatch.setattr(
        "os.statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY, f_bavail=1 << 20, f_frsize=4096)
    )
    shared.parent.chmod(0o755)
    return shared


def test_read_only_disk_is_read_without_help_files(mounted_read_only: Path) -> None:
    """On a disk that is mounted read-only no file can be made, and none is needed."""
    with open_for_reading(mounted_read_only) as db:
        assert db.execute(COUNT).fetchone()[0] > 0
        assert [path.name for path in mounted_read_only.parent.glob("*-*")] == []


def test_change_from_elsewhere_is_no_answer(mounted_read_only: Path) -> None:
    """What is read-only here may be written elsewhere: then what was read meanwhile is said to be nothing."""
    with (
        pytest.raises(DatabaseUnusable, match="written from elsewhere"),
        open_for_reading(mounted_read_only) as db,
    ):
        db.execute(COUNT).fetchone()
        with closing(sqlite3.connect(mounted_read_only)) as writer:
            writer.execute("DELETE FROM event_sightings")
            writer.commit()


def test_change_that_still_stands_in_a_wal_is_no_answer(mounted_read_only: Path) -> None:
    """A writer elsewhere that has begun, and written nothing into the file yet, is seen too."""
    with (
        closing(sqlite3.connect(mounted_read_only)) as writer,
        pytest.raises(DatabaseUnusable, match="written from elsewhere"),
        open_for_reading(mounted_read_only) as db,
    ):
        db.execute(COUNT).fetchone()
        writer.execute("DELETE FROM event_sightings")
        writer.commit()


def test_database_that_somebody_else_made_is_named_with_its_owner(called: Tokentail, shared: Path) -> None:
    """What root made first, a user may not write: the way out is its owner, not another place."""
    if os.geteuid() != 0:
        pytest.skip("this user owns the database")
    called("ingest", EXAMPLES / "logs", "--db", shared)
    shared.parent.chmod(0o777)
    with somebody_else():
        done = called("prune", "--older-than", "2026-01-13", "--db", shared)
    assert done.returncode == 1
    assert (
        f"{shared}: nobody may not write {shared}, which belongs to root: `chown nobody {shared}*`"
        in done.stderr
    )
