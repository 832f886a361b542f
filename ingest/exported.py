"""One line of a full export, checked as strictly as if somebody had written it by hand.

The event's key must be the one that its content has, so that a foreign or edited line can't become
an event that no log ever told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ingest.errors import UnusableImport
from ingest.linking.context import DELIVERABLES_SOURCES, PHASE_SOURCES, RUN_SOURCES, Context
from ingest.linking.identity import Event, event_key, group_key
from ingest.linking.timestamps import time_text
from ingest.storing.rows import EVENT_COLUMNS, Row, context_row, payload_of, payload_row, stored_event
from ingest.storing.settling import NewEvent
from parsers.records import EstimationEvent

LARGEST = 10**18
"""No number of an event is as large: the parsers read 18 digits at most."""

_Check = Callable[[Any], bool]


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _truth(value: Any) -> bool:
    return type(value) is int and value in (0, 1)


def _real(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < LARGEST


def _text(value: Any) -> bool:
    """Whether SQLite can hold it: JSON can name half a character, UTF-8 can't."""
    return isinstance(value, str) and value.encode("utf-8", "replace").decode() == value


def _time(value: Any) -> bool:
    try:
        return bool(time_text(datetime.fromisoformat(value).replace(tzinfo=UTC)) == value)
    except (TypeError, ValueError):
        return False


def _paths(value: Any) -> bool:
    try:
        paths = json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(paths, list) and all(isinstance(path, str) for path in paths)


def _or_null(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _one_of(names: tuple[str, ...]) -> _Check:
    return lambda value: value is None or value in names


_WHOLE = (
    "event_id",
    "deliverable_count",
    "predicted_output_tokens",
    "actual_output_tokens",
    "selected_budget",
)
_WHOLE_OR_NULL = (
    *("actual_max_tokens", "input_tokens", "total_tokens", "attempt_index", "estimated_deliverable_count"),
)
_TEXT = ("run_id", "phase_id", "event_key", "timestamp_text")
_TEXT_OR_NULL = ("category", "complexity", "stop_reason", "model", "phase_outcome", "context_parts")
_REAL_OR_NULL = ("smape_percent", "waste_ratio", "logged_smape_percent", "confidence")
_TRUTH_OR_NULL = ("success", "truncated", "underestimated", "is_truncated_output")

CHECKS: Mapping[str, _Check] = {
    **dict.fromkeys(_WHOLE, _whole),
    **dict.fromkeys(_WHOLE_OR_NULL, _or_null(_whole)),
    **dict.fromkeys(_TEXT, _text),
    **dict.fromkeys(_TEXT_OR_NULL, _or_null(_text)),
    **dict.fromkeys(_REAL_OR_NULL, _or_null(_real)),
    **dict.fromkeys(_TRUTH_OR_NULL, _or_null(_truth)),
    **dict.fromkeys(("actual_is_total", "deliverables_complete"), _truth),
    **dict.fromkeys(("timestamp", "created_at"), _time),
    "deliverables_json": _paths,
    "run_source": _one_of(RUN_SOURCES),
    "phase_source": _one_of(PHASE_SOURCES),
    "deliverables_source": _one_of(DELIVERABLES_SOURCES),
}
"""What each column that we write must hold."""


def exported_event(text: str, columns: frozenset[str], place: tuple[int, int], where: str) -> NewEvent:
    """Read a line of a full export; `columns` are all that the table has.

    Raises:
        UnusableImport: it is something else, or was changed; the message begins with `where`.
    """
    try:
        row: Row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnusableImport(f"{where}: not JSON ({error}); nothing was imported") from error
    if not isinstance(row, dict):
        raise UnusableImport(f"{where}: not an event of an export; nothing was imported")
    _check_columns(row, columns, where)
    for name, check in CHECKS.items():
        if not check(row[name]):
            raise UnusableImport(f"{where}: {name} can't be {row[name]!r:.80}; nothing was imported")
    try:
        event = stored_event(row)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UnusableImport(f"{where}: its context can't be read ({error}); nothing was imported") from error
    payload = payload_of(row)
    event.payload, event.stored_ids = payload, []
    group = _group(row, event, payload, where)
    _check_agreement(row, event, payload_row(payload), group, where)
    return NewEvent(event, group, row["event_id"], row["created_at"], place)


def _check_agreement(row: Row, event: Event, of_payload: Row, group: str, where: str) -> None:
    """Refuse a row that says anything but what its own line and context make of it.

    An event that shares its group with another shows only what sightings with its phase told.
    """
    if not (_is_sound(event.context) and _is_sound(event.strays)):
        raise UnusableImport(f"{where}: its context_parts are none of ours; nothing was imported")
    untold = dict.fromkeys(row.keys() - EVENT_COLUMNS)  # columns that no log tells
    wrong: list[str] = []
    for alone in (True, False):
        made = untold | of_payload | context_row(group, replace(event, alone=alone))
        wrong = sorted(name for name, value in made.items() if row[name] != value)
        if not wrong:
            return
    raise UnusableImport(
        f"{where}: {wrong[0]} can't be {row[wrong[0]]!r:.80} by the rest of its event: it was changed since "
        "it was exported; nothing was imported"
    )


def _is_sound(context: Context) -> bool:
    """Whether a context holds nothing that a log could not have told, or SQLite can't keep."""
    run, phase, found = context.run, context.phase, context.deliverables
    known = (
        (run is None or run.source in RUN_SOURCES)
        and (phase is None or phase.source in PHASE_SOURCES)
        and (found is None or found.source in DELIVERABLES_SOURCES)
    )
    return known and all(map(_storable, context))


def _storable(value: Any) -> bool:
    if is_dataclass(value) and not isinstance(value, type):
        value = astuple(value)
    if isinstance(value, tuple):
        return all(map(_storable, value))
    return value is None or isinstance(value, bool) or _text(value) or _real(value)


def _check_columns(row: Row, columns: frozenset[str], where: str) -> None:
    if missing := sorted(set(EVENT_COLUMNS) - row.keys()):
        raise UnusableImport(
            f"{where}: has no {missing[0]}: import what `tokentail export --full` wrote; nothing was imported"
        )
    if unknown := sorted(row.keys() - columns):
        raise UnusableImport(
            f"{where}: {unknown[0]!r:.80} is no column of ours: take it out of the file, if somebody added "
            "it to the database; if a newer version exported it, upgrade tokentail; nothing was imported"
        )


def _group(row: Row, event: Event, payload: EstimationEvent, where: str) -> str:
    """Return the event's group, which its content must have; a budget of 0 may have been `None`."""
    unbudgeted = payload._replace(selected_budget=payload.selected_budget or None)
    for one in (payload, unbudgeted):
        group = group_key(one, event.moment)
        if event_key(group, event.phase, event.moment) == row["event_key"]:
            return group
    raise UnusableImport(
        f"{where}: the event's key is not that of its content: it was changed since it was exported; "
        "nothing was imported"
    )
