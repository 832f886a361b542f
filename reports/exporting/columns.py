"""The columns of an export: those of the plain one with their sources, or all columns of the table.

The names and the order of the plain columns are those of the executor's own export: a contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlite_utils import Database

from reports.selection import Selection

TABLE = "token_estimation_v2_events"

Kind = Literal["text", "whole", "real", "truth", "time", "paths"]
Converters = Mapping[Kind, Callable[[Any], Any]]
"""What a format makes of a kind of value; values of other kinds stay as the database holds them."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an export: its name there, the kind of its values, and their SQL expression.

    In the database, `truth` is 0, 1 or NULL, `time` UTC in its fixed form, `paths` a JSON array.
    """

    name: str
    kind: Kind
    expression: str


_PLAIN = (
    Column("run_id", "text", "run_id"),
    Column("phase_id", "text", "phase_id"),
    Column("timestamp", "time", "timestamp"),
    Column("category", "text", "category"),
    Column("complexity", "text", "complexity"),
    Column("deliverable_count", "whole", "deliverable_count"),
    Column("deliverables", "paths", "deliverables_json"),
    Column("predicted_output_tokens", "whole", "predicted_output_tokens"),
    Column("actual_output_tokens", "whole", "actual_output_tokens"),
    Column("selected_budget", "whole", "selected_budget"),
    Column("success", "truth", "success"),
    Column("truncated", "truth", "truncated"),
    Column("stop_reason", "text", "stop_reason"),
    Column("model", "text", "model"),
    Column("smape_percent", "real", "smape_percent"),
    Column("waste_ratio", "real", "waste_ratio"),
    Column("underestimated", "truth", "underestimated"),
)
_FURTHER = (
    Column("event_key", "text", "event_key"),
    Column("actual_max_tokens", "whole", "actual_max_tokens"),
    Column("actual_is_total", "truth", "actual_is_total"),
    Column("input_tokens", "whole", "input_tokens"),
    Column("confidence", "real", "confidence"),
    Column("attempt_index", "whole", "attempt_index"),
    Column("phase_outcome", "text", "phase_outcome"),
)
_KINDS: dict[str, Kind] = {"INTEGER": "whole", "REAL": "real", "TEXT": "text"}


def plain_columns(selection: Selection) -> tuple[Column, ...]:
    """Return the columns of the plain export; the category is normalized if the selection says so."""
    return tuple(
        replace(column, expression=selection.category) if column.name == "category" else column
        for column in _PLAIN
    )


def further_columns(selection: Selection) -> tuple[Column, ...]:
    """Return the plain columns and those of ours that OpenTelemetry attributes are made of as well."""
    return (*plain_columns(selection), *_FURTHER)


def full_columns(db: Database) -> tuple[Column, ...]:
    """Return every column of the table by its own name, with the value as the database holds it."""
    return tuple(
        Column(column.name, _KINDS.get(column.type, "text"), column.name)
        for column in db.table(TABLE).columns
    )


def rows(
    db: Database, columns: tuple[Column, ...], selection: Selection, converters: Converters
) -> Iterator[list[Any]]:
    """Yield the values of each selected event in the order of the columns, newest first.

    From here on the connection reads text that is not UTF-8 with escapes.
    """
    conversions = [
        (place, converters[column.kind]) for place, column in enumerate(columns) if column.kind in converters
    ]
    query = (
        f"SELECT {', '.join(column.expression for column in columns)} FROM {TABLE} "
        f"WHERE {selection.where()} ORDER BY timestamp DESC, event_id DESC"
    )
    db.conn.text_factory = _readable  # what other programs wrote need not be UTF-8
    for found in db.conn.execute(query, selection.values()):
        row = list(found)
        for place, convert in conversions:
            row[place] = convert(row[place])
        yield row


def _readable(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def iso_text(timestamp: str) -> str:
    """Write a time of the database as `datetime.isoformat()` does of naive UTC, the executor's form."""
    return timestamp.replace(" ", "T", 1).removesuffix(".000000")
