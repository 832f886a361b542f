"""WAL is for local disks: on a network file system a rollback journal is kept, and that is said."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from event_lines import event_message, logged
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing.database import mounted_as, network_kind
from ingest.summary import IngestOptions

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
36 22 0:31 / /data rw shared:5 - nfs4 server:/export rw,vers=4.2
37 36 8:2 / /data/local rw - xfs /dev/sdb1 rw
38 22 0:40 / /with\\040space rw - cifs //box/share rw
39 22 0:41 / /twice rw - ext4 /dev/sdc1 rw
40 22 0:42 / /twice rw - fuse.sshfs me@box: rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me", "ext4"),
        ("/data", "nfs4"),
        ("/data/deep/down", "nfs4"),
        ("/data/local/x", "xfs"),
        ("/database", "ext4"),
        ("/with space/x", "cifs"),
        ("/twice", "fuse.sshfs"),
    ],
)
def test_file_system_is_that_of_the_longest_mount_point(folder: str, kind: str) -> None:
    """A folder is on what is mounted nearest above it; of two in one place, on the later one."""
    assert mounted_as(folder, MOUNTS) == kind


def test_line_that_is_cut_behind_its_mount_point_is_read() -> None:
    """Of what stands between the mount point and the type nothing is needed."""
    assert mounted_as("/data", "22 1 8:1 / / - ext4 it\n36 22 0:31 / /data - nfs4 it rw\n") == "nfs4"


def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> Path:
    """Pretend that a folder is on some kind of file system; return a database's path in it."""
    table = tmp_path / "mountinfo"
    table.write_text(f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n36 22 0:31 / {tmp_path} rw - {kind} it rw\n")
    monkeypatch.setattr("ingest.storing.database.MOUNTS", table)
    return tmp_path / "t.db"


@pytest.mark.parametrize(("kind", "mode"), [("nfs4", "delete"), ("cifs", "delete"), ("ext4", "wal")])
def test_journal_fits_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    """On a network file system there is no WAL, also where there was one, and a note says why."""
    log = tmp_path / "run.log"
    log.write_text(logged(event_message()) + "\n")
    options = IngestOptions("ingest", zone_named("UTC"))
    ingest([str(log)], tmp_path / "t.db", options)
    database = mounted(tmp_path, monkeypatch, kind)
    summary = ingest([str(log)], database, options)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)
    said = any(f"on {kind}, so kept with a rollback journal" in note for note in summary.notes)
    assert said is (mode == "delete")


def test_unknown_mounts_are_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is unknown what is mounted, nothing is assumed."""
    monkeypatch.setattr("ingest.storing.database.MOUNTS", tmp_path / "none")
    assert network_kind(tmp_path / "t.db") is None
