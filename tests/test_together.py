"""What belongs together is put together, and nothing else: logs of one run, sources of two databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import anchor_message, event_message, logged
from faults.tables import check_invariants, opened, tables
from ingest.linking.context import Attributed
from ingest.reading.checkpoint import from_text

BUILT = "[p1] Builder succeeded (6213 tokens)"


def append(path: Path, *messages: str) -> None:
    """Write lines at the end of a log."""
    with path.open("a", encoding="utf-8") as log:
        log.writelines(logged(message) + "\n" for message in messages)


def sources(database: Path) -> list[tuple[str, str]]:
    """Return the name and the state of each source."""
    with opened(database) as connection:
        found = connection.execute("SELECT path, state FROM log_sources ORDER BY source_id")
        return [(Path(path).name, state) for path, state in map(tuple, found)]


def test_phase_that_a_later_line_names_is_that_of_one_sighting(called: Tokentail, tmp_path: Path) -> None:
    """Another event of the log, and one at the same offset of another, stay without a phase."""
    append(tmp_path / "a.log", event_message(predicted_output=7), event_message(), BUILT)
    append(tmp_path / "b.log", event_message(predicted_output=8), event_message(predicted_output=9))
    called("ingest", "a.log", "b.log", "--tz", "UTC")
    with opened(tmp_path / "telemetry.db") as connection:
        known = connection.execute("SELECT phase_known FROM event_sightings ORDER BY source_id, byte_offset")
        assert [is_known for (is_known,) in map(tuple, known)] == [0, 1, 0, 0]


@pytest.mark.parametrize("names", [("a.log", "b.log"), ("b.log", "a.log")], ids=" ".join)
def test_logs_of_one_run_are_stored_as_if_each_had_its_own(
    called: Tokentail, tmp_path: Path, names: tuple[str, str]
) -> None:
    """A line that reaches back, an event that is known, a line without an end: together or one by one."""
    append(tmp_path / "a.log", event_message())
    for name in ("together.db", "apart.db"):
        called("ingest", "a.log", "--tz", "UTC", "--db", name)
    append(tmp_path / "a.log", BUILT, event_message(predicted_output=7))
    append(tmp_path / "b.log", anchor_message("p1"), event_message(), event_message(predicted_output=7))
    with (tmp_path / "b.log").open("a", encoding="utf-8") as log:
        log.write(logged(event_message(model="some-mo")))
    called("backfill", *names, "--tz", "UTC", "--db", "together.db")
    for name in names:
        called("backfill", name, "--tz", "UTC", "--db", "apart.db")
    assert tables(tmp_path / "together.db") == tables(tmp_path / "apart.db")
    check_invariants(tmp_path / "together.db")
    with opened(tmp_path / "together.db") as connection:
        rows = connection.execute(
            "SELECT phase_id, predicted_output_tokens, model FROM token_estimation_v2_events ORDER BY 2"
        )
        assert list(map(tuple, rows)) == [("unknown", 7, "some-model-4"), ("p1", 5200, "some-model-4")]


def test_export_that_two_databases_imported_is_one_source(called: Tokentail, tmp_path: Path) -> None:
    """Wherever its file stood: it is known by what it holds."""
    append(tmp_path / "run.log", event_message())
    called("ingest", "run.log", "--tz", "UTC", "--db", "first.db")
    called("export", "--full", "--format", "ndjson", "--output", "a.ndjson", "--db", "first.db")
    (tmp_path / "b.ndjson").write_bytes((tmp_path / "a.ndjson").read_bytes())
    assert called("import", "a.ndjson", "--db", "one.db").returncode == 0
    assert called("import", "b.ndjson", "--db", "two.db").returncode == 0
    assert called("merge", "two.db", "--db", "one.db").returncode == 0
    assert [state for _, state in sources(tmp_path / "one.db")] == ["imported"]


def test_two_logs_without_an_event_at_one_path_are_two_sources(called: Tokentail, tmp_path: Path) -> None:
    """Nothing shows that they are the same: another beginning, another file."""
    append(tmp_path / "run.log", "one beginning")
    called("ingest", "run.log", "--tz", "UTC", "--db", "one.db")
    (tmp_path / "run.log").rename(tmp_path / "away")
    append(tmp_path / "run.log", "another beginning", "and more of it")
    called("ingest", "run.log", "--tz", "UTC", "--db", "two.db")
    assert called("merge", "two.db", "--db", "one.db").returncode == 0
    assert len(sources(tmp_path / "one.db")) == 2


def test_what_an_older_version_remembered_by_name_is_read() -> None:
    """A value may be remembered as a list of its parts, or by their names."""
    assert from_text(Attributed, '{"name": "r1", "source": "lock"}') == Attributed("r1", "lock")
    assert from_text(Attributed, '["r1", "lock"]') == Attributed("r1", "lock")
