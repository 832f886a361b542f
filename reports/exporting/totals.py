"""How many of the exported events have an actual that is input and output together."""

from __future__ import annotations

from sqlite_utils import Database

from reports.exporting.columns import TABLE
from reports.selection import Selection


def count_totals(db: Database, selection: Selection) -> int:
    """Count the events of a selection whose `actual_output_tokens` is a total of input and output."""
    query = f"SELECT COUNT(*) FROM {TABLE} WHERE {selection.where()} AND actual_is_total = 1"
    (count,) = db.conn.execute(query, selection.values()).fetchone()
    return int(count)
