"""Which events a report is about: the filters, in one place for all of them.

A selection becomes a `WHERE` of fixed texts with bound values. What it leaves out is counted, since
a number without its population says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from sqlite_utils import Database

MIN_ACTUAL = 50
"""Tokens: the executor's own limit, below which it takes an answer for a "likely error"."""

CATEGORY_NAMES = {
    "documentation": "docs",
    "doc_write": "docs",
    "doc": "docs",
    "testing": "tests",
    "implement_feature": "implementation",
}
"""Names that mean the same category, in lower case, and the one that stands for them."""

CLEAN = "success = 1 AND truncated = 0"
"""The SQL condition that an answer was parsed and is whole: its actual is what it needed (unless a total)."""

CEILING = "COALESCE(actual_max_tokens, NULLIF(selected_budget, 0))"
"""The SQL expression of an answer's ceiling in tokens: the logged one, else the selected budget, else
NULL."""

LOCAL_DAY = "tokentail_local_day"
"""The SQL function that gives the day (`YYYY-MM-DD`) of a stored time, in the zone of who asks."""

CUT = "cut"
"""What stands for a model whose end may be missing: no newline ended the event's line at any place."""

MODEL = f"""CASE WHEN event_id IN (
    SELECT seen.event_id FROM event_sightings AS seen WHERE seen.line_cut = 1 AND NOT EXISTS (
        SELECT 1 FROM event_sightings AS other WHERE other.event_id = seen.event_id AND other.line_cut = 0
    )
) THEN '{CUT}' ELSE model END"""
"""The SQL expression of an event's model as reports name it, in a query of `token_estimation_v2_events`."""

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
"""As SQLite's LOWER, which changes ASCII alone: both ways of normalizing agree on every text."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters of a report; an empty tuple or `None` lets everything through.

    `since` and `until` are aware; an event is in if since <= its time < until. `success_only` leaves
    out answers that were not parsed. Truncated ones, which are not parsed either, stay, since risk is
    computed over them, unless `rows_only`, where no risk is computed. Without `with_totals`, events whose
    actual is a total of input and output are left out. `min_actual` is in tokens. `zone` names the time zone
    in which days were meant and are shown.
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
    zone: str = "UTC"

    @property
    def category(self) -> str:
        """The SQL expression of an event's category."""
        return _NORMALIZED if self.normalize_categories else "category"

    def filters(self) -> str:
        """Return the SQL condition of what was asked for by name, time and success; bind `values()` to it."""
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
        """Return the SQL condition of the events that the report is about; bind `values()` to it."""
        parts = [self.filters(), "actual_output_tokens >= :min_actual"]
        return " AND ".join(parts if self.with_totals else [*parts, "actual_is_total = 0"])

    def values(self) -> dict[str, Any]:
        """Return the named values that `filters()` and `where()` refer to."""
        named = {name: _json(values) for name, _, values in self._named()}
        return named | {
            "since": _text(self.since),
            "until": _text(self.until),
            "min_actual": self.min_actual,
        }

    def record(self) -> dict[str, Any]:
        """Return the filters as `--json` prints them; times in ISO 8601."""
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
            "zone": self.zone,
        }

    def _named(self) -> Sequence[tuple[str, str, tuple[str, ...]]]:
        categories = self.categories
        if self.normalize_categories:
            categories = tuple(normalized_category(name) or "" for name in categories)
        return (
            ("run", "run_id", self.runs),
            ("phase", "phase_id", self.phases),
            ("category", self.category, categories),
            ("complexity", "complexity", self.complexities),
            ("model", MODEL, self.models),
        )


def _text(moment: datetime | None) -> str | None:
    """Write an aware time as the database does."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Population:
    """How many events the database has, how many the report is about, and what was left out of it.

    `first` and `last` are the times of the first and the last event that it is about, in UTC as stored, and
    `zone` is the one in which to show them. Where no event passes the filters, `hints` say what there is.
    `left_out_filtered` did not pass the filters; of those that did, `left_out_totals` have a total of
    input and output as their actual, and `left_out_short` fewer than `min_actual` tokens.
    """

    events: int
    selected: int
    left_out_filtered: int
    left_out_totals: int
    left_out_short: int
    min_actual: int
    first: str | None = None
    last: str | None = None
    zone: str = "UTC"
    hints: tuple[str, ...] = ()


def population(db: Database, selection: Selection) -> Population:
    """Count what a selection takes and what it leaves out, by the first reason that applies."""
    kept = "1" if selection.with_totals else "actual_is_total = 0"
    query = f"""
        SELECT COUNT(*), TOTAL({selection.filters()}), TOTAL({selection.filters()} AND NOT ({kept})),
            TOTAL({selection.filters()} AND {kept} AND actual_output_tokens < :min_actual)
        FROM token_estimation_v2_events
    """
    counts = db.conn.execute(query, selection.values()).fetchone()
    events, passed, totals, short = (int(count) for count in counts)
    selected = passed - totals - short
    first, last = (_time_of(db, selection, order) if selected else None for order in ("ASC", "DESC"))
    return Population(
        events=events,
        selected=selected,
        left_out_filtered=events - passed,
        left_out_totals=totals,
        left_out_short=short,
        min_actual=selection.min_actual,
        first=first,
        last=last,
        zone=selection.zone,
        hints=() if passed or not events else tuple(_hints(db, selection)),
    )


def _time_of(db: Database, selection: Selection, order: str) -> str:
    """Return the time of the oldest (`ASC`) or the newest (`DESC`) event that is selected, as stored."""
    query = f"""
        SELECT timestamp FROM token_estimation_v2_events WHERE {selection.where()}
        ORDER BY timestamp {order} LIMIT 1
    """
    return str(db.conn.execute(query, selection.values()).fetchone()[0])


_MOST_NAMES, _SHOWN_NAMES = 1_000, 8
"""How many names are compared with a mistyped one at most, and how many are listed if none is like it."""


def _hints(db: Database, selection: Selection) -> Iterator[str]:
    """Say of each name that no event has what could be meant; if times were given, when there are events."""
    for name, column, values in selection._named():
        query = f"SELECT DISTINCT {column} FROM token_estimation_v2_events LIMIT {_MOST_NAMES}"
        known = sorted(row[0] for row in db.conn.execute(query) if row[0]) if values else []
        if set(values).isdisjoint(known):
            yield from (f"No {name} is {value!r}: {_suggestion(value, known)}" for value in values)
    query = "SELECT MIN(timestamp), MAX(timestamp) FROM token_estimation_v2_events"
    first, last = db.conn.execute(query).fetchone()
    if selection.since is not None or selection.until is not None:
        yield f"All events were logged from {first[:16]} to {last[:16]}, UTC"


def _suggestion(name: str, known: Sequence[str]) -> str:
    """Say which of the known names a mistyped one is like, or else what there is."""
    if similar := get_close_matches(name, known, 3, 0.5):
        return f"did you mean {' or '.join(similar)}?"
    more = len(known) - _SHOWN_NAMES
    return f"there are {', '.join(known[:_SHOWN_NAMES])}" + (f" and {more:,} more" if more > 0 else "")


def _json(names: tuple[str, ...]) -> str:
    """Write names as JSON without escaped surrogate pairs, which older SQLites read wrongly."""
    return json.dumps(names, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
