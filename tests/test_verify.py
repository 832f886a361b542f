"""`verify` finds what a hand, a bug or a lost file did to the database, and names file and line."""

from __future__ import annotations

import gzip
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from event_lines import anchor_message, event_message, logged
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions
from ingest.verify import verify

OPTIONS = IngestOptions("ingest", zone_named("UTC"))


@pytest.fixture
def ingested(tmp_path: Path) -> tuple[Path, Path]:
    """Return a log with two events and a reject, and a database that holds it."""
    log = tmp_path / "run.log"
    lines = [
        logged("Initialized autonomous executor for run: run-1"),
        logged("[BUILD-041] Next phase: p1"),
        logged(anchor_message("p1")),
        logged(event_message()),
        logged("[p1] Builder succeeded (6213 tokens)"),
        logged("Updated phase p1 status to COMPLETE"),
        logged("[TokenEstimationV2] predicted"),
        logged(event_message(predicted_output=77)),
    ]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ingest([str(log)], tmp_path / "t.db", OPTIONS)
    return log, tmp_path / "t.db"


def alter(database: Path, *statements: str) -> None:
    with sqlite3.connect(database) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_untouched_database_is_proven(ingested: tuple[Path, Path]) -> None:
    """Marker lines = sightings + rejects, and every row says what its line says."""
    log, database = ingested
    result = verify([str(log)], database)
    assert (result.marker_lines, result.sightings, result.rejects, result.differences) == (3, 2, 1, [])


ALTERED = {
    "a number": (
        "UPDATE token_estimation_v2_events SET actual_output_tokens = 9 WHERE event_id = 1",
        ":4: actual_",
    ),
    "a metric": (
        "UPDATE token_estimation_v2_events SET smape_percent = 1 WHERE event_id = 1",
        ":4: smape_percent",
    ),
    "no number": (
        "UPDATE token_estimation_v2_events SET predicted_output_tokens = 'many' WHERE event_id = 1",
        ":4: its row can't be read",
    ),
    "a text": (
        "UPDATE token_estimation_v2_events SET model = 'x' WHERE event_id = 2",
        ":8: model is 'some-model-4'",
    ),
    "a phase": (
        "UPDATE token_estimation_v2_events SET phase_id = 'p9' WHERE event_id = 1",
        ":4: phase is 'p1'",
    ),
    "what says the phase": (
        "UPDATE token_estimation_v2_events SET phase_source = 'builder' WHERE event_id = 1",
        ":4: phase is 'p1' (budget) in the log, 'p1' (builder) in the database",
    ),
    "a run": ("UPDATE token_estimation_v2_events SET run_id = 'r9' WHERE event_id = 1", ":4: run is 'run-1'"),
    "a time": (
        "UPDATE token_estimation_v2_events SET timestamp = '2020-01-01 00:00:00.000000'",
        ":4: logged at",
    ),
    "an outcome": (
        "UPDATE token_estimation_v2_events SET phase_outcome = NULL",
        ":4: phase_outcome is 'COMPLETE'",
    ),
    "an event": (
        "DELETE FROM token_estimation_v2_events WHERE event_id = 1",
        ":4: the database has the sighting",
    ),
    "a sighting": (
        "DELETE FROM event_sightings WHERE event_id = 1",
        ":4: an event that the database does not have",
    ),
    "a reject": ("DELETE FROM rejected_lines", ":7: a marker line (cut off)"),
    "a forged sighting": (
        "INSERT INTO event_sightings VALUES (1, 1, 5, 1, 1, 0, NULL)",
        ":1: the database has an event here",
    ),
    "a forged reject": (
        "INSERT INTO rejected_lines VALUES (1, 5, 1, 'x', 'y')",
        ":1: the database has a reject",
    ),
}


@pytest.mark.parametrize(("statement", "words"), ALTERED.values(), ids=ALTERED)
def test_what_was_altered_by_hand_is_named_by_file_and_line(
    ingested: tuple[Path, Path], statement: str, words: str
) -> None:
    """Whatever is deleted, altered or forged in the database is found."""
    log, database = ingested
    alter(database, statement)
    found = verify([str(log)], database).differences
    assert any(difference.startswith(f"{log}{words}") for difference in found), found


def test_second_event_of_a_group_that_was_altered_is_named_without_its_log(tmp_path: Path) -> None:
    """Two calls of one second that used as many tokens: each row is held against its own places."""
    log = tmp_path / "run.log"
    lines = [anchor_message("p1"), event_message(), anchor_message("p2"), event_message()]
    log.write_text("".join(logged(line) + "\n" for line in lines), encoding="utf-8")
    ingest([str(log)], tmp_path / "t.db", OPTIONS)
    log.unlink()
    assert verify([], tmp_path / "t.db").differences == []
    alter(tmp_path / "t.db", "UPDATE token_estimation_v2_events SET waste_ratio = 9 WHERE phase_id = 'p2'")
    (difference,) = verify([], tmp_path / "t.db").differences
    assert difference.startswith(f"{log}:4: waste_ratio is 9")


NAMING = {"no number", "a time"}
"""What an event is named by: a row with another one is not found again."""

MENDED = {name: case for name, case in ALTERED.items() if name not in NAMING}


@pytest.mark.parametrize(("statement", "words"), MENDED.values(), ids=MENDED)
def test_what_was_altered_by_hand_is_mended_by_reading_all_logs_again(
    ingested: tuple[Path, Path], statement: str, words: str
) -> None:
    """`verify` says so: whatever the log tells stands in the database afterwards."""
    log, database = ingested
    alter(database, statement)
    ingest([str(log)], database, replace(OPTIONS, full=True))
    assert verify([str(log)], database).differences == [], words


def test_event_and_its_sightings_deleted_together_are_missed(ingested: tuple[Path, Path]) -> None:
    """An event that is gone without a trace is still in the log."""
    log, database = ingested
    alter(
        database,
        "DELETE FROM event_sightings WHERE event_id = 1",
        "DELETE FROM token_estimation_v2_events WHERE event_id = 1",
    )
    assert f"{log}:4: an event that the database does not have" in verify([str(log)], database).differences


def test_log_that_was_never_ingested_is_a_difference(ingested: tuple[Path, Path], tmp_path: Path) -> None:
    """A log whose events are not in the database is named, with the next step."""
    other = tmp_path / "other.log"
    other.write_text(logged(event_message(predicted_output=3)) + "\n", encoding="utf-8")
    (difference,) = verify([str(other)], ingested[1]).differences
    assert difference.startswith(f"{other}: 1 marker lines, and nothing of this file was ingested")


def test_lines_after_the_checkpoint_are_no_difference(ingested: tuple[Path, Path]) -> None:
    """A log that has grown since is verified as far as it was read, and that is said."""
    log, database = ingested
    with log.open("a", encoding="utf-8") as grown:
        grown.write(logged("Updated phase p1 status to FAILED") + "\n" + logged(event_message()) + "\n")
    result = verify([str(log)], database)
    assert (result.marker_lines, result.differences) == (3, [])
    assert "has grown by" in result.notes[0]


def test_log_that_is_damaged_behind_what_was_read_of_it_is_a_problem(tmp_path: Path) -> None:
    """What stands before the damage is compared; what follows is proven by nothing."""
    lines = [logged(event_message(predicted_output=number)) for number in range(3)]
    packed = gzip.compress("\n".join(lines).encode())
    log = tmp_path / "run.log.gz"
    log.write_bytes(packed[:-8] + bytes(8))  # its checks are wrong
    ingest([str(log)], tmp_path / "t.db", OPTIONS)
    result = verify([str(log)], tmp_path / "t.db")
    assert result.differences == []
    assert result.marker_lines > 0
    (problem,) = result.problems
    assert problem.startswith(f"{log}: damaged")


def test_without_paths_every_log_that_is_still_there_is_read(
    ingested: tuple[Path, Path], tmp_path: Path
) -> None:
    """`verify` finds the logs by itself, and counts the sources whose logs are gone."""
    log, database = ingested
    gone = tmp_path / "gone.log"
    gone.write_text(logged(event_message(predicted_output=3)) + "\n", encoding="utf-8")
    ingest([str(gone)], database, OPTIONS)
    gone.unlink()
    result = verify([], database)
    assert (result.files, result.sources_without_log, result.differences) == (1, 1, [])
    assert log.exists()


def test_richer_context_from_another_log_is_no_difference(
    ingested: tuple[Path, Path], tmp_path: Path
) -> None:
    """An excerpt knows less than the row, and that is as it should be."""
    log, database = ingested
    excerpt = tmp_path / "samples.txt"
    excerpt.write_text(logged(event_message()) + "\n", encoding="utf-8")
    ingest([str(excerpt)], database, OPTIONS)
    assert verify([str(log), str(excerpt)], database).differences == []
