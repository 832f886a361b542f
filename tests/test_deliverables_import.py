"""`deliverables import`: paths that are known elsewhere fill the gaps of the events, and nothing else."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conftest import Tokentail
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
    """Return a database with one event of phase p1 of run-1, whose paths no line named."""
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
    "objects with a path": json.dumps(
        [ENTRY | {"deliverables": [{"path": "src/a.py", "description": "x"}]}, ENTRY | {"phase_id": "x"}]
    ),
    "lists of both": json.dumps(
        [ENTRY | {"deliverables": {"code": [{"path": "src/a.py"}], "docs": []}}, ENTRY | {"phase_id": "x"}]
    ),
    "one object with a path": json.dumps(
        [ENTRY | {"deliverables": {"path": "src/a.py"}}, ENTRY | {"phase_id": "x"}]
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


def test_event_without_a_phase_comes_after_an_import(database: Path, tmp_path: Path) -> None:
    """What is declared is asked for phases alone; an event of which none is known is stored as ever."""
    (tmp_path / "import.json").write_text(json.dumps(ENTRY))
    import_deliverables(tmp_path / "import.json", database)
    (tmp_path / "other.log").write_text(logged(event_message(predicted_output=7)) + "\n", encoding="utf-8")
    assert ingest([str(tmp_path / "other.log")], database, OPTIONS).events_new == 1


@pytest.mark.parametrize(
    "scope", [{"deliverables": ["src/a.py"]}, {"deliverables": {"code": ["src/a.py"]}, "paths": []}]
)
def test_executors_database_gives_deliverables_by_the_scope_of_its_phases(
    database: Path, tmp_path: Path, scope: dict[str, Any]
) -> None:
    """The scope of a phase holds its deliverables as a list or a dict of lists; the file is not changed."""
    file = tmp_path / "executor.db"
    executors_database(file, [("p1", scope)])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO phases VALUES ('run-1', 'p2', NULL)")
    before = file.read_bytes()
    assert import_deliverables(file, database).events_updated == 1
    assert stored(database) == ('["src/a.py"]', "imported", 1)
    assert file.read_bytes() == before


ODD: dict[str, Any] = {
    "object without a path": [{"description": "x"}],
    "object with an empty path": ["src/b.py", {"path": " "}],
    "path that is no text": [{"path": 1}],
    "number": ["src/b.py", 1],
    "text": "src/b.py",
    "object of texts": {"code": "src/b.py"},
    "list in a list": [["src/b.py"]],
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("form", ["database", "json", "ndjson"])
def test_odd_phase_is_named_and_never_stops_the_others(
    database: Path, tmp_path: Path, form: str, odd: Any
) -> None:
    """Wherever it stands, whatever form the file has: all others are imported, and of it nothing is."""
    file, others = tmp_path / "import", [ENTRY, ENTRY | {"phase_id": "p3"}]
    entries = [others[0], ENTRY | {"phase_id": "p2", "deliverables": odd}, others[1]]
    if form == "database":
        executors_database(
            file, [(entry["phase_id"], {"deliverables": entry["deliverables"]}) for entry in entries]
        )
    else:
        file.write_text(
            json.dumps(entries) if form == "json" else "\n".join(map(json.dumps, entries)), encoding="utf-8"
        )
    done = import_deliverables(file, database)
    where = {"database": ", phase 'p2' of run 'run-1'", "json": ", entry 2", "ndjson": ":2"}[form]
    assert [(finding.where, "as a list of paths" in finding.why) for finding in done.odd] == [(where, True)]
    assert (done.phases, done.events_updated) == (2, 1)
    assert stored(database) == ('["src/a.py"]', "imported", 1)


ODD_SCOPES: dict[str, tuple[Any, Any, Any]] = {
    "no json": ("run-1", "p2", "{oops"),
    "nested": ("run-1", "p2", "[" * 100_000),
    "no utf-8": ("run-1", "p2", b"\xff"),
    "no phase": ("run-1", None, json.dumps({"deliverables": ["a"]})),
    "deep": ("run-1", "p2", '{"deliverables": ' + '{"a":' * 800 + "1" + "}" * 801),
}


@pytest.mark.parametrize("row", ODD_SCOPES.values(), ids=ODD_SCOPES)
def test_phase_whose_scope_cannot_be_read_is_named(
    database: Path, tmp_path: Path, row: tuple[Any, Any, Any]
) -> None:
    """Nor does a scope that is no JSON, or a row that no phase has, stop the others."""
    file = tmp_path / "executor.db"
    executors_database(file, [("p1", {"deliverables": ["src/a.py"]})])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO phases VALUES (?, ?, CAST(? AS TEXT))", row)
    done = import_deliverables(file, database)
    assert [odd.where for odd in done.odd] == [f", phase {row[1]!r} of run 'run-1'"]
    assert stored(database) == ('["src/a.py"]', "imported", 1)


def test_odd_phases_are_named_by_the_command(database: Path, tmp_path: Path, called: Tokentail) -> None:
    """The first ones on standard error, all of them in JSON; the exit code says that not all was done."""
    file = tmp_path / "import.json"
    entries = [ENTRY, *(ENTRY | {"phase_id": f"x{number}", "deliverables": [7]} for number in range(12))]
    file.write_text(json.dumps(entries), encoding="utf-8")
    result = called("deliverables", "import", file, "--db", database)
    assert result.returncode == 1
    assert f"{file}, entry 2: needs deliverables as a list of paths" in result.stderr
    assert f"{file}: 2 more of that kind" in result.stderr
    assert "1 event matched, 1 updated" in result.stdout
    output = json.loads(called("deliverables", "import", file, "--db", database, "--json").stdout)
    assert [odd["where"] for odd in output["odd"]] == [f", entry {number}" for number in range(2, 14)]


def executors_database(file: Path, phases: list[tuple[str, dict[str, Any]]]) -> None:
    """Make an executor's database of phases of run-1, each with its scope."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE phases (run_id TEXT, phase_id TEXT, scope TEXT)")
        rows = [("run-1", phase, json.dumps(scope)) for phase, scope in phases]
        connection.executemany("INSERT INTO phases VALUES (?, ?, ?)", rows)


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
    with pytest.raises(UnusableImport, match="no executor's database"):
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


def paths(database: Path) -> list[str]:
    """Return the paths of each event, in the order of their times."""
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT deliverables_json FROM token_estimation_v2_events ORDER BY timestamp"
        return [text for (text,) in connection.execute(query)]


def test_what_a_file_declares_holds_until_it_says_otherwise(
    database: Path, tmp_path: Path, called: Tokentail
) -> None:
    """For events that come later; another word of the file replaces it, and forgetting it takes it back."""
    file, log = tmp_path / "paths.ndjson", tmp_path / "run.log"
    for entries, expected in (([], ["[]"]), ([ENTRY], ['["src/a.py"]'])):
        file.write_text("".join(json.dumps(entry) + "\n" for entry in [*entries, ENTRY | {"phase_id": "p2"}]))
        import_deliverables(file, database)
        assert paths(database) == expected
    with log.open("a", encoding="utf-8") as opened:
        for line in (anchor_message("p1"), event_message(predicted_output=7)):
            opened.write(logged(line, at="2025-12-29 19:44:00") + "\n")
    ingest([str(log)], database, OPTIONS)
    assert paths(database) == ['["src/a.py"]'] * 2
    file.write_text(json.dumps(ENTRY | {"deliverables": ["src/b.py", "src/c.py"]}))
    assert import_deliverables(file, database).events_updated == 2
    assert paths(database) == ['["src/b.py", "src/c.py"]'] * 2
    assert called("verify", "--db", database).returncode == 0
    assert called("sources", "forget", file, "--db", database).returncode == 0
    assert paths(database) == ["[]"] * 2
