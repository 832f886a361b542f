"""The replay as records for programs and as lines for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reports.metrics import rate
from reports.replaying.comparison import Comparison, Replay, Replayed
from reports.replaying.events import PARTIAL, REAL, SYNTHETIC
from reports.signflips import Difference
from reports.terminal import counted, label, number, percent, table
from reports.validation_record import stratum_record

Record = dict[str, Any]


def replay_record(found: Replay) -> Record:
    """Return what `replay --json` prints; `old` and `new` have the keys of a stratum in `report --json`."""
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
        "strata": [
            dict(zip(dimensions, stratum.key, strict=True)) | _comparison(stratum) for stratum in found.strata
        ],
        "rows": [_row(row) for row in found.rows],
        "failures": [{"event_key": key, "why": why} for key, why in found.failures.items()],
    }


def _comparison(stratum: Comparison) -> Record:
    return {
        "n": stratum.old.n,
        "old": stratum_record(stratum.old),
        "new": stratum_record(stratum.new),
        "smape_difference": asdict(stratum.smape) | {"p_corrected": stratum.p},
        "underestimated_difference": asdict(stratum.underestimated)
        | {"old": stratum.old_risks, "new": stratum.new_risks, "undecided": stratum.undecided},
        "verdict": stratum.verdict,
    }


def _row(row: Replayed) -> Record:
    event = row.event
    return {
        "event_key": event.event_key,
        "run_id": event.run_id,
        "phase_id": event.phase_id,
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
        *("n", "clean", "phases", "SMAPE mean", "median", "difference", "95% interval"),
        *("underest.", "waste median", "verdict"),
    )
    total = ("all", *("" for _ in dimensions[1:]))
    rows = (
        [_line(tuple(map(label, stratum.key)), stratum) for stratum in found.strata]
        if found.strata_by.dimensions
        else []
    )
    return [
        *lines,
        "",
        *table(header, [*rows, _line(total, found.overall)], len(dimensions), last_text_columns=1),
        "old > new. SMAPE and waste are over the clean events; the difference, in percentage points, is the",
        "mean over their phases, and so is its interval. A verdict is what chance alone gives in at most 5%",
        f"of the cases{_correction(found)}. {_risks_over(found.overall)}",
    ]


def _correction(found: Replay) -> str:
    """Say, where there are several strata, that their verdicts are corrected for their number."""
    looked_at = sum(stratum.p is not None for stratum in found.strata)
    return f", {looked_at:,} strata taken together (Holm)" if looked_at > 1 else ""


def _risks_over(overall: Comparison) -> str:
    if not overall.undecided:
        return "underest. is over all n"
    return (
        f"underest. is over n but for {counted(overall.undecided, 'cut answer')} that an estimate places "
        "above the cut: undecided"
    )


def _line(key: tuple[str, ...], stratum: Comparison) -> tuple[str, ...]:
    old, new = stratum.old.clean, stratum.new.clean
    return (
        *key,
        f"{stratum.old.n:,}",
        f"{old.n:,}",
        f"{stratum.smape.phases:,}",
        _change(old.smape.mean, new.smape.mean, 1, "%"),
        _change(old.smape.median, new.smape.median, 1, "%"),
        "-" if stratum.smape.phase_mean is None else f"{stratum.smape.phase_mean:+.1f}",
        _interval(stratum.smape),
        " > ".join(
            percent(rate(risks, stratum.underestimated.n)) for risks in (stratum.old_risks, stratum.new_risks)
        ),
        _change(old.waste.median, new.waste.median, 2, "x"),
        stratum.verdict,
    )


def _change(old: float | None, new: float | None, digits: int, unit: str) -> str:
    return f"{number(old, digits, unit)} > {number(new, digits, unit)}"


def _interval(difference: Difference) -> str:
    between = difference.interval
    return f"{between.low:+.1f} to {between.high:+.1f}" if between else "-"


def row_lines(found: Replay) -> list[str]:
    """Return a table with a row for each event that was replayed; nothing without events."""
    rows = [
        (
            row.event.event_key,
            row.event.run_id,
            row.event.phase_id,
            label(row.event.category),
            label(row.event.complexity),
            row.event.kind,
            f"{row.event.predicted:,}",
            f"{row.predicted:,}",
            f"{row.event.actual:,}" + ("+" if row.event.truncated else ""),
        )
        for row in found.rows
    ]
    header = ("event key", "run", "phase", "category", "complexity", "deliverables", "old", "new", "actual")
    notes = ["+ truncated: the actual is a lower bound"] if any(r.event.truncated for r in found.rows) else []
    return (
        ["", *table(header, rows, 6, least=("deliverables", "run", "complexity", "category")), *notes]
        if rows
        else []
    )
