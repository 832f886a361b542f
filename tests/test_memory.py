"""Memory is bounded by a constant, whatever the size of a file or of a line.

The peak is measured in a child that does nothing else, as the operating system counts it.
`TOKENTAIL_BIG_BYTES` sets the size of the big log; 1 GB (1000000000) takes a minute or two.
"""

from __future__ import annotations

import bz2
import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from executor_log import Shape, executor_run

BIG_BYTES = int(os.environ.get("TOKENTAIL_BIG_BYTES", "150000000"))
LIMIT_BYTES = 100_000_000

CHILD = """
import json, resource, sys, time
from pathlib import Path
sys.modules["numpy"] = sys.modules["pandas"] = None  # sqlite-utils loads them where they are installed
from ingest.pipeline import ingest
from ingest.summary import IngestOptions
from ingest.reading.zone import zone_named

started = time.monotonic()
options = IngestOptions(command="ingest", zone=zone_named("Australia/Sydney"), finished=True)
summary = ingest([sys.argv[1]], Path(sys.argv[2]), options)
peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if sys.platform == "darwin":
    peak_kb //= 1024
status = Path("/proc/self/status")
if status.exists():  # ru_maxrss may count the parent's memory, from before the program was replaced
    lines = status.read_text().splitlines()
    peak_kb = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
print(json.dumps({
    "peak_bytes": peak_kb * 1024, "events": summary.events_new, "rejects": summary.rejects,
    "bytes_read": summary.bytes_read, "problems": summary.problems, "seconds": time.monotonic() - started,
}))
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the resource module is not there")


def measured(log: Path, database: Path, problems: int = 0) -> dict[str, int]:
    """Ingest a file in a process of its own; return its peak memory and what it did."""
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, str(log), str(database)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    figures: dict[str, int] = json.loads(done.stdout)
    notices: Any = figures.pop("problems")
    assert len(notices) == problems, notices
    return figures


def event_line(number: int) -> bytes:
    """Return an event line that no other equals."""
    return (
        f"[2025-12-29 {number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}] INFO: "
        f"[TokenEstimationV2] predicted_output={number + 1} actual_output={number + 2} smape=1.0% "
        "selected_budget=8192 category=docs complexity=low deliverables=1 success=True "
        "stop_reason=end_turn truncated=False model=some-model-4\n"
    ).encode()


@pytest.mark.parametrize("opening", ["event", "dump", "nul"])
def test_line_of_200_mb_is_read_in_bounded_memory(tmp_path: Path, opening: str) -> None:
    """A line far beyond the limit is skipped or rejected, never held; its neighbours are events."""
    log = tmp_path / "executor.log"
    long = {"event": event_line(7).rstrip(), "dump": b"x", "nul": b"\0"}[opening]
    filler = (b"\0" if opening == "nul" else b"x") * (1 << 20)
    with log.open("wb") as file:
        file.write(event_line(1) + long)
        for _ in range(200):
            file.write(filler)
        file.write(b"\n" + event_line(2))
    figures = measured(log, tmp_path / "t.db")
    assert (figures["events"], figures["rejects"]) == (2, int(opening == "event"))
    assert figures["peak_bytes"] < LIMIT_BYTES, figures


@pytest.mark.parametrize("kind", ["telemetry", "events", "again", "wide"])
def test_big_log_is_read_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    """A log of any size: typical lines, nothing but events, one event again and again, joined UTF-16."""
    log, size = tmp_path / "executor.log", BIG_BYTES if kind == "telemetry" else BIG_BYTES // 5
    text = executor_run(Random(5), "run-a", Shape(phases=40)).text().encode()
    noise = b"[2025-12-29 19:40:02] INFO: HTTP Request: POST https://api.anthropic.com/v1/messages\n" * 8_000
    written = number = 0
    with log.open("wb") as file:
        if kind == "wide":
            written += file.write(b"\xff\xfe")
        while written < size:
            number += 1
            if kind == "events":
                block = b"".join(event_line(number * 1_000 + add) for add in range(1_000))
            elif kind == "again":
                block = event_line(1) * 1_000
            else:
                block = text.replace(b"19:4", b"%02d:%d" % (number % 24, number % 5)) + noise
            written += file.write(block.decode().encode("utf-16-le") if kind == "wide" else block)
    figures = measured(log, tmp_path / "t.db")
    assert written - figures["bytes_read"] in (0, 2)  # the mark is not counted
    assert figures["peak_bytes"] < LIMIT_BYTES, figures
    if os.environ.get("TOKENTAIL_BIG_BYTES"):
        sys.stderr.write(f"{kind}: {figures}\n")


def test_bomb_of_real_size_is_stopped_in_bounded_memory(tmp_path: Path) -> None:
    """7 KB of bzip2 that unpack to 1.5 GB end at 1 GiB, as a problem; nothing of it is held."""
    log = tmp_path / "executor.log.bz2"
    log.write_bytes(bz2.compress(b"x" * 10_000_000) * 150)
    figures = measured(log, tmp_path / "t.db", problems=1)
    assert 1 << 30 < figures["bytes_read"] < 1.01 * (1 << 30)
    assert figures["peak_bytes"] < LIMIT_BYTES, figures
