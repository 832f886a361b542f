"""`verify` finds what a hand, a bug or a lost file did to the database, and names file and line."""

from __future__ import annotations

import gzip
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import anchor_message, event_message, logged
from ingest.errors import DatabaseUnusable
from ingest.merging import merge
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing.rows import ESCALATION_COLUMNS
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
    "how a time was logged": (
        "UPDATE token_estimation_v2_events SET timestamp_text = 'then' WHERE event_id = 1",
        ":4: timestamp_text is '2025-12-29 19:40:02' in the log, 'then'",
    ),
    "a fraction of a second": (
        "UPDATE token_estimation_v2_events SET timestamp = '2025-12-29 19:40:02.500000' WHERE event_id = 1",
        ":4: timestamp is '2025-12-29 19:40:02.000000' in the log",
    ),
    "whether a place tells the phase": (
        "UPDATE event_sightings SET phase_known = 0 WHERE event_id = 1",
        ":4: the log names its phase, but its sighting has phase_known = 0",
    ),
    "whether a line was cut": (
        "UPDATE event_sightings SET line_cut = 1 WHERE event_id = 1",
        ":4: the line is whole, but its sighting has line_cut = 1",
    ),
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


# What no line says

BARE = {
    "run_id = 'bogus', run_source = 'lock'": "run is None in the log, 'bogus' (lock) in the database",
    "actual_max_tokens = 1": "actual_max_tokens is None in the log, 1 in the database",
    "input_tokens = 1": "input_tokens is None",
    "total_tokens = 1": "total_tokens is None",
    "confidence = 0.5": "confidence is None",
    "attempt_index = 1": "attempt_index is None",
    "estimated_deliverable_count = 1": "estimated_deliverable_count is None",
    "phase_outcome = 'COMPLETE'": "phase_outcome is None in the log, 'COMPLETE' in the database",
    "deliverables_json = '[\"a.py\"]', deliverables_source = 'applied'": "deliverables is None",
}


@pytest.mark.parametrize(("values", "words"), BARE.items(), ids=BARE)
def test_value_that_no_line_says_is_named(tmp_path: Path, values: str, words: str) -> None:
    """An event line alone says nothing of its run, its call or its phase, so its row must know nothing."""
    log, database = tmp_path / "grep.txt", tmp_path / "t.db"
    log.write_text(logged(event_message()) + "\n", encoding="utf-8")
    ingest([str(log)], database, OPTIONS)
    alter(database, f"UPDATE token_estimation_v2_events SET {values}")
    (difference,) = verify([], database).differences
    assert difference.startswith(f"{log}:1: {words}")


def test_value_of_a_line_in_another_batch_is_no_difference(tmp_path: Path) -> None:
    """What a place says is held against all that its log tells, however far behind the event."""
    log, database = tmp_path / "run.log", tmp_path / "t.db"
    opened = [logged("[BUILD-041] Next phase: p1"), logged(anchor_message("p1")), logged(event_message())]
    other = logged("nothing") + "\n"
    far = other * ((5 << 20) // len(other))
    log.write_text("\n".join(opened) + "\n" + far + logged("Updated phase p1 status to COMPLETE") + "\n")
    ingest([str(log)], database, OPTIONS)
    assert verify([], database).differences == []
    alter(database, "UPDATE token_estimation_v2_events SET attempt_index = 3")
    assert verify([], database).differences == [
        f"{log}:3: attempt_index is None in the log, 3 in the database"
    ]


@pytest.mark.parametrize(
    "counter", ["legacy_lines", "skipped_events", "long_lines", "calls_without_telemetry", "write_failures"]
)
def test_count_that_was_altered_is_named(ingested: tuple[Path, Path], counter: str) -> None:
    """What is counted in a log is counted again."""
    log, database = ingested
    alter(database, f"UPDATE log_sources SET {counter} = 9")
    (difference,) = verify([str(log)], database).differences
    assert difference.startswith(f"{log}: ")
    assert "9" in difference


def test_counts_that_only_balance_are_named(ingested: tuple[Path, Path]) -> None:
    """Two false counts whose sum is right."""
    log, database = ingested
    alter(database, "UPDATE log_sources SET write_failures = 1, quoted_lines = -1")
    assert verify([str(log)], database).differences == [
        f"{log}: write_failures is 0 in the log, 1 in the database",
        f"{log}: quoted_lines is 0 in the log, -1 in the database",
    ]


# Escalations


@pytest.fixture
def escalated(tmp_path: Path) -> tuple[Path, Path]:
    """Return a log with an event and an escalation, and a database that holds it."""
    log = tmp_path / "run.log"
    lines = [
        "Initialized autonomous executor for run: run-1",
        "[BUILD-041] Next phase: p1",
        event_message(),
        "[BUILD-129:P10] ESCALATE-ONCE: phase=p1 attempt=0 base=16384 (from actual_max) "
        "\u2192 retry=20480 (1.25x, truncation)",
    ]
    log.write_text("".join(logged(line) + "\n" for line in lines), encoding="utf-8")
    ingest([str(log)], tmp_path / "t.db", OPTIONS)
    return log, tmp_path / "t.db"


_ESCALATIONS = "token_budget_escalation_events"
_INVENTED = (
    f"CREATE TABLE other AS SELECT * FROM {_ESCALATIONS}",
    "UPDATE other SET event_id = 9, phase_id = 'p9', escalation_key = 'k9'",
    f"INSERT INTO {_ESCALATIONS} SELECT * FROM other",
)

_SAID = "'run_id', 'other', " + ", ".join(f"'{name}', {name}" for name in ESCALATION_COLUMNS[1:])

ESCALATIONS = {
    "a row": ([f"DELETE FROM {_ESCALATIONS}"], "{log}:4: the database has the sighting of this escalation"),
    "row and place": (
        ["DELETE FROM escalation_sightings", f"DELETE FROM {_ESCALATIONS}"],
        "{log}:4: an escalation that the database does not have",
    ),
    "a place": (["DELETE FROM escalation_sightings"], "{log}:4: an escalation that the database does not"),
    "a run": (
        [f"UPDATE {_ESCALATIONS} SET run_id = 'x'"],
        "{log}:4: run_id of the escalation is 'run-1' in the log, 'x' in the database",
    ),
    "a factor": (
        [f"UPDATE {_ESCALATIONS} SET escalation_factor = 9"],
        "{log}:4: escalation_factor of the escalation is 1.25",
    ),
    "a line number": (
        ["UPDATE escalation_sightings SET line_number = 5"],
        "{log}:4: the database has it at line 5",
    ),
    "a forged place": (
        ["INSERT INTO escalation_sightings VALUES (1, 1, 5, 1, NULL)"],
        "{log}:1: the database has an escalation here",
    ),
    "a forged place behind": (
        ["INSERT INTO escalation_sightings VALUES (1, 1, 5000, 9, NULL)"],
        "{log}:9: the database has an escalation here",
    ),
}
WITHOUT_LOG = {
    "no place": (["DELETE FROM escalation_sightings"], "escalation 1: in the database, but seen in no log"),
    "no row": ([f"DELETE FROM {_ESCALATIONS}"], "1 sightings of escalations are of rows"),
    "an invented one": (_INVENTED, "escalation 9: an escalation with the key 'k9'"),
    "a new ceiling": (
        [f"UPDATE {_ESCALATIONS} SET retry_max_tokens = 1"],
        "{log}:4: an escalation with the key",
    ),
    "not what its place says": (
        [f"UPDATE escalation_sightings SET own_values = (SELECT JSON_OBJECT({_SAID}) FROM {_ESCALATIONS})"],
        "{log}:4: run_id of the escalation is 'run-1' in the database, but its places say 'other'",
    ),
    "no JSON": (["UPDATE escalation_sightings SET own_values = '{'"], "{log}:4: its row can't be read"),
}


@pytest.mark.parametrize(("statements", "words"), ESCALATIONS.values(), ids=ESCALATIONS)
def test_escalation_that_was_altered_is_named(
    escalated: tuple[Path, Path], statements: list[str], words: str
) -> None:
    """Whatever is deleted, altered or forged of an escalation is found in its log."""
    log, database = escalated
    assert verify([], database).differences == []
    alter(database, *statements)
    found = verify([], database).differences
    assert any(difference.startswith(words.format(log=log)) for difference in found), found


@pytest.mark.parametrize(("statements", "words"), WITHOUT_LOG.values(), ids=WITHOUT_LOG)
def test_escalation_that_was_altered_is_named_without_its_log(
    escalated: tuple[Path, Path], statements: list[str], words: str
) -> None:
    """Each has a place, and is what is computed from its places."""
    log, database = escalated
    log.unlink()
    assert verify([], database).differences == []
    alter(database, *statements)
    (difference,) = verify([], database).differences
    assert difference.startswith(words.format(log=log))


def test_escalation_that_was_stored_before_places_were_kept_needs_none(escalated: tuple[Path, Path]) -> None:
    """Version 0.1.0 kept no places: such a row is older than the migration that brought them."""
    log, database = escalated
    log.unlink()
    alter(
        database,
        "DELETE FROM escalation_sightings",
        f"UPDATE {_ESCALATIONS} SET created_at = '2025-12-30 00:00:00.000000'",
    )
    assert verify([], database).differences == []


def test_escalation_that_is_older_than_what_is_kept_is_no_difference(
    escalated: tuple[Path, Path], called: Tokentail
) -> None:
    """What was pruned is still in its log."""
    _, database = escalated
    called("prune", "--older-than", "2026-01-01", "--force", "--db", database)
    assert verify([], database).differences == []


# Kinds of lines that there are not

UNKNOWN_KINDS = ["run_source", "phase_source", "deliverables_source"]


@pytest.mark.parametrize("column", UNKNOWN_KINDS)
def test_unknown_kind_of_line_is_named(ingested: tuple[Path, Path], column: str) -> None:
    """A row that says it has a value from a kind of line that nobody knows can't be computed."""
    log, database = ingested
    alter(database, f"UPDATE token_estimation_v2_events SET {column} = 'bogus' WHERE event_id = 1")
    (difference,) = verify([], database).differences
    assert difference.startswith(f"{log}:4: its row can't be read: event 1: {column} is 'bogus'")


@pytest.mark.parametrize("column", UNKNOWN_KINDS)
def test_unknown_kind_of_line_ends_what_computes_its_event_with_a_sentence(
    ingested: tuple[Path, Path], column: str
) -> None:
    """A further copy of the log is not stored, and the database not merged; both say why."""
    log, database = ingested
    copy = log.with_name("copy.txt")
    copy.write_text("# a copy\n" + log.read_text(encoding="utf-8"), encoding="utf-8")
    alter(database, f"UPDATE token_estimation_v2_events SET {column} = 'bogus' WHERE event_id = 1")
    said = f"event 1: {column} is 'bogus', which no version writes"
    with pytest.raises(DatabaseUnusable, match=said):
        ingest([str(copy)], database, OPTIONS)
    (problem,) = merge([database], database.with_name("fleet.db")).problems
    assert said in problem
