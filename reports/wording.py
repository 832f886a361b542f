"""The words of the page: for a stratum, for how far an estimate is off, for what said an event's phase."""

from __future__ import annotations

from reports.terminal import label

NEAR = 0.05
"""Up to this share beside its actual an estimate is said to be right."""


def stratum_name(category: str | None, complexity: str | None) -> str:
    """Return the name of a stratum."""
    return f"{label(category)} · {label(complexity)}"


def off_text(waste: float | None) -> str:
    """Say what predicted / actual means: 0.12 is `8.3 × underestimated`; `–` where there is nothing."""
    factor, word = off(waste)
    return f"{factor} {word}".strip()


def off(waste: float | None) -> tuple[str, str]:
    """Return the same in two parts, the number and what it is."""
    if waste is None:
        return "–", ""
    if abs(waste - 1) <= NEAR:
        return "about right", ""
    factor = max(waste, 1 / waste)
    return f"{factor:,.{1 if factor < 100 else 0}f} ×", "overestimated" if waste > 1 else "underestimated"


def tail_text(p90: float | None) -> str:
    """Say what the 90th percentile of predicted / actual means: how many are at least that far off."""
    factor, word = off(p90)
    return f"{tail(p90)} {factor} {word}".strip()


def tail(p90: float | None) -> str:
    """Say how many are at least as far off as the 90th percentile, on its side."""
    if p90 is None:
        return ""
    if abs(p90 - 1) <= NEAR:
        return "nine in ten at most"
    return "one in ten at least" if p90 > 1 else "nine in ten at least"


def said_text(phase_source: str | None, run_source: str | None) -> str:
    """Name the kinds of lines that said an event's phase and run."""
    named = {"phase": phase_source, "run": run_source}
    return ", ".join(f"{name} {_said_by(source)}" for name, source in named.items())


def _said_by(source: str | None) -> str:
    if source is None:
        return "not told"
    if source == "executor":
        return "from the executor's own row"
    return f"from the {source.replace('_', ' ')} line"


def plain(value: float | None, digits: int = 0, unit: str = "") -> str:
    """Write a number, or a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}{unit}"


def share(value: float | None, digits: int = 1) -> str:
    """Write a share of 0..1 in percent."""
    return plain(None if value is None else 100 * value, digits, "%")
