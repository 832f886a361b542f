"""`tokentail status`: how much of each log is unread, in a screen full, and when all was well last."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commandline.moments import parse_span, span_text
from conftest import Tokentail
from event_lines import event_message, logged
from ingest.errors import UsageMistake
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing.database import open_for_reading
from ingest.summary import IngestOptions, Summary
from reports.status import last_success, status


def line(number: int, at: str = "2026-01-14 09:00:00") -> str:
    """Return an event line."""
    return logged(event_message(predicted_output=number), at) + "\n"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Make a folder for logs."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def read(logs: Path) -> Summary:
    """Ingest the folder into the database beside it."""
    return ingest([str(logs)], logs.parent / "telemetry.db", IngestOptions("ingest", zone_named("UTC")))


def sources(logs: Path) -> dict[str, dict[str, Any]]:
    """Return what the status shows of each log, by its name."""
    with open_for_reading(logs.parent / "telemetry.db") as db:
        return {Path(source["path"]).name: source for source in status(db).sources}


def test_each_log_is_held_against_what_is_on_disk_now(logs: Path) -> None:
    """Grown, shrunk, replaced, gone, compressed: said without opening any, and in bytes where it can be."""
    for name in ("same", "grown", "shrunk", "other", "gone"):
        (logs / f"{name}.log").write_text(line(1) + line(2))
    (logs / "half.log").write_text(line(3) + line(4)[:50])
    (logs / "packed.log.gz").write_bytes(gzip.compress(line(5).encode()))
    read(logs)
    with (logs / "grown.log").open("a") as file:
        file.write(line(6))
    os.truncate(logs / "shrunk.log", 10)
    (logs / "fresh").write_text(line(1) + line(2))
    (logs / "fresh").replace(logs / "other.log")
    (logs / "gone.log").unlink()
    with (logs / "packed.log.gz").open("ab") as packed:
        packed.write(gzip.compress(line(7).encode()))
    found = {name: (source["on_disk"], source["behind_bytes"]) for name, source in sources(logs).items()}
    assert found == {
        "same.log": ("same", 0),
        "grown.log": ("grown", len(line(6))),
        "shrunk.log": ("shrunk", None),
        "other.log": ("other file", None),
        "gone.log": ("gone", 0),
        "half.log": ("same", 50),
        "packed.log.gz": ("changed", None),
    }


def test_last_event_is_that_at_the_end_of_the_log(logs: Path) -> None:
    """The newest event of each log, whatever was read of others."""
    (logs / "a.log").write_text(line(1, "2026-01-14 09:00:00") + line(2, "2026-01-14 09:30:00"))
    (logs / "b.log").write_text(line(3, "2026-01-14 09:10:00"))
    read(logs)
    found = {name: source["last_event"] for name, source in sources(logs).items()}
    assert found == {"a.log": "2026-01-14 09:30:00.000000", "b.log": "2026-01-14 09:10:00.000000"}


def test_hundreds_of_logs_are_a_screen_full(called: Tokentail, logs: Path) -> None:
    """Those that need a look come first, the rest is a number, and --all shows them."""
    for number in range(150):
        (logs / f"{number:03}.log").write_text(line(number + 1))
    (logs / "077.log").write_text(
        line(999) + "[2026-01-14 09:00:00] INFO: [TokenEstimationV2] predicted_out\n"
    )
    read(logs)
    with (logs / "033.log").open("a") as file:
        file.write(line(1000))
    shown = called("status").stdout.splitlines()[1:]
    assert len(shown) < 35
    assert shown[2] == f"150 logs: 149 read to their end, 1 behind by {len(line(1000))} bytes"
    assert shown[3] == "of all: times read as UTC; encoding utf-8"
    assert {row.split()[0] for row in shown[7:9]} == {"033.log", "077.log"}
    assert "and 130 more logs, none of which needs a look: --all shows them" in shown
    assert f"below {logs}{os.sep}" in shown
    assert max(map(len, shown[5:])) < 130
    everything = called("status", "--all").stdout
    assert all(f"{number:03}.log" in everything for number in range(150))
    assert len(json.loads(called("status", "--json").stdout)["sources"]) == 150


def test_a_last_line_without_newline_is_no_work_for_an_ingest(called: Tokentail, logs: Path) -> None:
    """A backfill reads it; what else is behind is named beside it, with the ingest that reads that."""
    (logs / "half.log").write_text(line(1) + line(2)[:50])
    (logs / "grown.log").write_text(line(3))
    read(logs)
    verdict = called("status").stdout.splitlines()[0]
    assert "50 bytes of last lines without a newline (`tokentail backfill`" in verdict
    assert "`tokentail ingest`" not in verdict
    with (logs / "grown.log").open("a") as file:
        file.write(line(4))
    verdict = called("status").stdout.splitlines()[0]
    assert f"{len(line(4))} bytes of logs not read yet (`tokentail ingest`)" in verdict
    assert "50 bytes of last lines" in verdict
    with (logs / "half.log").open("a") as file:
        file.write("\n")
    assert f"{len(line(4)) + 51} bytes of logs not read yet" in called("status").stdout.splitlines()[0]


def test_a_database_that_was_merged_lacks_no_ingest(called: Tokentail, logs: Path) -> None:
    """What its others read is stored; that nothing was ingested into it is no failure."""
    (logs / "a.log").write_text(line(1))
    read(logs)
    called("merge", "telemetry.db", "--db", "merged.db")
    assert called("status", "--db", "merged.db").stdout.startswith("All that the logs held")
    assert "no ingest yet" in " ".join(called(DATABASE_URL="sqlite:///merged.db").stdout.split())


def test_status_of_a_pipe_and_of_no_log(tokentail: Tokentail) -> None:
    """Standard input has no file to look up; a database without a source has no table."""
    tokentail("ingest", "-", "--tz", "UTC", stdin=b"")
    assert tokentail("status").returncode == 0
    tokentail("ingest", "-", "--tz", "UTC", stdin=line(1).encode())
    shown = tokentail("status").stdout
    assert "1 log: 0 read to their end, 1 replaced, piped or imported" in shown


# How old


RUNS = {
    "an ingest that went well": ("ingest", 10, 0, 0, 10),
    "one with a problem": ("ingest", 10, 1, 1, None),
    "one that was killed": ("ingest", None, None, 0, None),
    "a follow that is well": ("follow", 10, None, 0, 10),
    "a follow with a problem, well before": ("follow", 50, None, 3, 50),
    "a follow that was stopped": ("follow", 10, 0, 0, 10),
    "a follow that was interrupted": ("follow", 10, 130, 0, 10),
    "a follow that was stopped with a problem": ("follow", 10, 0, 2, None),
    "a follow that never was well": ("follow", None, None, 1, None),
}


@pytest.mark.parametrize(("command", "ago", "code", "problems", "age"), RUNS.values(), ids=RUNS)
def test_what_went_well(
    logs: Path, command: str, ago: int | None, code: int | None, problems: int, age: int | None
) -> None:
    """Only an ingest that read all there was counts; a follow does as long as it was well."""
    (logs / "a.log").write_text(line(1))
    read(logs)
    now = datetime(2026, 1, 14, 12, tzinfo=UTC)
    finished = None if ago is None else f"{now - timedelta(seconds=ago):%Y-%m-%d %H:%M:%S}.000000"
    with closing(sqlite3.connect(logs.parent / "telemetry.db")) as connection, connection:
        connection.execute(
            "UPDATE ingest_runs SET command = ?, finished_at = ?, exit_code = ?, problems = ?",
            [command, finished, code, problems],
        )
    with open_for_reading(logs.parent / "telemetry.db") as db:
        found = last_success(db, now)
    assert (found and found["age_seconds"]) == age


def test_max_age_is_an_alarm(called: Tokentail, logs: Path) -> None:
    """Too old is exit code 1 and a sentence with the age; young enough is silent."""
    (logs / "a.log").write_text(line(1))
    (logs / "damaged.log.gz").write_bytes(gzip.compress(b"x" * 999)[:-8] + b"damaged!")
    assert called("ingest", logs / "damaged.log.gz", "--quiet").returncode == 1
    (logs / "damaged.log.gz").unlink()
    never = called("status", "--quiet", "--max-age", "1h")
    assert (never.returncode, never.stdout) == (1, "")
    assert "no ingest went well yet" in never.stderr
    read(logs)
    young = called("status", "--quiet", "--max-age", "1h")
    assert (young.returncode, young.stdout, young.stderr) == (0, "", "")
    with closing(sqlite3.connect(logs.parent / "telemetry.db")) as connection, connection:
        connection.execute("UPDATE ingest_runs SET finished_at = datetime('now', '-7384 seconds')")
    old = called("status", "--max-age", "1h")
    assert old.returncode == 1
    assert "no ingest went well for 2 h 3 min, since 20" in old.stderr
    assert "it should be at most 1 h: " in old.stderr
    assert "1 event" in old.stdout
    wrong = called("status", "--max-age", "soon")
    assert wrong.returncode == 2
    assert "'soon' is no span of time: write for example 90s" in wrong.stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("1h", 3600),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1W", 604_800),
        ("0.5h", 1800),
    ],
)
def test_spans_as_people_type_them(text: str, seconds: int) -> None:
    """A number and a unit, or several."""
    assert parse_span(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "60", "h", "1y", "-1h", "1h 2", "1.2.3h", "one hour", "9999999d"])
def test_what_is_no_span(text: str) -> None:
    """Without a unit nobody knows what is meant."""
    with pytest.raises(UsageMistake, match="no span of time"):
        parse_span(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (7384, "2 h 3 min"), (200_000, "2 d 7 h")]
)
def test_spans_as_people_read_them(seconds: int, text: str) -> None:
    """Two units are enough."""
    assert span_text(seconds) == text
