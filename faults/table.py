"""The campaign's results as text: a line for each play, a summary, and the table of a document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.documents import markdown, put
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
    played = [verdict for verdict in verdicts if verdict.skipped is None]
    wrong = [verdict for verdict in played if not verdict.is_clean]
    awaited = [verdict for verdict in played if verdict.awaited]
    return (
        f"{len({verdict.scenario.id for verdict in played})} scenarios in {len(played)} plays: "
        f"{sum(verdict.expected for verdict in played):,} calls expected in all, "
        f"{sum(verdict.lost for verdict in played)} lost, "
        f"{sum(verdict.doubled for verdict in played)} doubled, "
        f"{sum(verdict.damaged for verdict in played)} damaged, "
        f"{len(wrong)} wrong, {len(awaited)} expected failures; {len(verdicts) - len(played)} not played"
    )


def _cell(verdicts: Sequence[Verdict]) -> str:
    played = [verdict for verdict in verdicts if verdict.skipped is None]
    if not played:
        return "-"
    worst = max(played, key=lambda verdict: verdict.lost + verdict.doubled + verdict.damaged)
    parts = [
        f"{count} {what}"
        for count, what in ((worst.lost, "lost"), (worst.doubled, "doubled"), (worst.damaged, "damaged"))
        if count
    ]
    awaited = any(verdict.awaited for verdict in played)
    return ", ".join(parts) or (f"expected failure: {worst.scenario.awaited}" if awaited else "exact")


def rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Return the table: a scenario a row, a tailer a column."""
    there = {verdict.tailer for verdict in verdicts}
    names = [Tokentail.name, *(other.name for other in OTHERS if other.name in there)]
    found = [["id", "scenario", "calls", *names]]
    scenarios = {verdict.scenario.id: verdict.scenario for verdict in verdicts}
    for scenario in scenarios.values():
        of_it = [verdict for verdict in verdicts if verdict.scenario is scenario]
        calls = max(verdict.expected for verdict in of_it)
        cells = [_cell([verdict for verdict in of_it if verdict.tailer == name]) for name in names]
        found.append([scenario.id, scenario.title, f"{calls:,}" if calls else "", *cells])
    tried = [
        [verdict for verdict in verdicts if verdict.tailer == name and verdict.skipped is None]
        for name in names
    ]
    exact = [f"{len(_exact(of))} of {len({verdict.scenario.id for verdict in of})}" for of in tried]
    return [*found, ["", "exact in", "", *exact]]


def _exact(verdicts: Sequence[Verdict]) -> set[str]:
    wrong = {
        verdict.scenario.id
        for verdict in verdicts
        if verdict.lost or verdict.doubled or verdict.damaged or verdict.awaited
    }
    return {verdict.scenario.id for verdict in verdicts} - wrong


def write(document: Path, verdicts: Sequence[Verdict]) -> None:
    """Put the table between the marks of a document."""
    put(document, (BEGIN, END), markdown(rows(verdicts)))
