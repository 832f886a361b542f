"""The executor's own database: only read, its rows a source of ours; and one that version 0.1.0 adopted."""

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
from faults.tables import check_invariants, escalations, events
from ingest.forgetting import forget
from ingest.importing import import_events
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


def known(database: Path) -> list[Row]:
    """Return all events, but for what differs between two databases of the same logs."""
    return [
        {name: value for name, value in row.items() if name not in ("event_id", "created_at")}
        for row in events(database)
    ]


@given(SEEDS, ANY_SHAPES, st.integers(1, 2), st.booleans())
@examples(4)
def test_rows_and_logs_in_any_order_are_one_row_for_each_event(
    seed: int, shape: Any, runs: int, forgets: bool
) -> None:
    """The executor writes between imports; logs, halves and excerpts come in any order, twice."""
    log, rng = played(seed, shape, runs, "any"), Random(seed)
    with folder() as here:
        files = {"whole.log": log, "half.log": log.cut(0, len(log.lines) // 2), "events.txt": log.excerpt()}
        for name, content in files.items():
            (here / name).write_text(content.text())
        read(here / "plain.db", *(here / name for name in sorted(files)))
        plain = events(here / "plain.db")
        places = [row["event_key"].rsplit(" ", 2)[0] for row in plain]
        mine = [
            as_executor(row, rng)
            for row, place in zip(plain, places, strict=True)
            if places.count(place) == 1 and row["phase_source"] and rng.random() < 0.7
        ]
        own = executors(here / "autopack.db", mine[: len(mine) // 2])
        results = []
        for number in range(2):
            database = here / f"{number}.db"
            steps = [*files, "whole.log", "rows", "rows"]
            rng.shuffle(steps)
            for step in steps:
                if step == "rows":
                    import_events(str(own), database)
                else:
                    read(database, here / step)
            if number == 0:
                write(own, mine[len(mine) // 2 :])
            if forgets:
                forget([str(here / "whole.log")], database)
            import_events(str(own), database)
            read(database, *(here / name for name in sorted(files)))
            check_invariants(database)
            assert len(events(database)) == len(plain)
            assert verify([], database).differences == []
            results.append(known(database))
        assert results[0] == results[1]
        for row, ours in zip(plain, results[0], strict=True):
            assert row["event_key"] == ours["event_key"]
        forget([str(own)], database)
        assert known(database) == known(here / "plain.db")


@pytest.fixture
def autopack(tmp_path: Path, called: Tokentail) -> Path:
    """Return an executor's database that has every second event of the examples, and the logs beside it."""
    shutil.copytree(EXAMPLES / "logs", tmp_path / "logs")
    called("ingest", "logs", "--tz", "UTC", "--db", "plain.db")
    rows = [row for row in events(tmp_path / "plain.db") if row["phase_source"]]
    rng = Random(1)
    return executors(tmp_path / "autopack.db", [as_executor(row, rng) for row in rows[::2]])


def test_executors_database_is_only_read(autopack: Path, called: Tokentail) -> None:
    """Naming it as ours, or the option of 0.1.0, is an error that says what to do; not a byte changes."""
    before = autopack.read_bytes()
    for arguments in (("ingest", "logs", "--db", "autopack.db"), ("report", "--db", "autopack.db")):
        refused = called(*arguments)
        assert refused.returncode == 1
        assert "`tokentail import autopack.db" in refused.stderr
    refused = called("ingest", "logs", "--db", "autopack.db", "--adopt")
    assert refused.returncode == 2
    assert "`tokentail import autopack.db --db OTHER.db`" in refused.stderr
    assert "that was adopted is used without it" in refused.stderr
    refused = called("adopt", "--db", "autopack.db")
    assert refused.returncode == 2
    assert "`tokentail import FILE --db OTHER.db`" in refused.stderr
    assert called("import", "autopack.db").returncode == 0
    assert autopack.read_bytes() == before
    assert not autopack.with_name("autopack.db-wal").exists()


def test_imported_by_hand(autopack: Path, called: Tokentail) -> None:
    """Import, ingest, verify, report; the executor writes on, it is imported again, then forgotten."""
    done = called("import", "autopack.db")
    assert "12 events in autopack.db: 12 new, 0 completed, 0 known already" in done.stdout
    assert "30 marker lines, 14 events new" in called("ingest", "logs", "--tz", "UTC").stdout
    database = autopack.with_name("telemetry.db")
    check_invariants(database)
    assert len(events(database)) == 26
    assert sum(row["phase_source"] == "executor" for row in events(database)) == 12
    assert sum(row["api_reference_required"] == 1 for row in events(database)) == 12
    for command in ("verify", "status", "report", "coverage"):
        assert called(command).returncode == 0, command
    late = [row for row in events(database) if row["phase_source"] == "budget"][:3]
    write(autopack, [as_executor(row, Random(2)) for row in late])
    done = called("import", "autopack.db")
    assert "15 events in autopack.db: 0 new, 3 completed, 12 known already" in done.stdout
    assert len(events(database)) == 26
    called("sources", "forget", "autopack.db")
    assert known(database) == known(autopack.with_name("plain.db"))


def test_rows_that_no_log_told_are_events(autopack: Path, called: Tokentail) -> None:
    """They are no difference; reports count them; a merge and an export include them."""
    called("import", "autopack.db")
    called("merge", "telemetry.db", "--db", "other.db")
    (autopack.parent / "full.ndjson").write_text(called("export", "--full").stdout)
    called("import", "full.ndjson", "--db", "third.db")
    for name in ("telemetry.db", "other.db", "third.db"):
        assert called("verify", "--db", name).returncode == 0
        assert known(autopack.with_name(name)) == known(autopack.with_name("telemetry.db"))


def test_executors_escalation_is_the_logs(autopack: Path, called: Tokentail) -> None:
    """Before or after its line is read, an escalation that the executor stored is one row."""
    plain = escalations(autopack.with_name("plain.db"))
    assert plain
    names = (
        *("run_id", "phase_id", "timestamp", "attempt_index", "reason", "was_truncated"),
        *("escalation_factor", "base_value", "base_source", "retry_max_tokens", "created_at"),
    )
    with closing(sqlite3.connect(autopack)) as connection:
        connection.executemany(
            f"INSERT INTO token_budget_escalation_events ({', '.join(names)}) VALUES (:{', :'.join(names)})",
            [
                row | {"escalation_factor": 1.25, "base_source": "budget", "created_at": row["timestamp"]}
                for row in plain
            ],
        )
        connection.commit()
    for first, then in (("import", "ingest"), ("ingest", "import")):
        for command in (first, then, first):
            paths = ("autopack.db",) if command == "import" else ("logs", "--tz", "UTC")
            called(command, *paths, "--db", f"{first}.db")
        found = escalations(autopack.with_name(f"{first}.db"))
        assert [row["run_id"] for row in found] == [row["run_id"] for row in plain]
    assert called("sources", "forget", "logs", "--db", "ingest.db").returncode == 0
    assert len(escalations(autopack.with_name("ingest.db"))) == len(plain)
    called("sources", "forget", "autopack.db", "--db", "ingest.db")
    assert escalations(autopack.with_name("ingest.db")) == []


def test_run_of_the_executors_escalation_is_the_rows(autopack: Path, called: Tokentail) -> None:
    """The executor knows it, where its log line names none; without it, the run is unknown."""
    names = (
        *("run_id", "phase_id", "timestamp", "attempt_index", "reason", "was_truncated"),
        *("escalation_factor", "base_value", "base_source", "retry_max_tokens", "created_at"),
    )
    rows = [
        (
            run,
            f"p{number}",
            "2026-01-14 09:00:00",
            1,
            "truncation",
            1,
            1.25,
            8192,
            "budget",
            12288,
            "2026-01-14 09:00:00",
        )
        for number, run in enumerate(("own-run", ""))
    ]
    with closing(sqlite3.connect(autopack)) as connection:
        connection.executemany(
            f"INSERT INTO token_budget_escalation_events ({', '.join(names)}) VALUES ({', '.join('?' * 11)})",
            rows,
        )
        connection.commit()
    assert called("import", "autopack.db", "--db", "fresh.db").returncode == 0
    found = {row["phase_id"]: row["run_id"] for row in escalations(autopack.with_name("fresh.db"))}
    assert {phase: found[phase] for phase in ("p0", "p1")} == {"p0": "own-run", "p1": "unknown"}


REFUSED = {
    "no numbers": (
        DEFINITION.replace("    actual_output_tokens INTEGER NOT NULL,\n", ""),
        "no column actual_output_tokens",
    ),
    "no events": ("CREATE TABLE a (b);", "no table token_estimation_v2_events"),
}


@pytest.mark.parametrize(("script", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_executors_database_is_refused(
    tmp_path: Path, called: Tokentail, script: str, why: str
) -> None:
    """The reason is named, and nothing was imported."""
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.executescript(script)
    done = called("import", "other.db")
    assert (done.returncode, why in done.stderr) == (1, True), done.stderr


def test_row_that_cannot_be_read_is_named(autopack: Path, called: Tokentail) -> None:
    """A time that is none: nothing is imported, and the row is named."""
    with closing(sqlite3.connect(autopack)) as connection:
        connection.execute("UPDATE token_estimation_v2_events SET timestamp = 'soon' WHERE event_id = 3")
        connection.commit()
    done = called("import", "autopack.db")
    assert done.returncode == 1
    assert "autopack.db: event_id 3 can't be read" in done.stderr


def test_database_of_tokentail_is_merged_not_imported(autopack: Path, called: Tokentail) -> None:
    """The error says which command merges it."""
    assert autopack.with_name("plain.db").is_file()
    done = called("import", "plain.db")
    assert done.returncode == 1
    assert "`tokentail merge plain.db`" in done.stderr
