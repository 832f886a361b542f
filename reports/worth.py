"""What the estimates are worth: held against a constant, and against how far answers to equal work differ.

The constant is the simplest estimator that there is: the median of the tokens that the stratum's clean
answers needed, those of the answer's own phase left out. An estimator that errs more than it is worth
nothing. The floor is how far tries of one phase differ from one another: nobody who is told the work
alone can err much less.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlite_utils import Database

from reports.metrics import mean
from reports.selection import Selection
from reports.strata import Strata
from reports.tokens import Kinds, Tokens, tokens_by_stratum

MAX_ANSWERS = 5_000
"""Answers of a stratum that are enough, to within a point; of more, those of every so many-th phase."""

MAX_TRIES = 60
"""Tries of one phase that are held against one another; of more, so many from first to last."""


@dataclass(frozen=True, slots=True)
class Worth:
    """Mean SMAPE in percent, 0..200, of `n` clean answers: as logged, and with the constant.

    Answers whose stratum has no other phase have no constant and are in neither. `floor` is the mean
    SMAPE between `floor_n` answers and the other tries of their phases, of which there are `floor_phases`.
    Each is `None` of no answers.
    """

    n: int
    logged: float | None
    constant: float | None
    floor_n: int
    floor_phases: int
    floor: float | None


class Errors:
    """SMAPE of answers one by one, to be added up over strata."""

    def __init__(self) -> None:
        self.logged = array("d")
        self.constant = array("d")
        self.floor = array("d")
        self.phases = 0

    def add(self, other: Errors) -> None:
        """Take in those of another stratum."""
        self.logged += other.logged
        self.constant += other.constant
        self.floor += other.floor
        self.phases += other.phases

    def worth(self) -> Worth:
        """Return their means."""
        return Worth(
            n=len(self.logged),
            logged=mean(self.logged),
            constant=mean(self.constant),
            floor_n=len(self.floor),
            floor_phases=self.phases,
            floor=mean(self.floor),
        )


def read_worth(db: Database, selection: Selection, strata: Strata) -> Worth:
    """Return what the estimates of the selected events are worth, each stratum with its own constant."""
    return together(map(errors_of, tokens_by_stratum(db, selection, strata).values()))


def together(strata: Iterable[Errors]) -> Worth:
    """Return what the estimates of some strata are worth, taken together."""
    whole = Errors()
    for errors in strata:
        whole.add(errors)
    return whole.worth()


def errors_of(kinds: Kinds) -> Errors:
    """Return the errors of a stratum's clean answers: as logged, with the constant, and between tries."""
    answers, errors = _clean(kinds), Errors()
    by_need = sorted(range(len(answers)), key=answers.actual.__getitem__)
    ordered, places = [answers.actual[answer] for answer in by_need], array("q", by_need)
    for place, answer in enumerate(by_need):
        places[answer] = place
    for tries in _by_phase(answers.phase):
        needed = [answers.actual[answer] for answer in tries]
        if len(tries) < len(answers):
            constant = _median_without(ordered, sorted(places[answer] for answer in tries))
            errors.logged.extend(
                _smape(answers.predicted[answer], answers.actual[answer]) for answer in tries
            )
            errors.constant.extend(_smape(constant, actual) for actual in needed)
        if len(tries) > 1:
            errors.floor.extend(_apart(needed))
            errors.phases += 1
    return errors


def worth_line(found: Worth) -> str:
    """Say in one line what there is to say; nothing where there is no constant."""
    if found.logged is None or found.constant is None:
        return ""
    said = f"SMAPE {found.logged:.0f} against {found.constant:.0f} for a constant"
    if found.floor is None:
        return (
            f"{said}; how far answers to equal work differ anyway is not known: no phase has two clean ones"
        )
    return f"{said}; answers to equal work differ by {found.floor:.0f} anyway"


def _clean(kinds: Kinds) -> Tokens:
    """Return the clean answers that can be measured, neither of their numbers being 0."""
    found, clean = Tokens(), [tokens for kind, tokens in kinds.items() if kind.clean]
    step = max(1, -(-sum(map(len, clean)) // MAX_ANSWERS))
    for tokens in clean:
        for phase, predicted, actual in zip(tokens.phase, tokens.predicted, tokens.actual, strict=True):
            if predicted and actual and phase % step == 0:
                found.phase.append(phase)
                found.predicted.append(predicted)
                found.actual.append(actual)
    return found


def _by_phase(phases: Sequence[int]) -> Iterator[list[int]]:
    """Yield the places of each phase's answers."""
    for _, places in groupby(sorted(range(len(phases)), key=phases.__getitem__), key=phases.__getitem__):
        yield list(places)


def _median_without(ordered: Sequence[int], left_out: Sequence[int]) -> float:
    """Return the median of ordered numbers, those at some places left out, which rise."""
    left = len(ordered) - len(left_out)
    low, high = (ordered[_place_without(left_out, place)] for place in ((left - 1) // 2, left // 2))
    return (low + high) / 2


def _place_without(left_out: Sequence[int], place: int) -> int:
    """Return where that stands among all numbers which is at a place among those that are left."""
    for out in left_out:
        place += out <= place
    return place


def _apart(tries: Sequence[int]) -> list[float]:
    """Return each try's mean SMAPE to the others."""
    count = min(len(tries), MAX_TRIES)
    some = [tries[number * (len(tries) - 1) // (count - 1)] for number in range(count)]
    return [sum(_smape(one, other) for other in some) / (count - 1) for one in some]


def _smape(one: float, other: float) -> float:
    return 200 * abs(one - other) / (one + other)
