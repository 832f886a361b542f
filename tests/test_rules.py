"""Rules that no other test would have missed: each was broken on purpose once, and nothing failed.

`faults/mutants/named.py` breaks them again.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from conftest import ROOT, Tokentail
from event_lines import anchor_message, event_message, logged
from faults.tables import check_invariants, events, rows_as_stored, tables
from ingest.memory import MAX_BATCH_RECORDS
from ingest.storing.database import connected_for_writing
from older import forget_how_to_read

MEBIBYTE = 1 << 20

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="a process is stopped by a signal")


def write(path: Path, *messages: str) -> None:
    """Write a log of the executor's, a line for each message."""
    path.write_text("".join(logged(message) + "\n" for message in messages), encoding="utf-8")


def append(path: Path, *messages: str) -> None:
    """Write lines at the end of a log."""
    with path.open("a", encoding="utf-8") as log:
        log.writelines(logged(message) + "\n" for message in messages)


def asked(database: Path, query: str) -> list[tuple[object, ...]]:
    """Return what a query finds."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def altered(database: Path, statement: str) -> None:
    """Change a database by hand."""
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(statement).rowcount > 0


# Identity and linking


@pytest.mark.parametrize("order", [("a.log", "b.log"), ("b.log", "a.log")], ids=" ".join)
@pytest.mark.parametrize("apart", [True, False], ids=["one-after-the-other", "together"])
def test_of_two_known_numbers_the_smaller_is_kept(
    called: Tokentail, tmp_path: Path, order: tuple[str, str], apart: bool
) -> None:
    """Two logs have different tokens of one event: the smaller numbers, whichever log is read first."""
    write(tmp_path / "a.log", anchor_message("p1", input=900, max=8192), event_message())
    write(tmp_path / "b.log", anchor_message("p1", input=700, max=16384), event_message())
    for logs in [[name] for name in order] if apart else [order]:
        called("ingest", *logs, "--tz", "UTC")
    (event,) = events(tmp_path / "telemetry.db")
    tokens = (event["actual_max_tokens"], event["input_tokens"], event["total_tokens"])
    assert tokens == (8192, 700, 700 + 1157)


@pytest.mark.parametrize(("lines_between", "known"), [(7, ["a.py"]), (8, [])], ids=["eighth", "ninth"])
def test_required_list_begins_within_eight_lines_of_its_refusal(
    called: Tokentail, tmp_path: Path, lines_between: int, known: list[str]
) -> None:
    """A list that begins further below may be another phase's, so it is nobody's."""
    write(
        tmp_path / "run.log",
        anchor_message("p1"),
        event_message(),
        "[p1] ❌ DELIVERABLES VALIDATION FAILED",
        *["something else"] * lines_between,
        "📋 REQUIRED DELIVERABLES:",
    )
    with (tmp_path / "run.log").open("a", encoding="utf-8") as log:
        log.write("  ✓ a.py\n")
    append(tmp_path / "run.log", "after the list")
    called("ingest", "run.log", "--tz", "UTC")
    (event,) = events(tmp_path / "telemetry.db")
    assert event["deliverables_json"] == str(known).replace("'", '"')


@pytest.mark.parametrize(
    "end",
    ["[LOCK] Released executor lock for run_id=first (PID=1)", "Autonomous execution loop finished"],
    ids=["named", "nameless"],
)
def test_phase_of_the_next_run_is_not_that_of_a_run_that_ended(
    called: Tokentail, tmp_path: Path, end: str
) -> None:
    """A call for a phase that an ended run had open is the new run's, and outcomes don't reach back."""
    write(
        tmp_path / "run.log",
        "[LOCK] Acquired executor lock for run_id=first (PID=1, host=box)",
        "[BUILD-041] Next phase: p1",
        anchor_message("p1"),
        event_message(),
        end,
        "[LOCK] Acquired executor lock for run_id=second (PID=2, host=box)",
        anchor_message("p1", output=77),
        event_message(predicted_output=80, actual_output=77),
        "Updated phase p1 status to COMPLETE",
    )
    called("ingest", "run.log", "--tz", "UTC")
    phases = asked(
        tmp_path / "telemetry.db",
        "SELECT run_id, phase_id, phase_outcome FROM token_estimation_v2_events ORDER BY event_id",
    )
    assert phases == [("first", "p1", None), ("second", "p1", "COMPLETE")]


def test_two_copies_of_a_log_that_is_gone_are_two_sources(called: Tokentail, tmp_path: Path) -> None:
    """Neither goes on as the log that was read, since nobody knows which it is: each place is known."""
    write(tmp_path / "a.log", *(event_message(predicted_output=number) for number in range(100, 160)))
    called("ingest", "a.log", "--tz", "UTC")
    shutil.copyfile(tmp_path / "a.log", tmp_path / "b.log")
    (tmp_path / "a.log").rename(tmp_path / "c.log")
    shutil.copyfile(tmp_path / "b.log", tmp_path / "d.log")
    (tmp_path / "c.log").unlink()
    called("ingest", "b.log", "d.log", "--tz", "UTC")
    database = tmp_path / "telemetry.db"
    assert len(events(database)) == 60
    seen = "SELECT path, COUNT(*) FROM event_sightings JOIN log_sources USING (source_id) GROUP BY path"
    assert [(Path(str(path)).name, count) for path, count in asked(database, seen)] == [
        ("a.log", 60),
        ("b.log", 60),
        ("d.log", 60),
    ]
    check_invariants(database)


# Reading and storing


def test_log_that_became_shorter_is_read_anew_whatever_its_bytes_prove(
    called: Tokentail, tmp_path: Path
) -> None:
    """Where no bytes before the checkpoint are known, a file that doesn't reach it is another one."""
    log, database = tmp_path / "run.log", tmp_path / "telemetry.db"
    write(log, *["noise"] * 100, event_message(), *["noise"] * 100)
    called("ingest", "run.log", "--tz", "UTC")
    altered(database, "UPDATE log_sources SET tail_fingerprint = NULL")
    os.truncate(log, log.stat().st_size - 50 * len(logged("noise") + "\n"))
    append(log, event_message(predicted_output=7))
    done = called("ingest", "run.log", "--tz", "UTC")
    assert "truncated or rewritten since it was read" in done.stderr
    assert [event["predicted_output_tokens"] for event in events(database)].count(7) == 1
    (offset,) = asked(database, "SELECT MAX(source_id), byte_offset FROM log_sources")
    assert offset[1] == log.stat().st_size


def started(folder: Path, *words: str, fault: str) -> subprocess.Popen[str]:
    """Start the program with a fault built in."""
    return subprocess.Popen(
        [sys.executable, "-m", "faults.program", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TOKENTAIL_FAULT": fault},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_stopped(process: subprocess.Popen[str]) -> None:
    """Wait until a process has stopped itself."""
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])


@needs_signals
def test_checkpoint_that_somebody_moved_is_not_moved_back(called: Tokentail, tmp_path: Path) -> None:
    """Whoever reads without the lock stores nothing: the checkpoint is not where it began to read."""
    log, database = tmp_path / "run.log", tmp_path / "telemetry.db"
    write(log, event_message())
    called("ingest", "run.log", "--tz", "UTC")
    append(log, "nothing to store")
    with started(tmp_path, "ingest", "run.log", "--tz", "UTC", fault="stop:read:1") as late:
        wait_until_stopped(late)
        (tmp_path / "telemetry.db.lock").unlink()  # as if it had never been there
        append(log, event_message(predicted_output=7))
        called("ingest", "run.log", "--tz", "UTC")
        before, sources = rows_as_stored(database), asked(database, "SELECT * FROM log_sources")
        late.send_signal(signal.SIGCONT)
        _, errors = late.communicate(timeout=60)
    assert late.returncode == 75
    assert "another ingest has read it meanwhile" in errors
    assert (rows_as_stored(database), asked(database, "SELECT * FROM log_sources")) == (before, sources)


@needs_signals
def test_log_that_shrinks_under_a_retry_keeps_what_was_stored(called: Tokentail, tmp_path: Path) -> None:
    """Read again less far than before, a log replaces nothing: its rejects are read by themselves."""
    log, database = tmp_path / "run.log", tmp_path / "telemetry.db"
    events_of_log = [event_message(predicted_output=number) for number in range(100, 3_100)]
    write(log, *events_of_log)
    called("ingest", "run.log", "--tz", "UTC")
    right = tables(database)["events"]
    forget_how_to_read(database, {("run.log", 0)})
    with started(tmp_path, "rejects", "--retry", fault="stop:read:1") as retry:
        wait_until_stopped(retry)
        os.truncate(log, len(logged(events_of_log[0]) + "\n") * 100)
        retry.send_signal(signal.SIGCONT)
        output, errors = retry.communicate(timeout=60)
    assert retry.returncode == 0, errors
    assert "0 understood with the log around them, 1 alone" in output
    assert tables(database)["events"] == right
    check_invariants(database)


@needs_signals
def test_a_kill_loses_no_more_than_64_mebibytes_of_reading(tmp_path: Path) -> None:
    """A log without events is stored as read from time to time, too."""
    noise = (logged("noise " + "x" * 900) + "\n").encode()
    with (tmp_path / "run.log").open("wb") as log:
        for _ in range(140):
            log.write((noise * (MEBIBYTE // len(noise) + 1))[: MEBIBYTE - 1] + b"\n")
    words = ("ingest", "run.log", "--tz", "UTC", "--jobs", "1")
    chunks = 130 * MEBIBYTE // (256 << 10)
    with started(tmp_path, *words, fault=f"kill:read:{chunks}") as killed:
        killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    ((offset,),) = asked(tmp_path / "telemetry.db", "SELECT byte_offset FROM log_sources")
    assert offset >= 64 * MEBIBYTE


@pytest.mark.parametrize(
    ("network", "level"), [(None, 1), ("nfs", 2)], ids=["write-ahead-log", "rollback-journal"]
)
def test_what_is_committed_reaches_the_disk(tmp_path: Path, network: str | None, level: int) -> None:
    """SQLite waits for the disk as often as its journal needs for the database to stay sound."""
    with connected_for_writing(tmp_path / "t.db", network) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)


# Proving


@pytest.fixture
def proven(called: Tokentail, tmp_path: Path) -> Path:
    """Return a database of a log with a phase that a later line names, and of an excerpt of it."""
    event = event_message(predicted_output=77)
    write(
        tmp_path / "run.log",
        "Initialized autonomous executor for run: run-1",
        "[BUILD-041] Next phase: p1",
        anchor_message("p1"),
        event_message(),
        "Updated phase p1 status to COMPLETE",
        "[BUILD-041] Next phase: p2",
        event,
        "[p2] Builder succeeded (6213 tokens)",
        "[TokenEstimationV2] predicted",
    )
    write(tmp_path / "samples.txt", event_message())
    called("ingest", "run.log", "samples.txt", "--tz", "UTC")
    assert called("verify").returncode == 0
    return tmp_path / "telemetry.db"


WRONG = {
    "phase-named-by-a-later-line": (
        "UPDATE token_estimation_v2_events SET phase_id = 'p9' WHERE predicted_output_tokens = 77",
        "run.log:7: phase is 'p2' (builder) in the log, 'p9' (builder) in the database",
    ),
    "value-that-a-row-lost": (
        "UPDATE token_estimation_v2_events SET input_tokens = NULL WHERE predicted_output_tokens = 5200",
        "run.log:4: input_tokens is 5056 in the log, None in the database",
    ),
    "outcome-that-a-row-lost": (
        "UPDATE token_estimation_v2_events SET phase_outcome = NULL WHERE predicted_output_tokens = 5200",
        "run.log:4: phase_outcome is 'COMPLETE' in the log, None in the database",
    ),
    "number-of-a-line": (
        "UPDATE event_sightings SET line_number = 5 WHERE line_number = 4",
        "run.log:4: the database has it at line 5",
    ),
    "event-without-a-place": (
        "DELETE FROM event_sightings WHERE event_id = "
        "(SELECT event_id FROM token_estimation_v2_events WHERE predicted_output_tokens = 77)",
        "in the database, but seen in no log",
    ),
    "number-of-a-rejected-line": (
        "UPDATE rejected_lines SET line_number = 8",
        "run.log:9: the database has it at line 8",
    ),
}


@pytest.mark.parametrize(("statement", "words"), WRONG.values(), ids=WRONG)
def test_verify_names_what_lines_around_an_event_said(
    called: Tokentail, proven: Path, statement: str, words: str
) -> None:
    """What only lines after an event say, what a second place doesn't say, and the numbers of lines."""
    altered(proven, statement)
    done = called("verify")
    assert done.returncode == 1
    assert words in done.stdout + done.stderr


def test_verify_names_what_a_line_far_behind_an_event_said(called: Tokentail, tmp_path: Path) -> None:
    """Another batch begins between an event and the line that says how its phase ended."""
    torn = ["[TokenEstimationV2] predicted"] * (MAX_BATCH_RECORDS + 1)
    lines = ["[BUILD-041] Next phase: p1", anchor_message("p1"), event_message(), *torn]
    write(tmp_path / "run.log", *lines, "Updated phase p1 status to COMPLETE")
    called("ingest", "run.log", "--tz", "UTC")
    assert called("verify").returncode == 0
    altered(tmp_path / "telemetry.db", "UPDATE token_estimation_v2_events SET phase_outcome = NULL")
    done = called("verify")
    assert done.returncode == 1
    assert "run.log:3: phase_outcome is 'COMPLETE' in the log, None in the database" in done.stdout


def test_empty_log_has_nothing_to_prove(called: Tokentail, proven: Path) -> None:
    """A file without a byte has no marker line, so that it was never ingested is no difference."""
    (proven.parent / "empty.log").touch()
    done = called("verify", "empty.log")
    assert done.returncode == 0
    assert "not ingested, and has no marker lines" in done.stdout + done.stderr


def test_run_that_nobody_can_place_is_no_difference(called: Tokentail, tmp_path: Path) -> None:
    """An event that may be either of two phases' gives its run to neither, and verify doesn't ask for it."""
    call = [anchor_message("p1"), event_message()]
    write(tmp_path / "a.log", "[LOCK] Acquired executor lock for run_id=r1 (PID=1, host=box)", *call)
    write(tmp_path / "b.log", "Initialized autonomous executor for run: r0", event_message())
    write(tmp_path / "c.log", *(line.replace("p1", "p2") for line in call))
    called("ingest", "a.log", "b.log", "c.log", "--tz", "UTC")
    rows = events(tmp_path / "telemetry.db")
    assert sorted((row["phase_id"], row["run_id"]) for row in rows) == [("p1", "r1"), ("p2", "unknown")]
    assert called("verify").returncode == 0


@pytest.mark.usefixtures("proven")
def test_what_was_pruned_is_counted_when_it_is_proven(called: Tokentail) -> None:
    """Lines whose events are older than what is kept are said, and are no difference."""
    assert called("prune", "--older-than", "2026-01-01", "--force").returncode == 0
    done = called("verify")
    assert done.returncode == 0
    assert done.stdout.startswith(
        "2 files read again: 4 marker lines = 3 sightings + 1 reject, 3 of them pruned, no difference"
    )


def test_merged_logs_are_of_the_machine_that_wrote_last(called: Tokentail, tmp_path: Path) -> None:
    """A database that moved to another machine says where its logs are now."""
    write(tmp_path / "run.log", event_message())
    for _ in range(2):
        called("ingest", "run.log", "--tz", "UTC", "--db", "other.db")
    altered(tmp_path / "other.db", "UPDATE ingest_runs SET host = 'old' WHERE ingest_run_id = 1")
    altered(tmp_path / "other.db", "UPDATE ingest_runs SET host = 'new' WHERE ingest_run_id > 1")
    write(tmp_path / "ours.log", event_message(predicted_output=7))
    called("ingest", "ours.log", "--tz", "UTC")
    assert called("merge", "other.db").returncode == 0
    hosts = asked(tmp_path / "telemetry.db", "SELECT host FROM log_sources WHERE path LIKE '%run.log'")
    assert hosts == [("new",)]
