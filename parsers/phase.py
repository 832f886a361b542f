"""The lines that open a phase, end its builder call, and give its outcome.

An event's `success` only says that the answer could be parsed; the status lines give the phase's outcome.
"""

from __future__ import annotations

from parsers.family import PHASE_TAG, TEXT, Family, Shape
from parsers.records import BuilderFinished, PhaseOpened, PhaseStatus

_ON_THE_WAY = frozenset({"QUEUED", "PENDING", "EXECUTING", "IN_PROGRESS", "RUNNING", "GATE", "CI_RUNNING"})
"""Statuses that a phase passes through; every other one is an outcome."""


def _requested(phase: str) -> PhaseOpened:
    """Read the line in which the executor's loop begins a phase."""
    return PhaseOpened(phase, "requested")


def _generating(phase: str) -> PhaseOpened:
    """Read the first step of a phase: a builder call begins."""
    return PhaseOpened(phase, "generating")


def _finished(phase: str, total: str | None) -> BuilderFinished:
    """Read the end of a builder call, which follows the call's event by a line or two."""
    return BuilderFinished(phase, bool(total), int(total) if total else None)


def _status(phase: str, status: str) -> PhaseStatus:
    """Read either line that gives a phase's new status."""
    return PhaseStatus(phase, status, status.upper() not in _ON_THE_WAY)


FAMILIES = (
    Family(
        name="phase_requested",
        markers=("Next phase: ",),
        opening=r"(?:\[BUILD-041\] )?Next phase: ",
        read=Shape(rf"(?:\[BUILD-041\] )?Next phase: {TEXT}", _requested),
        samples=("[BUILD-041] Next phase: p1-string-util", "Next phase: p1-string-util"),
    ),
    Family(
        name="phase_generating",
        markers=("Generating code with Builder",),
        opening=PHASE_TAG + r"Step 1/",
        read=Shape(r"\[([^\]\n]+)\] Step 1/[0-9]+: Generating code with Builder.*", _generating),
        samples=("[p1-string-util] Step 1/4: Generating code with Builder (via LlmService)...",),
        near_misses=("[p1-string-util] Step 1/4: Thinking",),
    ),
    Family(
        name="builder",
        markers=("Builder succeeded", "Builder failed"),
        opening=PHASE_TAG + r"Builder (?:succeeded|failed)",
        read=Shape(
            r"\[([^\]\n]+)\] Builder (?:succeeded \(([0-9]{1,18}) tokens\)|failed:(?: .*)?)", _finished
        ),
        samples=(
            "[p1-string-util] Builder succeeded (6213 tokens)",
            "[p1-string-util] Builder failed: No valid file changes generated",
        ),
        near_misses=("[p1-string-util] Builder succeeded, it seems",),
    ),
    Family(
        name="phase_updated",
        markers=("Updated phase ",),
        opening=r"Updated phase ",
        read=Shape(r"Updated phase (.+) status to ([\w.]+)", _status),
        samples=("Updated phase p1-string-util status to COMPLETE",),
        near_misses=("Updated phase p1-string-util",),
    ),
    Family(
        name="phase_finished",
        markers=("finished with status: ",),
        opening=r"Phase [^\n]* finished with status: ",
        read=Shape(r"Phase (.+) finished with status: ([\w.]+)", _status),
        samples=("Phase p1-string-util finished with status: REPLAN_REQUESTED",),
    ),
)
