"""The lines that open a phase, end its builder call, and say what became of it.

An event's `success` only says that the answer could be parsed; what became of the phase is said by
the status lines.
"""

from __future__ import annotations

import re

from parsers.family import PHASE_TAG, Family
from parsers.records import BuilderFinished, PhaseOpened, PhaseStatus

_NEXT = re.compile(r"(?:\[BUILD-041\] )?Next phase: (?P<phase>\S.*)")
_GENERATING = re.compile(r"\[(?P<phase>[^\]]+)\] Step 1/[0-9]+: Generating code with Builder")
_BUILDER = re.compile(
    r"\[(?P<phase>[^\]]+)\] Builder (?:(?P<good>succeeded) \((?P<total>[0-9]{1,18}) tokens\)|failed: .*)",
    re.ASCII | re.DOTALL,
)
_UPDATED = re.compile(r"Updated phase (?P<phase>.+) status to (?P<status>[\w.]+)")
_FINISHED = re.compile(r"Phase (?P<phase>.+) finished with status: (?P<status>[\w.]+)")

_ON_THE_WAY = frozenset({"QUEUED", "PENDING", "EXECUTING", "IN_PROGRESS", "RUNNING", "GATE", "CI_RUNNING"})
"""Statuses that a phase passes through; every other one says how the attempt ended."""


def read_next(message: str) -> PhaseOpened | None:
    """Read the line with which the executor's loop takes up a phase."""
    found = _NEXT.fullmatch(message.rstrip())
    return PhaseOpened(found["phase"], "requested") if found else None


def read_generating(message: str) -> PhaseOpened | None:
    """Read the first step of a phase: a builder call begins."""
    found = _GENERATING.match(message)
    return PhaseOpened(found["phase"], "generating") if found else None


def read_builder(message: str) -> BuilderFinished | None:
    """Read the end of a builder call, which follows the call's event by a line or two."""
    found = _BUILDER.fullmatch(message)
    if found is None:
        return None
    total = found["total"]
    return BuilderFinished(found["phase"], found["good"] is not None, int(total) if total else None)


def read_status(message: str) -> PhaseStatus | None:
    """Read either line that says what a phase's status now is."""
    text = message.rstrip()
    found = _UPDATED.fullmatch(text) or _FINISHED.fullmatch(text)
    if found is None:
        return None
    return PhaseStatus(found["phase"], found["status"], found["status"].upper() not in _ON_THE_WAY)


FAMILIES = (
    Family(
        name="phase_requested",
        markers=("Next phase: ",),
        opening=r"(?:\[BUILD-041\] )?Next phase: ",
        read=read_next,
        samples=("[BUILD-041] Next phase: p1-string-util", "Next phase: p1-string-util"),
    ),
    Family(
        name="phase_generating",
        markers=("Generating code with Builder",),
        opening=PHASE_TAG + r"Step 1/",
        read=read_generating,
        samples=("[p1-string-util] Step 1/4: Generating code with Builder (via LlmService)...",),
        near_misses=("[p1-string-util] Step 1/4: Thinking",),
    ),
    Family(
        name="builder",
        markers=("Builder succeeded", "Builder failed"),
        opening=PHASE_TAG + r"Builder (?:succeeded|failed)",
        read=read_builder,
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
        read=read_status,
        samples=("Updated phase p1-string-util status to COMPLETE",),
        near_misses=("Updated phase p1-string-util",),
    ),
    Family(
        name="phase_finished",
        markers=("finished with status: ",),
        opening=r"Phase [^\n]* finished with status: ",
        read=read_status,
        samples=("Phase p1-string-util finished with status: REPLAN_REQUESTED",),
    ),
)
