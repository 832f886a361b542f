"""The tables of a benchmark: a competitor a row, a target a row, and what leads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.documents import Rows, markdown, put
from bench.results import Result
from bench.runner import Case
from bench.targets import Verdict

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
LEADING = ("<!-- bench, what leads: begin -->", "<!-- bench, what leads: end -->")

RESULT_HEADER = ["competitor", "median", "fastest to slowest", "CPU", "events/s", "peak", "disk", "rounds"]
TARGET_HEADER = ["case", "target", "measured", "", "by CPU"]


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def _row(result: Result) -> list[str]:
    low, high = result.spread_s
    disk = f"{result.disk_bytes / 1e6:.1f} MB" if result.disk_bytes else ""
    if disk and result.events:
        disk += f", {result.disk_bytes / result.events:.0f} B an event"
    return [
        result.name,
        _seconds(result.wall_s),
        f"{_seconds(low)} to {_seconds(high)}",
        _seconds(result.cpu_s),
        f"{result.rate:,.0f}" if result.rate else "",
        f"{result.peak_bytes / 1e6:.0f} MB",
        disk,
        str(len(result.runs)),
    ]


def results_of(results: Sequence[Result]) -> Rows:
    """Return the table of a case, a competitor a row."""
    return [RESULT_HEADER, *(_row(result) for result in results)]


def targets_of(verdicts: Sequence[Verdict]) -> Rows:
    """Return the table of targets."""
    return [
        TARGET_HEADER,
        *(
            [verdict.case, verdict.target.text, verdict.shown, verdict.word, verdict.cpu_shown]
            for verdict in verdicts
        ),
    ]


def summary(verdicts: Sequence[Verdict]) -> str:
    """Say how many targets were met."""
    counts = [sum(verdict.is_met is want for verdict in verdicts) for want in (True, False, None)]
    return f"{counts[0]} targets met, {counts[1]} not met, {counts[2]} not measured"


def report(conditions: str, played: Sequence[tuple[Case, Rows]], verdicts: Sequence[Verdict]) -> str:
    """Return all of it for a document."""
    parts = [conditions, f"{summary(verdicts)}."]
    parts += [markdown(targets_of([verdict for verdict in verdicts if not verdict.target.leads]))]
    for case, rows in played:
        parts += [f"### {case.name}: {case.title}", markdown(rows)]
    return "\n\n".join(parts)


def leading(conditions: str, verdicts: Sequence[Verdict]) -> str:
    """Return the ratios that say most, for the head of a document."""
    return (
        f"{conditions}\n\n{markdown(targets_of([verdict for verdict in verdicts if verdict.target.leads]))}"
    )


def write(document: Path, text: str, marks: tuple[str, str] = (BEGIN, END)) -> None:
    """Put a report between the marks of a document."""
    put(document, marks, text)
