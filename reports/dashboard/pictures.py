"""One chart as a picture: PNG or SVG, drawn by vl-convert without a browser and without a network."""

from __future__ import annotations

import re
from typing import Any

from reports.dashboard.board import Board
from reports.dashboard.charts import CHARTS, Chart
from reports.dashboard.look import LIGHT, PICTURE_FONT, vega_config
from reports.dashboard.marks import CROWD
from reports.dashboard.versions import vega_lite_version
from reports.extras import imported

WIDTH = 760
"""Pixels of the drawing at scale 1, without the labels beside it."""

SCALE = 2
"""Pixels of a PNG for each pixel of the drawing, for dense screens and for print."""


_UNDRAWABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML, and so SVG, can't hold."""


def png(board: Board, name: str) -> bytes:
    """Draw the chart of a name in `CHARTS` as PNG.

    Raises:
        MissingExtra: Altair or vl-convert is not installed.
    """
    converter, options = _converter()
    picture: bytes = converter.vegalite_to_png(_picture(board, name), scale=SCALE, **options)
    return picture


def svg(board: Board, name: str) -> bytes:
    """Draw a chart as SVG, in UTF-8.

    Raises:
        MissingExtra: Altair or vl-convert is not installed.
    """
    converter, options = _converter()
    picture: str = converter.vegalite_to_svg(_picture(board, name), **options)
    return picture.encode("utf-8")


def _converter() -> tuple[Any, dict[str, Any]]:
    config = vega_config(LIGHT, PICTURE_FONT, LIGHT.surface) | {"padding": 16}
    options = {"vl_version": vega_lite_version(), "config": config, "allowed_base_urls": []}
    return imported("vl_convert", "charts"), options


def _picture(board: Board, name: str) -> dict[str, Any]:
    """Return the specification of a whole picture: with its rows, a title and a width of its own."""
    chart = CHARTS[name](imported("altair", "charts"), board)
    tables = {"events": board.points.rows, "cells": board.cells}
    rows = [row for row in tables[chart.rows] if row[chart.needs] is not None and chart.draws(row)]
    if not rows:
        return _sentence(chart)
    named = {chart.rows: rows}
    count = sum(row["n"] for row in rows) if chart.rows == "cells" else len(rows)
    subtitle = [chart.caption, f"n = {count:,}", *board.notes()[:1]]
    whole = chart.spec | {
        "title": {"text": chart.title, "subtitle": subtitle},
        "width": WIDTH,
        "params": [{"name": CROWD, "value": len(rows)}],
        "datasets": chart.spec.get("datasets", {}) | named,
    }
    drawable: dict[str, Any] = _drawable(whole)
    return drawable


def _drawable(value: Any) -> Any:
    """Replace `_UNDRAWABLE` characters in every text of a specification by escapes."""
    if isinstance(value, str):
        return _UNDRAWABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    if isinstance(value, dict):
        return {name: _drawable(part) for name, part in value.items()}
    return [_drawable(part) for part in value] if isinstance(value, list | tuple) else value


def _sentence(chart: Chart) -> dict[str, Any]:
    return {
        "title": {"text": chart.title, "subtitle": [chart.empty]},
        "data": {"values": [{}]},
        "mark": "point",
        "width": WIDTH,
        "height": 20,
    }
