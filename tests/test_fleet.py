"""A slice of `make fleet`: a few executors for seconds, under a follow that is killed and started again."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("files that are open can't be renamed there", allow_module_level=True)

from test_kill import campaign


def test_fleet_that_is_followed_ends_exact() -> None:
    """Rotated, truncated, away for a moment; ended by signals: each call is one row, nothing grows."""
    done = campaign("faults.fleet", "--seconds", "4", "--writers", "5", "--seed", "11")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 0 wrong" in done.stdout
    assert "SIGKILL" in done.stdout
