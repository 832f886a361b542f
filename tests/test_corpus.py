"""The real logs: their 34 events, field by field, whatever the order and however the files grow."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions
from ingest.verify import verify
from parsers.line import parse_line
from parsers.records import ProtectedPaths

OPTIONS = IngestOptions("ingest", zone_named("Australia/Sydney"))


def rows(database: Path, query: str) -> list[dict[str, Any]]:
    with sqlite3.connect(database) as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute(query)]
    connection.close()
    return found


def events(database: Path) -> list[dict[str, Any]]:
    """Return the events without what depends on when and in which order they were stored."""
    query = "SELECT * FROM token_estimation_v2_events ORDER BY event_key"
    found = rows(database, query)
    return [
        {name: value for name, value in row.items() if name not in ("event_id", "created_at")}
        for row in found
    ]


def logs(corpus: Path) -> list[Path]:
    return sorted(path for path in corpus.iterdir() if path.suffix in (".log", ".txt"))


def test_events_equal_the_expected_ones_field_by_field(corpus: Path, tmp_path: Path) -> None:
    """All 34 events are found, with every field that a separate slow reading worked out."""
    summary = ingest([str(corpus)], tmp_path / "t.db", OPTIONS)
    assert (summary.marker_lines, summary.events_new, summary.further_sightings, summary.rejects) == (
        42,
        34,
        8,
        0,
    )
    expected = json.loads((corpus / "expected_events.json").read_text(encoding="utf-8"))["events"]
    found = rows(tmp_path / "t.db", "SELECT * FROM token_estimation_v2_events ORDER BY timestamp")
    assert len(found) == len(expected) == 34
    for row, wanted in zip(found, expected, strict=True):
        applied = json.loads(row["deliverables_json"]) if row["deliverables_source"] == "applied" else []
        assert {**row, "deliverables": applied} | wanted == {**row, "deliverables": applied}


def test_phases_runs_and_applied_files_are_linked_as_often_as_they_are_logged(
    corpus: Path, tmp_path: Path
) -> None:
    """28 events have their phase, 23 their run, 9 the complete list of applied files."""
    ingest([str(corpus)], tmp_path / "t.db", OPTIONS)
    found = events(tmp_path / "t.db")
    assert sum(row["phase_id"] != "unknown" for row in found) == 28
    assert sum(row["run_id"] != "unknown" for row in found) == 23
    applied = [row for row in found if row["deliverables_source"] == "applied"]
    assert len(applied) == 9
    assert all(row["deliverables_complete"] == 1 for row in applied)


def test_protected_paths_are_those_of_their_phases(corpus: Path, tmp_path: Path) -> None:
    """6 events have only what a refused plan named of theirs, each one path that its phase declared."""
    ingest([str(corpus)], tmp_path / "t.db", OPTIONS)
    found = [row for row in events(tmp_path / "t.db") if row["deliverables_source"] == "protected"]
    assert {row["phase_id"]: json.loads(row["deliverables_json"]) for row in found} == {
        "build132-phase2-coverage-tracker": ["src/autopack/coverage_tracker.py"],
        "build132-phase3-executor-integration": ["src/autopack/autonomous_executor.py"],
        "lovable-p1.1-agentic-file-search": ["src/autopack/file_manifest/agentic_search.py"],
        "lovable-p1.2-intelligent-file-selection": ["src/autopack/file_manifest/intelligent_selector.py"],
        "lovable-p1.3-build-validation": ["src/autopack/validation/build_validator.py"],
        "lovable-p1.4-dynamic-retry-delays": ["src/autopack/error_handling/dynamic_retry.py"],
    }
    assert len(found) == 6
    assert not any(row["deliverables_complete"] for row in found)


def test_every_line_of_the_corpus_that_names_protected_paths_is_read(corpus: Path) -> None:
    """14 lines name them, each once as an error and once as a warning; a blocked patch is none of them."""
    lines = [line for path in logs(corpus) for line in path.read_bytes().splitlines()]
    named = [line for line in lines if b"] ERROR: Plan validation failed" in line or b"Manifest gen" in line]
    parsed = [parse_line(line) for line in named]
    assert [type(found.record) for found in parsed if found is not None] == [ProtectedPaths] * 14
    blocked = [line for line in lines if b"[Isolation] BLOCKED" in line]
    assert len(blocked) == 8
    assert [parse_line(line) for line in blocked] == [None] * 8


def test_no_name_of_a_bucket_is_a_path(corpus: Path, tmp_path: Path) -> None:
    """A required list of the corpus names two; the eight paths beside them are kept, as incomplete."""
    ingest([str(corpus)], tmp_path / "t.db", OPTIONS)
    listed = [
        row for row in events(tmp_path / "t.db") if row["phase_id"] == "research-foundation-orchestrator"
    ]
    assert [row["deliverables_complete"] for row in listed] == [0, 0, 0]
    for row in listed:
        paths = json.loads(row["deliverables_json"])
        assert (len(paths), {"code", "docs"} & set(paths)) == (8, set())


def test_second_run_changes_nothing(corpus: Path, tmp_path: Path) -> None:
    """Running twice is a no-op: no byte is read, no row is touched."""
    ingest([str(corpus)], tmp_path / "t.db", OPTIONS)
    before = rows(tmp_path / "t.db", "SELECT * FROM token_estimation_v2_events")
    summary = ingest([str(corpus)], tmp_path / "t.db", OPTIONS)
    assert (summary.bytes_read, summary.files_read, summary.events_new, summary.events_updated) == (
        0,
        0,
        0,
        0,
    )
    assert rows(tmp_path / "t.db", "SELECT * FROM token_estimation_v2_events") == before


@pytest.mark.parametrize("seed", range(3))
def test_order_of_files_does_not_matter(corpus: Path, tmp_path: Path, seed: int) -> None:
    """The same files in any order, one ingest each, give the same events."""
    ingest([str(corpus)], tmp_path / "one.db", OPTIONS)
    shuffled = logs(corpus)
    random.Random(seed).shuffle(shuffled)
    for path in shuffled:
        ingest([str(path)], tmp_path / "many.db", OPTIONS)
    assert events(tmp_path / "many.db") == events(tmp_path / "one.db")


@pytest.mark.parametrize("seed", range(2))
def test_growing_files_give_the_same_tables(corpus: Path, tmp_path: Path, seed: int) -> None:
    """Files that grow in random pieces over many runs give what one pass over them gives."""
    choice = random.Random(seed)
    growing = tmp_path / "logs"
    growing.mkdir()
    contents = {path.name: path.read_bytes() for path in logs(corpus)}
    sizes = dict.fromkeys(contents, 0)
    while any(sizes[name] < len(content) for name, content in contents.items()):
        for name, content in contents.items():
            sizes[name] = min(len(content), sizes[name] + choice.randrange(len(content) // 2))
            (growing / name).write_bytes(content[: sizes[name]])
        ingest([str(growing)], tmp_path / "pieces.db", OPTIONS)
    ingest([str(corpus)], tmp_path / "one.db", OPTIONS)
    assert events(tmp_path / "pieces.db") == events(tmp_path / "one.db")
    places = "SELECT byte_offset, line_number, phase_known FROM event_sightings ORDER BY 1, 2"
    assert rows(tmp_path / "pieces.db", places) == rows(tmp_path / "one.db", places)


def test_verify_proves_the_database_against_the_real_logs(corpus: Path, tmp_path: Path) -> None:
    """The slow reading finds 42 marker lines = 42 sightings, and no difference."""
    ingest([str(corpus)], tmp_path / "t.db", OPTIONS)
    result = verify([str(corpus)], tmp_path / "t.db")
    assert (result.marker_lines, result.sightings, result.rejects) == (42, 42, 0)
    assert (result.differences, result.problems) == ([], [])
