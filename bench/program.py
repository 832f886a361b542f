"""The program that is timed: this checkout's, or another one's, by the same Python and the same libraries.

Both are started by the same command; `PYTHONPATH` alone says whose modules it imports. So a pair differs
by the code, and by nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Failed

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": ""}
"""The same for all competitors: children of this package are found, and grep takes bytes for UTF-8.

Compiled modules are kept, as they are where a program is installed, whatever this shell says of it.
"""

COMMAND = (sys.executable, "-P", "-c", "from ingest.cli import main; main()")
"""`tokentail` without its console script, which starts no modules but those it was installed with."""

LAST_VERSION = ", last version"
"""Behind the name of what the last version does, beside the same by this one."""


@dataclass(frozen=True, slots=True)
class Program:
    """A version of the program: the root of its checkout, and what its competitors' names end in."""

    root: Path = ROOT
    suffix: str = ""

    @property
    def environment(self) -> Mapping[str, str]:
        """What it is started with."""
        return {**ENVIRONMENT, "PYTHONPATH": str(self.root)}

    def named(self, name: str) -> str:
        """Return the name of what this version does."""
        return f"{name}{self.suffix}"

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, untimed."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )


THIS = Program()


def script(name: str) -> str:
    """Return a console script of this environment."""
    return str(Path(sys.executable).parent / name)


def last_version(root: Path) -> Program:
    """Return the version whose checkout this is.

    Raises:
        Failed: modules would be imported from elsewhere; this version would be compared with itself.
    """
    program = Program(root.resolve(), LAST_VERSION)
    asked = [sys.executable, "-P", "-c", "import ingest; print(ingest.__file__)"]
    environment = {**os.environ, **program.environment}
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    found = done.stdout.strip()
    if done.returncode or not Path(found).is_relative_to(program.root):
        raise Failed(f"{root} is no checkout of a version: ingest would come from {found or 'nowhere'}")
    return program
