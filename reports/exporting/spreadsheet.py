"""CSV that a spreadsheet only shows: text that it would take for a formula begins with an apostrophe.

Texts come from logs, and logs quote models: `=HYPERLINK(...)` as a category must stay a text. A program takes
nothing for a formula and joins by names, so for it texts can be left as they are. Numbers stay numbers; a
time always has its fraction, so that all have one form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sqlite_utils import Database

from reports.exporting.columns import Converters, full_columns, plain_columns, rows
from reports.exporting.ndjson import encode
from reports.selection import Selection
from reports.values import paths, truth

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_FORMULA_WITHIN = re.compile(r"(;\"*)(?=[=+\-@＝＋－＠])")
"""Where a spreadsheet whose locale separates cells by semicolons would see a formula."""

_TO_BE_QUOTED = re.compile(r'[",\r\n]')


def _paths_text(text: str) -> str:
    return encode(paths(text))


def _time_text(timestamp: str) -> str:
    return timestamp.replace(" ", "T", 1)


_AS_CELLS: Converters = {"time": _time_text, "truth": truth, "paths": _paths_text}


def csv_lines(db: Database, selection: Selection, full: bool, guarded: bool) -> Iterator[str]:
    """Yield the header and the events as CSV without line ends; a quoted cell may hold newlines.

    Unless `guarded`, texts stay as they are, also those that a spreadsheet would take for a formula.
    """
    columns = full_columns(db) if full else plain_columns(selection)
    yield ",".join(column.name for column in columns)
    for row in rows(db, columns, selection, _AS_CELLS):
        yield ",".join([_cell(value, guarded) for value in row])


def _cell(value: Any, guarded: bool = True) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value).lower()  # true and false as JSON has them; an exponent is e in both cases
    text = _guarded(value) if guarded else value
    if _TO_BE_QUOTED.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _guarded(text: str) -> str:
    first = f"'{text}" if text.startswith(_FORMULA) else text
    return _FORMULA_WITHIN.sub(r"\1'", first)
