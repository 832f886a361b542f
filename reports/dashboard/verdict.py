"""The sentence that heads the page, and what it rests on."""

from __future__ import annotations

from typing import Any

from reports.verdict import verdict_sentence

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
"""Heading and reason where the page holds no report for a choice."""


def verdict(report: Record) -> tuple[str, str]:
    """Return a report's heading and reason: what it comes to; what that rests on and what to do next."""
    if not report["overall"]["n"]:
        return NOTHING
    failed = any(gate["passed"] is False for gate in report["gates"])
    return verdict_sentence(report), _rests_on(report, failed)


def _rests_on(report: Record, failed: bool) -> str:
    status, reason = report["status"], report["reason"]
    begin = f"How far the data carries: {status}. {reason}."
    return f"{begin} `tokentail calibrate` proposes factors and budgets that would hold." if failed else begin
