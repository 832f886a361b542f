"""The choices of the page's filter, and the report for each of them, by the same engine.

Every category, every model and every pair that occurs is validated beforehand, so that the page
computes nothing. What can be chosen is bounded: names come from logs and may be anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from reports.dashboard.points import stratum_name
from reports.selection import MODEL, Selection
from reports.strata import Strata
from reports.validation import Validation, validate
from reports.validation_record import validation_record

MAX_CHOICES = 200
"""Reports that one page holds: each takes up to 0.1 s for 20,000 events, and some kilobytes."""

_COUNTS = """
SELECT {category}, {model}, COUNT(*) FROM token_estimation_v2_events WHERE {where} GROUP BY 1, 2
"""
_COLUMNS = (
    "run_id, phase_id, complexity, "
    "deliverable_count, estimated_deliverable_count, deliverables_complete, "
    "deliverables_source, deliverables_json, predicted_output_tokens, actual_output_tokens, "
    "actual_max_tokens, selected_budget, success, truncated, actual_is_total, phase_outcome"
)
_EVERYTHING = Selection(min_actual=0, with_totals=True)
"""The selection of a copy, which holds only what was selected, under the names that are shown."""

Names = tuple[str | None, str | None]
"""A category and a model; `None` stands for all of them."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be chosen; `pairs` are the categories with models, `None` if there are too many.

    `events` that have no name (NULL) can't be chosen: they are "not told", which is no kind of work
    that anybody would look at alone, and they are in the report over all.
    """

    categories: list[str]
    models: list[str]
    pairs: list[Names] | None
    left_out: int

    def all(self) -> list[Names]:
        """Return everything that can be chosen but the whole."""
        singles: list[Names] = [(name, None) for name in self.categories]
        singles += [(None, name) for name in self.models]
        return singles + (self.pairs or [])


def choices(db: Database, selection: Selection, limit: int = MAX_CHOICES) -> Choices:
    """Find what can be chosen; beyond the limit no pairs, and only the names with the most events."""
    query = _COUNTS.format(model=MODEL, category=selection.category, where=selection.where())
    counts = {(row[0], row[1]): row[2] for row in db.conn.execute(query, selection.values())}
    categories, models = Counter[str](), Counter[str]()
    for (category, model), count in counts.items():
        categories.update({category: count} if category is not None else {})
        models.update({model: count} if model is not None else {})
    pairs = sorted(pair for pair in counts if None not in pair)
    if 1 + len(categories) + len(models) + len(pairs) <= limit:
        return Choices(sorted(categories), sorted(models), pairs, left_out=0)
    half = (limit - 1) // 2
    kept = [sorted(name for name, _ in found.most_common(half)) for found in (categories, models)]
    left_out = len(categories) + len(models) - len(kept[0]) - len(kept[1])
    return Choices(kept[0], kept[1], None, left_out)


def chosen_reports(
    db: Database, selection: Selection, strata: Strata, found: Choices
) -> Iterator[tuple[Names, Record]]:
    """Yield the report of every choice."""
    asked = found.all()
    if not asked:
        return
    with _copied(db, selection) as copy:
        for names in asked:
            _choose(copy, names)
            yield names, report_record(validate(copy, _EVERYTHING, strata))


def report_record(validation: Validation) -> Record:
    """Return a validation as the page shows it: without its population, with names of its strata."""
    record = validation_record(validation)
    del record["population"]
    for stratum in record["strata"]:
        stratum["stratum"] = stratum_name(stratum["category"], stratum["complexity"])
    return record


@contextmanager
def _copied(db: Database, selection: Selection) -> Iterator[Database]:
    """Hold the selected events in memory, where those of a choice are found by an index.

    A choice then costs what its own events cost, not a reading of the whole table: of a million
    events, that is 150 bytes each and half a minute less. The engine is the same.
    """
    copy = Database(memory=True)
    try:
        copy.conn.execute("PRAGMA temp_store = MEMORY")  # what is sorted is in memory already
        copy.conn.execute(f"CREATE TABLE copied (category, model, {_COLUMNS})")
        query = f"SELECT {selection.category}, {MODEL}, {_COLUMNS} FROM token_estimation_v2_events"
        rows = db.conn.execute(f"{query} WHERE {selection.where()}", selection.values())
        places = ", ".join("?" * (2 + len(_COLUMNS.split(", "))))
        with copy.conn:
            copy.conn.executemany(f"INSERT INTO copied VALUES ({places})", rows)
            copy.conn.execute("CREATE INDEX by_category ON copied (category, model)")
            copy.conn.execute("CREATE INDEX by_model ON copied (model)")
            copy.conn.execute("CREATE TABLE chosen (category, model)")
        yield copy
    finally:
        copy.close()


def _choose(copy: Database, names: Names) -> None:
    """Let the engine see a choice, and nothing else, as the table of events."""
    columns = [column for column, name in zip(("category", "model"), names, strict=True) if name is not None]
    condition = " AND ".join(f"{column} = (SELECT {column} FROM chosen)" for column in columns)
    with copy.conn:
        copy.conn.execute("DELETE FROM chosen")
        copy.conn.execute("INSERT INTO chosen VALUES (?, ?)", names)
        copy.conn.execute("DROP VIEW IF EXISTS token_estimation_v2_events")
        copy.conn.execute(f"CREATE VIEW token_estimation_v2_events AS SELECT * FROM copied WHERE {condition}")
