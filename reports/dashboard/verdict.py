"""The verdict: the sentence that heads the page, and what it rests on."""

from __future__ import annotations

from typing import Any

from reports.dashboard.wording import share, tail_text
from reports.readiness import NOT_ENOUGH

Record = dict[str, Any]

NOTHING = (
    "Nothing to report",
    "No event is left. Choose something else, or see with `tokentail status` what was read.",
)
"""Heading and reason where no event is left."""

LACKING = (
    "No numbers for this combination",
    "The charts and the events are those of your choice. Numbers are kept for each filter by itself and for "
    "some combinations; `tokentail report` takes all of these filters together.",
)
"""Heading and reason where the page holds no report of a choice."""


def verdict(report: Record) -> tuple[str, str]:
    """Return what the report comes to, in a sentence, and what it rests on with what to do next."""
    if not report["overall"]["n"]:
        return NOTHING
    gates = report["gates"]
    failed = [gate for gate in gates if gate["passed"] is False]
    if report["status"] == NOT_ENOUGH:
        begin = "Not enough data to judge the estimates"
    elif failed:
        sure = any(gate["certain"] is not False for gate in failed)
        begin = "The estimates miss their limits" if sure else "The estimates may miss their limits"
    elif any(gate["passed"] is None for gate in gates):
        begin = "The estimates can't be judged in full"
    else:
        sure = all(gate["certain"] is not False for gate in gates)
        begin = "The estimates keep their limits" if sure else "The estimates may keep their limits"
    return f"{begin}: {_measured(report)}", _rests_on(report, bool(failed))


def _measured(report: Record) -> str:
    """Say the three numbers that are held against limits."""
    overall, (under, truncated, cost) = report["overall"], report["gates"]
    parts = [
        f"{share(overall['underestimated_rate'])} underestimated (limit {share(under['limit'], 0)})",
        f"{share(overall['truncated_rate'])} truncated (limit {share(truncated['limit'], 0)})",
    ]
    if overall["waste_p90"] is not None:
        parts.append(f"{tail_text(overall['waste_p90'])} (limit {cost['limit']:g} ×)")
    return ", ".join(parts)


def _rests_on(report: Record, failed: bool) -> str:
    status, reason = report["status"], report["reason"]
    begin = f"How far the data carries: {status}. {reason}."
    return f"{begin} `tokentail calibrate` proposes factors and budgets that would hold." if failed else begin
