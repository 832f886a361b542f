"""The page: one HTML file with its numbers, its charts and everything that draws them inside it.

It loads nothing: its Content-Security-Policy forbids every source but the very scripts and styles
that are in it, each named by its hash, and `eval` with them. Data stands in it once, as JSON.
"""

from __future__ import annotations

import html
import json
from base64 import b64encode
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Any

from ingest.version import program_version
from reports.dashboard.board import Board
from reports.dashboard.charts import charts
from reports.dashboard.look import DARK, LIGHT, variables, vega_config
from reports.dashboard.versions import vega_lite_version
from reports.extras import imported
from reports.terminal import printable

WIDE = "time"
"""The chart that is as wide as the page."""

TOOLTIP = (
    ("run", "run", "text"),
    ("phase", "phase", "text"),
    ("model", "model", "text"),
    ("stratum", "stratum", "text"),
    ("bucket", "deliverables", "text"),
    ("at", "time", "time"),
    ("predicted", "predicted", "tokens"),
    ("actual", "actual", "tokens"),
    ("ceiling", "ceiling", "tokens"),
    ("use", "of its ceiling", "percent"),
    ("smape", "SMAPE", "percent"),
    ("smape_median", "SMAPE, median", "percent"),
    ("answer", "answer", "text"),
    ("n", "events", "count"),
)
"""What is said of whatever the pointer is on: field, title, and how its value is written."""

_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def page(board: Board, database: str, population: str) -> str:
    """Return the page; `population` is the sentence that says which events it is about.

    Raises:
        MissingExtra: Altair or vl-convert is not installed.
    """
    library, script, style = _library(), _part("page.js"), _style()
    parts = {
        "policy": _policy([library, script], style),
        "database": html.escape(printable(database)),
        "population": html.escape(printable(population)),
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        "version": html.escape(program_version()),
        "style": style,
        "board": json_text(_record(board)),
        "library": library,
        "script": script,
    }
    return Template(_part("page.html")).substitute(parts)


def json_text(value: Any) -> str:
    """Write JSON that no text in it can break out of a script element with: ASCII without < > &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPES)


def _record(board: Board) -> dict[str, Any]:
    drawn = [asdict(chart) | {"wide": chart.name == WIDE} for chart in charts(board)]
    looks = {"light": vega_config(LIGHT), "dark": vega_config(DARK)}
    return board.record() | {"charts": drawn, "looks": looks, "tooltip": TOOLTIP}


def _part(name: str) -> str:
    return files("reports.dashboard").joinpath(name).read_text(encoding="utf-8")


def _style() -> str:
    """Return the style sheet with both palettes; a page printed in the dark keeps its charts' ground."""
    return (
        f":root {{ {variables(LIGHT)} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}\n"
        f'@media print {{ [data-look="dark"] .plot {{ background: {DARK.surface}; }} }}\n'
    ) + _part("page.css")


@cache
def _library() -> str:
    """Return Vega-Lite, Vega and vega-embed as one script, of the version that Altair writes for.

    What would end the script element early can stand in a script only inside a literal, where the
    backslash changes nothing.
    """
    converter = imported("vl_convert", "charts")
    bundle: str = converter.javascript_bundle(vl_version=vega_lite_version())
    return bundle.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: list[str], style: str) -> str:
    allowed = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode('utf-8')).digest()).decode()}'"
