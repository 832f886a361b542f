"""The numbers as HTML, so that the page can be read where no script runs; every text is escaped.

Elements whose text the script changes with a choice have `data-slot`, in the order of `packed_figures`.
Nothing has a `style` attribute: the page's Content-Security-Policy forbids it.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from reports.dashboard.figures import COLUMNS, Card, Cell, Track
from reports.dashboard.points import TRUNCATED, UNKNOWN, Point
from reports.terminal import label, printable
from reports.wording import plain

EVENT_COLUMNS = (
    *("phase and run", "estimate", "predicted", "actual"),
    *("line in the log", "when (UTC)", "stratum and model"),
)
"""The titles of the lists of events; page.js fills the same columns."""

_ANSWERS = {TRUNCATED: "at least: truncated", UNKNOWN: "truncated or not: not told"}


def text(value: str) -> str:
    """Escape a text for HTML, and show control characters and bidirectional marks as escapes."""
    return html.escape(printable(value))


def prose(value: str) -> str:
    """Escape a sentence for HTML; what stands between backticks becomes a `code` element."""
    parts = text(value).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def cards(shown: Iterable[Card]) -> str:
    """Return cards as HTML."""
    return "\n".join(map(_card, shown))


def _card(card: Card) -> str:
    kind, verdict = card.verdict
    facts = "".join(
        f"<div><dt>{text(name)}</dt><dd data-slot>{text(value)}</dd></div>" for name, value in card.facts
    )
    return (
        f'<div class="card"><h3>{text(card.title)}</h3>'
        f'<p class="big" data-slot>{text(card.value)}</p><p class="unit" data-slot>{text(card.unit)}</p>'
        f'<p class="verdict {kind}" data-slot>{text(verdict)}</p>{_track(card.track)}<dl>{facts}</dl></div>'
    )


def _track(track: Track | None) -> str:
    """Return the drawing of a rate and its limit as SVG; without a track, hidden: a choice may have one."""
    at = track or Track(0, 0, 0, 0)
    width = round(at.high - at.low, 2)
    return (
        f'<svg class="track" data-slot width="100%" height="40" display="{"inline" if track else "none"}" '
        'aria-hidden="true"><line x1="0" x2="100%" y1="29" y2="29"/>'
        f'<rect class="interval" x="{at.low}%" y="25" width="{width}%" height="8" rx="4"/>'
        f'<circle class="value" cx="{at.value}%" cy="29" r="5"/>'
        f'<line class="limit" x1="{at.limit}%" x2="{at.limit}%" y1="18" y2="40"/>'
        f'<text x="{at.limit}%" y="12">limit</text></svg>'
    )


def strata_table(rows: Iterable[Sequence[Cell]]) -> str:
    """Return the table of strata as HTML."""
    return _table("strata", COLUMNS, ([_cell(cell.text, cell.small) for cell in row] for row in rows))


def events_table(name: str, events: Iterable[Point]) -> str:
    """Return a list of events as an HTML table with the id `name`."""
    return _table(name, EVENT_COLUMNS, map(_event, events))


def _event(event: Point) -> list[str]:
    when = datetime.fromtimestamp(event["at"] / 1000, UTC)
    pairs = (
        (label(event["phase"]), label(event["run"])),
        (event["off"], f"SMAPE {plain(event['smape'], 1, '%')}"),
        (plain(event["predicted"]), ""),
        (plain(event["actual"]), _ANSWERS.get(event["answer"], "")),
        ("no log" if event["log"] is None else f"{event['log']}:{event['line']}", event["said"]),
        (f"{when:%Y-%m-%d %H:%M:%S}", ""),
        (event["stratum"], label(event["model"])),
    )
    return [_cell(*pair) for pair in pairs]


def _cell(value: str, small: str) -> str:
    return text(value) + (f"<br><small>{text(small)}</small>" if small else "")


def _table(name: str, titles: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{text(title)}</th>' for title in titles)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return f'<table id="{name}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
