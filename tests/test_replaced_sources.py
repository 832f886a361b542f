"""A source that left its path is looked for: a link's old target, rotations; else a warning says so."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from event_lines import event_message, logged
from faults.tables import events
from ingest.files.discover import Rotations
from ingest.files.logfile import LogFile
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary


def append(path: Path, *numbers: int) -> None:
    """Append one event for each number."""
    with path.open("a") as file:
        file.writelines(logged(event_message(predicted_output=number)) + "\n" for number in numbers)


def read(*paths: Path, full: bool = False, tz: str = "UTC", asked: bool = False) -> Summary:
    """Ingest some paths into the database beside the folder of logs."""
    options = IngestOptions("ingest", zone_named(tz), zone_asked=asked, full=full)
    root = paths[0] if paths[0].name == "logs" else paths[0].parent
    return ingest([str(path) for path in paths], root.parent / "t.db", options)


def predicted(path: Path) -> list[int]:
    """Return what the stored events predicted."""
    return sorted(row["predicted_output_tokens"] for row in events(path.parent.parent / "t.db"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Make an empty folder of logs, and return where the log is to be."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "run.log"


@pytest.mark.parametrize(
    "name", ["run.log.1", "run.log-20260114", "run.log.2026-01-14", "run.1.log", "run-2026-01-14_09.log"]
)
def test_rotation_beside_a_named_log_is_read_on(log: Path, name: str) -> None:
    """Whatever the rotation called it, the unread tail of what had the name before is read."""
    append(log, 1)
    read(log)
    append(log, 2)
    log.rename(log.with_name(name))
    append(log, 3)
    assert read(log).warnings == []
    assert predicted(log) == [1, 2, 3]
    append(log.with_name(name), 4)  # the writer still holds it
    read(log)
    assert predicted(log) == [1, 2, 3, 4]


def test_rotations_from_before_are_left_alone(log: Path) -> None:
    """Who names one log gets no older ones: neither in the first run nor in later ones."""
    append(log.with_name("run.log.2"), 8)
    append(log.with_name("other.log.1"), 9)
    os.utime(log.with_name("run.log.2"), (1_000, 1_000))
    append(log, 1)
    read(log)
    log.rename(log.with_name("run.log.1"))
    append(log, 2)
    read(log)
    assert predicted(log) == [1, 2]


def test_only_rotations_of_the_very_name_are_found(log: Path) -> None:
    """Names that only begin the same are other logs."""
    for name in (
        "run.log.1",
        "run.log.old",
        "run.logs.1",
        "running.log.1",
        "run.log.1.bak",
        "run.log.2.gz",
        "run-2.log",
        "run.1.log.xz",
        "run-20260114.log",
        "run.log-20260114",
        "run.log.2026-01-14_10:00.bz2",
        "run.log.20260114-194002",
        "run.log.20260114-194002.gz",
        "run.log.gz",
        "run",
        "ru.log.1",
    ):
        append(log.with_name(name), 1)
    log.with_name("run.log.3").mkdir()
    expected = [
        "run-20260114.log",
        "run.1.log.xz",
        "run.log-20260114",
        "run.log.1",
        "run.log.2.gz",
        "run.log.2026-01-14_10:00.bz2",
        "run.log.20260114-194002",
        "run.log.20260114-194002.gz",
    ]
    for named in (True, False):
        found = Rotations().of(LogFile(str(log), named=named), 0)
        assert [Path(log.path).name for log in found] == expected
    link = log.parent.parent / "current"
    link.symlink_to(log)
    beside = Rotations().of(LogFile(str(link)), 0)
    assert [Path(log.path).name for log in beside] == expected
    assert {log.stored_path for log in beside} == {str(link)}
    link.unlink()
    assert Rotations().of(LogFile(str(link)), 0, [str(log), None]) == beside


def test_log_that_is_gone_is_said_once(log: Path) -> None:
    """Another log under the name, and the old one nowhere: a warning, and no second one."""
    append(log, 1)
    read(log)
    log.replace(log.parent.parent / "elsewhere")
    append(log, 2)
    (warning,) = read(log.parent).warnings
    assert "run.log: another log than the one that was read here up to offset" in warning
    assert read(log.parent).warnings == []


def test_link_that_is_swapped_every_day_warns_of_nothing(log: Path) -> None:
    """Old targets are read on while they are there, and may be deleted later."""
    days = [log.parent.parent / f"day{number}.txt" for number in range(4)]
    for number, day in enumerate(days):
        append(day, number)
        log.unlink(missing_ok=True)
        log.symlink_to(day)
        if number > 1:
            days[number - 2].unlink()
        assert read(log).warnings == []
        append(day, 10 + number)
    read(log)
    assert predicted(log) == [0, 1, 2, 3, 10, 11, 12, 13]


def test_full_reading_keeps_rows_and_brings_deleted_ones_back(log: Path) -> None:
    """Read from the start again: the same events under the same ids, no source or sighting more."""
    append(log, 1, 2)
    read(log)
    before = events(log.parent.parent / "t.db")
    summary = read(log, full=True)
    assert (summary.events_new, summary.further_sightings) == (0, 2)
    assert events(log.parent.parent / "t.db") == before
    assert read(log).bytes_read == 0


def test_full_reading_corrects_a_zone(log: Path) -> None:
    """With another zone the events have other times; those of the wrong zone are gone, and that is said."""
    append(log, 1)
    read(log, tz="Australia/Sydney", asked=True)
    summary = read(log, tz="UTC", asked=True, full=True)
    assert summary.warnings == []
    assert summary.notes == [
        f"{log}: read as UTC now, not as Australia/Sydney: 1 event of other times replaced"
    ]
    assert [row["timestamp"] for row in events(log.parent.parent / "t.db")] == ["2025-12-29 19:40:02.000000"]
    assert read(log).warnings == []


def test_copy_of_a_log_is_read_in_the_logs_zone(log: Path) -> None:
    """The same content has the same times, whatever zone is asked for now."""
    append(log, 1, 2)
    read(log, tz="Australia/Sydney", asked=True)
    log.with_name("copy.log").write_bytes(log.read_bytes())
    summary = read(log.parent, tz="UTC", asked=True)
    assert predicted(log) == [1, 2]
    assert "times stay read as Australia/Sydney" in summary.warnings[0]


def test_file_written_within_a_tick_of_its_reading_is_looked_at_again(log: Path) -> None:
    """The same size and the same time: only its end shows that it is another one."""
    append(log, 1)
    read(log)
    times = log.stat()
    log.write_text(log.read_text().replace("model=some-model-4", "model=some-model-5"))
    os.utime(log, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert log.stat().st_size == times.st_size
    read(log)
    assert {row["model"] for row in events(log.parent.parent / "t.db")} == {"some-model-4", "some-model-5"}


def test_full_reading_that_was_cut_short_leaves_no_second_source(log: Path) -> None:
    """A second source of the same bytes is neither warned of nor kept by the next full reading."""
    append(log, 1, 2, 3)
    read(log)
    database = log.parent.parent / "t.db"
    with sqlite3.connect(database) as connection:  # as a killed full reading leaves it
        connection.execute("CREATE TEMP TABLE half AS SELECT * FROM log_sources")
        connection.execute("UPDATE half SET source_id = 99, marker_lines = 0, sightings = 0")
        connection.execute("INSERT INTO log_sources SELECT * FROM half")
    connection.close()
    append(log, 4)
    assert read(log).warnings == []
    assert read(log, full=True).warnings == []
    assert predicted(log) == [1, 2, 3, 4]
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT COUNT(*) FROM event_sightings").fetchone() == (4,)
    connection.close()
