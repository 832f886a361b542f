"""Words for numbers: for a stratum, for how far an estimate is off, for which line said an event's phase."""

from __future__ import annotations

from reports.terminal import label

NEAR = 0.05
"""An estimate that is off by at most this share of its actual is said to be about right."""


def stratum_name(category: str | None, complexity: str | None) -> str:
    """Return the name of a stratum."""
    return f"{label(category)} · {label(complexity)}"


def off_text(waste: float | None) -> str:
    """Say what predicted / actual (`waste`) means: 0.12 is `8.3 × underestimated`; `–` for `None`."""
    factor, word = off(waste)
    return f"{factor} {word}".strip()


def off(waste: float | None) -> tuple[str, str]:
    """Return the text of `off_text` in two parts: the factor and the word behind it."""
    if waste is None:
        return "–", ""
    if abs(waste - 1) <= NEAR:
        return "about right", ""
    factor = max(waste, 1 / waste)
    return f"{factor:,.{1 if factor < 100 else 0}f} ×", "overestimated" if waste > 1 else "underestimated"


def tail_text(p90: float | None) -> str:
    """Say what the 90th percentile of predicted / actual means: `one in ten at least 4.0 × overestimated`."""
    factor, word = off(p90)
    return f"{tail(p90)} {factor} {word}".strip()


def tail(p90: float | None) -> str:
    """Return the first part of `tail_text`: how many estimates are at least, or at most, that far off."""
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
