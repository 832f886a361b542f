"""`deliverables import`: paths that are known elsewhere fill the gaps of the events, and nothing else."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from event_lines import anchor_message, event_message, logged
from ingest.deliverables import import_deliverables
from ingest.errors import DatabaseUnusable, UnusableImport
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions

OPTIONS = IngestOptions("ingest", zone_named("UTC"))
ENTRY = {"run_id": "run-1", "phase_id": "p1", "deliverables": ["src/a.py"]}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a database with one event of phase p1 of run-1, whose paths no line told."""
    log = tmp_path / "run.log"
    lines = ["Initialized autonomous executor for run: run-1", anchor_message("p1"), event_message()]
    log.write_text("".join(logged(line) + "\n" for line in lines), encoding="utf-8")
    ingest([str(log)], tmp_path / "t.db", OPTIONS)
    return tmp_path / "t.db"


def stored(database: Path) -> tuple[Any, ...]:
    query = (
        "SELECT deliverables_json, deliverables_source, deliverables_complete FROM token_estimation_v2_events"
    )
    with sqlite3.connect(database) as connection:
        (row,) = connection.execute(query)
    connection.close()
    return tuple(row)


FORMS = {
    "ndjson": json.dumps(ENTRY) + "\n\n" + json.dumps(ENTRY | {"phase_id": "p2"}) + "\n",
    "json array": json.dumps([ENTRY, ENTRY | {"phase_id": "p2"}], indent=2),
    "dict of lists": json.dumps(
        [ENTRY | {"deliverables": {"code": ["src/a.py"], "docs": []}}, ENTRY | {"phase_id": "x"}]
    ),
    "byte order mark": "\ufeff" + json.dumps([ENTRY, ENTRY | {"run_id": "other"}]),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_each_form_completes_the_events_of_its_phases(database: Path, tmp_path: Path, text: str) -> None:
    """NDJSON, JSON, lists and dicts of lists are understood; phases without an event are counted."""
    file = tmp_path / "import.json"
    file.write_text(text, encoding="utf-8")
    done = import_deliverables(file, database)
    assert (done.phases, done.phases_unmatched, done.events_matched, done.events_updated) == (2, 1, 1, 1)
    assert stored(database) == ('["src/a.py"]', "imported", 1)
    again = import_deliverables(file, database)
    assert again.events_updated == 0


@pytest.mark.parametrize(
    "scope", [{"deliverables": ["src/a.py"]}, {"deliverables": {"code": ["src/a.py"]}, "paths": []}]
)
def test_executors_database_tells_deliverables_by_the_scope_of_its_phases(
    database: Path, tmp_path: Path, scope: dict[str, Any]
) -> None:
    """The scope of a phase holds its deliverables as a list or a dict of lists; the file is not changed."""
    file = tmp_path / "executor.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE phases (run_id TEXT, phase_id TEXT, scope TEXT)")
        connection.execute("INSERT INTO phases VALUES ('run-1', 'p1', ?)", [json.dumps(scope)])
        connection.execute("INSERT INTO phases VALUES ('run-1', 'p2', NULL)")
    connection.close()
    before = file.read_bytes()
    assert import_deliverables(file, database).events_updated == 1
    assert stored(database) == ('["src/a.py"]', "imported", 1)
    assert file.read_bytes() == before


BROKEN = {
    "not json": ("hello", ":1: not JSON"),
    "broken line": (json.dumps(ENTRY) + "\n{oops\n", ":2: not JSON"),
    "not an object": ("[1]", ", entry 1: not an object"),
    "no run": ('{"phase_id": "p1", "deliverables": []}', "needs run_id and phase_id"),
    "paths that are no text": (json.dumps(ENTRY | {"deliverables": [1]}), "deliverables as a list of paths"),
    "nested": ("[" * 100_000, ""),
    "bytes": ("\udcff", ""),
}


@pytest.mark.parametrize(("text", "words"), BROKEN.values(), ids=BROKEN)
def test_broken_file_is_named_and_changes_nothing(
    database: Path, tmp_path: Path, text: str, words: str
) -> None:
    """A file is read whole before anything is written."""
    file = tmp_path / "import.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UnusableImport) as raised:
        import_deliverables(file, database)
    assert str(raised.value).startswith(str(file))
    assert words in str(raised.value)
    assert stored(database) == ("[]", None, 0)


def test_database_without_phases_is_refused(database: Path, tmp_path: Path) -> None:
    """A database that is not an executor's says so."""
    with pytest.raises(UnusableImport, match="not an executor's database"):
        import_deliverables(database, database)
    with pytest.raises(DatabaseUnusable, match="no such database"):
        file = tmp_path / "import.json"
        file.write_text(json.dumps(ENTRY), encoding="utf-8")
        import_deliverables(file, tmp_path / "typo.db")
    assert not (tmp_path / "typo.db").exists()


def test_long_lists_and_paths_keep_the_executors_limits(database: Path, tmp_path: Path) -> None:
    """At most 20 paths of at most 200 characters are kept, and an incomplete list says so."""
    file = tmp_path / "import.json"
    file.write_text(json.dumps(ENTRY | {"deliverables": ["x" * 300, *map(str, range(30))]}), encoding="utf-8")
    done = import_deliverables(file, database)
    text, source, complete = stored(database)
    paths = json.loads(text)
    assert (len(paths), source, complete, done.counts_differing) == (20, "imported", 0, 1)
    assert paths[0] == "x" * 197 + "..."
