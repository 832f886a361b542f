"""Slices of the long campaigns: kills at random moments and at boundaries, random lives of a folder of logs.

`make kill` and `make model` run thousands.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from event_lines import event_message, logged
from faults.tables import opened

if sys.platform == "win32":
    pytest.skip("children are forked", allow_module_level=True)


def campaign(module: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a campaign in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", module, *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_kills_at_random_moments_are_recovered_exactly() -> None:
    """Killed while it reads, stores or migrates: sound, and the next run ends as the unkilled one."""
    done = campaign("faults.kill", "--number", "20", "--every", "0", "--seed", "4", "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 0 not recovered exactly" in done.stdout


def test_kills_at_boundaries_are_recovered_exactly() -> None:
    """Killed after a read, a parsed line, at a statement, before and after a commit, in a migration."""
    done = campaign("faults.kill", "--number", "0", "--every", "1000", "--seed", "4", "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " at boundaries: 0 not recovered exactly" in done.stdout


def test_random_lives_of_a_folder_end_exact() -> None:
    """Rotated, copied, truncated, killed, run twice at once, changed while it is read: each line one row."""
    done = campaign("faults.model", "--number", "12", "--seed", "42", "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr


def test_killed_ingest_leaves_a_row_that_says_so(tmp_path: Path) -> None:
    """A run that was killed stays unfinished in `ingest_runs`, and blocks nobody."""
    log, database = tmp_path / "run.log", tmp_path / "t.db"
    log.write_text(logged(event_message()) + "\n")
    command = ("ingest", "--db", str(database), "--tz", "UTC", str(log))
    killed = campaign("faults.program", *command, TOKENTAIL_FAULT="kill:committed:2")
    assert killed.returncode == -signal.SIGKILL
    assert campaign("faults.program", *command).returncode == 0
    with opened(database) as connection:
        runs = [tuple(row) for row in connection.execute("SELECT finished_at IS NULL FROM ingest_runs")]
    assert runs == [(1,), (0,)]
