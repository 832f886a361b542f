"""Sources: listed with how many events only they have, and forgotten with these and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from conftest import EXAMPLES, Tokentail
from faults.tables import check_invariants, events, rows_as_stored, tables


@pytest.fixture
def database(tmp_path: Path, called: Tokentail) -> Path:
    """Return the database of the examples, which are beside it, with a copy of one."""
    shutil.copytree(EXAMPLES / "logs", tmp_path / "logs")
    shutil.copy(tmp_path / "logs/collect.log", tmp_path / "copy.log")
    called("ingest", "logs", "copy.log", "--tz", "UTC")
    return tmp_path / "telemetry.db"


def test_sources_are_listed(database: Path, called: Tokentail) -> None:
    """Each with its id, its path, its counts, and how many events no other source has."""
    found = json.loads(called("sources", "--json").stdout)["sources"]
    assert {Path(source["path"]).name: source["events_alone"] for source in found} == {
        "batch-drain.log": 6,
        "capture.log": 3,
        "collect.log": 0,
        "copy.log": 0,
        "executor.log": 3,
        "executor.log.1.gz": 4,
        "samples.txt": 2,
    }
    assert str(database.parent / "copy.log") in called("sources").stdout


def test_forgotten_source_takes_only_what_no_other_has(database: Path, called: Tokentail) -> None:
    """By its path, a folder or its id, after a dry run; and a later ingest reads it anew."""
    before, stored = tables(database), rows_as_stored(database)
    done = called("sources", "forget", "logs/samples.txt", "--dry-run")
    assert (
        "1 source would be forgotten: 2 events with it, 5 sightings, 1 reject; 3 events of others"
        in done.stdout
    )
    assert rows_as_stored(database) == stored
    called("sources", "forget", "logs/samples.txt")
    assert len(events(database)) == 24
    check_invariants(database)
    done = called("sources", "--db", "telemetry.db", "forget", "logs")
    assert "5 sources forgotten" in done.stdout
    assert len(events(database)) == 5
    check_invariants(database)
    assert called("verify", "copy.log").returncode == 0
    (left,) = json.loads(called("sources", "--json").stdout)["sources"]
    assert called("sources", "forget", left["source_id"]).returncode == 0
    assert events(database) == []
    called("ingest", "logs", "copy.log", "--tz", "UTC")
    assert tables(database) == before


@pytest.mark.usefixtures("database")
def test_an_import_is_forgotten_as_what_it_is(called: Tokentail, tmp_path: Path) -> None:
    """It is no log that an ingest would read anew, and the phases whose paths go are counted."""
    phase = {"run_id": "run-1", "phase_id": "p1", "deliverables": ["src/a.py"]}
    (tmp_path / "paths.ndjson").write_text(json.dumps(phase) + "\n", encoding="utf-8")
    called("deliverables", "import", "paths.ndjson")
    assert "1 source not checked: imported, or" in called("verify").stdout
    for words in (["--dry-run"], []):
        done = called("sources", "forget", "paths.ndjson", *words)
        assert "0 rejects, imported paths of 1 phase; 0 events of others stay" in done.stdout
    assert done.stderr == "what was imported comes back if it is imported again\n"
    with_log = called("sources", "forget", "copy.log")
    assert "imported" not in with_log.stdout + with_log.stderr
    assert "if these logs are still among those that you ingest" in with_log.stderr


def test_name_of_no_source_changes_nothing(database: Path, called: Tokentail) -> None:
    """All of what is named is forgotten, or nothing is."""
    before = rows_as_stored(database)
    for name in ("missing.log", "99", "log", "-"):
        done = called("sources", "forget", "copy.log", name)
        assert (done.returncode, "see `tokentail sources`" in done.stderr) == (2, True)
    assert rows_as_stored(database) == before
