"""Which events a report is about: the filters, in one place for all of them.

A selection becomes a `WHERE` of fixed texts with bound values. What it leaves out is counted, since
a number without its population says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlite_utils import Database

MIN_ACTUAL = 50
"""Tokens: a shorter answer is a refusal or an error, in the executor's own words "likely error"."""

CATEGORY_NAMES = {
    "documentation": "docs",
    "doc_write": "docs",
    "doc": "docs",
    "testing": "tests",
    "implement_feature": "implementation",
}
"""Names that mean the same category, in lower case, and the one that stands for them."""

CLEAN = "success = 1 AND truncated = 0"
"""The answer was parsed and is whole, so that its actual is what it needed (totals aside)."""

CEILING = "COALESCE(actual_max_tokens, NULLIF(selected_budget, 0))"
"""The ceiling that the answer had: the final one, or the selected budget where no line tells it."""

_NORMALIZED = (
    "CASE LOWER(TRIM(category)) "
    + " ".join(f"WHEN '{name}' THEN '{stands_for}'" for name, stands_for in CATEGORY_NAMES.items())
    + " ELSE LOWER(TRIM(category)) END"
)


def normalized_category(category: str | None) -> str | None:
    """Return the one name of categories that mean the same: `Documentation` is `docs`."""
    if category is None:
        return None
    name = category.strip(" ").translate(_ASCII_LOWER)
    return CATEGORY_NAMES.get(name, name)


_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
"""As SQLite's LOWER: so that both ways of normalizing agree on every text."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters of a report; an empty tuple or `None` lets everything through.

    `since` and `until` are aware; an event is in if since <= its time < until. `success_only` leaves
    out whole answers that were not parsed; truncated ones, which never are, stay as the risk that they
    are, unless `rows_only`, where no risk is computed of the events. Without `with_totals`, events whose
    actual is a total of input and output are left out. `min_actual` is in tokens.
    """

    runs: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    complexities: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    success_only: bool = False
    min_actual: int = MIN_ACTUAL
    normalize_categories: bool = False
    with_totals: bool = False
    rows_only: bool = False

    @property
    def category(self) -> str:
        """The SQL expression of an event's category."""
        return _NORMALIZED if self.normalize_categories else "category"

    def filters(self) -> str:
        """Return the SQL condition of everything that was asked for by name, time and success."""
        parts = [
            f"{column} IN (SELECT value FROM json_each(:{name}))"
            for name, column, values in self._named()
            if values
        ]
        parts += ["timestamp >= :since"] if self.since else []
        parts += ["timestamp < :until"] if self.until else []
        if self.success_only:
            parts.append("success = 1" if self.rows_only else "(success = 1 OR truncated = 1)")
        return " AND ".join(parts) or "1"

    def where(self) -> str:
        """Return the SQL condition of the events that the report is about."""
        parts = [self.filters(), "actual_output_tokens >= :min_actual"]
        return " AND ".join(parts if self.with_totals else [*parts, "actual_is_total = 0"])

    def values(self) -> dict[str, Any]:
        """Return the values bound in both conditions."""
        named = {name: json.dumps(values) for name, _, values in self._named()}
        return named | {
            "since": _text(self.since),
            "until": _text(self.until),
            "min_actual": self.min_actual,
        }

    def record(self) -> dict[str, Any]:
        """Return what was asked for, as a program reads it; times in UTC."""
        return {
            "run": list(self.runs),
            "phase": list(self.phases),
            "category": list(self.categories),
            "complexity": list(self.complexities),
            "model": list(self.models),
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "success_only": self.success_only,
            "min_actual": self.min_actual,
            "normalize_categories": self.normalize_categories,
        }

    def _named(self) -> Sequence[tuple[str, str, tuple[str, ...]]]:
        categories = self.categories
        if self.normalize_categories:
            categories = tuple(normalized_category(name) or "" for name in categories)
        return (
            ("runs", "run_id", self.runs),
            ("phases", "phase_id", self.phases),
            ("categories", self.category, categories),
            ("complexities", "complexity", self.complexities),
            ("models", "model", self.models),
        )


def _text(moment: datetime | None) -> str | None:
    """Write an aware time as the database does."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Population:
    """How many events the database has, how many the report is about, and what was left out of it.

    `left_out_filtered` did not pass the filters; of those that did, `left_out_totals` have a total of
    input and output as their actual, and `left_out_short` fewer than `min_actual` tokens.
    """

    events: int
    selected: int
    left_out_filtered: int
    left_out_totals: int
    left_out_short: int
    min_actual: int


def population(db: Database, selection: Selection) -> Population:
    """Count what a selection takes and what it leaves."""
    kept = "1" if selection.with_totals else "actual_is_total = 0"
    query = f"""
        SELECT COUNT(*), TOTAL({selection.filters()}), TOTAL({selection.filters()} AND NOT ({kept})),
            TOTAL({selection.filters()} AND {kept} AND actual_output_tokens < :min_actual)
        FROM token_estimation_v2_events
    """
    counts = db.conn.execute(query, selection.values()).fetchone()
    events, passed, totals, short = (int(count) for count in counts)
    return Population(
        events=events,
        selected=passed - totals - short,
        left_out_filtered=events - passed,
        left_out_totals=totals,
        left_out_short=short,
        min_actual=selection.min_actual,
    )
