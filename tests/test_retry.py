"""Rejects that are understood now: events as if they had been read right the first time."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import EXAMPLES, Tokentail
from event_lines import event_message, logged
from faults.tables import check_invariants, rows_as_stored, tables
from ingest.retrying import retry_rejects
from ingest.verify import verify
from older import forget_how_to_read
from test_properties import ANY_SHAPES, SEEDS, examples, folder, played, read


def sightings(database: Path) -> list[tuple[str, int]]:
    """Return where events were seen: the name of the log, and the offset."""
    with closing(sqlite3.connect(database)) as connection:
        return [
            (Path(path).name, offset)
            for path, offset in connection.execute(
                "SELECT path, s.byte_offset FROM event_sightings AS s JOIN log_sources USING (source_id)"
            )
        ]


@given(SEEDS, ANY_SHAPES, st.booleans(), st.data())
@examples(3)
def test_retry_gives_the_tables_of_a_first_reading(
    seed: int, shape: object, finished: bool, data: st.DataObject
) -> None:
    """Whatever an older version did not understand, a retry ends in what this version reads at once."""
    text = played(seed, shape, 2, "any").text().encode()
    with folder() as here:
        (here / "a.log").write_bytes(text if data.draw(st.booleans()) else text[:-1])
        (here / "b.log").write_bytes(text[: len(text) // 2])
        for name in ("right.db", "older.db"):
            read(here / name, here / "a.log", here / "b.log", finished=finished)
        places = sightings(here / "older.db")
        forget_how_to_read(here / "older.db", set(Random(seed).sample(places, len(places) // 2)))
        check_invariants(here / "older.db")
        done = retry_rejects(here / "older.db")
        check_invariants(here / "older.db")
        assert tables(here / "older.db") == tables(here / "right.db")
        assert verify([], here / "older.db").differences == []
        before = rows_as_stored(here / "older.db")
        again = retry_rejects(here / "older.db")
        assert (again.whole, again.alone, again.events_new) == (0, 0, 0)
        assert done.rejects - done.whole == again.rejects
        assert rows_as_stored(here / "older.db") == before
        (here / "a.log").write_bytes(text + text[:1000])
        for name in ("right.db", "older.db"):
            assert read(here / name, here / "a.log", finished=finished).files_read == 1
        assert tables(here / "older.db") == tables(here / "right.db")


@pytest.fixture
def older(tmp_path: Path, called: Tokentail) -> Path:
    """Return a database in which two events of `executor.log` are rejects; `right.db` has them."""
    shutil.copytree(EXAMPLES / "logs", tmp_path / "logs")
    for name in ("right.db", "older.db"):
        called("ingest", "logs/collect.log", "--tz", "UTC", "--db", name)
    forget_how_to_read(tmp_path / "older.db", set(sightings(tmp_path / "older.db")[1:3]))
    return tmp_path / "older.db"


def test_rotated_log_is_found_and_read_with_its_context(older: Path, called: Tokentail) -> None:
    """A log that has another name now is read as what it is."""
    (older.parent / "logs/collect.log").rename(older.parent / "logs/collect.log.1")
    done = called("rejects", "--retry", "--db", "older.db")
    assert done.stdout.splitlines()[0] == (
        "2 rejects read again: 2 understood with the log around them, 0 alone, 0 still not; 2 events new"
    )
    assert tables(older)["events"] == tables(older.with_name("right.db"))["events"]
    check_invariants(older)


def test_new_events_of_all_batches_are_counted(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is read again in several batches, the last of which brings nothing."""
    monkeypatch.setattr("ingest.memory.MAX_BATCH_RECORDS", 1)
    monkeypatch.setattr("ingest.files.logfile.CHUNK_BYTES", 100)
    done = retry_rejects(older)
    assert (done.rejects, done.whole, done.events_new) == (2, 2, 2)


@pytest.mark.parametrize("gone", ["deleted", "another", "damaged"])
def test_stored_line_is_read_alone_where_its_log_is_gone(older: Path, called: Tokentail, gone: str) -> None:
    """The event has its numbers, no phase, and is claimed when its log is read in full."""
    log = older.parent / "logs/collect.log"
    whole = log.read_bytes()
    if gone == "deleted":
        log.unlink()
    else:
        log.write_bytes(b"other\n" if gone == "another" else whole[:-500])
    done = called("rejects", "--retry", "--db", "older.db")
    assert "0 understood with the log around them, 2 alone, 0 still not; 2 events new" in done.stdout
    assert "gone: lines read without their context" in done.stderr
    check_invariants(older)
    assert len(tables(older)["events"]) == 5
    log.with_name("copy.log").write_bytes(whole)
    called("backfill", "--full", "logs/copy.log", "--tz", "UTC", "--db", "older.db")
    assert tables(older)["events"] == tables(older.with_name("right.db"))["events"]
    check_invariants(older)


def test_log_goes_on_from_its_checkpoint_after_a_retry_of_lines_alone(older: Path, called: Tokentail) -> None:
    """The checkpoint agrees with the columns, so that the log is not read anew."""
    log = older.parent / "logs/collect.log"
    log.rename(older.parent / "away")
    called("rejects", "--retry", "--db", "older.db")
    (older.parent / "away").rename(log)
    with log.open("a", encoding="utf-8") as more:
        more.write(logged(event_message(predicted_output=77)) + "\n")
    done = called("ingest", "logs/collect.log", "--tz", "UTC", "--db", "older.db")
    assert "1 marker line, 1 event new" in done.stdout
    check_invariants(older)


def test_real_rejects_stay(called: Tokentail, tmp_path: Path) -> None:
    """What is no event to this version either stays a reject, and nothing is read for it."""
    shutil.copytree(EXAMPLES / "logs", tmp_path / "logs")
    called("ingest", "logs", "--tz", "UTC")
    before = rows_as_stored(tmp_path / "telemetry.db")
    done = called("rejects", "--retry")
    assert "1 reject read again: 0 understood with the log around them, 0 alone, 1 still not" in done.stdout
    assert rows_as_stored(tmp_path / "telemetry.db") == before
