"""Attributes by OpenTelemetry's semantic conventions for generative AI, one flat object for each event.

What the conventions have a name for has that name; the rest begins with `tokentail.`. What is not known is
left out, since an attribute can't be null.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlite_utils import Database

from reports.exporting.columns import further_columns, rows
from reports.exporting.ndjson import AS_JSON, encode
from reports.phases import UNKNOWN
from reports.selection import Selection

_OURS = (
    "event_key",
    "category",
    "complexity",
    "deliverable_count",
    "predicted_output_tokens",
    "success",
    "truncated",
    "attempt_index",
    "phase_outcome",
    "confidence",
)
_OF_AN_OUTPUT = ("smape_percent", "waste_ratio", "underestimated")
"""Metrics of an output, which mean nothing where the actual is a total of input and output."""


def otel_lines(db: Database, selection: Selection) -> Iterator[str]:
    """Yield each event as a JSON object of attributes, without a newline."""
    columns = further_columns(selection)
    names = [column.name for column in columns]
    for row in rows(db, columns, selection, AS_JSON):
        attributes = _attributes(dict(zip(names, row, strict=True)))
        yield encode({name: value for name, value in attributes.items() if value is not None})


def _attributes(event: dict[str, Any]) -> dict[str, Any]:
    is_total = event["actual_is_total"]
    return {
        "timestamp": f"{event['timestamp']}Z",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": event["model"],
        "gen_ai.request.max_tokens": event["actual_max_tokens"],
        "gen_ai.response.finish_reasons": [event["stop_reason"]] if event["stop_reason"] else None,
        "gen_ai.usage.input_tokens": event["input_tokens"],
        "gen_ai.usage.output_tokens": None if is_total else event["actual_output_tokens"],
        "tokentail.run_id": _known(event["run_id"]),
        "tokentail.phase_id": _known(event["phase_id"]),
        **{f"tokentail.{name}": event[name] for name in _OURS},
        "tokentail.deliverables": event["deliverables"] or None,
        "tokentail.selected_budget": event["selected_budget"] or None,
        "tokentail.actual_total_tokens": event["actual_output_tokens"] if is_total else None,
        **{f"tokentail.{name}": None if is_total else event[name] for name in _OF_AN_OUTPUT},
    }


def _known(name: str) -> str | None:
    return None if name == UNKNOWN else name
