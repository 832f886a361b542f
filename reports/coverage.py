"""Coverage: how many events each cell of category, complexity and deliverables has, and needs.

The cells are those of every category and every complexity that occurs, with every bucket of the
number of deliverables: work that may come, whether or not any has come so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlite_utils import Database

from reports.metrics import rate
from reports.selection import CLEAN, Population, Selection, population
from reports.strata import Key, Strata

CELL_TARGET = 5
"""Events that a cell needs at least before its numbers are looked at."""

TOTAL_TARGET = (30, 50)
"""Events in all cells together: the least number, and the one to aim at."""

_DIMENSIONS = ("category", "complexity", "bucket")
_OTHER_LINES = "SELECT (SELECT COUNT(*) FROM rejected_lines), TOTAL(unread_lines) FROM log_sources"
_CELLS = """
SELECT {key} COUNT(*), TOTAL({clean}) FROM token_estimation_v2_events WHERE {where} GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """Events of one category, complexity and bucket of deliverables; `None` where events have no name.

    `need` is how many more the target asks for, `clean` how many of `have` are parsed and whole.
    `weight` is how often such work may be expected, 0..1: the share of events of the category and complexity
    times that of the bucket, each with one added to its counts.
    """

    category: str | None
    complexity: str | None
    bucket: str
    have: int
    clean: int
    need: int
    weight: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """All cells, in order, and what is in none of them.

    `without_bucket` events have no number of deliverables, or one that no bucket holds. `rejects` and
    `unread_lines` are lines of all logs with the marker that are no events, whatever the filters are.
    """

    population: Population
    strata_by: Strata
    target: int
    total_target: tuple[int, int]
    cells: list[Cell]
    without_bucket: int
    rejects: int
    unread_lines: int

    @property
    def have(self) -> int:
        """Events in all cells together."""
        return sum(cell.have for cell in self.cells)

    @property
    def covered(self) -> int:
        """How many cells have as many events as the target asks for."""
        return sum(not cell.need for cell in self.cells)

    @property
    def covered_rate(self) -> float | None:
        """The share of cells that are covered, 0..1; `None` without cells."""
        return rate(self.covered, len(self.cells))

    @property
    def total_need(self) -> int:
        """How many events are lacking to the least total."""
        return max(0, self.total_target[0] - self.have)

    def most_useful(self, limit: int) -> list[Cell]:
        """Return at most `limit` cells whose events would help most: the largest need times weight first."""
        needing = [cell for cell in self.cells if cell.need]
        return sorted(needing, key=lambda cell: -cell.need * cell.weight)[:limit]


def coverage(
    db: Database, selection: Selection, strata: Strata, target: int, total_target: tuple[int, int]
) -> Coverage:
    """Count the events of every cell; of `strata` the buckets are used, since cells have fixed dimensions."""
    cells_by = Strata(_DIMENSIONS, strata.buckets)
    query = _CELLS.format(key=cells_by.columns(selection), clean=CLEAN, where=selection.where())
    have: dict[Key, tuple[int, int]] = {}
    for category, complexity, bucket, count, clean in db.conn.execute(query, selection.values()):
        have[category, complexity, bucket] = (count, int(clean))
    pairs: Counter[Key] = Counter()
    buckets: Counter[str | None] = Counter()
    for key, (count, _) in have.items():
        pairs[key[:2]] += count
        buckets[key[2]] += count
    total = sum(pairs.values())
    cells = []
    for key in _grid(have, cells_by):
        count, clean = have.get(key, (0, 0))
        # Adding one (Laplace) keeps work that was not met so far from counting for nothing.
        weight = (pairs[key[:2]] + 1) * (buckets[key[2]] + 1) / (total + 1) ** 2
        cells.append(Cell(key[0], key[1], str(key[2]), count, clean, max(0, target - count), weight))
    rejects, unread = db.conn.execute(_OTHER_LINES).fetchone()
    return Coverage(
        population=population(db, selection),
        strata_by=cells_by,
        target=target,
        total_target=total_target,
        cells=cells,
        without_bucket=sum(count for key, (count, _) in have.items() if key[2] is None),
        rejects=rejects,
        unread_lines=int(unread),
    )


def _grid(have: Iterable[Key], strata: Strata) -> list[Key]:
    categories = {key[0] for key in have}
    complexities = {key[1] for key in have}
    grid: list[Key] = [
        (category, complexity, bucket.name)
        for category in categories
        for complexity in complexities
        for bucket in strata.buckets
    ]
    return sorted(grid, key=strata.place)
