"""Pruning: what is older than the cutoff is deleted, stays away, and every marker line is still proven."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conftest import EXAMPLES, Tokentail
from event_lines import anchor_message, event_message, logged
from faults.tables import check_invariants, escalations, events, tables
from ingest.pipeline import ingest
from ingest.pruning import prune
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions
from ingest.verify import verify
from test_properties import FILES, Files, examples, folder, pieces_of, read

NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)


@given(FILES, st.floats(0, 1), st.booleans(), st.lists(st.integers(16, 1 << 20), max_size=3))
@examples(4)
def test_pruned_events_stay_away_however_their_logs_come(
    chosen: Files, part: float, finished: bool, cuts: list[int]
) -> None:
    """Pruned after the logs or before them, in pieces, copies and again: what is kept is the same."""
    files = chosen.made()
    assume(files)
    with folder() as here:
        for name, data in files.items():
            (here / name).write_bytes(data)
        paths = [here / name for name in sorted(files)]
        read(here / "late.db", *paths, finished=finished)
        times = sorted(row["timestamp"] for row in events(here / "late.db"))
        assume(times)
        horizon = datetime.fromisoformat(times[int(part * (len(times) - 1))]).replace(tzinfo=UTC)
        for name in ("early.db", "grown.db"):
            read(here / name)
            prune(here / name, horizon)
        kept = [row for row in events(here / "late.db") if row["timestamp"] >= f"{horizon:%Y-%m-%d %H:%M:%S}"]
        prune(here / "late.db", horizon)
        read(here / "early.db", *paths, finished=finished)
        for path in paths:
            whole = path.read_bytes()
            path.unlink()
            for piece in pieces_of(whole, cuts):
                with path.open("ab") as log:
                    log.write(piece)
                if not path.suffix.startswith((".gz", ".bz2", ".xz")):
                    read(here / "grown.db", path, finished=finished)
        read(here / "grown.db", *paths, finished=finished)
        for name in ("late.db", "early.db", "grown.db"):
            check_invariants(here / name)
            assert verify([str(path) for path in paths], here / name).differences == []
            assert {row["event_key"] for row in events(here / name)} == {row["event_key"] for row in kept}
        assert tables(here / "early.db")["rejects"] == tables(here / "late.db")["rejects"]
        assert escalations(here / "early.db") == escalations(here / "late.db")
        (here / "all.log").write_bytes(
            b"".join(data for name, data in files.items() if name.endswith("e.log"))
        )
        read(here / "late.db", here / "all.log", finished=finished)
        assert all(row["timestamp"] >= f"{horizon:%Y-%m-%d %H:%M:%S}" for row in events(here / "late.db"))


@pytest.fixture
def logs(tmp_path: Path, called: Tokentail) -> Path:
    """Return the examples' logs, ingested."""
    shutil.copytree(EXAMPLES / "logs", tmp_path / "logs")
    called("ingest", "logs", "--tz", "UTC")
    return tmp_path / "logs"


def test_pruned_by_hand(logs: Path, tokentail: Tokentail, tmp_path: Path) -> None:
    """Previewed, done, verified, and not undone by any way in which an old log comes back."""
    database = tmp_path / "telemetry.db"
    tried = tokentail("prune", "--older-than", "2026-01-14T12:00", "--dry-run")
    assert tried.stdout.splitlines() == [
        "16 of 26 events, from before 2026-01-14 12:00:00 UTC, would be pruned, with 19 sightings, 0 rejects "
        "and 1 escalation",
        "database telemetry.db",
    ]
    assert len(events(database)) == 26
    done = tokentail("prune", "--older-than", "2026-01-14T12:00", "--json")
    assert json.loads(done.stdout)["events"] == 16
    assert json.loads(done.stdout)["freed_bytes"] > 0
    (logs / "again.log").write_bytes((logs / "collect.log").read_bytes())
    (logs / "again.log.1.gz").write_bytes(gzip.compress(b"# \n" + (logs / "batch-drain.log").read_bytes()))
    for arguments in (["ingest", "logs"], ["backfill", "--full", "logs"], ["ingest", "-"]):
        text = (logs / "samples.txt").read_bytes() if arguments[1] == "-" else None
        assert tokentail(*arguments, "--tz", "UTC", stdin=text).returncode == 0
        check_invariants(database)
        assert (len(events(database)), len(escalations(database))) == (10, 0)
    shown = tokentail("verify").stdout
    assert "33 of them pruned, no difference" in shown
    assert "events from before 2026-01-14 12:00:00 UTC are not kept" in tokentail("status").stdout
    assert "would be" not in tokentail("prune", "--older-than", "2020-01-01").stdout
    assert "2026-01-14 12:00:00" in tokentail("prune", "--older-than", "2020-01-01").stdout


@pytest.mark.usefixtures("logs")
def test_horizon_can_be_lifted(called: Tokentail, tmp_path: Path) -> None:
    """Nothing comes back by itself; a full reading brings everything back."""
    before = tables(tmp_path / "telemetry.db")
    called("prune", "--older-than", "2026-01-14T12:00", "--no-vacuum")
    assert called("prune", "--lift").returncode == 0
    called("ingest", "logs", "--tz", "UTC")
    assert len(events(tmp_path / "telemetry.db")) == 10
    called("backfill", "--full", "logs", "--tz", "UTC")
    assert tables(tmp_path / "telemetry.db") == before
    assert called("verify").returncode == 0


@pytest.mark.usefixtures("logs")
def test_import_brings_nothing_of_it_back(called: Tokentail, tmp_path: Path) -> None:
    """Of an export from before, what is kept is imported, once or twice."""
    called("export", "--full", "-o", "full.ndjson")
    prune(tmp_path / "telemetry.db", NOON)
    for _ in range(2):
        done = called("import", "full.ndjson")
        assert "16 events older than what is kept" in done.stdout
        assert len(events(tmp_path / "telemetry.db")) == 10
        check_invariants(tmp_path / "telemetry.db")
    assert called("verify").returncode == 0


def reject(hour: int) -> str:
    return logged("[TokenEstimationV2] predicted_output=7", at=f"2026-01-14 {hour:02}:00:00")


def event(hour: int) -> str:
    return logged(event_message(predicted_output=hour), at=f"2026-01-14 {hour:02}:00:00")


REJECTS = {
    "goes with the event after it": ([reject(8), event(9), event(13)], None, 1, 0),
    "stays before one that is kept": ([event(9), reject(10), event(13)], None, 1, 1),
    "stays at the end": ([event(9), reject(13)], None, 1, 1),
    "goes with a log of old": ([event(9), reject(10)], NOON.timestamp() - 60, 1, 0),
    "goes without any event": ([reject(10)], NOON.timestamp() - 60, 0, 0),
}


@pytest.mark.parametrize(("lines", "changed", "old", "left"), REJECTS.values(), ids=REJECTS.keys())
@pytest.mark.parametrize("first", ["read", "prune", "line by line"])
def test_reject_goes_with_what_is_behind_it(
    tmp_path: Path, lines: list[str], changed: float | None, old: int, left: int, first: str
) -> None:
    """Whether it was stored before the pruning or read after it, in one run or in many."""
    log, database = tmp_path / "run.log", tmp_path / "telemetry.db"
    steps = lines if first == "line by line" else ["\n".join(lines)]
    read(database)
    for step in [] if first == "read" else steps:
        if first != "read":
            prune(database, NOON)
        with log.open("a") as file:
            file.write(step + "\n")
        os.utime(log, None if changed is None else (changed, changed))
        read_utc(database, log)
    if first == "read":
        log.write_text("\n".join(lines) + "\n")
        os.utime(log, None if changed is None else (changed, changed))
        read_utc(database, log)
        prune(database, NOON)
    found = tables(database)
    assert len(found["rejects"]) == left
    assert len(found["events"]) == sum("13:00" in line and "actual" in line for line in lines)
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT pruned_sightings, pruned_rejects FROM log_sources"
        assert connection.execute(query).fetchall() == [
            (old, sum("actual" not in line for line in lines) - left)
        ]
    check_invariants(database)
    assert verify([], database).differences == []


def read_utc(database: Path, log: Path) -> None:
    ingest([str(log)], database, IngestOptions("ingest", zone_named("UTC")))


def test_later_line_about_a_pruned_event_is_ignored(tmp_path: Path, called: Tokentail) -> None:
    """Its outcome is logged after it was pruned: nothing is stored, nothing fails, the rest is read."""
    log, database = tmp_path / "run.log", tmp_path / "telemetry.db"
    log.write_text("\n".join([logged(anchor_message("p1")), logged(event_message()), ""]))
    called("ingest", log, "--tz", "UTC")
    prune(database, datetime(2026, 1, 1, tzinfo=UTC))
    with log.open("a") as more:
        more.write(
            logged("[p1] Applied files: ['src/a.py']")
            + "\n"
            + logged("Updated phase p1 status to COMPLETE")
            + "\n"
        )
    done = called("ingest", log, "--tz", "UTC")
    assert (done.returncode, done.stderr) == (0, "")
    assert events(database) == []
    check_invariants(database)
    assert called("verify").returncode == 0


def test_unfinished_line_that_is_pruned_and_goes_on(tmp_path: Path, called: Tokentail) -> None:
    """A backfilled fragment of an old event is counted once, whether it stays or turns out longer."""
    log, database = tmp_path / "run.log", tmp_path / "telemetry.db"
    read(database)
    prune(database, datetime(2026, 1, 1, tzinfo=UTC))
    whole = logged(event_message()) + "\n"
    for size in (len(whole) - 3, len(whole) - 2, len(whole)):
        log.write_text(whole[:size])
        called("backfill", log, "--tz", "UTC")
        check_invariants(database)
        assert called("verify").stdout.startswith(
            "1 file read again: 1 marker line = 1 sighting + 0 rejects, 1 of"
        )


@pytest.mark.usefixtures("logs")
def test_a_database_is_not_emptied_unless_that_is_said(called: Tokentail, tmp_path: Path) -> None:
    """A pruning that would leave nothing says so beforehand, is refused, and is done with --force."""
    database = tmp_path / "telemetry.db"
    before = tables(database)
    tried = called("prune", "--older-than", "2026-02-01", "--dry-run")
    assert tried.returncode == 0
    assert tried.stdout.startswith(
        "26 of 26 events: all, from before 2026-02-01 00:00:00 UTC, would be pruned"
    )
    refused = called("prune", "--older-than", "2026-02-01")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no event from 2026-02-01 00:00 UTC or later" in refused.stderr
    assert "--force" in refused.stderr
    assert tables(database) == before
    done = called("prune", "--older-than", "2026-02-01", "--force")
    assert done.stdout.startswith("26 of 26 events: all, from before 2026-02-01 00:00:00 UTC, pruned")
    assert events(database) == []
    assert called("prune", "--older-than", "2026-02-02").returncode == 0  # there is nothing to empty


def test_wrong_use_is_said(called: Tokentail, tmp_path: Path) -> None:
    """No moment, one in the future, one without a meaning, no database: nothing is changed."""
    assert "in the future" in called("prune", "--older-than", "2999-01-01").stderr
    assert called("prune", "--older-than", "soon").returncode == 2
    assert called("prune", "--older-than", "7d", "--lift").returncode == 2
    assert "no such database" in called("prune", "--older-than", "7d").stderr
    assert not (tmp_path / "telemetry.db").exists()


def test_a_database_without_events_gets_no_cutoff_unless_that_is_said(
    called: Tokentail, tmp_path: Path
) -> None:
    """Where a cutoff was forced, an ingest all of whose events it leaves out says how to lift it."""
    shutil.copytree(EXAMPLES / "logs", tmp_path / "logs")
    (tmp_path / "empty").mkdir()
    called("ingest", "empty")
    assert "needs --force" in called("prune", "--older-than", "2026-02-01", "--dry-run").stderr
    refused = called("prune", "--older-than", "2026-02-01")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert tables(tmp_path / "telemetry.db") == {name: [] for name in tables(tmp_path / "telemetry.db")}
    assert called("prune", "--older-than", "2026-02-01", "--force").returncode == 0
    left_out = called("ingest", "logs", "--tz", "UTC").stdout
    assert ", 0 events new" in left_out
    assert (
        "older than what is kept (`tokentail prune --lift`, then `tokentail backfill --full LOGS`" in left_out
    )
