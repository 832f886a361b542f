"""What the estimates are worth: compared with a constant, and with how much answers to equal work differ.

The constant is the simplest estimator that there is: the median of the tokens that the stratum's clean
answers have, without those of the answer's own phase. An estimator with a larger error than that is worth
nothing. The floor is how much tries of one phase differ: an estimator that knows only the work can't have a
much smaller error.
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
"""Answers of a stratum that are enough for its error to within a point; of more, every k-th phase is
taken."""

MAX_TRIES = 60
"""Tries of one phase that are compared with one another; of more, so many evenly from the first to the
last."""


@dataclass(frozen=True, slots=True)
class Worth:
    """Mean SMAPE in percent, 0..200, of `n` clean answers: as logged, and with the constant.

    Answers whose stratum has no other phase have no constant and are in neither. `floor` is the mean SMAPE
    between `floor_n` answers and the other tries of their `floor_phases` phases. Each mean is `None` of no
    answers.
    """

    n: int
    logged: float | None
    constant: float | None
    floor_n: int
    floor_phases: int
    floor: float | None


class Errors:
    """The SMAPE of each answer (percent), to be collected over strata; `phases` are those with a floor."""

    def __init__(self) -> None:
        self.logged = array("d")
        self.constant = array("d")
        self.floor = array("d")
        self.phases = 0

    def add(self, other: Errors) -> None:
        """Append the errors of another stratum."""
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
    """Return what the estimates of several strata are worth together."""
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
    held: list[int] = []
    constants: list[float] = []
    for tries in _by_phase(answers.phase):
        if len(tries) < len(answers):
            held += tries
            constants += [_median_without(ordered, sorted([places[answer] for answer in tries]))] * len(tries)
        if len(tries) > 1:
            errors.floor.extend(_apart([answers.actual[answer] for answer in tries]))
            errors.phases += 1
    needed = [answers.actual[answer] for answer in held]
    errors.logged.extend(_smapes([answers.predicted[answer] for answer in held], needed))
    errors.constant.extend(_smapes(constants, needed))
    return errors


def worth_line(found: Worth) -> str:
    """Say what the estimates are worth, in one line; nothing where there is no constant."""
    if found.logged is None or found.constant is None:
        return ""
    said = f"SMAPE {found.logged:.0f} against {found.constant:.0f} for a constant"
    if found.floor is None:
        return (
            f"{said}; how far answers to equal work differ anyway is not known: no phase has two clean ones"
        )
    return f"{said}; answers to equal work differ by {found.floor:.0f} anyway"


def _clean(kinds: Kinds) -> Tokens:
    """Return the clean answers that can be measured (neither number is 0), or those of every k-th phase."""
    found, clean = Tokens(), [tokens for kind, tokens in kinds.items() if kind.clean]
    step = max(1, -(-sum(map(len, clean)) // MAX_ANSWERS))
    for tokens in clean:
        for place in [place for place, phase in enumerate(tokens.phase) if phase % step == 0]:
            if tokens.predicted[place] and tokens.actual[place]:
                found.phase.append(tokens.phase[place])
                found.predicted.append(tokens.predicted[place])
                found.actual.append(tokens.actual[place])
    return found


def _by_phase(phases: Sequence[int]) -> Iterator[list[int]]:
    """Yield the indices of each phase's answers."""
    for _, places in groupby(sorted(range(len(phases)), key=phases.__getitem__), key=phases.__getitem__):
        yield list(places)


def _median_without(ordered: Sequence[int], left_out: Sequence[int]) -> float:
    """Return the median of ordered numbers without those at the indices `left_out`, which rise."""
    left = len(ordered) - len(left_out)
    low, high = (left - 1) // 2, left // 2
    for out in left_out:
        low += out <= low
        high += out <= high
    return (ordered[low] + ordered[high]) / 2


def _apart(tries: Sequence[int]) -> list[float]:
    """Return the mean SMAPE between each try and the others."""
    count = min(len(tries), MAX_TRIES)
    some = [tries[number * (len(tries) - 1) // (count - 1)] for number in range(count)]
    return [sum(_smapes([value] * count, some)) / (count - 1) for value in some]


def _smapes(some: Sequence[float], others: Sequence[float]) -> list[float]:
    return [200 * abs(value - other) / (value + other) for value, other in zip(some, others, strict=True)]
