"""What a selection of events must be, in plain Python, and small sets of events to try it on."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone

from hypothesis import strategies as st

from event_rows import Row, event_row
from reports.selection import Selection, normalized_category
from reports.strata import Bucket, Strata

CATEGORIES = (None, "", "docs", "Docs", " doc_write ", "DOCUMENTATION", "tests", "Testing", "d'or", "é", "É")
TIMES = ("2026-01-13 23:59:59.999999", "2026-01-14 00:00:00.000000", "2026-01-14 12:00:00.500000")
JSONS = ("[]", '["a"]', '["a", "b", "c", "d"]', '{"a": 1}', '"x"', "[1,", "", "null", "7", "[" * 3000)


def rows(**fixed: st.SearchStrategy[object]) -> st.SearchStrategy[list[Row]]:
    """Return small sets of events in which every filter finds something to keep and something to leave."""
    columns: dict[str, st.SearchStrategy[object]] = {
        "run_id": st.sampled_from(("r1", "r1", "R1", "unknown")),
        "phase_id": st.sampled_from(("p1", "p1", "p%", "unknown")),
        "timestamp": st.sampled_from(TIMES),
        "category": st.sampled_from(CATEGORIES),
        "complexity": st.sampled_from((None, "low", "high", "Low")),
        "model": st.sampled_from((None, "m1", "m 2")),
        "success": st.sampled_from((None, 0, 1)),
        "truncated": st.sampled_from((None, 0, 1)),
        "actual_is_total": st.integers(0, 1),
        "predicted_output_tokens": st.sampled_from((0, 1, 999, 10**18 - 1)),
        "actual_output_tokens": st.sampled_from((0, 49, 50, 51, 10**7, 10**18 - 1)),
        "deliverable_count": st.sampled_from((0, 1, 3, 4, 15, 16, 10**18)),
        "estimated_deliverable_count": st.sampled_from((None, 0, 2, 7)),
        "deliverables_json": st.sampled_from(JSONS),
        "deliverables_complete": st.integers(0, 1),
        "deliverables_source": st.sampled_from((None, "applied")),
        **fixed,
    }
    one_row = st.fixed_dictionaries(columns).map(lambda values: event_row(**values))
    return st.one_of(st.lists(one_row, max_size=2), st.lists(one_row, min_size=4, max_size=12))


def names(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    """Return choices of names, most often none, so that not every selection is empty."""
    some = st.lists(st.sampled_from(values), min_size=1, max_size=3).map(tuple)
    return st.integers(0, 5).flatmap(lambda which: some if which == 5 else st.just(()))


_MOMENTS = st.sampled_from(
    (
        *[None] * 15,
        datetime(2026, 1, 14, tzinfo=UTC),
        datetime(2026, 1, 14, 11, 0, 0, 1, tzinfo=timezone(timedelta(hours=11))),
        datetime(2026, 1, 14, 12, 0, 0, 500_000, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    )
)
SELECTIONS = st.builds(
    Selection,
    runs=names("r1", "r1", "unknown", "r%"),
    phases=names("p1", "p%", "' OR 1=1 --"),
    categories=names("docs", "DOCS", "doc", "é", "d'or", "", "nothing"),
    complexities=names("low", "high"),
    models=names("m1", "m 2"),
    since=_MOMENTS,
    until=_MOMENTS,
    success_only=st.sampled_from((False, False, False, True)),
    min_actual=st.sampled_from((0, 0, 0, 50, 50, 51, 10**18)),
    normalize_categories=st.booleans(),
    with_totals=st.booleans(),
    rows_only=st.booleans(),
)


def category_of(row: Row, selection: Selection) -> str | None:
    """Return the category by which an event is filtered and put into a stratum."""
    return normalized_category(row["category"]) if selection.normalize_categories else row["category"]


def passes(row: Row, selection: Selection) -> bool:
    """Whether an event passes the filters by name, time and success."""
    wanted = selection.categories
    if selection.normalize_categories:
        wanted = tuple(normalized_category(name) or "" for name in wanted)
    moment = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
    named = (
        (selection.runs, row["run_id"]),
        (selection.phases, row["phase_id"]),
        (wanted, category_of(row, selection)),
        (selection.complexities, row["complexity"]),
        (selection.models, row["model"]),
    )
    return (
        all(not allowed or value in allowed for allowed, value in named)
        and (selection.since is None or moment >= selection.since)
        and (selection.until is None or moment < selection.until)
        and (not selection.success_only or row["success"] == 1 or _stays(row, selection))
    )


def _stays(row: Row, selection: Selection) -> bool:
    """Whether an answer that was not parsed stays as the risk that it is."""
    return bool(row["truncated"]) and not selection.rows_only


def is_selected(row: Row, selection: Selection) -> bool:
    """Whether a report is about an event."""
    return (
        passes(row, selection)
        and (selection.with_totals or not row["actual_is_total"])
        and row["actual_output_tokens"] >= selection.min_actual
    )


def deliverables_of(row: Row) -> int | None:
    """Return the number of deliverables: the line's, else the estimate's, else of all paths known."""
    if row["deliverable_count"] or row["estimated_deliverable_count"]:
        return int(row["deliverable_count"] or row["estimated_deliverable_count"])
    try:
        paths = json.loads(row["deliverables_json"]) if row["deliverables_complete"] else None
    except (ValueError, RecursionError):
        return None
    return (len(paths) or None) if isinstance(paths, list) else None


def bucket_of(row: Row, buckets: tuple[Bucket, ...]) -> str | None:
    """Return the name of an event's bucket."""
    number = deliverables_of(row)
    if number is None:
        return None
    return next(
        (
            bucket.name
            for bucket in buckets
            if bucket.low <= number and (bucket.high is None or number <= bucket.high)
        ),
        None,
    )


def key_of(row: Row, selection: Selection, strata: Strata) -> tuple[str | None, ...]:
    """Return the key of an event's stratum."""
    day = date.fromisoformat(row["timestamp"][:10])
    parts = {
        "run": row["run_id"],
        "phase": row["phase_id"],
        "day": day.isoformat(),
        "week": (day - timedelta(day.weekday())).isoformat(),
        "month": day.isoformat()[:7],
        "category": category_of(row, selection),
        "complexity": row["complexity"],
        "model": row["model"],
        "bucket": bucket_of(row, strata.buckets),
    }
    return tuple(parts[name] for name in strata.dimensions)
