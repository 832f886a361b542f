"""The events that are drawn and listed, each a plain dictionary; at most `MAX_DRAWN` are drawn.

A sample is every k-th of the selected events by id, so that the same database gives the same picture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Any

from sqlite_utils import Database

from reports.dashboard.coverage_cells import UNKNOWN_BUCKET
from reports.metrics import smape, waste_ratio
from reports.selection import CEILING, MODEL, Selection
from reports.strata import Strata
from reports.wording import off_text, said_text, stratum_name

MAX_DRAWN = 20_000
"""Events that a browser still draws quickly."""

WHOLE = "whole"
TRUNCATED = "truncated (a lower bound)"
UNKNOWN = "not told"
ANSWERS = (WHOLE, TRUNCATED, UNKNOWN)
"""How an answer ended, in the order of the colours and shapes that show it."""

SHAPES = ("circle", "triangle-up", "diamond")
SIGNS = ("●", "▲", "◆")
"""Vega's shapes and characters for `ANSWERS`: a truncated one points upwards, where its actual may be."""

LISTED = 10
"""Events in each of the page's lists."""

_EVENTS = """
SELECT event_id, run_id, phase_id, {model}, {category}, complexity, {bucket} timestamp, truncated,
    predicted_output_tokens, actual_output_tokens, {ceiling}, run_source, phase_source
FROM token_estimation_v2_events WHERE {where} ORDER BY {order} LIMIT :count
"""
_WORST = "smape_percent IS NULL, ROUND(smape_percent, 2) DESC, timestamp DESC, event_id DESC"
_NEWEST = "timestamp DESC, event_id DESC"
_LINES = """
SELECT asked.value, sources.host, sources.path, line_number
FROM json_each(:events) AS asked
JOIN event_sightings AS sightings ON (sightings.source_id, sightings.byte_offset) = (
    SELECT source_id, byte_offset FROM event_sightings
    WHERE event_id = asked.value ORDER BY phase_known DESC, source_id, byte_offset LIMIT 1
)
JOIN log_sources AS sources ON sources.source_id = sightings.source_id
"""
_DRAWN_LAST = (WHOLE, UNKNOWN, TRUNCATED)

Point = dict[str, Any]
"""An event as the charts read it; names are `None` where unknown, `stratum` is always a text.

`event` is its id, `place` the index of its stratum in the report, `at` is in milliseconds since 1970, UTC,
`smape` and `use` (actual / ceiling) are in percent. `log` and `line` are where the event line is, `said`
which kinds of lines said its phase and run, `off` how far the estimate is off in words.
"""


@dataclass(frozen=True, slots=True)
class Points:
    """The events drawn (`rows`), every `step`-th of `events`, and of all of them the worst and the newest.

    All logs are below `folder`, which is left out of their names; empty if they have none in common.
    """

    rows: list[Point]
    events: int
    step: int
    worst: list[Point]
    newest: list[Point]
    folder: str


@dataclass(frozen=True, slots=True)
class EventReader:
    """Reads selected events as points; `places` are the indices of strata in the report, by name."""

    db: Database
    selection: Selection
    strata: Strata
    places: Mapping[str, int]

    def read(self, order: str, step: int = 1, count: int | None = None) -> list[Point]:
        """Return every `step`-th of the first `count` events (`None`: all) in an order, which is SQL."""
        query = _EVENTS.format(
            model=MODEL,
            category=self.selection.category,
            bucket=Strata(("bucket",), self.strata.buckets).columns(self.selection),
            ceiling=CEILING,
            where=self.selection.where(),
            order=order,
        )
        values = self.selection.values() | {"count": -1 if count is None else count}
        rows = [_point(row) for row in islice(self.db.conn.execute(query, values), 0, None, step)]
        lines = _lines(self.db, [row["event"] for row in rows])
        return [
            row | {"place": self.places[row["stratum"]]} | lines.get(row["event"], _NO_LINE) for row in rows
        ]


def points(reader: EventReader, events: int, limit: int = MAX_DRAWN) -> Points:
    """Read the selected events, of which there are `events`; of more than `limit`, every k-th is drawn.

    What is drawn last covers the others, so truncated answers, which matter and are few, come last.
    """
    step = max(1, -(-events // limit))
    rows = sorted(reader.read("event_id", step), key=lambda row: _DRAWN_LAST.index(row["answer"]))
    worst = [row for row in reader.read(_WORST, count=LISTED) if row["smape"] is not None]
    newest = reader.read(_NEWEST, count=LISTED)
    folder = _shorten([*rows, *worst, *newest])
    return Points(rows, events, step, worst, newest, folder)


def _shorten(rows: Iterable[Point]) -> str:
    """Remove the folder that all logs have in common from their names, and return it."""
    named = [row for row in rows if row["log"] is not None]
    logs = {row["log"] for row in named}
    first, last = min(logs, default=""), max(logs, default="")
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    folder: str = first[: max(first.rfind("/", 0, common), first.rfind("\\", 0, common)) + 1]
    for row in named:
        row["log"] = row["log"].removeprefix(folder)
    return folder


_NO_LINE = {"log": None, "line": None}


def _lines(db: Database, events: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return log and line by event id: of the first place where lines told its phase, else of the first."""
    found = db.conn.execute(_LINES, {"events": json.dumps(events)})
    return {
        event: {"log": f"{host}:{path}" if host else path, "line": line} for event, host, path, line in found
    }


def milliseconds(timestamp: str) -> int:
    """Return a stored time as milliseconds since 1970, UTC."""
    return round(datetime.fromisoformat(timestamp).replace(tzinfo=UTC).timestamp() * 1000)


def _point(row: tuple[Any, ...]) -> Point:
    (
        event,
        run,
        phase,
        model,
        category,
        complexity,
        bucket,
        timestamp,
        truncated,
        *tokens,
        run_by,
        phase_by,
    ) = row
    predicted, actual, ceiling = tokens
    error = smape(predicted, actual)
    return {
        "event": event,
        "run": run,
        "phase": phase,
        "model": model,
        "category": category,
        "complexity": complexity,
        "stratum": stratum_name(category, complexity),
        "bucket": bucket or UNKNOWN_BUCKET,
        "answer": UNKNOWN if truncated is None else TRUNCATED if truncated else WHOLE,
        "at": milliseconds(timestamp),
        "predicted": predicted,
        "actual": actual,
        "ceiling": ceiling,
        "smape": None if error is None else round(error, 2),
        "off": off_text(waste_ratio(predicted, actual)),
        "use": round(100 * actual / ceiling, 1) if ceiling else None,
        "said": said_text(phase_by, run_by),
    }


TEXTS = (
    "run",
    "phase",
    "model",
    "category",
    "complexity",
    "stratum",
    "bucket",
    "answer",
    "off",
    "log",
    "said",
)
NUMBERS = ("event", "place", "at", "predicted", "actual", "ceiling", "smape", "use", "line")


def packed(rows: Iterable[Point]) -> dict[str, Any]:
    """Return points without repeated texts: each text once in a list, and each point as a list of numbers.

    In place of a text there is its index in the list, or -1 for `None`. The page unpacks them again.
    """
    places: dict[str | None, int] = {None: -1}
    short = []
    for row in rows:
        names = [places.setdefault(row[name], len(places) - 1) for name in TEXTS]
        short.append([*names, *(row[name] for name in NUMBERS)])
    texts = [text for text in places if text is not None]
    return {"text_fields": TEXTS, "number_fields": NUMBERS, "texts": texts, "rows": short}
