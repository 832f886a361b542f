"""The events to be replayed, with the deliverables that an estimator is given.

Paths come from a log and are untrusted: one that could lead out of the folder in which the estimator runs
is never given to it. Made-up paths take the place of unknown and of unsafe ones, and the event says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlite_utils import Database

from reports.phases import PHASE, UNKNOWN, Phases
from reports.selection import CEILING, Selection
from reports.strata import DELIVERABLES, Key, Strata
from reports.values import paths, truth

REAL, PARTIAL, SYNTHETIC = "real", "partial", "synthetic"
"""Of the paths given, all are the phase's own; some are; none is."""

CUT_PATH_LENGTH = 200
"""Characters: a path of this length that ends in `...` was cut when it was stored, and is no whole path."""

MAX_SYNTHETIC = 1000
"""Paths of one event up to which some are made up: a log may claim any number of deliverables."""

_ESCAPES = re.compile(r"^(?:[\\/~]|.:)|(?:^|[\\/]) *\.\. *(?:[\\/]|$)|[\x00-\x1f\x7f]")
"""Absolute paths, those of a home folder or a drive, `..`, and control characters."""

_EVENTS = """
SELECT {key} event_key, run_id, phase_id, category, complexity, {deliverables}, deliverables_json,
    deliverables_source IS NOT NULL, deliverables_complete, predicted_output_tokens,
    actual_output_tokens, COALESCE({ceiling}, 0), success, truncated, {phase}
FROM token_estimation_v2_events WHERE {where} ORDER BY timestamp, event_id
"""


@dataclass(frozen=True, slots=True)
class ReplayEvent:
    """One event: its stratum's key, what an estimator is given, and what came of it.

    `deliverables` are the paths given to the estimator, empty where not even their number is known; `kind`
    says whether they are `real`, `partial` or `synthetic`, and `unsafe_paths` were replaced. `predicted` is
    the logged estimate, in tokens as `actual` and `ceiling` (0: unknown). `phase` is the number of the
    event's phase (see `reports.phases`), `phase_id` its name.
    """

    key: Key
    event_key: str
    category: str | None
    complexity: str | None
    deliverables: tuple[str, ...]
    kind: str
    unsafe_paths: int
    predicted: int
    actual: int
    ceiling: int
    success: bool | None
    truncated: bool | None
    phase: int
    run_id: str = UNKNOWN
    phase_id: str = UNKNOWN


def is_safe(path: str) -> bool:
    """Whether a path stays below the folder it is relative to, on every operating system."""
    bare = path.strip()  # as some code does before it opens a path
    return bool(bare) and not _ESCAPES.search(path) and not _ESCAPES.search(bare)


def replay_events(db: Database, selection: Selection, strata: Strata) -> Iterator[ReplayEvent]:
    """Yield the selected events, oldest first."""
    query = _EVENTS.format(
        key=strata.columns(selection),
        deliverables=DELIVERABLES,
        ceiling=CEILING,
        phase=PHASE,
        where=selection.where(),
    )
    width, phases = len(strata.dimensions), Phases()
    for row in db.conn.execute(query, selection.values()):
        event_key, run_id, phase_id, category, complexity, count, text, *rest = row[width:]
        is_known, complete, predicted, actual, ceiling, success, truncated, phase = rest
        given, kind, unsafe = _deliverables(paths(text) if is_known else [], count or 0, bool(complete))
        yield ReplayEvent(
            key=row[:width],
            event_key=event_key,
            category=category,
            complexity=complexity,
            deliverables=given,
            kind=kind,
            unsafe_paths=unsafe,
            predicted=predicted,
            actual=actual,
            ceiling=ceiling,
            success=truth(success),
            truncated=truth(truncated),
            phase=phases.number(phase),
            run_id=run_id,
            phase_id=phase_id,
        )


def _deliverables(known: list[str], count: int, complete: bool) -> tuple[tuple[str, ...], str, int]:
    """Return the paths to give to the estimator, their kind, and how many were replaced as unsafe."""
    usable = [path for path in known if is_safe(path) and not _was_cut(path)]
    unsafe = sum(not is_safe(path) for path in known)
    wanted = max(len(known), min(count, MAX_SYNTHETIC))
    if usable and complete and len(usable) == len(known):
        return tuple(usable), REAL, 0
    made_up = (f"src/file{number}.py" for number in range(len(usable), wanted))
    return (*usable, *made_up), PARTIAL if usable else SYNTHETIC, unsafe


def _was_cut(path: str) -> bool:
    return len(path) == CUT_PATH_LENGTH and path.endswith("...")
