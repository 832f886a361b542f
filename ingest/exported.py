"""One line of a full export, checked as strictly as if somebody had written it by hand.

The event's key must be the one that its content has, so that a foreign or edited line can't become
an event that no log ever had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, get_type_hints

from ingest.errors import UnusableImport
from ingest.identity import Event, Fact, with_stem
from ingest.linking.context import DELIVERABLES_SOURCES, PHASE_SOURCES, RUN_SOURCES, Context
from ingest.linking.timestamps import time_text
from ingest.storing.facts_migration import key_of_0_1_0
from ingest.storing.groups import Place, Placed
from ingest.storing.rows import (
    EVENT_COLUMNS,
    EXECUTORS_COLUMNS,
    PLAIN_CONTEXT_COLUMNS,
    Row,
    event_row,
    fact_of_row,
)
from parsers.event import FIELDS, NUMBER, NUMBER_OR_NONE, PERCENT, TEXT, TRUTH, Kind

NOTHING = "nothing was imported: take NDJSON, as `export --full -o events.ndjson` writes it"

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


_OF_TYPE: Mapping[Any, _Check] = {
    int | None: _or_null(_whole),
    float | None: _or_null(_real),
    str | None: _or_null(_text),
}
_TYPES = get_type_hints(Context)
_TEXT = ("run_id", "phase_id", "event_key", "timestamp_text")
_OF_KIND: Mapping[Kind, _Check] = {
    NUMBER: _whole,
    NUMBER_OR_NONE: _whole,  # 0 where the line says None
    PERCENT: _or_null(_real),
    TRUTH: _or_null(_truth),
    TEXT: _or_null(_text),
}

CHECKS: Mapping[str, _Check] = {
    "event_id": _whole,
    **{field.column: _OF_KIND[field.kind] for field in FIELDS},
    **{name: _OF_TYPE[_TYPES[name]] for name in PLAIN_CONTEXT_COLUMNS},
    **dict.fromkeys(_TEXT, _text),
    **dict.fromkeys(("smape_percent", "waste_ratio"), _or_null(_real)),
    **dict.fromkeys(("underestimated", "is_truncated_output"), _or_null(_truth)),
    **dict.fromkeys(("actual_is_total", "deliverables_complete"), _truth),
    **dict.fromkeys(("timestamp", "created_at"), _time),
    "deliverables_json": _paths,
    "run_source": _one_of(RUN_SOURCES),
    "phase_source": _one_of(PHASE_SOURCES),
    "deliverables_source": _one_of(DELIVERABLES_SOURCES),
}
"""What each column that we write must hold."""


def exported_fact(text: str, columns: frozenset[str], place: Place, where: str) -> Placed:
    """Read a line of a full export; `columns` are all that the table has.

    Raises:
        UnusableImport: it is something else, or was changed; the message begins with `where`.
    """
    try:
        row: Row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnusableImport(f"{where}: not JSON ({error}); {NOTHING}") from error
    if not isinstance(row, dict):
        raise UnusableImport(f"{where}: not an event of an export; {NOTHING}")
    row.pop("context_parts", None)  # of an earlier version: what it says of its context stands in the row
    _check_columns(row, columns, where)
    for name, check in CHECKS.items():
        if not check(row[name]):
            raise UnusableImport(f"{where}: {name} can't be {row[name]!r:.80}; {NOTHING}")
    fact = with_stem(_with_budget_as_logged(fact_of_row(row), row["event_key"]))
    if "executor" in (row["run_source"], row["phase_source"]):
        fact = fact._replace(own=tuple(row[name] for name in EXECUTORS_COLUMNS))
    _check_agreement(row, fact, where)
    return Placed(place, fact, (row["event_id"], row["created_at"]))


def _with_budget_as_logged(fact: Fact, key: str) -> Fact:
    """Return a fact whose budget is `None` where a key of an earlier version says that it was."""
    unbudgeted = fact._replace(payload=fact.payload._replace(selected_budget=None))
    is_old = not fact.payload.selected_budget and key == _key_of_0_1_0(unbudgeted)
    return unbudgeted if is_old else fact


def _key_of_0_1_0(fact: Fact) -> str:
    return key_of_0_1_0(fact.payload, fact.timestamp, fact.phase)


def _check_agreement(row: Row, fact: Fact, where: str) -> None:
    """Refuse a row that differs from what is computed from its line and context."""
    made = event_row(Event(fact.stem, *fact[:4], fact.own, []))
    if row["event_key"] not in (made["event_key"], _key_of_0_1_0(fact)):
        raise UnusableImport(
            f"{where}: the event's key is not that of its content: it was changed since it was exported; "
            f"{NOTHING}"
        )
    others = dict.fromkeys(row.keys() - EVENT_COLUMNS)  # columns that are not ours
    made = others | made | {"event_key": row["event_key"]}
    if wrong := sorted(name for name, value in made.items() if row[name] != value):
        raise UnusableImport(
            f"{where}: {wrong[0]} can't be {row[wrong[0]]!r:.80} by the rest of its event: it was changed "
            f"since it was exported; {NOTHING}"
        )


def _check_columns(row: Row, columns: frozenset[str], where: str) -> None:
    if missing := sorted(set(EVENT_COLUMNS) - row.keys()):
        raise UnusableImport(f"{where}: has no {missing[0]}; {NOTHING}")
    if unknown := sorted(row.keys() - columns):
        raise UnusableImport(
            f"{where}: {unknown[0]!r:.80} is no column of ours: take it out of the file, if somebody added "
            "it to the database; if a newer version exported it, upgrade tokentail; nothing was imported"
        )
