"""The campaign's results as text: a line a scenario, a table side by side, and the same in a document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.documents import put
from faults.tailers import OTHERS, Tokentail
from faults.verdict import Verdict

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def line(verdict: Verdict) -> str:
    """Say in one line, and one more for each complaint, what came of a scenario with our program."""
    start = f"{verdict.scenario.id:5} {verdict.mode:8} {verdict.scenario.title:58}"
    if verdict.skipped is not None:
        return f"{start} not played: {verdict.skipped}"
    exits = ",".join(map(str, verdict.exit_codes[:8])) + (",..." if len(verdict.exit_codes) > 8 else "")
    text = (
        f"{start} expected {verdict.expected:5}  lost {verdict.lost}  doubled {verdict.doubled}  "
        f"damaged {verdict.damaged}  exits {exits}"
    )
    wrong = [f"      WRONG: {complaint}" for complaint in verdict.complaints]
    awaited = [f"      expected failure, {verdict.scenario.awaited}: {rule}" for rule in verdict.awaited]
    return "\n".join([text, *wrong, *awaited])


def summary(verdicts: Sequence[Verdict]) -> str:
    """Say what came of all scenarios together."""
    played = [one for one in verdicts if one.skipped is None]
    wrong = [one for one in played if not one.is_clean]
    awaited = [one for one in played if one.awaited]
    return (
        f"{len({one.scenario.id for one in played})} scenarios in {len(played)} plays: "
        f"{sum(one.expected for one in played):,} calls expected in all, "
        f"{sum(one.lost for one in played)} lost, "
        f"{sum(one.doubled for one in played)} doubled, {sum(one.damaged for one in played)} damaged, "
        f"{len(wrong)} wrong, {len(awaited)} expected failures; {len(verdicts) - len(played)} not played"
    )


def _cell(verdicts: Sequence[Verdict]) -> str:
    played = [one for one in verdicts if one.skipped is None]
    if not played:
        return "-"
    worst = max(played, key=lambda one: one.lost + one.doubled + one.damaged)
    parts = [
        f"{count} {what}"
        for count, what in ((worst.lost, "lost"), (worst.doubled, "doubled"), (worst.damaged, "damaged"))
        if count
    ]
    awaited = any(one.awaited for one in played)
    return ", ".join(parts) or (f"expected failure: {worst.scenario.awaited}" if awaited else "exact")


def rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Return the table: a scenario a row, a tailer a column."""
    there = {one.tailer for one in verdicts}
    names = [Tokentail.name, *(other.name for other in OTHERS if other.name in there)]
    found = [["id", "scenario", "calls", *names]]
    scenarios = {one.scenario.id: one.scenario for one in verdicts}
    for scenario in scenarios.values():
        of_it = [one for one in verdicts if one.scenario is scenario]
        calls = max(one.expected for one in of_it)
        cells = [_cell([one for one in of_it if one.tailer == name]) for name in names]
        found.append([scenario.id, scenario.title, f"{calls:,}" if calls else "", *cells])
    tried = [[one for one in verdicts if one.tailer == name and one.skipped is None] for name in names]
    exact = [f"{len(_exact(of))} of {len({one.scenario.id for one in of})}" for of in tried]
    return [*found, ["", "exact in", "", *exact]]


def _exact(verdicts: Sequence[Verdict]) -> set[str]:
    wrong = {one.scenario.id for one in verdicts if one.lost or one.doubled or one.damaged or one.awaited}
    return {one.scenario.id for one in verdicts} - wrong


def side_by_side(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the table as lines for a terminal."""
    cells = rows(verdicts)
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def write(document: Path, verdicts: Sequence[Verdict]) -> None:
    """Put the table between the marks of a document."""
    header, *body = rows(verdicts)
    lines = [header, ["---"] * len(header), *body]
    text = "\n".join(f"| {' | '.join(row)} |" for row in lines)
    put(document, (BEGIN, END), text)
