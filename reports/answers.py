"""Answers, in the order of time: the data from which changes, factors and budgets are computed."""

from __future__ import annotations

import json
import math
import statistics
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from operator import itemgetter, or_
from typing import Any

from sqlite_utils import Database

from reports.changes import Change, Unit, find_changes
from reports.futile import CEILING_KNOWN
from reports.phases import PHASE, Phases
from reports.selection import CEILING, CLEAN, Selection
from reports.strata import Key, Strata
from reports.survival import Needs

MAX_SAMPLED = 5_000
"""Answers that are enough to see a change; of more, events with every k-th id are read."""

MAX_UNITS = 20_000
"""Phases in which changes are looked for, at most: of more, every k-th."""


_ANSWERS = f"""
SELECT {{key}} {PHASE}, timestamp, predicted_output_tokens, actual_output_tokens,
    CASE WHEN truncated = 1 THEN MAX(actual_output_tokens, COALESCE(actual_max_tokens, 0))
        ELSE actual_output_tokens END,
    COALESCE(actual_max_tokens, 0), COALESCE({CEILING}, 0), {CEILING_KNOWN}, truncated, COALESCE({CLEAN}, 0)
FROM token_estimation_v2_events
WHERE {{where}} AND truncated IS NOT NULL AND predicted_output_tokens > 0 AND actual_output_tokens > 0
    AND {{sampled}}
ORDER BY +timestamp, event_id
"""
_SAMPLED = "event_id IN (SELECT value FROM json_each(:sampled))"


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers, one array a column, in tokens; `at` is when each was logged, in UTC as stored.

    `needed` is what a whole answer needed; of a cut one, which needed more, the larger of its actual and its
    logged ceiling. `final` is the logged ceiling (`actual_max_tokens`), `ceiling` that or the selected
    budget, `cut_at` the one that the answer certainly had (`reports.futile`); 0 is unknown. `phase` is the
    number of the phase. `cut` and `clean` (whole and parsed) are 0 or 1.
    """

    at: list[str]
    phase: array[int]
    predicted: array[int]
    actual: array[int]
    needed: array[int]
    final: array[int]
    ceiling: array[int]
    cut_at: array[int]
    cut: array[int]
    clean: array[int]

    @classmethod
    def of(cls, columns: Iterable[Iterable[Any]] = ()) -> Answers:
        """Make answers of columns in the order of the fields; without columns there are no answers."""
        at, *numbers = columns or [()] * 10
        return cls([*at], *(array(code, column) for code, column in zip("qqqqqqqbb", numbers, strict=True)))

    def append(self, phase: int, rest: tuple[Any, ...]) -> None:
        """Add an answer: the number of its phase, and its other values in the order of the fields."""
        at, predicted, actual, needed, final, ceiling, cut_at, cut, clean = rest
        self.at.append(at)
        self.phase.append(phase)
        self.predicted.append(predicted)
        self.actual.append(actual)
        self.needed.append(needed)
        self.final.append(final)
        self.ceiling.append(ceiling)
        self.cut_at.append(cut_at)
        self.cut.append(cut)
        self.clean.append(clean)

    def __len__(self) -> int:
        return len(self.at)

    @property
    def columns(self) -> tuple[list[Any] | array[Any], ...]:
        """The columns in the order of the fields."""
        tokens = (self.predicted, self.actual, self.needed, self.final, self.ceiling, self.cut_at)
        return (self.at, self.phase, *tokens, self.cut, self.clean)

    def only(self, chosen: Sequence[object]) -> Answers:
        """Return the answers whose place in `chosen` is true."""
        return self if all(chosen) else Answers.of(compress(column, chosen) for column in self.columns)

    @property
    def ratios(self) -> list[float]:
        """What each needed, as a multiple of its prediction; of a cut one, at least that."""
        return [needed / predicted for needed, predicted in zip(self.needed, self.predicted, strict=True)]

    @property
    def usable(self) -> list[int]:
        """Which answers show what a good one needs: the clean ones, and the cut ones."""
        return [*map(or_, self.clean, self.cut)]

    def needs(self) -> Needs:
        """Return what they needed, for medians and budgets."""
        ceilings = [
            final / predicted if final else math.inf
            for final, predicted in zip(self.final, self.predicted, strict=True)
        ]
        return Needs.ordered(self.ratios, self.cut, self.phase, ceilings, self.usable)


ByStratum = dict[Key, Answers]


def read_answers(db: Database, selection: Selection, strata: Strata, events: int = 0) -> ByStratum:
    """Return the answers that can be measured, by stratum, oldest first.

    Measured is what has a prediction and an actual above 0 and says whether it was cut. Where a sample will
    do, `events` is how many are selected; 0: all are read.
    """
    sampled = _sampled(db, events)
    query = _ANSWERS.format(
        key=strata.columns(selection), where=selection.where(), sampled=_SAMPLED if sampled else "1"
    )
    width, number = len(strata.dimensions), Phases().number
    by_stratum: ByStratum = {}
    named: dict[tuple[object, ...], Answers] = {}
    for row in db.conn.execute(query, selection.values() | {"sampled": sampled}):
        own = named.get(row[:width])
        if own is None:
            key = tuple(None if part is None else str(part) for part in row[:width])
            own = named[row[:width]] = by_stratum.setdefault(key, Answers.of())
        own.append(number(row[width]), row[width + 1 :])
    return {key: by_stratum[key] for key in sorted(by_stratum, key=strata.place)}


def together(parts: Sequence[Answers]) -> Answers:
    """Return the answers of all strata, one stratum after the other."""
    return Answers.of(
        map(chain.from_iterable, zip(*(part.columns for part in parts), strict=True)) if parts else ()
    )


def read_changes(db: Database, selection: Selection, strata: Strata, events: int) -> list[Change]:
    """Return how the estimates changed over the `events` that are selected, or over a sample of them."""
    return find_changes(units(read_answers(db, selection, strata, events)))


def _sampled(db: Database, events: int) -> str | None:
    """Return the ids to read, as a JSON array; `None`: all. Rows of other ids are not even looked up."""
    if events <= MAX_SAMPLED:
        return None
    (last,) = db.conn.execute("SELECT MAX(event_id) FROM token_estimation_v2_events").fetchone()
    return json.dumps([*range(1, last + 1, -(-events // MAX_SAMPLED))])


def units(by_stratum: ByStratum) -> list[Unit]:
    """Return the phases of strata, oldest first: when each began there, and the median of its usable ratios.

    Of more than `MAX_UNITS` every k-th.
    """
    began: list[tuple[str, Key, int]] = []
    for key, answers in by_stratum.items():
        starts = _beginnings(answers)
        began += [
            (starts[phase], key, phase) for phase in dict.fromkeys(compress(answers.phase, answers.usable))
        ]
    began.sort(key=itemgetter(0))
    looked_at = began[:: max(1, -(-len(began) // MAX_UNITS))]
    ratios: dict[Key, dict[int, list[float]]] = {key: {} for key in by_stratum}
    for _, key, phase in looked_at:
        ratios[key][phase] = []
    for key, answers in by_stratum.items():
        own = ratios[key]
        for phase, ratio in compress(zip(answers.phase, answers.ratios, strict=True), answers.usable):
            if phase in own:
                own[phase].append(ratio)
    return [Unit(at, key, statistics.median(ratios[key][phase])) for at, key, phase in looked_at]


def since(answers: Answers, start: str) -> Answers:
    """Return the answers of the phases that began at `start` (a time as stored) or later."""
    began = _beginnings(answers)
    return answers.only([began[phase] >= start for phase in answers.phase])


def halves(answers: Answers) -> tuple[set[int], set[int]]:
    """Return the numbers of the first half of the phases, as they began, and of the second half."""
    phases = sorted(set(answers.phase))  # they are numbered as they began
    return set(phases[: len(phases) // 2]), set(phases[len(phases) // 2 :])


def _beginnings(answers: Answers) -> dict[int, str]:
    """Return when each phase began; its answers come in the order of time."""
    return dict(zip(reversed(answers.phase), reversed(answers.at), strict=True))
