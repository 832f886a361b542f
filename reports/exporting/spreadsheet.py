"""CSV that a spreadsheet only shows: text that it would take for a formula begins with an apostrophe.

The texts come from a log that quotes models: `=HYPERLINK(...)` as a category must stay a text.
Numbers are written by us alone and stay numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sqlite_utils import Database

from reports.exporting.columns import Converters, full_columns, iso_text, plain_columns, rows
from reports.exporting.ndjson import encode
from reports.selection import Selection
from reports.values import paths, truth

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_FORMULA_WITHIN = re.compile(r"(;\"*)(?=[=+\-@＝＋－＠])")
"""Where a spreadsheet that cuts at semicolons, as those of half of Europe do, would see one."""

_TO_BE_QUOTED = re.compile(r'[",\r\n]')


def _paths_text(text: str) -> str:
    return encode(paths(text))


_AS_CELLS: Converters = {"time": iso_text, "truth": truth, "paths": _paths_text}


def csv_lines(db: Database, selection: Selection, full: bool) -> Iterator[str]:
    """Yield the header and the events; a cell may hold newlines, as CSV has them, in quotes."""
    columns = full_columns(db) if full else plain_columns(selection)
    yield ",".join(column.name for column in columns)
    for row in rows(db, columns, selection, _AS_CELLS):
        yield ",".join([_cell(value) for value in row])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value).lower()  # true and false as JSON has them; an exponent is e in both cases
    text = f"'{value}" if value.startswith(_FORMULA) else value
    text = _FORMULA_WITHIN.sub(r"\1'", text)
    if _TO_BE_QUOTED.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text
