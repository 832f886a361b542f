"""The page: one HTML file with its numbers, its charts and everything that draws them inside it.

It loads nothing: its Content-Security-Policy allows only the scripts and the styles that are in it, each
named by its hash, and no `eval`. Numbers are HTML, which can be read where scripts or styles are forbidden;
what charts and filters need is JSON.
"""

from __future__ import annotations

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
from reports.dashboard.charts import charts, without_legend
from reports.dashboard.figures import figures
from reports.dashboard.look import DARK, LIGHT, variables, vega_config
from reports.dashboard.markup import cards, events_table, prose, strata_table, text
from reports.dashboard.points import ANSWERS, SIGNS
from reports.dashboard.versions import vega_lite_version
from reports.extras import imported

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
    ("off", "estimate", "text"),
    ("ceiling", "ceiling", "tokens"),
    ("use", "of its ceiling", "percent"),
    ("smape", "SMAPE", "percent"),
    ("smape_median", "SMAPE, median", "percent"),
    ("answer", "answer", "text"),
    ("source", "line", "text"),
    ("n", "events", "count"),
)
"""What the tooltip shows: field, title, and how its value is written (a key of `kinds` in page.js)."""

_BEGIN = 'document.documentElement.dataset.script = "runs";'
"""The first script: it sets the attribute by which the style sheet knows that scripts run."""

_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def page(board: Board, database: str, population: str) -> str:
    """Return the page as HTML; `population` is the sentence that says which events it is about.

    Raises:
        MissingExtra: Altair or vl-convert is not installed.
    """
    library, script, style = _library(), _part("page.js"), _style()
    shown, found = figures(board.report), board.points
    parts = {
        "policy": _policy([_BEGIN, library, script], style),
        "database": text(database),
        "heading": text(shown.heading),
        "reason": prose(shown.reason),
        "population": text(population),
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        "version": text(program_version()),
        "style": style,
        "begin": _BEGIN,
        "notes": "".join(f'<p class="notice">{text(note)}</p>' for note in board.notes()),
        "cards": cards(shown.cards),
        "ends": text(shown.ends),
        "strata": strata_table(shown.rows),
        "worst": events_table("worst", found.worst),
        "newest": events_table("newest", found.newest),
        "logs": f"The logs are in {text(found.folder)}." if found.folder else "",
        "board": json_text(_record(board)),
        "library": library,
        "script": script,
    }
    return Template(_part("page.html")).substitute(parts)


def json_text(value: Any) -> str:
    """Return JSON as ASCII without < > &, so that no text in it can end the script element that holds it."""
    written = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return written.translate(_ESCAPES)


def _record(board: Board) -> dict[str, Any]:
    drawn = [
        asdict(chart) | {"spec": without_legend(chart.spec), "wide": chart.name == WIDE}
        for chart in charts(board)
    ]
    looks = {"light": vega_config(LIGHT), "dark": vega_config(DARK)}
    answers = [{"name": name, "sign": sign} for name, sign in zip(ANSWERS, SIGNS, strict=True)]
    return board.record() | {"charts": drawn, "looks": looks, "tooltip": TOOLTIP, "answers": answers}


def _part(name: str) -> str:
    return files("reports.dashboard").joinpath(name).read_text(encoding="utf-8")


def _style() -> str:
    """Return the style sheet with both palettes; print has the light one."""
    return (
        f":root {{ {variables(LIGHT)} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}\n"
    ) + _part("page.css")


@cache
def _library() -> str:
    """Return Vega-Lite, Vega and vega-embed as one script, of the version that Altair writes for.

    What would end the script element early can be in a script only inside a string or a regular expression,
    where the backslash changes nothing.
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
