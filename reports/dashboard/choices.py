"""The choices of the page's filters, and the report for each of them, by the functions of `tokentail report`.

What can be chosen is validated beforehand, since the page computes no figures: first every name by itself,
then ranges of dates, then combinations, as long as there are few of them. Names come from logs and may be
anything, so that what is offered is bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations, product
from typing import Any

from sqlite_utils import Database

from reports.selection import MODEL, Selection
from reports.strata import Strata
from reports.validation import Validation, validate
from reports.validation_record import validation_record
from reports.wording import stratum_name

NAMED = ("category", "complexity", "model", "run")
FILTERS = (*NAMED, "since", "until")
"""The page's filters, named as the command's options; `since` and `until` are days in UTC, both included."""

_DATES = "dates"
"""What stands for `since` and `until` together: a range of dates is one choice."""

_LAST_DAY = "9999-12-31"

MAX_NAMES = 75
"""Names that one filter offers at most: those with the most events, of runs the newest."""

MAX_PERIODS = 12
"""Days, weeks, months or years at whose ends ranges of dates begin and end, at most."""

MAX_CHOICES = 450
"""Reports that one page holds at most: each takes some 2 ms and up to 3 KB."""

MAX_COUNTED = 500_000
"""Events that are read for all combinations and ranges of dates together, at most: they take some seconds."""

_COUNTS = """
SELECT {category}, complexity, {model}, run_id, SUBSTR(timestamp, 1, 10), COUNT(*)
FROM token_estimation_v2_events WHERE {where} GROUP BY 1, 2, 3, 4, 5
"""
_COLUMNS = (
    "complexity, run_id, phase_id, timestamp, deliverable_count, estimated_deliverable_count, "
    "deliverables_complete, deliverables_source, deliverables_json, predicted_output_tokens, "
    "actual_output_tokens, actual_max_tokens, selected_budget, success, truncated, actual_is_total, "
    "phase_outcome"
)
_CONDITIONS = {
    "category": "category = (SELECT category FROM chosen)",
    "complexity": "complexity = (SELECT complexity FROM chosen)",
    "model": "model = (SELECT model FROM chosen)",
    "run": "run_id = (SELECT run FROM chosen)",
    "since": "timestamp >= (SELECT since FROM chosen)",
    "until": "timestamp < (SELECT DATE(until, '+1 day') FROM chosen)",
}
_EVERYTHING = Selection(min_actual=0, with_totals=True)
"""Selects all of a copy, which holds only events that were selected, with the category as it is shown."""

Choice = tuple[str | None, ...]
"""A name or a date (`YYYY-MM-DD`) for each of `FILTERS`; `None` stands for all."""

NO_CHOICE: Choice = (None,) * len(FILTERS)

Range = tuple[str | None, str | None]
"""The first and the last day, both included; `None` is open."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choices:
    """What each filter offers, the choices that have a report, and how many names are left out.

    NULL can't be chosen: events without a category, say, are no kind of work that anybody would look at
    alone; they are in the report over all.
    """

    offered: Mapping[str, list[str]]
    choices: list[Choice]
    left_out: int


def choices(db: Database, selection: Selection, limit: int = MAX_CHOICES, names: int = MAX_NAMES) -> Choices:
    """Find what can be chosen: single names, then ranges of dates and combinations, as far as there is room.

    `limit` is how many choices there are at most, `names` how many names a filter offers.
    """
    query = _COUNTS.format(model=MODEL, category=selection.category, where=selection.where())
    atoms = [_Atom(row[:4], *row[4:]) for row in db.conn.execute(query, selection.values())]
    offered, left_out = _names(atoms, names)
    ranges = date_ranges(sorted({atom.day for atom in atoms}))
    found: list[Choice] = []
    counted = 0
    for size in range(1, len(NAMED) + 2):
        for filters in combinations((*NAMED, _DATES), size):
            counts = _counts(atoms, offered, ranges, filters)
            events = sum(counts.values()) if size > 1 or _DATES in filters else 0
            if len(found) + len(counts) <= limit and counted + events <= MAX_COUNTED:
                found += sorted(counts, key=lambda choice: tuple(part or "" for part in choice))
                counted += events
    edges = {end: sorted({pair[at] or "" for pair in ranges} - {""}) for at, end in enumerate(FILTERS[4:])}
    return Choices(offered | edges, found, left_out)


@dataclass(frozen=True, slots=True)
class _Atom:
    """`count` events of the same `names` (of `NAMED`) and the same day."""

    names: tuple[str | None, ...]
    day: str
    count: int


def _names(atoms: list[_Atom], limit: int) -> tuple[dict[str, list[str]], int]:
    """Return the names that each filter offers, and how many of all filters were left out."""
    offered, left_out = {}, 0
    for at, filter_name in enumerate(NAMED):
        events: Counter[str] = Counter()
        newest: dict[str, str] = {}
        for atom in atoms:
            if (name := atom.names[at]) is not None:
                events[name] += atom.count
                newest[name] = max(newest.get(name, ""), atom.day)
        if filter_name == "run":
            kept = sorted(sorted(newest), key=newest.__getitem__, reverse=True)[:limit]
        else:
            most = [name for name, _ in events.most_common(limit)]
            kept = [key[0] for key in sorted(((name,) for name in most), key=Strata((filter_name,)).place)]
        left_out += len(events) - len(kept)
        offered[filter_name] = kept
    return offered, left_out


def date_ranges(days: list[str]) -> list[Range]:
    """Return the ranges of days that are offered, of the days that have events, in order.

    They begin and end where days, weeks, months or years do: the smallest unit of which there are at most
    `MAX_PERIODS`, none if there are more years. Unless it is the day, the last 7 and 30 days are offered,
    too.
    """
    for unit in (_day, _week, _month, _year):
        periods = sorted({unit(date.fromisoformat(day)) for day in days})
        if len(periods) <= MAX_PERIODS:
            break
    else:
        return []
    firsts = {first for first, _ in periods[1:]}
    if periods and unit is not _day:
        newest = date.fromisoformat(days[-1])
        recent = {newest - timedelta(6), newest - timedelta(29)}
        firsts |= {day for day in recent if day > date.fromisoformat(days[0])}
    lasts = [last for _, last in periods[:-1]]
    pairs = product([None, *sorted(firsts)], [None, *lasts])
    return [
        (first.isoformat() if first else None, last.isoformat() if last else None)
        for first, last in pairs
        if (first or last) and not (first and last and first > last)
    ]


def _day(day: date) -> tuple[date, date]:
    return day, day


def _week(day: date) -> tuple[date, date]:
    monday = day - timedelta(day.weekday())
    return monday, monday + timedelta(6)


def _month(day: date) -> tuple[date, date]:
    first = day.replace(day=1)
    return first, (first + timedelta(31)).replace(day=1) - timedelta(1)


def _year(day: date) -> tuple[date, date]:
    return date(day.year, 1, 1), date(day.year, 12, 31)


def _counts(
    atoms: list[_Atom], offered: Mapping[str, list[str]], ranges: list[Range], filters: tuple[str, ...]
) -> Counter[Choice]:
    """Count the events of every choice of these filters that has any."""
    known = [set(offered[name]) if name in filters else None for name in NAMED]
    counts: Counter[Choice] = Counter()
    for atom in atoms:
        if all(names is None or name in names for name, names in zip(atom.names, known, strict=True)):
            chosen = tuple(name if names else None for name, names in zip(atom.names, known, strict=True))
            for since, until in ranges if _DATES in filters else [(None, None)]:
                if (since or "") <= atom.day <= (until or _LAST_DAY):
                    counts[(*chosen, since, until)] += atom.count
    return counts


def chosen_reports(
    db: Database, selection: Selection, strata: Strata, found: Choices
) -> Iterator[tuple[Choice, Record]]:
    """Yield every choice with its report."""
    if not found.choices:
        return
    with _copied(db, selection) as copy:
        for choice in found.choices:
            _choose(copy, choice)
            yield choice, report_record(validate(copy, _EVERYTHING, strata))


def report_record(validation: Validation) -> Record:
    """Return a validation as the page shows it: without its population, each stratum with its name."""
    record = validation_record(validation)
    del record["population"]
    for stratum in record["strata"]:
        stratum["stratum"] = stratum_name(stratum["category"], stratum["complexity"])
    return record


@contextmanager
def _copied(db: Database, selection: Selection) -> Iterator[Database]:
    """Hold the selected events in memory, where those of a choice are found by an index.

    A choice then takes the time of its own events, not of the whole table: with a million events, half a
    minute less in all, for 150 bytes of memory an event.
    """
    copy = Database(memory=True)
    try:
        copy.conn.execute("PRAGMA temp_store = MEMORY")  # the rows to sort are in memory already
        copy.conn.execute(f"CREATE TABLE copied (category, model, {_COLUMNS})")
        query = f"SELECT {selection.category}, {MODEL}, {_COLUMNS} FROM token_estimation_v2_events"
        rows = db.conn.execute(f"{query} WHERE {selection.where()}", selection.values())
        places = ", ".join("?" * (2 + len(_COLUMNS.split(", "))))
        with copy.conn:
            copy.conn.executemany(f"INSERT INTO copied VALUES ({places})", rows)
            for columns in ("category, model", "model", "run_id", "timestamp"):
                copy.conn.execute(f"CREATE INDEX [by {columns}] ON copied ({columns})")
            copy.conn.execute(f"CREATE TABLE chosen ({', '.join(FILTERS)})")
        yield copy
    finally:
        copy.close()


def _choose(copy: Database, choice: Choice) -> None:
    """Make a view of only the events of a choice under the name of the table of events, for `validate`."""
    asked = [_CONDITIONS[name] for name, part in zip(FILTERS, choice, strict=True) if part is not None]
    with copy.conn:
        copy.conn.execute("DELETE FROM chosen")
        copy.conn.execute(f"INSERT INTO chosen VALUES ({', '.join('?' * len(FILTERS))})", choice)
        copy.conn.execute("DROP VIEW IF EXISTS token_estimation_v2_events")
        query = f"SELECT * FROM copied WHERE {' AND '.join(asked)}"
        copy.conn.execute(f"CREATE VIEW token_estimation_v2_events AS {query}")
