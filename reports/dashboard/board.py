"""The board: everything that the page and the pictures show, read from the database once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlite_utils import Database

from reports.advice import change_sentence
from reports.answers import read_changes
from reports.changes import Change
from reports.dashboard.choices import MAX_CHOICES, Choices, Names, choices, chosen_reports, report_record
from reports.dashboard.coverage_cells import Cell, bucket_names, coverage_cells
from reports.dashboard.points import Points, packed, points
from reports.selection import Population, Selection
from reports.strata import Strata
from reports.validation import validate

Record = dict[str, Any]

NOTHING = {
    "empty": (
        "nothing to report",
        "No event is left. Choose something else, or see with `tokentail status` what was read.",
    ),
    "lacking": (
        "no numbers for this combination",
        "They are kept by category and by model only: choose one of the two.",
    ),
}
"""Status and reason where there are no numbers."""


@dataclass(frozen=True, slots=True)
class Board:
    """What is shown: points, cells, the report over all, one for every choice, and what changed."""

    population: Population
    report: Record
    points: Points
    cells: list[Cell]
    buckets: list[str]
    choices: Choices
    chosen: list[tuple[Names, Record]]
    changes: list[Change] = field(default_factory=list)

    @property
    def strata_count(self) -> int:
        """How many strata there are."""
        return len(self.report["strata"])

    def strata_names(self, limit: int) -> list[str]:
        """Return the strata with the most events, in the order of the report."""
        strata = self.report["strata"]
        most = sorted(strata, key=lambda one: -one["n"])[:limit]
        kept = {one["stratum"] for one in most}
        return [one["stratum"] for one in strata if one["stratum"] in kept]

    def notes(self) -> list[str]:
        """Say what changed meanwhile, and what the page leaves out, if anything."""
        said = [f"{change_sentence(change)}." for change in self.changes]
        if self.points.step > 1:
            said.append(
                f"The charts draw a sample: {len(self.points.rows):,} of {self.points.events:,} events "
                f"(one in {self.points.step:,}). Numbers, medians and coverage are over all of them."
            )
        if self.choices.pairs is None:
            said.append(
                f"There are more than {MAX_CHOICES} combinations of category and model: the numbers are kept "
                "by category and by model, not for both together."
            )
        if self.choices.left_out:
            said.append(
                f"{self.choices.left_out:,} categories and models have too few events to be chosen by name."
            )
        return said

    def record(self) -> Record:
        """Return what the page is made of, as JSON holds it; every number is computed already."""
        category_place, model_place = _places(self.choices.categories), _places(self.choices.models)
        return {
            "categories": self.choices.categories,
            "models": self.choices.models,
            "has_pairs": self.choices.pairs is not None,
            "reports": {
                f"{category_place[category]}/{model_place[model]}": report
                for (category, model), report in [((None, None), self.report), *self.chosen]
            },
            "notes": self.notes(),
            "nothing": NOTHING,
            "population": asdict(self.population),
            "sampled": self.points.step > 1,
            "events": packed(self.points.rows),
            "cells": self.cells,
        }


def _places(names: list[str]) -> dict[str | None, str]:
    """Return where names stand in their list, by which the page finds a report; all are nowhere."""
    return {None: ""} | {name: str(place) for place, name in enumerate(names)}


def read_board(db: Database, selection: Selection, strata: Strata, *, with_choices: bool = True) -> Board:
    """Read and compute everything; a picture needs no choices, and waits for none."""
    with _snapshot(db):
        whole = validate(db, selection, strata)
        report = report_record(whole)
        places = {one["stratum"]: place for place, one in reversed([*enumerate(report["strata"])])}
        found = choices(db, selection) if with_choices else Choices([], [], [], 0)
        board = Board(
            population=whole.population,
            report=report,
            points=points(db, selection, whole.overall.n, places),
            cells=coverage_cells(db, selection, strata, places),
            buckets=bucket_names(strata),
            choices=found,
            chosen=list(chosen_reports(db, selection, strata, found)),
            changes=read_changes(db, selection, strata, whole.overall.n),
        )
    for one in [board.report, *(record for _, record in board.chosen)]:
        for stratum in one["strata"]:
            stratum["place"] = places[stratum["stratum"]]
    return board


@contextmanager
def _snapshot(db: Database) -> Iterator[None]:
    """Read one state of the database: an ingest may go on meanwhile."""
    db.conn.execute("BEGIN")
    try:
        yield
    finally:
        db.conn.execute("ROLLBACK")
