"""The replay as records for programs and as lines for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reports.bootstrap import Difference
from reports.replaying.comparison import Comparison, Replay, Replayed
from reports.replaying.events import PARTIAL, REAL, SYNTHETIC
from reports.terminal import counted, label, number, percent, table
from reports.validation import Stratum
from reports.validation_record import stratum_record

Record = dict[str, Any]


def replay_record(found: Replay) -> Record:
    """Return the whole replay; `old` and `new` have the keys of a stratum in `report --json`."""
    dimensions = found.strata_by.dimensions
    return {
        "replayed": len(found.rows),
        "deliverables": {kind: found.kinds[kind] for kind in (REAL, PARTIAL, SYNTHETIC)},
        "unsafe_paths": found.unsafe_paths,
        "left_out_not_real": found.left_out_not_real,
        "left_out_unknown": found.left_out_unknown,
        "not_predicted": found.not_predicted,
        "overall": _comparison(found.overall),
        "by": list(dimensions),
        "strata": [dict(zip(dimensions, one.key, strict=True)) | _comparison(one) for one in found.strata],
        "rows": [_row(row) for row in found.rows],
        "failures": [{"event_key": key, "why": why} for key, why in found.failures.items()],
    }


def _comparison(one: Comparison) -> Record:
    return {
        "n": one.old.n,
        "old": stratum_record(one.old),
        "new": stratum_record(one.new),
        "smape_difference": asdict(one.smape),
        "underestimated_difference": asdict(one.underestimated),
        "verdict": one.verdict,
    }


def _row(row: Replayed) -> Record:
    event = row.event
    return {
        "event_key": event.event_key,
        "category": event.category,
        "complexity": event.complexity,
        "deliverables": event.kind,
        "old_prediction": event.predicted,
        "new_prediction": row.predicted,
        "actual": event.actual,
        "success": event.success,
        "truncated": event.truncated,
    }


def replay_lines(found: Replay) -> list[str]:
    """Return the comparison as a person reads it."""
    if not found.rows:
        return ["There is nothing to compare: no event was replayed."]
    kinds = ", ".join(f"{found.kinds[kind]:,} {kind}" for kind in (REAL, PARTIAL, SYNTHETIC))
    lines = [f"{counted(len(found.rows), 'event')} replayed; their deliverables: {kinds}"]
    if found.unsafe_paths:
        lines.append(f"{counted(found.unsafe_paths, 'path')} outside the workspace replaced by made-up ones")
    if found.left_out_not_real:
        lines.append(f"{counted(found.left_out_not_real, 'event')} left out: paths not all known")
    if found.left_out_unknown:
        lines.append(
            f"{counted(found.left_out_unknown, 'event')} left out: neither paths nor their number known"
        )
    dimensions = found.strata_by.dimensions or ("",)
    header = (
        *dimensions,
        *("n", "clean", "SMAPE mean", "median", "difference", "95% interval"),
        *("underest.", "waste median", "verdict"),
    )
    total = ("all", *("" for _ in dimensions[1:]))
    rows = (
        [_line(tuple(map(label, one.key)), one) for one in found.strata] if found.strata_by.dimensions else []
    )
    return [
        *lines,
        "",
        *table(header, [*rows, _line(total, found.overall)], len(dimensions), last_text_columns=1),
        "old > new. SMAPE, its difference (in percentage points) and waste are over the clean events,",
        "underest. over all n",
    ]


def _line(key: tuple[str, ...], one: Comparison) -> tuple[str, ...]:
    old, new = one.old.clean, one.new.clean
    return (
        *key,
        f"{one.old.n:,}",
        f"{old.n:,}",
        _change(old.smape.mean, new.smape.mean, 1, "%"),
        _change(old.smape.median, new.smape.median, 1, "%"),
        "-" if one.smape.value is None else f"{one.smape.value:+.1f}",
        _interval(one.smape),
        f"{_rate(one.old)} > {_rate(one.new)}",
        _change(old.waste.median, new.waste.median, 2, "x"),
        one.verdict,
    )


def _change(old: float | None, new: float | None, digits: int, unit: str) -> str:
    return f"{number(old, digits, unit)} > {number(new, digits, unit)}"


def _rate(one: Stratum) -> str:
    return percent(one.underestimated.rate)


def _interval(difference: Difference) -> str:
    between = difference.interval
    return f"{between.low:+.1f} to {between.high:+.1f}" if between else "-"


def row_lines(found: Replay) -> list[str]:
    """Return a line for each event that was replayed."""
    rows = [
        (
            row.event.event_key,
            label(row.event.category),
            label(row.event.complexity),
            row.event.kind,
            f"{row.event.predicted:,}",
            f"{row.predicted:,}",
            f"{row.event.actual:,}" + ("+" if row.event.truncated else ""),
        )
        for row in found.rows
    ]
    header = ("event key", "category", "complexity", "deliverables", "old", "new", "actual")
    notes = ["+ truncated: the actual is a lower bound"] if any(r.event.truncated for r in found.rows) else []
    return ["", *table(header, rows, 4), *notes] if rows else []
