"""The board: everything that the page and the pictures show, read in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from reports.advice import change_sentence
from reports.answers import read_changes
from reports.changes import Change
from reports.dashboard.choices import (
    FILTERS,
    NO_CHOICE,
    Choice,
    Choices,
    choices,
    chosen_reports,
    report_record,
)
from reports.dashboard.coverage_cells import Cell, bucket_names, coverage_cells
from reports.dashboard.figures import Figures, figures, packed_figures
from reports.dashboard.points import EventReader, Points, packed, points
from reports.dashboard.verdict import LACKING, NOTHING
from reports.selection import Population, Selection
from reports.strata import Strata
from reports.terminal import counted
from reports.validation import validate

Record = dict[str, Any]

_MINUTE = len("2026-01-14 09:30")
"""Characters of a stored time up to its minutes."""


@dataclass(frozen=True, slots=True)
class Board:
    """What is shown: the report over all events, points and cells of charts, and the figures of every choice.

    `buckets` are the columns of the heat map. `changes` of the estimates are marked in the chart over time.
    """

    population: Population
    report: Record
    points: Points
    cells: list[Cell]
    buckets: list[str]
    choices: Choices
    chosen: list[tuple[Choice, Figures]]
    changes: list[Change]

    @property
    def strata_count(self) -> int:
        """How many strata the report has."""
        return len(self.report["strata"])

    def strata_names(self, limit: int) -> list[str]:
        """Return the names of the `limit` strata with the most events, in the order of the report."""
        strata = self.report["strata"]
        most = sorted(strata, key=lambda stratum: -stratum["n"])[:limit]
        kept = {stratum["stratum"] for stratum in most}
        return [stratum["stratum"] for stratum in strata if stratum["stratum"] in kept]

    def notes(self) -> list[str]:
        """Return sentences on when the estimates changed, and on what the page leaves out, if anything."""
        said = [f"{change_sentence(change, f'{change.at[:_MINUTE]} UTC')}." for change in self.changes]
        if self.points.step > 1:
            said.append(
                f"The charts draw a sample: {len(self.points.rows):,} of {self.points.events:,} events "
                f"(one in {self.points.step:,}). Numbers and coverage are over all of them."
            )
        if self.choices.left_out:
            said.append(
                f"The filters leave out {counted(self.choices.left_out, 'name')}: the oldest runs, and "
                "the rarest categories, complexities and models."
            )
        return said

    def record(self) -> Record:
        """Return the data of the page's script, as JSON can hold it; all figures are in it as texts."""
        offered = self.choices.offered
        places = [{name: place for place, name in enumerate(offered[filtered])} for filtered in FILTERS]
        return {
            "filters": [{"name": name, "offered": offered[name]} for name in FILTERS],
            "figures": {
                _key(choice, places): packed_figures(shown)
                for choice, shown in [(NO_CHOICE, figures(self.report)), *self.chosen]
            },
            "nothing": NOTHING,
            "lacking": LACKING,
            "sampled": self.points.step > 1,
            "events": packed(self.points.rows),
            "cells": self.cells,
        }


def _key(choice: Choice, places: list[dict[str, int]]) -> str:
    """Return the key of a choice's figures: the index of each filter's name, empty for all, joined by `/`."""
    parts = zip(choice, places, strict=True)
    return "/".join("" if part is None else str(known[part]) for part, known in parts)


def read_board(db: Database, selection: Selection, strata: Strata, *, with_choices: bool = True) -> Board:
    """Read and compute everything; a picture needs no choices, which take most of the time."""
    with _snapshot(db):
        whole = validate(db, selection, strata)
        report = report_record(whole)
        places = {stratum["stratum"]: place for place, stratum in reversed([*enumerate(report["strata"])])}

        def placed(record: Record) -> Record:
            for stratum in record["strata"]:
                stratum["place"] = places[stratum["stratum"]]
            return record

        found = choices(db, selection) if with_choices else Choices({}, [], 0)
        chosen = [
            (choice, figures(placed(record)))
            for choice, record in chosen_reports(db, selection, strata, found)
        ]
        return Board(
            population=whole.population,
            report=placed(report),
            points=points(EventReader(db, selection, strata, places), whole.overall.n),
            cells=coverage_cells(db, selection, strata, places),
            buckets=bucket_names(strata),
            choices=found,
            chosen=chosen,
            changes=read_changes(db, selection, strata, whole.overall.n),
        )


@contextmanager
def _snapshot(db: Database) -> Iterator[None]:
    """Read one state of the database: an ingest may go on meanwhile."""
    db.conn.execute("BEGIN")
    try:
        yield
    finally:
        db.conn.execute("ROLLBACK")
