"""The events that are drawn: each one a plain record, at most `MAX_DRAWN` of them.

A sample is every k-th event by its id, so that the same database gives the same picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlite_utils import Database

from reports.metrics import smape
from reports.selection import CEILING, MODEL, Selection

MAX_DRAWN = 20_000
"""Events that a browser still draws, and a person still looks at, with ease."""

WHOLE = "whole"
TRUNCATED = "truncated (a lower bound)"
UNTOLD = "not told"
ANSWERS = (WHOLE, TRUNCATED, UNTOLD)
"""What can be said of an answer, in the order of their colours and shapes."""

NONE = "(none)"
"""How a name that the log doesn't tell is shown, as in the report."""

_EVENTS = """
SELECT run_id, phase_id, {model}, {category}, complexity, timestamp, truncated,
    predicted_output_tokens, actual_output_tokens, {ceiling}
FROM token_estimation_v2_events WHERE {where} ORDER BY event_id
"""

Point = dict[str, Any]
"""An event as the charts read it; names are `None` where untold, `stratum` is always a text.

`place` is the stratum's in the report, `at` is in milliseconds UTC, tokens are counts, `smape` and
`use` (actual / ceiling) in percent.
"""


@dataclass(frozen=True, slots=True)
class Points:
    """The events drawn, every `step`-th of `events`."""

    rows: list[Point]
    events: int
    step: int


def points(
    db: Database, selection: Selection, events: int, places: Mapping[str, int], limit: int = MAX_DRAWN
) -> Points:
    """Read the selected events, of which there are `events`, or every k-th of them.

    `places` are those of the strata in the report.
    """
    step = max(1, -(-events // limit))
    query = _EVENTS.format(model=MODEL, category=selection.category, ceiling=CEILING, where=selection.where())
    found = islice(db.conn.execute(query, selection.values()), 0, None, step)
    rows = [_point(row) for row in found]
    return Points([row | {"place": places[row["stratum"]]} for row in rows], events, step)


def stratum_name(category: str | None, complexity: str | None) -> str:
    """Return the name that stands beside a stratum in a chart."""
    return f"{shown(category)} · {shown(complexity)}"


def shown(name: str | None) -> str:
    """Return a name as people see it."""
    return NONE if name is None else name or "(empty)"


def _point(row: tuple[Any, ...]) -> Point:
    run, phase, model, category, complexity, timestamp, truncated, predicted, actual, ceiling = row
    error = smape(predicted, actual)
    at = datetime.fromisoformat(timestamp).replace(tzinfo=UTC).timestamp()
    return {
        "run": run,
        "phase": phase,
        "model": model,
        "category": category,
        "complexity": complexity,
        "stratum": stratum_name(category, complexity),
        "answer": UNTOLD if truncated is None else TRUNCATED if truncated else WHOLE,
        "at": round(at * 1000),
        "predicted": predicted,
        "actual": actual,
        "ceiling": ceiling,
        "smape": None if error is None else round(error, 2),
        "use": round(100 * actual / ceiling, 1) if ceiling else None,
    }


TEXTS = ("run", "phase", "model", "category", "complexity", "stratum", "answer")
NUMBERS = ("place", "at", "predicted", "actual", "ceiling", "smape", "use")


def packed(rows: Iterable[Point]) -> dict[str, Any]:
    """Write points without repeating a name: texts once in a list, and each point as numbers.

    A text is its place in the list, and `None` is -1. The page unpacks them again.
    """
    places: dict[str | None, int] = {None: -1}
    short = []
    for row in rows:
        names = [places.setdefault(row[name], len(places) - 1) for name in TEXTS]
        short.append([*names, *(row[name] for name in NUMBERS)])
    texts = [text for text in places if text is not None]
    return {"text_fields": TEXTS, "number_fields": NUMBERS, "texts": texts, "rows": short}
