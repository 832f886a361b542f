"""The figures of a report as texts: what the page shows of it, over all events and for every choice.

The page's HTML has the figures over all events; the script replaces them by those of a choice, which are
written here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reports.dashboard.verdict import verdict
from reports.wording import off, off_text, plain, share, tail

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Track:
    """A rate (`value`) with its interval and its limit, as places on a line, 0..100."""

    low: float
    value: float
    high: float
    limit: float


@dataclass(frozen=True, slots=True)
class Card:
    """One number with its unit and verdict, and facts behind it (names and values).

    The verdict is a kind (`pass`, `fail`, `none`), by which the style sheet colours it, and its words.
    """

    title: str
    value: str
    unit: str
    verdict: tuple[str, str]
    track: Track | None
    facts: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: its text, a smaller line below it, and the number that its column is sorted by."""

    text: str
    small: str
    order: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a report; `ends` says how answers and phases ended, `rows` are the strata's."""

    heading: str
    reason: str
    cards: list[Card]
    ends: str
    rows: list[list[Cell]]


def figures(report: Record) -> Figures:
    """Return the figures of a report, a record as `report_record` returns it."""
    heading, reason = verdict(report)
    overall, gates = report["overall"], report["gates"]
    cards = [
        _risk_card("underestimated", overall, gates[0]),
        _risk_card("truncated", overall, gates[1]),
        _cost_card(overall, gates[2]),
        _error_card(overall),
    ]
    rows = [[column.cell(stratum) for column in _COLUMNS] for stratum in report["strata"]]
    return Figures(heading, reason, cards, _ends(report), rows)


def packed_figures(shown: Figures) -> Record:
    """Return figures as the script reads them; `slots` are what changes in the cards, in the page's order."""
    slots: list[Any] = []
    for card in shown.cards:
        track = card.track and [card.track.low, card.track.value, card.track.high, card.track.limit]
        slots += [card.value, card.unit, card.verdict, track, *(text for _, text in card.facts)]
    rows = [[[cell.text, cell.small, cell.order] for cell in row] for row in shown.rows]
    return {
        "heading": shown.heading,
        "reason": shown.reason,
        "ends": shown.ends,
        "slots": slots,
        "rows": rows,
    }


def _risk_card(name: str, overall: Record, gate: Record) -> Card:
    rate, low, high = (overall[f"{name}_{end}"] for end in ("rate", "low", "high"))
    interval = "–" if rate is None else f"{share(low)} to {share(high)}"
    facts = [
        ("events", f"{overall[name]:,} of {overall['n']:,}"),
        ("95% interval", interval),
        ("limit", f"≤ {share(gate['limit'], 0)}"),
    ]
    track = None if rate is None else _track(low, rate, high, gate["limit"])
    return Card(f"Risk: {name}", share(rate), "of the events", _verdict(gate), track, facts)


def _track(low: float, value: float, high: float, limit: float) -> Track:
    end = max(high, limit * 2) * 1.05
    return Track(*(round(100 * place / end, 2) for place in (low, value, high, limit)))


def _verdict(gate: Record) -> tuple[str, str]:
    if gate["passed"] is None:
        return "none", "nothing to measure"
    text = "✓ pass" if gate["passed"] else "✕ FAIL"
    return "pass" if gate["passed"] else "fail", text + (", not certain" if gate["certain"] is False else "")


def _cost_card(overall: Record, gate: Record) -> Card:
    value, unit = off(overall["waste_p90"])
    facts = [
        ("limit", f"< {gate['limit']:g} ×"),
        ("median", off_text(overall["waste_median"])),
        ("ceiling, median", plain(overall["ceiling_waste_median"], 1, " × actual")),
        ("ceiling, P90", plain(overall["ceiling_waste_p90"], 1, " × actual")),
        ("measured (clean)", f"{overall['waste_n']:,}"),
    ]
    return Card(
        "Cost: waste, P90",
        value,
        f"{unit}: {tail(overall['waste_p90'])}" if unit else "",
        _verdict(gate),
        None,
        facts,
    )


def _error_card(overall: Record) -> Card:
    clean = overall["clean"]
    facts = [
        ("mean ± sd", _around(overall)),
        ("least to most", f"{plain(overall['smape_min'], 1, '%')} to {plain(overall['smape_max'], 1, '%')}"),
        ("measured", f"{overall['smape_n']:,}"),
        ("clean: median", plain(clean["smape_median"], 1, "%")),
        ("clean: mean ± sd", _around(clean)),
    ]
    unit = "0% is exact, 200% the worst there can be"
    return Card(
        "Error: SMAPE, median", plain(overall["smape_median"], 1, "%"), unit, ("none", ""), None, facts
    )


def _around(stratum: Record) -> str:
    """Write a mean with its standard deviation."""
    mean, sd = stratum["smape_mean"], stratum["smape_sd"]
    return plain(mean, 1, "%") + ("" if sd is None else f" ± {plain(sd, 1, '%')}")


def _ends(report: Record) -> str:
    outcomes = ", ".join(
        f"{outcome['phase_outcome'] or 'not told'} {outcome['events']:,}"
        for outcome in report["phase_outcomes"]
    )
    overall = report["overall"]
    return (
        f"Builder success (the answer was parsed): {overall['parsed']:,} of {overall['n']:,}. "
        f"Phase outcome (what became of the work): {outcomes}."
    )


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table of strata, sorted by the number that a stratum has under the key `order`."""

    title: str
    order: str
    write: Callable[[Record], str]
    small: Callable[[Record], str] = lambda _: ""

    def cell(self, stratum: Record) -> Cell:
        value = stratum[self.order]
        order = None if value is None else float(f"{value:.6g}")
        return Cell(self.write(stratum), self.small(stratum), order)


_COLUMNS = (
    _Column("stratum", "place", lambda stratum: stratum["stratum"]),
    _Column(
        "events", "n", lambda stratum: plain(stratum["n"]), lambda stratum: f"{stratum['clean']['n']:,} clean"
    ),
    _Column(
        "underestimated",
        "underestimated_rate",
        lambda stratum: share(stratum["underestimated_rate"], 0),
        lambda stratum: f"{stratum['underestimated']:,} of {stratum['n']:,}",
    ),
    _Column(
        "truncated",
        "truncated_rate",
        lambda stratum: share(stratum["truncated_rate"], 0),
        lambda stratum: f"{stratum['truncated']:,} of {stratum['n']:,}",
    ),
    _Column(
        "SMAPE: median, mean ± sd",
        "smape_median",
        lambda stratum: plain(stratum["smape_median"], 1, "%"),
        _around,
    ),
    _Column("typical estimate", "waste_median", lambda stratum: off_text(stratum["waste_median"])),
    _Column("P90 estimate", "waste_p90", lambda stratum: off_text(stratum["waste_p90"])),
    _Column("predicted, mean", "mean_predicted", lambda stratum: plain(stratum["mean_predicted"])),
    _Column("actual, mean", "mean_actual", lambda stratum: plain(stratum["mean_actual"])),
    _Column(
        "unstable",
        "unstable",
        lambda stratum: "".join(stratum["unstable_because"][:1]),
        lambda stratum: ", ".join(stratum["unstable_because"][1:]),
    ),
)

COLUMNS = tuple(column.title for column in _COLUMNS)
"""The titles of the table of strata."""
