"""Standard input: what came is stored while nothing comes, and when the process is asked to end."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from conftest import ROOT
from event_lines import anchor_message, event_message, logged

LINES = "".join(logged(event_message(predicted_output=number)) + "\n" for number in range(1, 31)).encode()


def started(tmp_path: Path, first: str = "") -> subprocess.Popen[bytes]:
    """Start an ingest of standard input; `first` is code to run before it."""
    return subprocess.Popen(
        [sys.executable, "-c", f"{first}from ingest.cli import main; main()", "ingest", "-", "--tz", "UTC"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def stored(tmp_path: Path) -> int:
    """Count the events that are stored by now."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection,
    ):
        (count,) = connection.execute("SELECT COUNT(*) FROM token_estimation_v2_events").fetchone()
        return int(count)
    return 0


def feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Write into a pipe that stays open."""
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def wait_for(tmp_path: Path, count: int) -> None:
    """Wait until so many events are stored."""
    deadline = time.monotonic() + 30
    while stored(tmp_path) < count:
        assert time.monotonic() < deadline, f"{stored(tmp_path)} of {count} events"
        time.sleep(0.05)


def test_events_of_an_open_pipe_are_stored_while_it_waits(tmp_path: Path) -> None:
    """Nobody has to close the pipe for what came through it to be seen."""
    with started(tmp_path) as process:
        feed(process, LINES)
        wait_for(tmp_path, 30)
        process.communicate(LINES[:10])
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 130)])
def test_signal_stores_what_came_before_it(tmp_path: Path, name: str, code: int) -> None:
    """What came through a pipe will not come again, so it is stored on the way out."""
    with started(tmp_path) as process:
        feed(process, LINES[: len(LINES) // 2])
        wait_for(tmp_path, 14)
        feed(process, LINES[len(LINES) // 2 :])
        time.sleep(0.3)
        process.send_signal(signal.Signals[name])
        process.communicate()
    assert process.returncode == code
    assert stored(tmp_path) == 30


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_pipe_that_does_not_wait_is_waited_for(tmp_path: Path) -> None:
    """An empty pipe that was set not to block is not at its end."""
    with started(tmp_path, "import os; os.set_blocking(0, False); ") as process:
        for start in range(0, len(LINES), 2_000):
            feed(process, LINES[start : start + 2_000])
            time.sleep(0.05)
        process.communicate()
    assert (process.returncode, stored(tmp_path)) == (0, 30)


def test_event_that_is_stored_early_and_completed_later_is_new_only(tmp_path: Path) -> None:
    """What one run stored and then learned more of was not there before it, so it isn't updated."""
    with started(tmp_path) as process:
        feed(process, f"{logged(anchor_message('p1'))}\n{logged(event_message())}\n".encode())
        wait_for(tmp_path, 1)
        more = (logged("[p1] Applied files: ['a.py']"), logged("Updated phase p1 status to COMPLETE"))
        said, _ = process.communicate("".join(f"{line}\n" for line in more).encode())
    assert b"1 event new" in said
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        rows = connection.execute("SELECT phase_outcome FROM token_estimation_v2_events").fetchall()
    assert rows == [("COMPLETE",)]
