"""What root may and others may not: given up for one process, or used to mount something for a while."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.scenarios.scenario import Impossible
from faults.tailers import command_of, run_process
from faults.world import Outcome, World

NOBODY = 65534


def without_powers(world: World) -> Outcome:
    """Run as somebody who may not read everything: root gives up that power."""
    drop: Callable[[], None] | None = None
    if os.geteuid() == 0:
        try:
            prctl = ctypes.CDLL(None, use_errno=True).prctl
        except (OSError, AttributeError) as error:
            raise Impossible("root can't give up its powers here") from error

        def drop() -> None:
            for power in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
                prctl(24, power, 0, 0, 0)

    return run_process(world, command_of(world), prepare=drop)


def given_away(*paths: Path) -> None:
    """Let files belong to somebody else, where only root could read or write them still."""
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, NOBODY, NOBODY)


@contextlib.contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[None]:
    """Mount something while the block runs."""
    place.mkdir(exist_ok=True)
    if (
        os.geteuid() != 0
        or shutil.which("mount") is None
        or subprocess.run(["mount", *arguments, str(place)], capture_output=True, check=False).returncode
    ):
        raise Impossible("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
