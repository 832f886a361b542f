"""NDJSON: one JSON object a line, with the plain columns or all."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sqlite_utils import Database

from reports.exporting.columns import Converters, full_columns, iso_text, plain_columns, rows
from reports.selection import Selection
from reports.values import paths, truth

AS_JSON: Converters = {"time": iso_text, "truth": truth, "paths": paths}
encode = json.JSONEncoder(ensure_ascii=False).encode
"""Return JSON with characters beyond ASCII as they are; a lone surrogate, too, which whoever encodes the text
has to write as an escape (that is JSON again)."""


def ndjson_lines(db: Database, selection: Selection, full: bool) -> Iterator[str]:
    """Yield each event as a JSON object without a newline; `full`: every column as the database holds it."""
    columns = full_columns(db) if full else plain_columns(selection)
    names = [column.name for column in columns]
    for row in rows(db, columns, selection, AS_JSON):
        yield encode(dict(zip(names, row, strict=True)))
