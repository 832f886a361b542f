"""Parquet in folders by time, `date=2026-01-14/part-0.parquet` (Hive partitioning).

Names and contents depend on the rows alone. Each file says in its metadata that it is ours, so that no other
is ever replaced or removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import IO, Any

from sqlite_utils import Database

from ingest.errors import Unwritable
from reports.exporting.columns import TABLE, Column, full_columns, plain_columns, rows
from reports.exporting.parquet import CONVERTERS, marked, write_rows
from reports.selection import Selection

PERIODS = {"date": 10, "month": 7}
"""The kinds of periods, each with the number of characters of a stored time that name one; in UTC."""

_MARK = "tokentail.partition"
Write = Callable[[IO[bytes]], None]
"""Writes one partition to an open file."""


class Partitions:
    """The partitions of one export; `selection` is widened to the whole periods that its times are in."""

    def __init__(self, period: str, selection: Selection, full: bool) -> None:
        """Make a partition of each `period` (`date` or `month`); `full`: with every column of the table."""
        since = selection.since and _start_of(period, selection.since)
        until = selection.until and _end_of(period, selection.until)
        self.selection = replace(selection, since=since, until=until)
        self._period = period
        self._full = full
        digits = r"\d{4}-\d\d-\d\d" if period == "date" else r"\d{4}-\d\d"
        self._name = re.compile(rf"{period}={digits}", re.ASCII)
        self._key = f"SUBSTR(timestamp, 1, {PERIODS[period]})"

    def names(self, db: Database) -> set[str]:
        """Return the names of all partitions that have events, `date=2026-01-14`.

        Raises:
            Unwritable: the time of an event is none, which only another program can have written.
        """
        query = f"SELECT DISTINCT {self._key} FROM {TABLE} WHERE {self.selection.where()}"
        found = db.conn.execute(query, self.selection.values())
        names = {self._named(key) for (key,) in found}
        for name in names:
            if not self._name.fullmatch(name):
                raise Unwritable(f"an event has a time that is none, {name!r}: nothing was written")
        return names

    def writers(self, db: Database) -> Iterator[tuple[str, Write]]:
        """Yield each partition's name, newest first, and what writes it: to be called before the next one."""
        columns = full_columns(db) if self._full else plain_columns(self.selection)
        keyed = (Column(self._period, "text", self._key), *columns)
        found = rows(db, keyed, self.selection, CONVERTERS)
        for key, its in groupby(found, itemgetter(0)):
            values = (row[1:] for row in its)
            yield self._named(key), partial(_write, columns, values, self._period)

    def is_ours(self, path: str) -> bool:
        """Whether a file was written by any export in partitions."""
        return marked(path, _MARK)

    def is_stale(self, name: str, written: Collection[str]) -> bool:
        """Whether a partition on disk is out of date: it is within the selected times, and has no events now.

        `written` are the names of those that have.
        """
        if not self._name.fullmatch(name) or name in written:
            return False
        since, until = self.selection.since, self.selection.until
        after = since is None or name >= self._named(since.isoformat()[: PERIODS[self._period]])
        return after and (until is None or name < self._named(until.isoformat()[: PERIODS[self._period]]))

    def _named(self, key: str) -> str:
        return f"{self._period}={key}"


def _write(columns: tuple[Column, ...], found: Iterator[list[Any]], period: str, sink: IO[bytes]) -> None:
    write_rows(columns, found, sink, {_MARK: period})


def _start_of(period: str, moment: datetime) -> datetime:
    start = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return start.replace(day=1) if period == "month" else start


def _end_of(period: str, moment: datetime) -> datetime:
    start = _start_of(period, moment)
    if start == moment:
        return start
    return _start_of(period, start + timedelta(days=32)) if period == "month" else start + timedelta(days=1)
