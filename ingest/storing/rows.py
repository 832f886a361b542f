"""Events as rows: the columns that the store writes, and how a row is read back.

The one place that knows both an event's fields and the columns of `token_estimation_v2_events`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from ingest.linking.context import NOTHING_TOLD, Context, Deliverables, Told
from ingest.linking.identity import Adopted, Event, event_key
from ingest.linking.state import Logged
from ingest.linking.timestamps import moment_of, time_text
from ingest.reading.remembered import as_text, from_text
from parsers.records import EstimationEvent
from parsers.run import UNKNOWN

Row = dict[str, Any]

TOLD_COLUMNS = (
    "run_id",
    "run_source",
    "phase_id",
    "phase_source",
    "actual_max_tokens",
    "input_tokens",
    "total_tokens",
    "confidence",
    "attempt_index",
    "estimated_deliverable_count",
    "phase_outcome",
    "deliverables_source",
    "deliverables_json",
    "deliverables_complete",
)
"""What a context tells."""

CONTEXT_COLUMNS = ("timestamp", "timestamp_text", "event_key", "context_parts", *TOLD_COLUMNS)
"""What may still be learned of an event; the rest of its row is its own line's and never changes."""

PAYLOAD_COLUMNS = (
    "category",
    "complexity",
    "deliverable_count",
    "predicted_output_tokens",
    "actual_output_tokens",
    "selected_budget",
    "success",
    "truncated",
    "stop_reason",
    "model",
    "smape_percent",
    "waste_ratio",
    "underestimated",
    "is_truncated_output",
    "actual_is_total",
    "logged_smape_percent",
)

_UNTOLD = {
    "run_id": UNKNOWN,
    "phase_id": UNKNOWN,
    "deliverables_json": "[]",
    "deliverables_complete": False,
}
"""What stands in columns that are never NULL where nothing was told."""

READ_COLUMNS = ("event_id", *CONTEXT_COLUMNS)


def payload_row(payload: EstimationEvent) -> Row:
    """Return the columns that the event line tells, and those computed from them alone."""
    predicted, actual = payload.predicted_output_tokens, payload.actual_output_tokens
    measurable = predicted > 0 and actual > 0
    return {
        "category": payload.category,
        "complexity": payload.complexity,
        "deliverable_count": payload.deliverable_count,
        "predicted_output_tokens": predicted,
        "actual_output_tokens": actual,
        "selected_budget": payload.selected_budget or 0,
        "success": payload.success,
        "truncated": payload.truncated,
        "stop_reason": payload.stop_reason,
        "model": payload.model,
        "smape_percent": 200 * abs(predicted - actual) / (predicted + actual) if measurable else None,
        "waste_ratio": predicted / actual if measurable else None,
        "underestimated": actual > predicted if measurable else None,
        "is_truncated_output": payload.truncated,
        "actual_is_total": payload.actual_is_total,
        "logged_smape_percent": payload.smape_percent,
    }


_NO_NAME = (None, None)
_NO_PATHS = (None, None, None)


def told_values(context: Context) -> tuple[Any, ...]:
    """Return the values of `TOLD_COLUMNS`; `None` where a context doesn't tell."""
    run, phase, *between, found = context
    paths = (found.source, found.as_json(), found.complete) if found else _NO_PATHS
    return (*(run or _NO_NAME), *(phase or _NO_NAME), *between, *paths)


def context_row(group: str, event: Event) -> Row:
    """Return the columns that the lines around an event tell."""
    told = dict(zip(TOLD_COLUMNS, told_values(event.known), strict=True))
    untold = {name: value for name, value in _UNTOLD.items() if told[name] is None}
    row = {
        **told,
        **untold,
        "timestamp": time_text(event.moment),
        "event_key": event_key(group, event.phase, event.moment),
        "timestamp_text": event.timestamp_text,
        "context_parts": None if event.strays == NOTHING_TOLD else as_text(_parts(event)),
    }
    return row if event.adopted is None else row | _adopted_row(event, event.adopted)


def _adopted_row(event: Event, adopted: Adopted) -> Row:
    """Return the columns in which the executor's own row stands above what logs tell."""
    kept = replace(adopted, logged=time_text(event.moment))
    row: Row = {
        "timestamp": adopted.timestamp,
        "context_parts": as_text(replace(_parts(event), adopted=kept)),
    }
    if adopted.run is not None:
        row |= {"run_id": adopted.run, "run_source": "executor"}
    if adopted.phase is not None:
        row |= {"phase_id": adopted.phase, "phase_source": "executor"}
    if adopted.actual_max_tokens is not None:
        row["actual_max_tokens"] = adopted.actual_max_tokens
    if adopted.deliverables is not None:
        row |= {"deliverables_json": adopted.deliverables, "deliverables_complete": adopted.complete}
        row["deliverables_source"] = "imported"
    return row


def is_adopted(row: Row) -> bool:
    """Whether a row is the executor's own, with values that no log told."""
    return row["context_parts"] is not None and '"adopted":' in row["context_parts"]


def context_of(row: Row) -> Context:
    """Read an event's context back from its row."""
    found = None
    if row["deliverables_source"] is not None:
        found = Deliverables(
            row["deliverables_source"], _paths(row["deliverables_json"]), bool(row["deliverables_complete"])
        )
    return Context(
        run=Told(row["run_id"], row["run_source"]) if row["run_source"] else None,
        phase=Told(row["phase_id"], row["phase_source"]) if row["phase_source"] else None,
        actual_max_tokens=row["actual_max_tokens"],
        input_tokens=row["input_tokens"],
        total_tokens=row["total_tokens"],
        confidence=row["confidence"],
        attempt_index=row["attempt_index"],
        estimated_deliverable_count=row["estimated_deliverable_count"],
        phase_outcome=row["phase_outcome"],
        deliverables=found,
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """An event's context in parts: what sightings with its phase told, those without one, the executor."""

    context: Context = NOTHING_TOLD
    strays: Context = NOTHING_TOLD
    adopted: Adopted | None = None


def _parts(event: Event) -> _Parts:
    return _Parts(event.context, event.strays)


def _paths(text: str) -> tuple[str, ...]:
    """Read stored paths; text that somebody broke holds none, and is written anew when they are told."""
    try:
        return tuple(map(str, json.loads(text)))
    except (ValueError, TypeError):
        return ()


def stored_event(row: Row) -> Event:
    """Read an event back from its row, as far as it can still change."""
    parts = from_text(_Parts, row["context_parts"]) if row["context_parts"] else _Parts(context_of(row))
    adopted = parts.adopted
    return Event(
        payload=None,
        moment=moment_of(row["timestamp"] if adopted is None else adopted.logged),
        timestamp_text=row["timestamp_text"],
        context=parts.context,
        strays=parts.strays,
        stored_ids=[row["event_id"]],
        adopted=adopted,
    )


def amended(row: Row, context: Context, sighting: int, logged: Logged | None = None) -> Event:
    """Return what an amendment tells of the event of a sighting; united with its row, it completes it.

    With a phase it tells which event of its group the sighting saw, and that may be another row than
    the one that it was put to.
    """
    event = stored_event(row)
    if context.phase is not None and logged is not None:
        moment = moment_of(logged.moment)
        return Event(payload_of(row), moment, logged.text, context, sightings=[sighting])
    told = context._replace(phase=event.context.phase)
    return Event(None, event.moment, event.timestamp_text, told, stored_ids=event.stored_ids)


def payload_of(row: Row) -> EstimationEvent:
    """Read an event's payload back from its row, with truths and reals as the parsers have them.

    A budget of 0 may have been logged as `None`: only the event's key can tell.
    """
    smape = row["logged_smape_percent"]  # other programs write 80.0 as 80
    return EstimationEvent(
        predicted_output_tokens=row["predicted_output_tokens"],
        actual_output_tokens=row["actual_output_tokens"],
        actual_is_total=bool(row["actual_is_total"]),
        smape_percent=None if smape is None else float(smape),
        selected_budget=row["selected_budget"],
        category=row["category"],
        complexity=row["complexity"],
        deliverable_count=row["deliverable_count"],
        success=_truth(row["success"]),
        stop_reason=row["stop_reason"],
        truncated=_truth(row["truncated"]),
        model=row["model"],
    )


def _truth(value: Any) -> bool | None:
    return None if value is None else bool(value)
