"""A copy of the tree, in a temporary folder: files are changed there, and the suite is run on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from faults.mutants.asking import ASKED_VARIABLE, LEFT_OUT_VARIABLE, OUTCOMES_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
_NOT_COPIED = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".bench",
    ".*_cache",
    ".hypothesis",
    "__pycache__",
    "*.egg-info",
    "build",
    "dist",
    "*.db*",
)
_OWN_TESTS = "tests/test_mutants.py"
"""Left out: they fail where a named fault doesn't fit the code, so they would notice any change there."""

_SECONDS_APART = 10
"""Python compiles a module again if its size or time (in seconds) differs: each change gets a later time."""


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of a run of tests: the seconds of each that passed, and the names of those that failed.

    `noticed` is whether anything failed, and `by` says what: a test, the collection, or the time limit.
    """

    passed: dict[str, float]
    failed: list[str]
    noticed: bool
    by: str
    output: str


class Tree:
    """A copy of a tree."""

    def __init__(self, folder: Path, source: Path = ROOT) -> None:
        """Copy a tree into a folder."""
        self.root = folder / "tree"
        self._folder = folder
        self._writes = 0
        shutil.copytree(source, self.root, symlinks=True, ignore=_NOT_COPIED)

    def write(self, file: str, text: str) -> None:
        """Write a file with another time than before, so that Python compiles it again."""
        path = self.root / file
        path.write_text(text, "utf-8")
        self._writes += 1
        seconds = path.stat().st_mtime + self._writes * _SECONDS_APART
        os.utime(path, (seconds, seconds))

    @contextmanager
    def changed(self, texts: dict[str, str]) -> Iterator[None]:
        """Change files, and change them back."""
        before = {file: (self.root / file).read_text("utf-8") for file in texts}
        try:
            for file, text in texts.items():
                self.write(file, text)
            yield
        finally:
            for file, text in before.items():
                self.write(file, text)

    def test(  # noqa: PLR0913 - each by its name
        self,
        tests: Sequence[str] = (),
        *,
        seconds: float,
        left_out: Sequence[str] = (),
        to_the_end: bool = False,
        processes: int = 1,
        environment: dict[str, str] | None = None,
    ) -> Tested:
        """Run tests by their names, in their order, or all; until the first fails, unless `to_the_end`."""
        asked, not_asked, outcomes = (self._folder / name for name in ("asked", "left_out", "outcomes"))
        asked.write_text("\n".join(tests), "utf-8")
        not_asked.write_text("\n".join(left_out), "utf-8")
        outcomes.write_text("", "utf-8")
        files = sorted({name.partition("::")[0] for name in tests})
        command = [sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider"]
        command += [
            "-p",
            "faults.mutants.asking",
            f"--ignore={_OWN_TESTS}",
            "--basetemp",
            str(self._folder / "temporary"),
        ]
        command += [] if to_the_end else ["-x"]
        command += ["-n", str(processes)] if processes > 1 else []
        known = {
            "PYTHONPATH": str(self.root),
            ASKED_VARIABLE: str(asked) if tests else "",
            LEFT_OUT_VARIABLE: str(not_asked),
            OUTCOMES_VARIABLE: str(outcomes),
        }
        if processes == 1:  # half of a short run is the loading of plugins that no test needs
            known["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        # What an outer pytest says of itself (its worker's name) is not about this one.
        outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        finished, output = _run([*command, *files], self.root, outside | known | (environment or {}), seconds)
        passed: dict[str, float] = {}
        failed: list[str] = []
        for line in outcomes.read_text("utf-8").splitlines():
            outcome, duration, name = line.split("\t", 2)
            if outcome == "failed":
                failed.append(name)
            elif outcome == "passed":
                passed[name] = float(duration)
        if finished is None:
            return Tested(passed, failed, True, f"the time limit of {seconds:.0f} s", output)
        if finished not in (0, 1, 2, 3):
            raise RuntimeError(f"pytest ended with {finished}:\n{output[-2000:]}")
        by = failed[0] if failed else "the collection of the tests" if finished else ""
        return Tested(passed, failed, finished != 0, by, output)


def _run(
    command: list[str], folder: Path, environment: dict[str, str], seconds: float
) -> tuple[int | None, str]:
    """Run a command in a process group of its own; kill all of it when its time is up, then it is `None`."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None, ""
        else:
            return process.returncode, output
        finally:  # whatever a test has left running
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
