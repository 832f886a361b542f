"""How soon a follow makes a row of a line, or what it costs while nothing happens: `latency` or `idle`.

    following MODE FOLDER DATABASE TOKENTAIL

FOLDER has the logs; `latency` appends to the first of them. What is printed is the 95th percentile of
`LINES` lines, or the processor time of one second.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

LINES = 60
IDLE_SECONDS = 20.0
SETTLE_SECONDS = 5.0
"""How long it takes until the follow has begun, and files that were just made are not looked at again."""

_COUNT = "SELECT COUNT(*) FROM token_estimation_v2_events"


def main(mode: str, folder: Path, database: Path, tokentail: str) -> float:
    """Start a follow, measure, and end it."""
    command = [tokentail, "follow", "--quiet", "--tz", "UTC", "--db", str(database), str(folder)]
    with subprocess.Popen(command) as follow:
        try:
            time.sleep(SETTLE_SECONDS)
            return _latency(folder, database) if mode == "latency" else _idle(follow.pid)
        finally:
            follow.send_signal(signal.SIGTERM)


def _latency(folder: Path, database: Path) -> float:
    """Append lines at odd moments, and wait for the row of each."""
    rng, waited = Random(1), []
    log = min(folder.iterdir())
    with closing(sqlite3.connect(database)) as connection, log.open("a", encoding="utf-8") as file:
        for number in range(LINES):
            time.sleep(rng.uniform(0.2, 0.6))
            (before,) = connection.execute(_COUNT).fetchone()
            file.write(
                f"[2026-01-14 09:{number:02}:00] INFO: [TokenEstimationV2] predicted_output={number + 1} "
                "actual_output=900 smape=9.9% selected_budget=8192 category=docs complexity=low "
                "deliverables=1 success=True stop_reason=end_turn truncated=False model=some-model-4\n"
            )
            file.flush()
            began = time.perf_counter()
            while connection.execute(_COUNT).fetchone() == (before,):
                time.sleep(0.002)
            waited.append(time.perf_counter() - began)
    return sorted(waited)[int(0.95 * len(waited))]


def _idle(process: int) -> float:
    """Return the processor time of one second, on average."""
    began, before = time.perf_counter(), _processor_seconds(process)
    time.sleep(IDLE_SECONDS)
    return (_processor_seconds(process) - before) / (time.perf_counter() - began)


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    seconds = main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    print(json.dumps({"seconds": seconds}))
