"""Which values a database knows, and which of them are gone later: none may be, unless a rule says so."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from faults.calls import Call
from faults.tables import opened

UNKNOWN: tuple[Any, ...] = (None, "unknown", "[]")
"""What stands where nothing is known; a later line may change it."""

IDS = ("event_id", "created_at", "source_id")
"""Columns in which two databases of the same logs differ."""

_KINDS = (
    ("event", "token_estimation_v2_events", "predicted_output_tokens"),
    ("escalation", "token_budget_escalation_events", "escalation_key"),
    ("reject", "rejected_lines", "line"),
)
"""What is known, and the column that identifies it: an event by the number of its call."""

Known = dict[str, dict[str, Any]]
"""Each event, escalation and reject, with the values that are known of it."""


def name_of(call: Call) -> str:
    """Return the name of a call's event among what is known."""
    return f"event {call.predicted}"


def known(database: Path) -> Known:
    """Return every value of every event that a database knows, of the escalations and the rejects as well."""
    with opened(database) as connection:
        return {
            f"{kind} {row[key]}": {
                name: row[name]
                for name in row.keys()  # noqa: SIM118 - a row is not a mapping
                if row[name] not in UNKNOWN
            }
            for kind, table, key in _KINDS
            for row in connection.execute(f"SELECT * FROM {table}")
        }


def lost(before: Known, after: Known, besides: Collection[str] = ()) -> list[str]:
    """Return, as sentences, which values were known before and are not now.

    Left out are the columns `besides`, and the key of an event whose phase was unknown: it changes when the
    phase becomes known.
    """
    gone = []
    for what, values in before.items():
        now = after.get(what)
        if now is None:
            gone.append(f"{what} is gone")
            continue
        left_out = {*besides, *(("event_key",) if "phase_id" not in values else ())}
        gone += [
            f"{name} of {what} was {value!r}, and is {now.get(name)!r}"
            for name, value in values.items()
            if name not in left_out and now.get(name) != value
        ]
    return gone
