"""Packed logs that come back from a backup are what they were: nothing is read twice, no source is new."""

from __future__ import annotations

import gzip
from pathlib import Path

from conftest import Tokentail
from event_lines import event_message, logged
from faults.tables import events, opened, rows_as_stored

CHUNKS_OF_LINES = 9_000
"""So many lines are more than is read at a time, so that logs begin to differ later."""


def pack(path: Path, *numbers: int) -> None:
    """Write a packed log: a beginning that all of them have, then an event for each number."""
    lines = [
        *["the same beginning"] * CHUNKS_OF_LINES,
        *(event_message(predicted_output=number) for number in numbers),
    ]
    path.write_bytes(gzip.compress("".join(logged(line) + "\n" for line in lines).encode(), mtime=0))


def restore(path: Path, to: Path) -> None:
    """Bring a file back as another file, with another name and time."""
    to.write_bytes(path.read_bytes())
    path.unlink()


def test_packed_logs_with_one_beginning_are_distinguished_when_they_come_back(
    called: Tokentail, tmp_path: Path
) -> None:
    """The bytes at their ends decide, wherever in the file they stand; no line is read again."""
    pack(tmp_path / "a.log.gz", *range(100, 130))
    pack(tmp_path / "b.log.gz", *range(200, 290))
    pack(tmp_path / "c.log.gz", *range(300, 310))
    called("ingest", "a.log.gz", "b.log.gz", "c.log.gz", "--tz", "UTC")
    before = rows_as_stored(tmp_path / "telemetry.db")
    (tmp_path / "back").mkdir()
    for old, new in (("a", "3"), ("b", "1"), ("c", "2")):
        restore(tmp_path / f"{old}.log.gz", tmp_path / "back" / f"{new}.log.gz")
    done = called("ingest", "back", "--tz", "UTC")
    assert done.returncode == 0
    assert "0 marker lines" in done.stdout
    assert rows_as_stored(tmp_path / "telemetry.db") == before
    with opened(tmp_path / "telemetry.db") as connection:
        found = connection.execute("SELECT path, sightings FROM log_sources ORDER BY path").fetchall()
    assert [(Path(path).name, count) for path, count in map(tuple, found)] == [
        ("1.log.gz", 90),
        ("2.log.gz", 10),
        ("3.log.gz", 30),
    ]
    assert len(events(tmp_path / "telemetry.db")) == 130


def test_packed_log_that_is_cut_short_is_another_source(called: Tokentail, tmp_path: Path) -> None:
    """What stands before the end of what was read must be there; a shorter file is read for itself."""
    pack(tmp_path / "a.log.gz", *range(100, 130))
    pack(tmp_path / "b.log.gz", *range(200, 290))
    called("ingest", "a.log.gz", "b.log.gz", "--tz", "UTC")
    for name in ("a", "b"):
        (tmp_path / f"{name}.log.gz").unlink()
    pack(tmp_path / "c.log.gz", *range(200, 280))
    called("ingest", "c.log.gz", "--tz", "UTC")
    with opened(tmp_path / "telemetry.db") as connection:
        found = connection.execute("SELECT path, sightings FROM log_sources ORDER BY path").fetchall()
    assert [(Path(path).name, count) for path, count in map(tuple, found)] == [
        ("a.log.gz", 30),
        ("b.log.gz", 90),
        ("c.log.gz", 80),
    ]
    assert len(events(tmp_path / "telemetry.db")) == 120


def test_packed_log_with_another_end_is_another_source(called: Tokentail, tmp_path: Path) -> None:
    """The bytes before the checkpoint are the proof, also where no event stands in them."""
    log, noise = tmp_path / "run.log.gz", (logged("the same beginning") + "\n") * CHUNKS_OF_LINES
    event = logged(event_message()) + "\n"
    for end in ("one end\n", "two end\n"):
        more = logged(event_message(predicted_output=7)) + "\n" if end.startswith("two") else ""
        log.write_bytes(gzip.compress((event + noise + logged(end) + more).encode(), mtime=0))
        done = called("ingest", "run.log.gz", "--tz", "UTC")
    assert "truncated or rewritten since it was read" in done.stderr
    with opened(tmp_path / "telemetry.db") as connection:
        found = connection.execute("SELECT state, sightings FROM log_sources ORDER BY source_id").fetchall()
    assert list(map(tuple, found)) == [("replaced", 1), ("complete", 2)]
