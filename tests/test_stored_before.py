"""`verify` names the sources whose stored values hold a prefix or an escape, and what reads them anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import anchor_message, event_message, logged

NEXT = "[2025-12-29 19:45:00] INFO: Initialized autonomous executor for run: run-B"
COLUMNS = ("run_id", "phase_id", "category", "complexity", "stop_reason", "model", "phase_outcome")

FALSE_VALUES = {
    "the next line": f"claude-sonnet{NEXT}",
    "in a container": f"claude2025-12-29T08:40:02.123456789Z stderr F {NEXT}",
    "a script's": "claude2025-12-23 19:47:57,427 - autopack.client - INFO - done",
    "with a logger": "claude2025-12-23 19:47:57,427 [INFO] logger: done",
    "a colour": "run-A\x1b[0m",
    "a link": "\x1b]8;;http://host\x1b\\\\run-A",
    "overwritten": "50%\rrun-A",
}
TRUE_VALUES = [
    "run-2025-12-29 19:40:02",
    "[2025-12-29 19:45:00]",
    "[id].tsx",
    "INFO: x",
    "at 12:00:00 - a - b",
    "\t",
]


@pytest.fixture
def database(called: Tokentail, tmp_path: Path) -> Path:
    """Return a database of two logs, one of which is known by another name as well."""
    for number, name in enumerate(("a.log", "b.log")):
        lines = [
            anchor_message("p1"),
            event_message(predicted_output=number),
            event_message(predicted_output=9),
        ]
        (tmp_path / name).write_text("".join(f"{logged(line)}\n" for line in lines), encoding="utf-8")
    called("ingest", "a.log", "b.log", "--tz", "UTC")
    return tmp_path / "telemetry.db"


def alter(database: Path, statement: str, *values: object) -> None:
    """Store what an earlier version might have."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement, values)
        connection.commit()


def complaints(called: Tokentail) -> list[str]:
    """Return what `verify` says of values that were stored before."""
    done = called("verify")
    found = [line for line in done.stdout.splitlines() if "an earlier version stored" in line]
    assert done.returncode == int(bool(found)) or not found
    return found


CASES = [("model", value) for value in FALSE_VALUES.values()]
CASES += [(column, FALSE_VALUES["a colour"]) for column in COLUMNS if column != "model"]


@pytest.mark.parametrize(
    ("column", "value"), CASES, ids=[*FALSE_VALUES, *(name for name in COLUMNS if name != "model")]
)
def test_source_with_a_false_value_is_named_with_the_command(
    called: Tokentail, tmp_path: Path, database: Path, column: str, value: str
) -> None:
    """In whichever column it stands; the other source is not named."""
    alter(database, f"UPDATE token_estimation_v2_events SET {column} = ? WHERE event_id = 1", value)
    (line,) = complaints(called)
    assert line.startswith(
        f"{tmp_path}/a.log: an earlier version stored an escape, or another line, in 1 of its events"
    )
    assert f"({column} '" in line
    assert line.endswith(f": `tokentail backfill --full {tmp_path}/a.log` reads it anew")
    assert "\x1b" not in line


@pytest.mark.parametrize(
    "value",
    [
        "claude-sonn[drain_one_phase] Draining: run-B / p1",
        "claude-Traceback (most recent call last):",
        "claude-sonnet-4-5\u2705 Run 'run-B' verified in API database",
        '{"timestamp": "2025-12-29',
    ],
)
def test_source_with_printed_text_in_a_value_is_named(
    called: Tokentail, tmp_path: Path, database: Path, value: str
) -> None:
    """`parsers.torn` says how it begins; an earlier version stored it as a part of a model."""
    alter(database, "UPDATE token_estimation_v2_events SET model = ? WHERE event_id = 1", value)
    (line,) = complaints(called)
    assert line.endswith(f": `tokentail backfill --full {tmp_path}/a.log` reads it anew")


@pytest.mark.parametrize("value", TRUE_VALUES)
def test_value_that_only_looks_like_one_is_left_alone(called: Tokentail, database: Path, value: str) -> None:
    """Names may hold times, brackets and levels."""
    for column in COLUMNS:
        alter(database, f"UPDATE token_estimation_v2_events SET {column} = ?", value)
    assert complaints(called) == []


def test_paths_and_what_is_remembered_are_looked_at_too(
    called: Tokentail, tmp_path: Path, database: Path
) -> None:
    """A run that a checkpoint remembers would be that of the next events."""
    alter(
        database,
        "UPDATE token_estimation_v2_events SET deliverables_json = ? WHERE event_id = 2",
        r'["a.py\u001b[0m"]',
    )
    alter(
        database,
        "UPDATE log_sources SET remembered = REPLACE(remembered, 'p1', 'p1\\u001b[0m') WHERE source_id = 1",
    )
    first, second = complaints(called)
    assert "a.log" in first
    assert "b.log" in second
    alter(database, "UPDATE token_estimation_v2_events SET deliverables_json = '[]'")
    (line,) = complaints(called)
    assert line.startswith(f"{tmp_path}/a.log: ")
    assert "(what its checkpoint remembers)" in line


def test_each_source_is_named_once_with_what_it_takes(
    called: Tokentail, tmp_path: Path, database: Path
) -> None:
    """A pipe comes again, a log of another machine is read there, one that is gone can only be forgotten."""
    alter(database, "UPDATE token_estimation_v2_events SET run_id = ?", f"run-A{NEXT}")
    first, second = complaints(called)
    assert "in 2 of its events" in first
    assert "in 2 of its events" in second
    alter(database, "UPDATE log_sources SET path = '-', real_path = NULL WHERE source_id = 1")
    alter(database, "UPDATE log_sources SET host = 'elsewhere' WHERE source_id = 2")
    first, second = complaints(called)
    assert first.startswith("-: ")
    assert first.endswith("pipe the log again, to `tokentail backfill --full -`")
    assert second.endswith(f"`tokentail backfill --full {tmp_path}/b.log` on elsewhere reads it anew")
    alter(database, "UPDATE log_sources SET host = NULL WHERE source_id = 2")
    (tmp_path / "b.log").unlink()
    assert complaints(called)[1].endswith(
        "its log is gone; `tokentail sources forget 2` takes out what it told"
    )


@pytest.mark.parametrize("value", ["run-A\x1b[0m", f"a{NEXT}"])
def test_what_is_advised_leaves_right_values(called: Tokentail, database: Path, value: str) -> None:
    """Read anew, the log says what it says, though that is less, and `verify` is content."""
    alter(
        database,
        "UPDATE token_estimation_v2_events SET run_id = ?, run_source = 'initialized', phase_outcome = ?, "
        "deliverables_json = ?, deliverables_source = 'applied', deliverables_complete = 1",
        value,
        value,
        r'["a.py\u001b[0m"]',
    )
    for line in complaints(called):
        path = line.partition(":")[0]
        assert f"backfill --full {path}" in line
        assert called("backfill", "--full", path, "--tz", "UTC").returncode == 0
    done = called("verify")
    assert (done.returncode, "no difference" in done.stdout) == (0, True)
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT run_id, run_source, phase_outcome, deliverables_json, deliverables_complete FROM {}"
        rows = connection.execute(query.format("token_estimation_v2_events")).fetchall()
    assert rows == [("unknown", None, None, "[]", 0)] * 3


@pytest.mark.parametrize("rest", [NEXT, "[drain_one_phase] Draining: run-B / p1"])
def test_false_model_is_gone_when_its_log_is_read_anew(
    called: Tokentail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: str
) -> None:
    """The event that an earlier version took for whole is one that was cut."""
    (tmp_path / "run.log").write_text(logged(event_message(model="some-m")) + rest + "\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("parsers.line.tears", lambda *_: iter(()))  # as before lines were cut
        called("ingest", "run.log", "--tz", "UTC")
    called("backfill", "--full", "run.log", "--tz", "UTC")
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        models = connection.execute("SELECT model FROM token_estimation_v2_events").fetchall()
    assert models == [("some-m",)]
