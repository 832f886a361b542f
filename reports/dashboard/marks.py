"""Parts of charts: the axis of tokens, the diagonal, the points of events."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reports.dashboard.board import Board
from reports.dashboard.points import ANSWERS, SHAPES, TRUNCATED

Spec = dict[str, Any]

CROWD = "crowd"
"""The parameter of every specification that holds how many rows it draws; points adapt to it."""

_SIZE = f"{CROWD} <= 300 ? 64 : {CROWD} <= 3000 ? 36 : 14"
"""A Vega expression: square pixels of a point, fewer where there are many points."""

_OPACITY = f"({CROWD} <= 300 ? 0.75 : {CROWD} <= 3000 ? 0.5 : {CROWD} <= 10000 ? 0.3 : 0.15)"

_SHOWN = f"datum.answer === '{TRUNCATED}' ? max(0.8, {_OPACITY}) : {_OPACITY}"

LANE = "((datum.predicted * 7919 + datum.actual * 104729) % 1000 / 1000)"
"""A Vega expression: a number of 0..1 by which events are spread (jitter), always the same for an event."""


@dataclass(frozen=True, slots=True)
class TokensAxis:
    """An axis of tokens from `low` to `high`; `options` are the arguments of an Altair channel."""

    low: int
    high: int
    options: dict[str, Any]


def tokens_axis(alt: Any, board: Board, fields: Sequence[str]) -> TokensAxis:
    """Return an axis on which these fields of all events have room, so that a choice changes no scale.

    It is logarithmic; where there is a 0, which has no logarithm, it is linear near 0 instead and
    its ticks are 0 and the powers of ten.
    """
    values = [row[field] for row in board.points.rows for field in fields if row[field] is not None]
    low, high = min(values, default=1), _rounded(max(10, *values, 10), math.ceil)
    if low > 0:
        low = _rounded(low, math.floor)
        scale = alt.Scale(type="log", domain=[low, high], nice=False)
    else:
        low = 0
        scale = alt.Scale(type="symlog", constant=1, domain=[low, high], nice=False)
    axis = alt.Axis(labelExpr="format(datum.value, '~s')", values=_ticks(low, high))
    return TokensAxis(low, high, {"scale": scale, "axis": axis})


def _ticks(low: int, high: int) -> list[int]:
    """Return 1, 2 and 5 of every power of ten on the axis; the powers alone where there are many."""
    steps = (1, 2, 5) if low and high / low <= 1_000 else (1,)
    powers = range(len(str(high)))
    ticks = [step * 10**power for power in powers for step in steps if low <= step * 10**power <= high]
    return ticks if low else [0, *ticks]


def _rounded(value: int, towards: Callable[[float], int]) -> int:
    """Return a number of one digit and zeros beyond `value`: a point on the edge would be cut in half.

    `towards` is `math.ceil` or `math.floor`.
    """
    moved = value * (1.02 if towards is math.ceil else 0.98)
    unit = 10 ** math.floor(math.log10(moved)) if moved > 1 else 1
    return int(max(1, towards(moved / unit) * unit))


def diagonal(alt: Any, axis: TokensAxis, x: Any, y: Any, share: float = 1) -> Any:
    """Return the line on which y is `share` times x."""
    low = max(axis.low, axis.low / share)
    steps = 40 if axis.low == 0 else 1  # the line is straight on logarithmic axes only
    places = [low + (axis.high - low) * (step / steps) ** 4 for step in range(steps + 1)]
    ends = [{"x": place, "y": place * share} for place in places]
    line = alt.Chart(alt.InlineData(values=ends))
    style = "reference" if share == 1 else "reference-dashed"
    return line.mark_line(style=style, clip=True).encode(
        x=alt.X("x:Q", title=x["title"]), y=alt.Y("y:Q", title=y["title"])
    )


def event_points(alt: Any, board: Board, x: Any, y: Any) -> Any:
    """Return the events as points; shape and colour show how an answer ended.

    Points are drawn in the order of the rows. Truncated answers, which come last, are never faint: they are
    few and matter most.
    """
    there = {row["answer"] for row in board.points.rows}
    legend = alt.Legend(
        title=None,
        orient="bottom",
        direction="horizontal",
        values=[answer for answer in ANSWERS if answer in there],
    )
    size, opacity = alt.ExprRef(expr=_SIZE), alt.ExprRef(expr=_SHOWN)
    return (
        alt.Chart(alt.NamedData(name="events"))
        .mark_point(filled=True, size=size, opacity=opacity, tooltip=alt.TooltipContent("data"))
        .encode(
            x=x,
            y=y,
            color=alt.Color("answer:N", scale=alt.Scale(domain=list(ANSWERS)), legend=legend),
            shape=alt.Shape(
                "answer:N", scale=alt.Scale(domain=list(ANSWERS), range=list(SHAPES)), legend=legend
            ),
        )
    )


def specification(alt: Any, chart: Any) -> Spec:
    """Return a chart as Vega-Lite that fills the width it is given, without a configuration of its own."""
    spec: Spec = chart.properties(width="container").add_params(alt.param(name=CROWD, value=0)).to_dict()
    return {name: value for name, value in spec.items() if name not in ("config", "$schema")}


def cut_text(names: Sequence[str], count: int) -> str:
    """Return the end of a caption, with how many strata are shown if that isn't all `count` of them."""
    return "." if len(names) == count else f". Of {count:,} strata, the {len(names)} with the most events."
