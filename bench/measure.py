"""A whole process, timed: wall clock, processor time and peak memory, its own children included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_STARTER = Path(__file__).parent / "children" / "starter.py"


class Failed(Exception):
    """A command of a competitor failed, or found something else than there is."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. `peak_bytes` is that of its largest process, and never less than the starter's 10 MB.

    Where the command weighed its processes, it is the peak of all together.
    `own_clock`: the command timed a part of itself, so its processor time is of more than that.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    output: str
    own_clock: bool = False


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end.

    A command that says `{"seconds": ...}` in its last line timed itself: that is its wall clock. One that
    says `{"peak_bytes": ...}` weighed what it measures: that is the peak.

    Raises:
        Failed: it did not exit with 0 (or, as grep that finds nothing, with 1 and without a word).
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result"
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(_STARTER), str(result), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **(environment or {})},
            check=False,
        )
        said, complained = done.stdout.decode(), done.stderr.decode()
        if done.returncode not in (0, 1) or (done.returncode == 1 and complained):
            raise Failed(f"{list(command)}: exit code {done.returncode}: {complained[-2000:]}")
        wall, cpu, peak = map(float, result.read_text(encoding="ascii").split())
    own = _own_figures(said)
    peak_bytes = int(peak) * (1 if sys.platform == "darwin" else 1024)  # macOS reports bytes
    return Measured(
        own.get("seconds", wall), cpu, int(own.get("peak_bytes", peak_bytes)), said, "seconds" in own
    )


def _own_figures(said: str) -> dict[str, float]:
    last = said.rstrip().rpartition("\n")[2]
    if last.startswith(('{"seconds":', '{"peak_bytes":')):
        return {name: float(value) for name, value in json.loads(last).items()}
    return {}


def warm(path: Path) -> None:
    """Read a file, or all in a folder, once, so that the page cache has it."""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb", buffering=0) as opened:
                while opened.read(1 << 22):
                    pass
