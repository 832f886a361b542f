"""An export in partitions: a folder that holds what the database holds, as often as it is written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pyarrow.parquet
import pytest

from conftest import Tokentail
from event_rows import event_row, stored

NAMES = ["date=2026-01-14", "date=2026-01-15", "date=2026-02-01"]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Make a database with events of three dates."""
    times = ["2026-01-14 00:00:00", "2026-01-14 23:59:59", "2026-01-15 09:00:00", "2026-02-01 12:00:00"]
    rows = [
        event_row(timestamp=f"{time}.000000", actual_output_tokens=100 + i) for i, time in enumerate(times)
    ]
    return stored(tmp_path / "telemetry.db", rows)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file with its bytes and its time."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files
    }


@pytest.mark.parametrize("full", [(), ("--full",)], ids=["plain", "full"])
@pytest.mark.parametrize(("period", "count"), [("date", 3), ("month", 2)])
def test_duckdb_reads_partitions_back(
    called: Tokentail, database: Path, tmp_path: Path, period: str, count: int, full: tuple[str, ...]
) -> None:
    """Each event is in the file of its day or month in UTC, with typed columns and equal sums."""
    done = called("export", *full, "--format", "parquet", "--partition-by", period, "-o", "events")
    assert done.returncode == 0, done.stderr
    assert f"events: {count} partitions: {count} written, 0 as they were, 0 removed" in done.stderr
    query = (
        f"SELECT COUNT(DISTINCT {period}), COUNT(*), SUM(actual_output_tokens), "
        f"BOOL_AND(STRFTIME(timestamp::TIMESTAMP, '%Y-%m-%d') LIKE {period} || '%') "
        f"FROM read_parquet('{(tmp_path / 'events').as_posix()}/*/*.parquet', hive_partitioning = true)"
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(query).fetchone()
    with sqlite3.connect(database) as opened:
        (total,) = opened.execute(
            "SELECT SUM(actual_output_tokens) FROM token_estimation_v2_events"
        ).fetchone()
    opened.close()
    assert found == (count, 4, total, True)


def test_exporting_again_changes_only_what_changed(called: Tokentail, database: Path, tmp_path: Path) -> None:
    """Equal partitions keep their files; those without events go; files of others stay."""
    command = ("export", "--format", "parquet", "--partition-by", "date", "-o", "events")
    folder = tmp_path / "events"
    assert called(*command).returncode == 0
    first = contents(folder)
    assert sorted(first) == [f"{name}/part-0.parquet" for name in NAMES]
    assert "0 written, 3 as they were, 0 removed" in called(*command).stderr
    assert contents(folder) == first
    (folder / NAMES[1] / "notes.txt").write_text("of somebody else")
    (folder / "_SUCCESS").touch()
    (folder / "date=2020-01-01").mkdir()
    foreign = folder / "date=2020-01-01" / "part-0.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), foreign)
    with sqlite3.connect(database) as opened:
        opened.execute("DELETE FROM token_estimation_v2_events WHERE timestamp > '2026-01-15'")
    opened.close()
    since = called(*command, "--since", "2026-02-01T13:00", "--until", "2026-02-01T14:00")
    assert "0 written, 0 as they were, 1 removed" in since.stderr
    assert "1 written" not in (done := called(*command)).stderr
    assert "0 written, 1 as they were, 1 removed" in done.stderr
    left = [
        "_SUCCESS",
        "date=2020-01-01/part-0.parquet",
        f"{NAMES[0]}/part-0.parquet",
        f"{NAMES[1]}/notes.txt",
    ]
    assert sorted(contents(folder)) == left


@pytest.mark.usefixtures("database")
def test_times_take_whole_partitions(called: Tokentail, tmp_path: Path) -> None:
    """A partition never holds only what came after --since, and those before it are left alone."""
    command = ("export", "--format", "parquet", "--partition-by", "date", "-o", "events")
    done = called(*command, "--since", "2026-01-14T12:00", "--until", "2026-01-14T13:00")
    assert done.returncode == 0, done.stderr
    assert list(contents(tmp_path / "events")) == [f"{NAMES[0]}/part-0.parquet"]
    assert pyarrow.parquet.read_metadata(tmp_path / "events" / NAMES[0] / "part-0.parquet").num_rows == 2
    assert "2 written" in called(*command, "--since", "2026-01-15T12:00").stderr
    assert len(contents(tmp_path / "events")) == 3


def test_files_of_others_are_not_replaced(called: Tokentail, database: Path, tmp_path: Path) -> None:
    """A file in a partition's place that we did not write, and a link, are named, and nothing is changed."""
    command = ("export", "--format", "parquet", "--partition-by", "date", "-o")
    place = tmp_path / "events" / NAMES[2] / "part-0.parquet"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"PAR1 of somebody else")
    done = called(*command, "events")
    assert done.returncode == 1
    assert f"{NAMES[2]}/part-0.parquet" in done.stderr.replace("\\", "/")
    assert list(contents(tmp_path / "events")) == [f"{NAMES[2]}/part-0.parquet"]
    assert called(*command, "telemetry.db").returncode == 2
    assert called("export", "--format", "csv", "--partition-by", "date", "-o", "x").returncode == 2
    assert called("export", "--format", "parquet", "--partition-by", "date").returncode == 2
    assert database.exists()
