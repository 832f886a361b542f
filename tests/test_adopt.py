"""The executor's own database, adopted: its rows stay, each event is one row, and it goes on writing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import EXAMPLES, Tokentail
from faults.tables import check_invariants, events
from ingest.adopting import adopt
from ingest.forgetting import forget
from ingest.merging import merge
from ingest.verify import verify
from test_properties import ANY_SHAPES, SEEDS, examples, folder, played, read
from test_schema import EXECUTOR_COLUMNS

DEFINITION = """
CREATE TABLE phases (phase_id VARCHAR NOT NULL, run_id VARCHAR NOT NULL, scope TEXT,
    PRIMARY KEY (phase_id, run_id));
CREATE TABLE token_estimation_v2_events (
    event_id INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    phase_id VARCHAR NOT NULL,
    timestamp DATETIME NOT NULL,
    category VARCHAR(40) NOT NULL,
    complexity VARCHAR NOT NULL,
    deliverable_count INTEGER NOT NULL,
    deliverables_json TEXT NOT NULL,
    predicted_output_tokens INTEGER NOT NULL,
    actual_output_tokens INTEGER NOT NULL,
    selected_budget INTEGER NOT NULL,
    actual_max_tokens INTEGER,
    success BOOLEAN NOT NULL,
    truncated BOOLEAN DEFAULT 0 NOT NULL,
    stop_reason VARCHAR,
    model VARCHAR NOT NULL,
    smape_percent FLOAT,
    waste_ratio FLOAT,
    underestimated BOOLEAN,
    is_truncated_output BOOLEAN,
    api_reference_required BOOLEAN,
    context_quality VARCHAR,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (event_id),
    FOREIGN KEY(run_id, phase_id) REFERENCES phases (run_id, phase_id) ON DELETE CASCADE,
    CHECK (predicted_output_tokens >= 0)
);
CREATE INDEX ix_events_run ON token_estimation_v2_events (run_id);
CREATE VIEW v_recent_token_estimations AS SELECT event_id, model FROM token_estimation_v2_events LIMIT 100;
CREATE TABLE token_budget_escalation_events (
    event_id INTEGER NOT NULL PRIMARY KEY,
    run_id VARCHAR NOT NULL,
    phase_id VARCHAR NOT NULL,
    timestamp DATETIME NOT NULL,
    attempt_index INTEGER NOT NULL,
    reason VARCHAR NOT NULL,
    was_truncated BOOLEAN NOT NULL,
    output_utilization FLOAT,
    escalation_factor FLOAT NOT NULL,
    base_value INTEGER NOT NULL,
    base_source VARCHAR NOT NULL,
    retry_max_tokens INTEGER NOT NULL,
    selected_budget INTEGER, actual_max_tokens INTEGER, tokens_used INTEGER,
    created_at DATETIME NOT NULL
);
"""
OWN = [name for name in EXECUTOR_COLUMNS if f"\n    {name} " in DEFINITION]
MAY_BE_FILLED = {"deliverables_json": "[]", "run_id": "unknown", "phase_id": "unknown"}
Row = dict[str, Any]


def executors(database: Path, rows: list[Row] = []) -> Path:  # noqa: B006 - never changed
    """Make an executor's database with some rows."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(DEFINITION)
    write(database, rows)
    return database


def write(database: Path, rows: list[Row]) -> None:
    """Write rows as the executor does, with no column but its own."""
    names = [name for name in OWN if name != "event_id"]
    with closing(sqlite3.connect(database)) as connection:
        connection.executemany(
            f"INSERT INTO token_estimation_v2_events ({', '.join(names)}) VALUES (:{', :'.join(names)})",
            [{name: row[name] for name in names} for row in rows],
        )
        connection.commit()


def as_executor(row: Row, rng: Random) -> Row:
    """Return what the executor would have written of an event: its own fraction of the second, no NULL."""
    defaults = {"category": "-", "complexity": "-", "success": 0, "truncated": 0, "model": "-"}
    own = {name: defaults.get(name) if row[name] is None else row[name] for name in OWN if name in row}
    own["timestamp"] = f"{row['timestamp'][:19]}.{rng.randrange(1_000_000):06d}"
    own["deliverables_json"] = rng.choice(("[]", row["deliverables_json"], '["src/own.py"]'))
    own["run_id"] = rng.choice(("unknown", row["run_id"], "own-run"))
    own["actual_max_tokens"] = rng.choice((None, row["actual_max_tokens"], 1))
    return own | {"created_at": own["timestamp"], "api_reference_required": 1}


def own_rows(database: Path) -> list[Row]:
    """Return the rows with a mark that only the executor sets, as it knows them."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        query = f"SELECT {', '.join(OWN)} FROM token_estimation_v2_events WHERE api_reference_required = 1"
        return [dict(row) for row in connection.execute(f"{query} ORDER BY event_id")]


def check_kept(before: list[Row], after: list[Row]) -> None:
    """Assert that the executor's rows only gained what they lacked."""
    assert [row["event_id"] for row in before] == [row["event_id"] for row in after]
    for old, new in zip(before, after, strict=True):
        for name, value in old.items():
            if value is not None and value != MAY_BE_FILLED.get(name):
                assert new[name] == value, name


def united(database: Path) -> list[Row]:
    """Return all events, without the parts of their context that say which row is whose."""
    return [
        {name: value for name, value in row.items() if name != "context_parts"} for row in events(database)
    ]


@given(SEEDS, ANY_SHAPES, st.integers(1, 2), st.booleans())
@examples(4)
def test_rows_and_logs_in_any_order_are_one_row_for_each_event(
    seed: int, shape: Any, runs: int, forgets: bool
) -> None:
    """The executor writes before and between ingests; logs, halves and excerpts come in any order, twice."""
    log, rng = played(seed, shape, runs, "any"), Random(seed)
    with folder() as here:
        files = {"whole.log": log, "half.log": log.cut(0, len(log.lines) // 2), "events.txt": log.excerpt()}
        for name, content in files.items():
            (here / name).write_text(content.text())
        read(here / "plain.db", *(here / name for name in sorted(files)))
        plain = events(here / "plain.db")
        places = [
            (row["timestamp"][:19], row["predicted_output_tokens"], row["actual_output_tokens"])
            for row in plain
        ]
        mine = [
            as_executor(row, rng)
            for row, place in zip(plain, places, strict=True)
            if places.count(place) == 1 and row["phase_source"] and rng.random() < 0.7
        ]
        results = []
        for number in range(2):
            database = executors(here / f"{number}.db")
            adopt(database)
            steps = [*files, "whole.log", *(["rows"] if mine else [])]
            rng.shuffle(steps)
            for step in steps:
                if step == "rows":
                    write(database, mine)
                    before = own_rows(database)
                else:
                    read(database, here / step)
            if forgets:
                forget([str(here / "whole.log")], database)
                check_kept(before if mine else [], own_rows(database))
            read(database, *(here / name for name in sorted(files)))
            if mine:
                check_kept(before, own_rows(database))
            check_invariants(database, adopted=True)
            assert len(events(database)) == len(plain)
            assert verify([], database).differences == []
            results.append(united(database))
        assert results[0] == results[1]
        for row, own in zip(plain, results[0], strict=True):
            assert (row["event_key"], row["phase_id"]) == (own["event_key"], own["phase_id"])


@pytest.fixture
def examples_db(tmp_path: Path, called: Tokentail) -> Path:
    """Return an executor's database that has every second event of the examples, and the logs beside it."""
    shutil.copytree(EXAMPLES / "logs", tmp_path / "logs")
    called("ingest", "logs", "--tz", "UTC", "--db", "plain.db")
    rows = [row for row in events(tmp_path / "plain.db") if row["phase_source"]]
    rng = Random(1)
    return executors(tmp_path / "autopack.db", [as_executor(row, rng) for row in rows[::2]])


def test_dry_run_says_all_and_changes_nothing(examples_db: Path, called: Tokentail) -> None:
    """Not a byte of the database changes, and the next step is a copy."""
    before = examples_db.read_bytes()
    refused = called("ingest", "logs", "--db", "autopack.db")
    assert refused.returncode == 1
    assert "`tokentail adopt --dry-run --db autopack.db`" in refused.stderr
    done = called("adopt", "--dry-run", "--db", "autopack.db")
    assert done.returncode == 0
    assert "category, complexity, success, truncated, model may be NULL" in done.stdout
    assert "columns added: examples_required" in done.stdout
    assert "left as they are: v_recent_token_estimations" in done.stdout
    assert "12 rows of the executor's, all as they are: would be adopted; nothing was changed" in done.stdout
    assert "tokentail backup --db autopack.db" in done.stderr
    assert examples_db.read_bytes() == before


def test_adopted_by_hand(examples_db: Path, called: Tokentail) -> None:
    """Adopt, ingest, verify, report, write a row, ingest again: one row for each event, all along."""
    before = own_rows(examples_db)
    done = called("ingest", "logs", "--tz", "UTC", "--db", "autopack.db", "--adopt")
    assert done.returncode == 0
    assert "30 marker lines, 14 events new, 12 updated" in done.stdout
    check_kept(before, own_rows(examples_db))
    check_invariants(examples_db, adopted=True)
    assert len(events(examples_db)) == 26
    for command in ("verify", "status", "report", "coverage"):
        shown = called(command, "--db", "autopack.db")
        assert (shown.returncode, shown.stderr) == (0, ""), command
    late = [row for row in events(examples_db) if row["phase_source"] == "budget"][:3]
    write(examples_db, [as_executor(row, Random(2)) for row in late])
    done = called("ingest", "logs", "--tz", "UTC", "--db", "autopack.db")
    assert done.stdout == "nothing new in 6 files; database autopack.db\n"
    assert len(events(examples_db)) == 26
    assert called("adopt", "--db", "autopack.db").stdout == "tokentail's already; database autopack.db\n"
    with closing(
        sqlite3.connect(examples_db)
    ) as connection:  # its own constraints and its own view still hold
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE token_estimation_v2_events SET predicted_output_tokens = -1")
        assert len(connection.execute("SELECT * FROM v_recent_token_estimations").fetchall()) == 26
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM token_estimation_v2_events")


@pytest.mark.usefixtures("examples_db")
def test_rows_that_no_log_told_stay_and_are_said(called: Tokentail) -> None:
    """They are no difference; reports count them; a merge leaves them out and says so."""
    called("adopt", "--db", "autopack.db")
    done = called("verify", "--db", "autopack.db")
    assert done.returncode == 0
    assert "12 rows of the executor's own that no log told" in done.stderr
    for command in (
        "status",
        "report",
        "replay --estimator reports.replaying.estimator:Missing",
        "export --full",
    ):
        assert "Traceback" not in called(*command.split(), "--db", "autopack.db").stderr, command
    done = called("merge", "autopack.db", "--db", "other.db")
    assert "12 rows of the executor's own that no log told were left out" in done.stderr


def test_adopted_database_is_merged(examples_db: Path, called: Tokentail) -> None:
    """What the executor's rows and its logs told becomes events of another database."""
    called("ingest", "logs", "--tz", "UTC", "--db", "autopack.db", "--adopt")
    for _ in range(2):
        merge([examples_db], examples_db.with_name("plain.db"))
        check_invariants(examples_db.with_name("plain.db"))
    assert len(events(examples_db.with_name("plain.db"))) == 26


def test_executors_escalation_is_the_logs(examples_db: Path, called: Tokentail) -> None:
    """Before or after its line is read, an escalation that the executor wrote itself is one row."""
    called("ingest", "logs", "--tz", "UTC", "--db", "autopack.db", "--adopt")
    names = (
        "run_id, phase_id, timestamp, attempt_index, reason, was_truncated, escalation_factor, "
        "base_value, base_source, retry_max_tokens, created_at"
    )
    count = "SELECT COUNT(*) FROM token_budget_escalation_events"
    with closing(sqlite3.connect(examples_db)) as connection:
        (before,) = connection.execute(count).fetchone()
        assert before
        connection.execute(
            f"INSERT INTO token_budget_escalation_events ({names}) "
            f"SELECT {names} FROM token_budget_escalation_events"
        )
        connection.commit()
    write(examples_db, [as_executor(events(examples_db)[0] | {"predicted_output_tokens": 1}, Random(3))])
    called("backfill", "--full", "logs", "--tz", "UTC", "--db", "autopack.db")
    with closing(sqlite3.connect(examples_db)) as connection:
        assert connection.execute(count).fetchone() == (before,)


REFUSED = {
    "no numbers": (
        DEFINITION.replace("    actual_output_tokens INTEGER NOT NULL,\n", ""),
        "no column actual_output_tokens",
    ),
    "a key of its own": (
        DEFINITION.replace("event_id INTEGER NOT NULL,", "event_id VARCHAR NOT NULL,"),
        "no INTEGER PRIMARY KEY",
    ),
    "a secret": (
        DEFINITION.replace("    stop_reason", "    secret TEXT NOT NULL,\n    stop_reason"),
        "secret must not be NULL",
    ),
    "a table of ours": (DEFINITION + "CREATE TABLE log_sources (a);", "a table log_sources of another kind"),
    "no events": ("CREATE TABLE a (b);", "nothing to adopt"),
}


@pytest.mark.parametrize(("script", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_adopted_is_left_as_it_is(
    tmp_path: Path, called: Tokentail, script: str, why: str
) -> None:
    """The reason is named, and nothing was changed."""
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.executescript(script)
    before = (tmp_path / "other.db").read_bytes()
    done = called("adopt", "--db", "other.db")
    assert (done.returncode, why in done.stderr) == (1, True), done.stderr
    assert (tmp_path / "other.db").read_bytes() == before
