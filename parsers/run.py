"""The lines that name the executor's run, or say that an executor process is over.

`[TOKEN_SOFT_CAP]` often says `run_id=unknown`, which never stands for a run. The printed
`[drain_one_phase] Draining: R / P` is trusted for the run; its phase is the requested one and was
not always the executed one.
"""

from __future__ import annotations

import re

from parsers.family import Family, Shape
from parsers.records import Draining, RunEnded, RunNamed, SoftCap

_LOCK = re.compile(r"\[LOCK\] (?P<what>Acquired|Released) executor lock for run_id=(?P<run>.+?)(?: \(.*)?")
_DRAINING = re.compile(r"\[drain_one_phase\] Draining: (?P<run>.+?) / (?P<phase>.+)")

UNKNOWN = "unknown"
"""What the executor logs for a run that it didn't know; our rows say it the same way."""


def _initialized(run: str) -> RunNamed:
    """Read the best line that names a run: an executor process says which run is its own."""
    return RunNamed(run, "initialized", starts=True)


def _verified(run: str) -> RunNamed:
    """Read the line that says the run exists in the executor's own database."""
    return RunNamed(run, "verified", starts=False)


def _manifest(run: str) -> RunNamed:
    """Read the line of the manifest generator."""
    return RunNamed(run, "manifest", starts=False)


def _soft_cap(run: str, phase: str) -> SoftCap:
    """Read the one prefixed line that names run and phase together."""
    return SoftCap(None if run == UNKNOWN else run, phase)


def read_lock(message: str) -> RunNamed | RunEnded | None:
    """Read the lock lines: acquired by a process that starts, released by one that ends."""
    found = _LOCK.fullmatch(message.rstrip())
    if found is None:
        return None
    if found["what"] == "Released":
        return RunEnded(found["run"])
    return RunNamed(found["run"], "lock", starts=True)


def read_draining(message: str) -> Draining | None:
    """Read the printed line of the drain script."""
    found = _DRAINING.fullmatch(message.rstrip())
    return Draining(found["run"], found["phase"]) if found else None


def read_loop_finished(_: str) -> RunEnded:
    """Read the last words of an executor process, which don't say whose they are."""
    return RunEnded(None)


FAMILIES = (
    Family(
        name="run_initialized",
        markers=("autonomous executor for run: ",),
        opening=r"Initialized autonomous executor for run: ",
        read=Shape(r"Initialized autonomous executor for run: (\S.*)", _initialized),
        samples=("Initialized autonomous executor for run: collection-v4",),
    ),
    Family(
        name="run_verified",
        markers=("verified in API database",),
        opening=r"[^\s\w\[{\"'][^\s\[{\"']{0,40} Run '",
        read=Shape(r"\S+ Run '([^']+)' verified in API database(?s:.*)", _verified).read,
        samples=(
            "✅ Run 'collection-v4' verified in API database",
            "âœ… Run 'collection-v4' verified in API database",
        ),
        near_misses=("✅ Run 'collection-v4' created in API database",),
    ),
    Family(
        name="run_lock",
        markers=("executor lock for run_id=",),
        opening=r"\[LOCK\] (?:Acquired|Released) executor lock for run_id=",
        read=read_lock,
        samples=(
            "[LOCK] Acquired executor lock for run_id=collection-v4 (PID=154196, host=box)",
            "[LOCK] Released executor lock for run_id=collection-v4 (PID=154196)",
        ),
        near_misses=("[LOCK] Waiting for executor lock",),
    ),
    Family(
        name="run_manifest",
        markers=("Generating manifest for run: ",),
        opening=r"Generating manifest for run: ",
        read=Shape(r"Generating manifest for run: (\S.*)", _manifest),
        samples=("Generating manifest for run: collection-v4",),
    ),
    Family(
        name="soft_cap",
        markers=("[TOKEN_SOFT_CAP] run_id=",),
        opening=r"\[TOKEN_SOFT_CAP\] run_id=",
        read=Shape(r"\[TOKEN_SOFT_CAP\] run_id=([^=]+) phase_id=([^=]+) est_total=(?s:.*)", _soft_cap),
        samples=(
            "[TOKEN_SOFT_CAP] run_id=unknown phase_id=p1 est_total=12822 soft_cap=12000 "
            "(prompt=1354 completion=11468 complexity=low)",
        ),
        near_misses=("[TOKEN_SOFT_CAP] run_id=unknown is over the cap",),
    ),
    Family(
        name="draining",
        markers=("[drain_one_phase] Draining: ",),
        opening=r"\[drain_one_phase\] Draining: ",
        read=read_draining,
        needs_prefix=False,
        samples=("[drain_one_phase] Draining: collection-v4 / p1-string-util",),
        near_misses=("[drain_one_phase] Draining: nothing queued",),
    ),
    Family(
        name="run_loop_finished",
        markers=("Autonomous execution loop finished",),
        opening=r"Autonomous execution loop finished",
        read=read_loop_finished,
        samples=("Autonomous execution loop finished",),
    ),
)
