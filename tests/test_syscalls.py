"""A slice of the errors and kills at calls of the system; `make syscalls` plays all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT

if sys.platform == "win32":
    pytest.skip("children are forked", allow_module_level=True)

from faults.syscalls import differences


def _may_trace() -> bool:
    strace = shutil.which("strace")
    tried = ("-qq", "-o", os.devnull, sys.executable, "-c", "")
    return strace is not None and not subprocess.run([strace, *tried], check=False).returncode


def campaign(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the campaign in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "faults.syscalls", "--jobs", "1", *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not _may_trace(), reason="no strace, or it may not trace")
def test_errors_and_kills_at_calls_of_the_system_are_said_and_recovered() -> None:
    """Once, from there on, and killed: nothing silent, and the next runs end as the undisturbed ones."""
    done = campaign("--every", "1100", "--first", "250")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "): 0 wrong" in done.stdout
    assert all(f"{fault}: " in done.stdout for fault in ("once", "on", "kill"))
    assert "not reached" not in done.stdout


def test_without_strace_it_says_so() -> None:
    """The campaign needs a program that not every machine has."""
    done = campaign(PATH="")
    assert done.returncode == 1
    assert "strace is not installed" in done.stderr


def test_rows_that_differ_are_named() -> None:
    """A row that is missing is lost, and one that is there twice is too many."""
    whole = {"settings": "here", "t.db": {"events": ["one", "two"]}}
    assert differences(whole, whole) == ""
    assert differences(whole, {"t.db": {"events": ["two", "one"]}}) == "1 lost: settings: here"
    twice = {"settings": "here", "t.db": {"events": ["one", "two", "two"]}}
    assert differences(whole, twice) == "1 too many: t.db events: two"
