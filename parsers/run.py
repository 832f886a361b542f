"""The lines that name the executor's run, or say that an executor process has ended.

`[TOKEN_SOFT_CAP]` often has `run_id=unknown`, which is no run. The run in the printed line
`[drain_one_phase] Draining: R / P` is trusted; its phase is the requested one, not always the executed one.
"""

from __future__ import annotations

from parsers.family import TEXT, TO_END, Family, Shape
from parsers.records import Draining, RunEnded, RunNamed, SoftCap

UNKNOWN = "unknown"
"""What the executor logs for a run that it didn't know, and what our rows have for an unknown one."""


def _initialized(run: str) -> RunNamed:
    """Read the most trusted line that names a run: a starting executor process names its own."""
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


def _lock(what: str, run: str) -> RunNamed | RunEnded:
    """Read the lock lines: acquired by a process that starts, released by one that ends."""
    return RunEnded(run) if what == "Released" else RunNamed(run, "lock", starts=True)


def _loop_finished(_: str) -> RunEnded:
    """Read the last line of an executor process, which doesn't name its run."""
    return RunEnded(None)


FAMILIES = (
    Family(
        name="run_initialized",
        markers=("autonomous executor for run: ",),
        opening=r"Initialized autonomous executor for run: ",
        read=Shape(rf"Initialized autonomous executor for run: {TEXT}", _initialized),
        samples=("Initialized autonomous executor for run: collection-v4",),
    ),
    Family(
        name="run_verified",
        markers=("verified in API database",),
        opening=r"[^\s\w\[{\"'][^\s\[{\"']{0,160} Run '",
        read=Shape(r"[^\s\w\[{\"'][^\s\[{\"']{0,40} Run '([^'\n]+)' verified in API database.*", _verified),
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
        read=Shape(r"\[LOCK\] (Acquired|Released) executor lock for run_id=(.+?)(?: \(.*)?", _lock),
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
        read=Shape(rf"Generating manifest for run: {TEXT}", _manifest),
        samples=("Generating manifest for run: collection-v4",),
    ),
    Family(
        name="soft_cap",
        markers=("[TOKEN_SOFT_CAP] run_id=",),
        opening=r"\[TOKEN_SOFT_CAP\] run_id=",
        read=Shape(r"\[TOKEN_SOFT_CAP\] run_id=([^=\n]+) phase_id=([^=\n]+) est_total=.*", _soft_cap),
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
        read=Shape(rf"\[drain_one_phase\] Draining: (.+?) / {TO_END}", Draining),
        needs_prefix=False,
        samples=("[drain_one_phase] Draining: collection-v4 / p1-string-util",),
        near_misses=("[drain_one_phase] Draining: nothing queued",),
    ),
    Family(
        name="run_loop_finished",
        markers=("Autonomous execution loop finished",),
        opening=r"Autonomous execution loop finished",
        read=Shape(r"(Autonomous execution loop finished).*", _loop_finished),
        samples=("Autonomous execution loop finished",),
    ),
)
