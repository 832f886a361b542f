"""What there is to find in an input, and what a competitor found: counts and sums, kept as JSON."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.events import Values


@dataclass(slots=True)
class Tally:
    """How many events, and the sums of two of their columns; `None` where only lines were counted."""

    events: int = 0
    predicted: int | None = 0
    actual: int | None = 0

    def add(self, values: Values) -> None:
        """Count an event."""
        self.events += 1
        self.predicted = (self.predicted or 0) + values.predicted
        self.actual = (self.actual or 0) + values.actual

    def plus(self, other: Tally) -> Tally:
        """Return the sums of both."""
        predicted = (self.predicted or 0) + (other.predicted or 0)
        return Tally(self.events + other.events, predicted, (self.actual or 0) + (other.actual or 0))

    def agrees(self, other: Tally) -> bool:
        """Whether two tallies are equal in what both know."""
        pairs = ((self.predicted, other.predicted), (self.actual, other.actual))
        return self.events == other.events and all(a == b for a, b in pairs if None not in (a, b))

    def save(self, path: Path) -> None:
        """Write it beside an input."""
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


def load(path: Path) -> Tally:
    """Read a tally that was saved."""
    return Tally(**json.loads(path.read_text(encoding="utf-8")))


def of_table(database: Path, table: str, predicted: str, actual: str) -> Tally:
    """Count what a table holds."""
    query = f"SELECT COUNT(*), TOTAL({predicted}), TOTAL({actual}) FROM {table}"
    with closing(sqlite3.connect(database)) as connection:
        events, predictions, actuals = connection.execute(query).fetchone()
    return Tally(events, int(predictions), int(actuals))
