"""Answers one by one, in the order of time: what changes, factors and budgets are found from."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlite_utils import Database

from reports.changes import Change, Unit, find_changes
from reports.futile import CEILING_TOLD, Try
from reports.phases import PHASE, Phases
from reports.selection import CEILING, CLEAN, Selection
from reports.strata import Key, Strata
from reports.survival import Needed

MAX_SAMPLED = 5_000
"""Answers that are enough to see a change; of more, every k-th by its id."""

_ANSWERS = f"""
SELECT {{key}} timestamp, {PHASE}, predicted_output_tokens, actual_output_tokens,
    CASE WHEN truncated = 1 THEN MAX(actual_output_tokens, COALESCE(actual_max_tokens, 0))
        ELSE actual_output_tokens END,
    COALESCE(actual_max_tokens, 0), COALESCE({CEILING}, 0), {CEILING_TOLD}, truncated, COALESCE({CLEAN}, 0)
FROM token_estimation_v2_events
WHERE {{where}} AND truncated IS NOT NULL AND predicted_output_tokens > 0 AND actual_output_tokens > 0
    AND {{sampled}}
ORDER BY +timestamp, event_id
"""
_SAMPLED = "event_id IN (SELECT value FROM json_each(:sampled))"


class Answer(NamedTuple):
    """One answer, in tokens; `at` is when it was logged, as the database writes times.

    A cut one needed more than `needed`: the ceiling that the log tells, else its own actual; a whole
    one just that. `final` is the ceiling as [TOKEN_BUDGET] tells it, `ceiling` that or what was
    selected, `cut_at` the one at which a cut answer surely was; 0 is not known. `clean` ones are whole
    and were parsed.
    """

    at: str
    phase: int
    predicted: int
    actual: int
    needed: int
    final: int
    ceiling: int
    cut_at: int
    cut: bool
    clean: bool

    @property
    def ratio(self) -> float:
        """What it needed, as a multiple of the prediction; of a cut one, at least that."""
        return self.needed / self.predicted

    @property
    def tried(self) -> Try:
        """How the answer came of its ceiling."""
        return Try(self.phase, self.cut_at, self.actual, self.cut)

    @property
    def need(self) -> Needed:
        """What it needed, for medians and budgets."""
        ceiling = self.final / self.predicted if self.final else math.inf
        return Needed(self.ratio, self.cut, self.phase, ceiling)


ByStratum = dict[Key, list[Answer]]


def read_answers(db: Database, selection: Selection, strata: Strata, events: int = 0) -> ByStratum:
    """Return the answers that can be measured, by stratum, oldest first.

    `events` is how many are selected where a sample of them will do.
    """
    sampled = _sampled(db, events)
    query = _ANSWERS.format(
        key=strata.columns(selection), where=selection.where(), sampled=_SAMPLED if sampled else "1"
    )
    width, phases = len(strata.dimensions), Phases()
    found: ByStratum = {}
    for row in db.conn.execute(query, selection.values() | {"sampled": sampled}):
        at, run_id, phase_id, *tokens, cut, clean = row[width:]
        phase = phases.number(run_id, phase_id)
        answer = Answer._make((at, phase, *tokens, bool(cut), bool(clean)))
        key = tuple(None if part is None else str(part) for part in row[:width])
        found.setdefault(key, []).append(answer)
    return {key: found[key] for key in sorted(found, key=strata.place)}


def read_changes(db: Database, selection: Selection, strata: Strata, events: int) -> list[Change]:
    """Return how the estimates changed over the `events` that are selected, or over a sample of them."""
    return find_changes(units(read_answers(db, selection, strata, events)))


def _sampled(db: Database, events: int) -> str | None:
    """Return the ids that are looked at, as JSON, so that all others are not even read; `None` for all."""
    if events <= MAX_SAMPLED:
        return None
    (last,) = db.conn.execute("SELECT MAX(event_id) FROM token_estimation_v2_events").fetchone()
    return json.dumps([*range(1, last + 1, -(-events // MAX_SAMPLED))])


def telling(answers: Iterable[Answer]) -> list[Answer]:
    """Return the answers that tell what a good one needs: the clean ones, and the cut ones."""
    return [answer for answer in answers if answer.clean or answer.cut]


def units(by_stratum: Mapping[Key, Sequence[Answer]]) -> list[Unit]:
    """Return each stratum's phases, with when they began and the median of their ratios."""
    found = []
    for key, answers in by_stratum.items():
        began = _beginnings(answers)
        phases: dict[int, list[float]] = {}
        for answer in telling(answers):
            phases.setdefault(answer.phase, []).append(answer.ratio)
        found += [Unit(began[phase], key, statistics.median(own)) for phase, own in phases.items()]
    return found


def since(answers: Sequence[Answer], start: str) -> list[Answer]:
    """Return the answers of the phases that began at a moment or later."""
    began = _beginnings(answers)
    return [answer for answer in answers if began[answer.phase] >= start]


def halves(answers: Sequence[Answer]) -> tuple[list[Answer], list[Answer]]:
    """Return the answers of the phases that began in the earlier half, and those of the later one."""
    began = _beginnings(answers)
    earlier = set([*began][: len(began) // 2])
    first = [answer for answer in answers if answer.phase in earlier]
    return first, [answer for answer in answers if answer.phase not in earlier]


def _beginnings(answers: Iterable[Answer]) -> dict[int, str]:
    """Return when each phase began, the earliest first."""
    began: dict[int, str] = {}
    for answer in answers:
        began.setdefault(answer.phase, answer.at)
    return began
