"""The lines of escalations (a call is repeated with a larger ceiling), in their three historical forms.

A capture may have mangled the arrow, so any run of characters that are neither spaces nor digits matches it.
"""

from __future__ import annotations

import re

from parsers.family import Family
from parsers.numbers import decimal
from parsers.records import Escalation, Noted

_WHERE = r"phase=(?P<phase>.+?) attempt=(?P<attempt>[0-9]{1,9}) "
_WHY = r" \((?P<factor>[0-9.]+)x, (?P<reason>[^)]*)\)"
FORMS = (
    r"\[BUILD-129:P10\] ESCALATE-ONCE: " + _WHERE + r"base=(?P<base>[0-9]{1,18}) "
    r"\(from (?P<source>[^)]+)\) [^\s0-9]+ retry=(?P<retry>[0-9]{1,18})" + _WHY,
    r"\[BUILD-129:P10\] ESCALATE-ONCE: " + _WHERE + r"tokens=(?P<base>[0-9]{1,18})[^\s0-9]+"
    r"(?P<retry>[0-9]{1,18})" + _WHY,
    r"\[TOKEN_ESCALATION\] " + _WHERE + r"tokens=(?P<base>[0-9]{1,18})[^\s0-9]+"
    r"(?P<retry>[0-9]{1,18}) \((?P<reason>[^,)]*)",
)
"""The three forms, newest first."""

_FORMS = tuple(re.compile(form, re.ASCII) for form in FORMS)
_UTILIZATION = re.compile(r"(?P<percent>[0-9.]+)% utilization")
_SKIPPED = re.compile(r"\[TELEMETRY\] Skipping invalid event for ")


def read(message: str) -> Escalation | None:
    """Read an escalation in any of its forms."""
    for form in _FORMS:
        found = form.match(message)
        if found is None:
            continue
        values = found.groupdict()
        utilization = _UTILIZATION.fullmatch(values["reason"])
        return Escalation(
            phase=values["phase"],
            attempt_index=int(values["attempt"]),
            base_tokens=int(values["base"]),
            base_source=values.get("source"),
            retry_max_tokens=int(values["retry"]),
            factor=decimal(values.get("factor") or ""),
            reason="utilization" if utilization else "truncation",
            utilization_percent=decimal(utilization["percent"]) if utilization else None,
        )
    return None


def read_skipped(message: str) -> Noted | None:
    """Count an event that the executor's own writer left out as invalid."""
    return Noted("skipped_event") if _SKIPPED.match(message) else None


FAMILIES = (
    Family(
        name="escalation",
        markers=("[BUILD-129:P10] ESCALATE-ONCE: ",),
        opening=r"\[BUILD-129:P10\] ESCALATE-ONCE: ",
        read=read,
        samples=(
            "[BUILD-129:P10] ESCALATE-ONCE: phase=p1 attempt=1 base=16384 (from actual_max_tokens) "
            "→ retry=20480 (1.25x, truncation)",
            "[BUILD-129:P10] ESCALATE-ONCE: phase=p1 attempt=1 tokens=16384â†’20480 "
            "(1.25x, 96.3% utilization)",
        ),
        near_misses=("[BUILD-129:P10] ESCALATE-ONCE: off",),
    ),
    Family(
        name="token_escalation",
        markers=("[TOKEN_ESCALATION] ",),
        opening=r"\[TOKEN_ESCALATION\] ",
        read=read,
        samples=(
            "[TOKEN_ESCALATION] phase=p1 attempt=1 tokens=8192→12288 (truncation detected, auto-retrying)",
        ),
        near_misses=("[TOKEN_ESCALATION] off",),
    ),
    Family(
        name="skipped_event",
        markers=("[TELEMETRY] Skipping invalid event for ",),
        opening=r"\[TELEMETRY\] Skipping invalid event for ",
        read=read_skipped,
        samples=("[TELEMETRY] Skipping invalid event for p1: actual_output_tokens=12 < 50 (likely error)",),
    ),
)
