"""The cells of the heat map: how many events each stratum has for each bucket of deliverables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlite_utils import Database

from reports.selection import Selection
from reports.strata import Strata
from reports.wording import stratum_name

UNKNOWN_BUCKET = "?"
"""Names the column of events without a number of deliverables, or with one that is in no bucket."""

_CELLS = """
SELECT {key} COUNT(*) FROM token_estimation_v2_events WHERE {where} GROUP BY 1, 2, 3, 4
"""
_DIMENSIONS = ("category", "complexity", "bucket", "model")

Cell = dict[str, Any]
"""`n` events of a `category`, `complexity`, `bucket` and `model`; `stratum` is its name, `place` its row."""


def coverage_cells(
    db: Database, selection: Selection, buckets_of: Strata, places: Mapping[str, int]
) -> list[Cell]:
    """Count every selected event in its cell; `places` are the indices of strata in the report, by name."""
    strata = Strata(_DIMENSIONS, buckets_of.buckets)
    query = _CELLS.format(key=strata.columns(selection), where=selection.where())
    rows = db.conn.execute(query, selection.values()).fetchall()
    return [_cell(row, places) for row in sorted(rows, key=lambda row: strata.place(row[:-1]))]


def _cell(row: tuple[Any, ...], places: Mapping[str, int]) -> Cell:
    category, complexity, bucket, model, count = row
    stratum = stratum_name(category, complexity)
    return {
        "category": category,
        "complexity": complexity,
        "stratum": stratum,
        "place": places[stratum],
        "bucket": bucket or UNKNOWN_BUCKET,
        "model": model,
        "n": count,
    }


def bucket_names(buckets_of: Strata) -> list[str]:
    """Return the columns of the heat map, in order."""
    return [*(bucket.name for bucket in buckets_of.buckets), UNKNOWN_BUCKET]
