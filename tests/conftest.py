"""What all tests share: the program as a person runs it, and the real logs where they are present."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

import commandline
from ingest.cli import cli

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT.parent / "shared" / "corpus"
EXAMPLES = ROOT / "examples"

# The suite tries the same examples every time; a long search (`make properties`) tries new ones.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("search", print_blob=True, deadline=None)
settings.load_profile("search" if "TOKENTAIL_EXAMPLES_FACTOR" in os.environ else "suite")

# No test knows this user's own data.
_PLACES = tempfile.TemporaryDirectory(prefix="tokentail-tests-")
atexit.register(_PLACES.cleanup)
os.environ |= {"XDG_DATA_HOME": _PLACES.name, "LOCALAPPDATA": _PLACES.name}

# The programs that are tried keep what they compile, whatever this shell says: else each compiles all of it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.pop("COLUMNS", None)  # no test knows how wide this terminal is

# In a shell's background, or by nohup, signals are ignored that the programs that are tried must hear.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

Tokentail = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def corpus() -> Path:
    """Return the folder of real logs beside the checkout; without it the test is skipped."""
    if not CORPUS.is_dir():
        pytest.skip("the real logs are not here")
    return CORPUS


@pytest.fixture
def examples() -> Path:
    """Return the project's own examples."""
    return EXAMPLES


@pytest.fixture
def tokentail(tmp_path: Path) -> Tokentail:
    """Return a function that runs the program in an empty folder, as a process of its own."""

    def run(
        *arguments: object, stdin: bytes | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DATABASE_", "TOKENTAIL_"))
        }
        kept |= {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "NO_COLOR": "1", **environment}
        done = subprocess.run(
            [sys.executable, "-c", "from ingest.cli import main; main()", *map(str, arguments)],
            cwd=tmp_path,
            env=kept,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
            timeout=120,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return run


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tokentail:
    """Return a function that runs the program in an empty folder, in this process: quick to start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    for name in list(os.environ):
        if name.startswith(("DATABASE_", "TOKENTAIL_")):
            monkeypatch.delenv(name)

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        words = ["tokentail", *map(str, arguments)]
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", words)
            for name, value in environment.items():
                patch.setenv(name, value)
            code = commandline.run(cli)
        output = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, output.out, output.err)

    return run
