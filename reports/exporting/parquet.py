"""Parquet: typed columns, written one row group at a time, so that memory holds one group at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any

from sqlite_utils import Database

from reports.exporting.columns import Column, Converters, full_columns, plain_columns, rows
from reports.extras import imported
from reports.selection import Selection
from reports.values import paths, truth

BATCH_ROWS = 1_000
ROW_GROUP_BATCHES = 10
"""Row groups of 10,000 rows: large enough for readers to skip groups by, small enough to hold in memory."""


def write_parquet(db: Database, selection: Selection, full: bool, sink: IO[bytes]) -> None:
    """Write the events to an open file; `full`: every column of the table, in the type that it has there.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    columns = full_columns(db) if full else plain_columns(selection)
    write_rows(columns, rows(db, columns, selection, CONVERTERS), sink)


def write_rows(
    columns: tuple[Column, ...],
    found: Iterator[list[Any]],
    sink: IO[bytes],
    mark: Mapping[str, str] | None = None,
) -> None:
    """Write rows to an open file; a `mark` goes into its metadata as a key and a value, for `marked` to find.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    arrow, parquet = imported("pyarrow", "parquet"), imported("pyarrow.parquet", "parquet")
    types = _types(arrow)
    schema = arrow.schema([(column.name, types[column.kind]) for column in columns], mark)
    batches = _batches(arrow, schema, found)
    with parquet.ParquetWriter(sink, schema) as writer:
        while group := list(islice(batches, ROW_GROUP_BATCHES)):
            writer.write_table(arrow.Table.from_batches(group, schema), BATCH_ROWS * ROW_GROUP_BATCHES)


def marked(path: str, key: str) -> bool:
    """Whether a file is Parquet and has a mark of this key; `False` also if it can't be read.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    parquet = imported("pyarrow.parquet", "parquet")
    try:
        metadata = parquet.read_metadata(path).metadata
    except (OSError, ValueError):  # of pyarrow's own errors, each is one or the other
        return False
    return key.encode() in (metadata or {})


def _batches(arrow: Any, schema: Any, found: Iterator[list[Any]]) -> Iterator[Any]:
    """Yield the rows as Arrow's record batches, which take a tenth of the memory of Python's lists."""
    while batch := list(islice(found, BATCH_ROWS)):
        arrays = [
            arrow.array(values, field.type)
            for values, field in zip(zip(*batch, strict=True), schema, strict=True)
        ]
        yield arrow.record_batch(arrays, schema=schema)


def _types(arrow: Any) -> dict[str, Any]:
    return {
        "text": arrow.string(),
        "whole": arrow.int64(),
        "real": arrow.float64(),
        "truth": arrow.bool_(),
        "time": arrow.timestamp("us", tz="UTC"),
        "paths": arrow.list_(arrow.string()),
    }


def _moment(timestamp: str) -> datetime:
    return datetime.fromisoformat(timestamp).replace(tzinfo=UTC)


def _paths(text: str) -> list[str]:
    """Return the paths as UTF-8 can hold them: a lone surrogate, which JSON can hold, becomes an escape."""
    return [path.encode("utf-8", "backslashreplace").decode() for path in paths(text)]


CONVERTERS: Converters = {"time": _moment, "truth": truth, "paths": _paths}
