"""The charts, by Altair: what each one shows, of which rows, and its Vega-Lite specification.

A specification holds no event: rows are named data that the page or a picture supplies. It holds no colour
either: those are in `look.vega_config`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reports.changes import Change
from reports.dashboard import marks
from reports.dashboard.board import Board
from reports.dashboard.marks import Spec
from reports.dashboard.points import milliseconds
from reports.extras import imported
from reports.terminal import counted

MAX_STRATA = 40
"""Strata that have a row of their own in a chart, at most."""

ROW_HEIGHT = 28
"""Pixels of one stratum's row."""

_TIME_MARGIN = 600_000
"""Milliseconds before the first and after the last event: one event alone would give no axis."""

_HOUR = 3_600_000
_DAY = 24 * _HOUR
_GAPS = (
    *(600_000, 1_800_000, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 4 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY),
)
"""Milliseconds, all of which `_span_text` can say: a gap in the trend line is longer than one of them."""

_PLACE = {"field": "place", "op": "min"}
"""Strata are sorted by a number: a list of their names would become part of a Vega expression, which is code,
and names come from logs."""

_TIMES = {
    **dict.fromkeys(("hours", "minutes"), "%H:%M"),
    **dict.fromkeys(("date", "week", "day"), "%b %-d"),
    "month": "%b %Y",
}
"""How an axis labels times, by the unit that begins there."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: `rows` names its data, `needs` the number without which a row can't be drawn.

    `rows` is `events` or `cells`. `strata` are those whose rows are drawn, `None` for all. `caption` says how
    to read the chart, `empty` stands in its place where there is nothing to draw.
    """

    name: str
    title: str
    caption: str
    empty: str
    rows: str
    needs: str
    spec: Spec
    strata: list[str] | None = None

    def draws(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is drawn: its stratum is one of those shown."""
        return self.strata is None or row["stratum"] in self.strata


def charts(board: Board) -> list[Chart]:
    """Return every chart, in the order of the page.

    Raises:
        MissingExtra: Altair is not installed.
    """
    alt = imported("altair", "charts")
    return [build(alt, board) for build in CHARTS.values()]


def without_legend(spec: Spec) -> Spec:
    """Return a specification without its legend: the page has it as text, which no screen cuts."""
    layers = [
        layer
        | {
            "encoding": {
                name: channel | {"legend": None} if "legend" in channel else channel
                for name, channel in layer["encoding"].items()
            }
        }
        for layer in spec["layer"]
    ]
    return spec | {"layer": layers}


def _predicted_actual(alt: Any, board: Board) -> Chart:
    axis = marks.tokens_axis(alt, board, ("predicted", "actual"))
    x = alt.X("predicted:Q", title="predicted output (tokens)", **axis.options)
    y = alt.Y("actual:Q", title="actual output (tokens)", **axis.options)
    layers = [marks.diagonal(alt, axis, x, y), marks.event_points(alt, board, x, y)]
    return Chart(
        name="predicted-actual",
        title="Predicted against actual",
        caption="On the line the estimate was exact; above it the answer was longer than predicted.",
        empty="No event to draw.",
        rows="events",
        needs="actual",
        spec=marks.specification(alt, alt.layer(*layers).properties(height=340)),
    )


def _ceilings(alt: Any, board: Board) -> Chart:
    axis = marks.tokens_axis(alt, board, ("ceiling", "actual"))
    x = alt.X("beside:Q", title="ceiling given (tokens)", **axis.options)
    y = alt.Y("actual:Q", title="actual output (tokens)", **axis.options)
    layers = [
        marks.diagonal(alt, axis, x, y),
        marks.diagonal(alt, axis, x, y, share=0.1),
        marks.event_points(alt, board, x, y).transform_calculate(
            beside=f"datum.ceiling * (0.96 + 0.08 * {marks.LANE})"  # jitter: many have the same ceiling
        ),
    ]
    return Chart(
        name="ceilings",
        title="Ceilings against use",
        caption="On the line the answer filled its ceiling; on the dashed line it used a tenth of it. "
        "Marks stand up to 4% beside their ceiling.",
        empty="No event to draw whose ceiling is known.",
        rows="events",
        needs="ceiling",
        spec=marks.specification(alt, alt.layer(*layers).properties(height=340)),
    )


def _time(alt: Any, board: Board) -> Chart:
    times = [row["at"] for row in board.points.rows] or [0]
    first, last = min(times) - _TIME_MARGIN, max(times) + _TIME_MARGIN
    x = alt.X(
        "at:T",
        title="time (UTC)",
        scale=alt.Scale(type="utc", domainMin=alt.ExprRef(str(first)), domainMax=alt.ExprRef(str(last))),
        axis=alt.Axis(tickCount=6, grid=False, format=_TIMES),
    )
    y = alt.Y("smape:Q", title="SMAPE (%)", scale=alt.Scale(domain=[0, 200]), axis=alt.Axis(tickCount=5))
    around = min(100, max(12, len(board.points.rows) // 100))
    gap = _gap_ms(last - first)
    layers = [marks.event_points(alt, board, x, y), _trend(alt, x, around, gap)]
    caption = (
        f"The line is the median of the {2 * around + 1} events drawn around each moment, if there are 10; "
        f"it is open where {_span_text(gap)} went by without any."
    )
    if _marked(board):
        layers += _change_marks(alt, board, x)
        caption += " An upright line marks where the estimates changed, and the typical actual / predicted."
    return Chart(
        name="time",
        title="Error over time",
        caption=f"0% is exact, 200% the worst there can be. {caption}",
        empty="No event to draw that has an error: SMAPE needs an estimate and an actual above 0.",
        rows="events",
        needs="smape",
        spec=marks.specification(alt, alt.layer(*layers).properties(height=260)),
    )


def _trend(alt: Any, x: Any, around: int, gap: int) -> Any:
    """Return the moving median as a line that is broken at gaps; no median reaches across one."""
    return (
        alt.Chart(alt.NamedData(name="events"))
        .transform_window(sort=[alt.SortField("at")], frame=[None, None], before="lag(at)")
        .transform_calculate(opens=f"datum.before !== null && datum.at - datum.before > {gap} ? 1 : 0")
        .transform_window(sort=[alt.SortField("at")], frame=[None, 0], stretch="sum(opens)")
        .transform_window(
            sort=[alt.SortField("at")],
            groupby=["stretch"],
            frame=[-around, around],
            around="count()",
            middle="median(smape)",
        )
        .transform_calculate(typical="datum.around >= 10 ? datum.middle : null")
        .mark_line(style="trend")
        .encode(x=x, y=alt.Y("typical:Q", title="SMAPE (%)"), detail="stretch:N")
    )


def _marked(board: Board) -> list[Change]:
    """Return the changes over all strata; those of a single one are in the notes (`Board.notes`)."""
    return [change for change in board.changes if change.key is None]


def _change_marks(alt: Any, board: Board, x: Any) -> list[Any]:
    """Return an upright line for each change, and the medians before and after it as text."""
    rows = [
        {"at": milliseconds(change.at), "text": f"{change.before:.2f} → {change.after:.2f}"}
        for change in _marked(board)
    ]
    changes = alt.Chart(alt.InlineData(values=rows)).encode(x=x)
    text = changes.mark_text(style="change-text", align="left", baseline="top", dx=4, dy=3)
    return [
        changes.mark_rule(style="change"),
        text.encode(y=alt.value(0), text="text:N"),
    ]


def _gap_ms(span: int) -> int:
    """Return how many milliseconds without an event break the line: about a twentieth of the time drawn."""
    return max((gap for gap in _GAPS if gap <= span / 20), default=_GAPS[0])


def _span_text(gap: int) -> str:
    hours = gap // _HOUR
    if hours < 1:
        return counted(gap // 60_000, "minute")
    return counted(hours, "hour") if hours < 48 else counted(hours // 24, "day")


def _smape(alt: Any, board: Board) -> Chart:
    names = board.strata_names(MAX_STRATA)
    y = alt.Y("stratum:N", sort=_PLACE, title=None, axis=alt.Axis(grid=True, tickBand="extent"))
    x = alt.X("smape:Q", title="SMAPE (%)", scale=alt.Scale(domain=[0, 200]), axis=alt.Axis(tickCount=5))
    points = (
        marks.event_points(alt, board, x, y)
        .transform_calculate(lane=marks.LANE)
        .encode(yOffset=alt.YOffset("lane:Q", scale=alt.Scale(domain=[-0.3, 1.3])))
    )
    strata = alt.Chart(alt.NamedData(name="events")).transform_aggregate(
        smape_median="median(smape)",
        smape_min="min(smape)",
        smape_max="max(smape)",
        groupby=["stratum", "place"],
    )
    extent = strata.mark_rule(style="extent").encode(y=y, x="smape_min:Q", x2="smape_max:Q")
    median = strata.mark_tick(style="median", thickness=4, size=ROW_HEIGHT - 8).encode(
        y=y, x=alt.X("smape_median:Q", title="SMAPE (%)")
    )
    return Chart(
        name="smape",
        title="Error by stratum",
        caption="Every mark is an event; the bar is their median, the thin line their whole range"
        + marks.cut_text(names, board.strata_count),
        empty="No event to draw that has an error: SMAPE needs an estimate and an actual above 0.",
        rows="events",
        needs="smape",
        spec=marks.specification(
            alt, alt.layer(extent, median, points).properties(height={"step": ROW_HEIGHT, "for": "position"})
        ),
        strata=names if len(names) < board.strata_count else None,
    )


def _coverage(alt: Any, board: Board) -> Chart:
    names = board.strata_names(MAX_STRATA)
    cells = alt.Chart(alt.NamedData(name="cells"))
    counted = cells.transform_aggregate(n="sum(n)", groupby=["stratum", "place", "bucket"]).encode(
        x=alt.X(
            "bucket:N",
            sort=board.buckets,
            scale=alt.Scale(domain=board.buckets),
            title="deliverables (?: not told)",
            axis=alt.Axis(labelAngle=0, orient="top", domain=False, ticks=False, labelOverlap=False),
        ),
        y=alt.Y("stratum:N", sort=_PLACE, title=None, axis=alt.Axis(domain=False, ticks=False)),
    )
    squares = counted.mark_rect(style="cell", tooltip=alt.TooltipContent("data")).encode(
        color=alt.Color("n:Q", legend=None, scale=alt.Scale(type="sqrt", domainMin=0))
    )
    texts = counted.mark_text(style="cell-text").encode(text=alt.Text("n:Q", format=",d"))
    return Chart(
        name="coverage",
        title="Coverage",
        caption="Events of each kind of work, by the number of deliverables; an empty cell has none"
        + marks.cut_text(names, board.strata_count),
        empty="No event to count.",
        rows="cells",
        needs="n",
        spec=marks.specification(
            alt, alt.layer(squares, texts).properties(height={"step": ROW_HEIGHT, "for": "position"})
        ),
        strata=names if len(names) < board.strata_count else None,
    )


CHARTS: dict[str, Callable[[Any, Board], Chart]] = {
    "predicted-actual": _predicted_actual,
    "ceilings": _ceilings,
    "time": _time,
    "smape": _smape,
    "coverage": _coverage,
}
"""Every chart by the name that a person asks for."""
