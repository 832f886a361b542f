"""Cuts that more budget doesn't help: the next, larger budget was filled too.

A provider may cap the length of an answer, and a model may go on in a loop until it is stopped. Such an
answer doesn't say what work needs: a budget that held it would be waste. A cut answer is taken for one where
its phase was tried again with a larger ceiling and was cut again, at that ceiling or no later than before,
though it got at least as many tokens as any whole answer of its stratum. Without this last condition, long
work would be taken for a loop: of answers that only need much, one in three that were cut is cut again at
1.25 times the ceiling, and a budget without them would be too low. Where a whole answer of the phase needed
more than a ceiling, the cut at that ceiling was a matter of budget.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlite_utils import Database

from reports.phases import PHASE, UNKNOWN, Phases
from reports.selection import Selection
from reports.strata import Key, Strata
from reports.terminal import counted

CEILING_KNOWN = """COALESCE(actual_max_tokens,
    CASE WHEN truncated = 1 THEN (
        SELECT MAX(said.retry_max_tokens) FROM token_budget_escalation_events AS said
        WHERE said.run_id = token_estimation_v2_events.run_id
            AND said.phase_id = token_estimation_v2_events.phase_id
            AND said.timestamp <= token_estimation_v2_events.timestamp
    ) END,
    CASE WHEN 20 * actual_output_tokens >= 19 * selected_budget THEN selected_budget END, 0)"""
"""The SQL expression of the ceiling that an answer certainly had, 0 if it is unknown: the logged one; else,
of a cut answer, the largest that escalations of its phase had set; else the selected budget if the answer
filled it."""

FILLED = 0.95
"""An answer with at least this share of its ceiling filled it: counts of tokens differ a little."""

_LONGEST = """
SELECT {key} MAX(actual_output_tokens) FROM token_estimation_v2_events
WHERE truncated = 0 AND actual_is_total = 0 AND actual_output_tokens > :least GROUP BY {by}
"""
_CUT_AGAIN = f"""
SELECT run_id, phase_id FROM token_estimation_v2_events WHERE truncated = 1 AND phase_id <> '{UNKNOWN}'
GROUP BY run_id, phase_id HAVING COUNT(*) > 1
"""
_TRIES = f"""
SELECT {{key}} {PHASE}, {CEILING_KNOWN}, actual_output_tokens, truncated, {{selected}}
FROM token_estimation_v2_events
WHERE actual_is_total = 0 AND truncated IS NOT NULL AND (run_id, phase_id) IN ({_CUT_AGAIN})
ORDER BY timestamp, event_id
"""


class Try(NamedTuple):
    """An answer: its phase's number, ceiling (0: unknown) and actual in tokens, and whether it was cut."""

    phase: int
    ceiling: int
    actual: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Futile:
    """How many of the selected answers were cut and not helped by more budget, of how many phases."""

    answers: int
    phases: int


def futile(tries: Sequence[Try], longest: int) -> set[int]:
    """Return the indices of a stratum's cut answers that more budget would not have helped.

    The tries of each phase are in the order of time; `longest` is the length in tokens of the stratum's
    longest whole answer, 0 of none.
    """
    cuts = Counter(attempt.phase for attempt in tries if attempt.cut)
    places: dict[int, list[int]] = {phase: [] for phase, number in cuts.items() if number > 1}
    for place, attempt in enumerate(tries):
        if attempt.phase in places:
            places[attempt.phase].append(place)
    return {
        some[number]
        for some in places.values()
        for number in _filled_again([tries[place] for place in some], longest)
    }


def _filled_again(tries: list[Try], longest: int) -> set[int]:
    """Return the indices of a phase's cut tries that a larger ceiling didn't help, and of those with that."""
    found: set[int] = set()
    for number, attempt in enumerate(tries):
        if attempt.cut and attempt.ceiling:
            later = range(number + 1, len(tries))
            larger = next((place for place in later if tries[place].ceiling > attempt.ceiling), None)
            if larger is not None and _is_no_better(attempt, tries[larger], longest):
                found |= {number, larger}
    needed = max((attempt.actual for attempt in tries if not attempt.cut), default=0)
    return {number for number in found if tries[number].ceiling >= needed}


def _is_no_better(smaller: Try, larger: Try, longest: int) -> bool:
    """Whether the try with the larger ceiling was cut too, with no shorter an answer than any whole one."""
    filled = larger.actual >= FILLED * larger.ceiling
    capped = FILLED * larger.actual <= smaller.actual
    return larger.cut and (filled or capped) and larger.actual >= longest


def read_futile(db: Database, selection: Selection, strata: Strata) -> Futile:
    """Count the selected answers that more budget would not have helped; all tries of a phase count."""
    if db.conn.execute(_CUT_AGAIN).fetchone() is None:
        return Futile(0, 0)
    key, width = strata.columns(selection), len(strata.dimensions)
    tries: dict[Key, list[Try]] = {}
    asked: dict[Key, list[bool]] = {}
    phases, query = Phases(), _TRIES.format(key=key, selected=selection.where())
    for row in db.conn.execute(query, selection.values()):
        phase, ceiling, actual, cut, selected = row[width:]
        attempt = Try(phases.number(phase), ceiling, actual, bool(cut))
        tries.setdefault(row[:width], []).append(attempt)
        asked.setdefault(row[:width], []).append(bool(selected))
    longest = _longest(db, key, width, tries)
    found = [
        some[place].phase
        for stratum, some in tries.items()
        for place in futile(some, longest.get(stratum, 0))
        if asked[stratum][place]
    ]
    return Futile(len(found), len(set(found)))


def _longest(db: Database, key: str, width: int, tries: Mapping[Key, Sequence[Try]]) -> dict[Key, int]:
    """Return the length of the longest whole answer of strata, where it exceeds the shortest suspected try.

    Shorter ones change nothing. Filters don't apply: `tries` are of all events as well.
    """
    suspected = [some[place].actual for some in tries.values() for place in futile(some, 0)]
    if not suspected:
        return {}
    by = ", ".join(str(number) for number in range(1, width + 1)) or "NULL"
    rows = db.conn.execute(_LONGEST.format(key=key, by=by), {"least": min(suspected)})
    return {row[:width]: row[width] for row in rows}


def futile_line(found: Futile) -> str:
    """Say how many answers more budget won't help."""
    return (
        f"More budget won't help {counted(found.answers, 'cut answer')} of {counted(found.phases, 'phase')}: "
        "the next, larger one was filled to the brim too (a provider's cap, or a loop)"
    )
