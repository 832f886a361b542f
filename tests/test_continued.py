"""A log that grows is the same source, wherever its end stood, whatever older versions said of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import event_message, logged
from faults.tables import check_invariants, events, opened

CHUNK_BYTES = 256 << 10
"""What is read at a time; the bytes before a checkpoint may stand on both sides of such a border."""


def line_of(number: int) -> bytes:
    """Write the event of a number."""
    return (logged(event_message(predicted_output=number)) + "\n").encode()


def states(database: Path) -> list[tuple[str, str, int]]:
    """Return the name, the state and the counted sightings of each source."""
    with opened(database) as connection:
        found = connection.execute("SELECT path, state, sightings FROM log_sources ORDER BY source_id")
        return [(Path(path).name, state, count) for path, state, count in map(tuple, found)]


@pytest.mark.parametrize("beyond", [-1, 0, 1, 100, 255, 256, 257, 600])
def test_log_goes_on_wherever_its_end_stood(called: Tokentail, tmp_path: Path, beyond: int) -> None:
    """The bytes before the checkpoint are the proof, also across two pieces that were read."""
    log, event = tmp_path / "run.log", line_of(100)
    filler = b"x" * (CHUNK_BYTES + beyond - 2 * len(event) - 1) + b"\n"
    log.write_bytes(event + filler + event)
    called("ingest", "run.log", "--tz", "UTC")
    with log.open("ab") as more:
        more.write(line_of(200))
    done = called("ingest", "run.log", "--tz", "UTC")
    assert done.stderr == ""
    assert "1 marker line," in done.stdout
    assert states(tmp_path / "telemetry.db") == [("run.log", "complete", 3)]


def test_hole_at_the_end_of_a_short_log_may_be_filled(called: Tokentail, tmp_path: Path) -> None:
    """What a network file system has not brought yet reads as NULs; the log is the same when it is there."""
    log = tmp_path / "run.log"
    log.write_bytes(line_of(100) + b"\0" * 300)
    called("ingest", "run.log", "--tz", "UTC")
    log.write_bytes(line_of(100) + line_of(200) + line_of(300))
    called("ingest", "run.log", "--tz", "UTC")
    database = tmp_path / "telemetry.db"
    assert [event["predicted_output_tokens"] for event in events(database)].count(200) == 1
    assert states(database) == [("run.log", "complete", 3)]
    check_invariants(database)


@pytest.mark.parametrize(
    "broken", ["remembered = '{'", "marker_lines = 'some'"], ids=["remembered", "counters"]
)
def test_log_of_which_the_checkpoint_is_broken_is_read_anew(
    called: Tokentail, tmp_path: Path, broken: str
) -> None:
    """What somebody wrote into the database by hand ends nothing: the log is unknown, and then read again."""
    (tmp_path / "run.log").write_bytes(line_of(100) + line_of(200))
    called("ingest", "run.log", "--tz", "UTC")
    database = tmp_path / "telemetry.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(f"UPDATE log_sources SET {broken}")
    assert "nothing of this file was ingested" in called("verify", "run.log").stdout
    with (tmp_path / "run.log").open("ab") as more:
        more.write(line_of(300))
    assert called("ingest", "run.log", "--tz", "UTC").returncode == 0
    assert len(events(database)) == 3
    assert states(database) == [("run.log", "replaced", 2), ("run.log", "complete", 3)]


@pytest.mark.parametrize("apart", [True, False], ids=["apart", "together"])
def test_copy_of_a_log_that_an_older_version_read_is_read(
    called: Tokentail, tmp_path: Path, apart: bool
) -> None:
    """An older version didn't say where a path really led; its logs have copies, too."""
    (tmp_path / "run.log").write_bytes(line_of(100) + line_of(200))
    called("ingest", "run.log", "--tz", "UTC")
    database = tmp_path / "telemetry.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE log_sources SET real_path = NULL")
    (tmp_path / "copy.log").write_bytes((tmp_path / "run.log").read_bytes() + line_of(300))
    for names in [["copy.log"], ["run.log"]] if apart else [["copy.log", "run.log"]]:
        assert called("ingest", *names, "--tz", "UTC").returncode == 0
    assert len(events(database)) == 3
    if not apart:
        assert states(database) == [("run.log", "complete", 2), ("copy.log", "complete", 3)]
    assert called("verify", "copy.log", "run.log").returncode == 0
    check_invariants(database)


def test_cut_line_is_not_completed_from_another_event_of_its_second(
    called: Tokentail, tmp_path: Path
) -> None:
    """The end of a model is known only from a line that says all the rest just so."""
    (tmp_path / "other.log").write_bytes(line_of(100))
    cut = logged(event_message(predicted_output=200, model="some"))
    (tmp_path / "run.log").write_text(cut, encoding="utf-8")
    called("backfill", "other.log", "--tz", "UTC")
    called("backfill", "run.log", "--tz", "UTC")
    models = {row["predicted_output_tokens"]: row["model"] for row in events(tmp_path / "telemetry.db")}
    assert models == {100: "some-model-4", 200: "some"}
