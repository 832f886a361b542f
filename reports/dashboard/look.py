"""The look: one palette for light and one for dark, as CSS variables and as a Vega configuration.

The colour-blind can tell the colours apart, text has a contrast ratio of 4.5 (WCAG AA), and a colour is never
the only sign: marks differ in shape, verdicts in words.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'
"""Fonts that the reader's machine may have: the page brings none."""

PICTURE_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is built into vl-convert; the others have the same widths, for programs that show the SVG."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by what they are for.

    `whole`, `truncated` and `untold` are the marks of answers (`untold`: the log doesn't say which);
    `heat_low` and `heat_high` the ends of the heat map, on both of which `ink` can be read; `good` and `bad`
    are verdicts.
    """

    ground: str
    surface: str
    ink: str
    muted: str
    line: str
    accent: str
    whole: str
    truncated: str
    untold: str
    good: str
    bad: str
    heat_low: str
    heat_high: str


LIGHT = Palette(
    ground="#f5f6f8",
    surface="#ffffff",
    ink="#1b2330",
    muted="#566173",
    line="#dde2e9",
    accent="#0b5cad",
    whole="#0b6fb8",
    truncated="#c2410c",
    untold="#6b7280",
    good="#0f6e5c",
    bad="#b3261e",
    heat_low="#f3f7fb",
    heat_high="#7fb8e6",
)
DARK = Palette(
    ground="#0f141b",
    surface="#171e28",
    ink="#e6eaf0",
    muted="#a3aebd",
    line="#2c3644",
    accent="#7cbcff",
    whole="#62b0f5",
    truncated="#ff9d5c",
    untold="#a3aebd",
    good="#5fd0b3",
    bad="#ff8f85",
    heat_low="#1c2531",
    heat_high="#1f639c",
)


def variables(palette: Palette) -> str:
    """Return a palette as declarations of CSS variables."""
    return " ".join(f"--{name.replace('_', '-')}: {colour};" for name, colour in asdict(palette).items())


def vega_config(palette: Palette, font: str = FONT, background: str = "transparent") -> dict[str, Any]:
    """Return the Vega configuration that gives every chart its colours and fonts.

    Specifications name colours by their use only (`style`, `range`), so that one specification serves light
    and dark.
    """
    return {
        "background": background,
        "font": font,
        "padding": 4,
        "view": {"stroke": palette.line},
        **_texts(palette),
        "range": {
            "category": [palette.whole, palette.truncated, palette.untold],
            "heatmap": [palette.heat_low, palette.heat_high],
        },
        "style": _styles(palette),
    }


def _texts(palette: Palette) -> dict[str, Any]:
    text = {
        "labelColor": palette.muted,
        "titleColor": palette.ink,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 500,
    }
    lines = {"gridColor": palette.line, "domainColor": palette.muted, "tickColor": palette.muted}
    labels = {"labelLimit": 180, "labelOverlap": "greedy", "labelSeparation": 6}
    return {
        "axis": text | lines | labels,
        "legend": text | {"symbolSize": 90, "symbolOpacity": 1},
        "title": {
            "color": palette.ink,
            "subtitleColor": palette.muted,
            "fontSize": 16,
            "subtitleFontSize": 12,
            "subtitlePadding": 6,
            "anchor": "start",
            "offset": 12,
        },
    }


def _styles(palette: Palette) -> dict[str, Any]:
    reference = {"color": palette.muted, "strokeWidth": 1.25}
    return {
        "reference": reference,
        "reference-dashed": reference | {"strokeDash": [5, 4]},
        "extent": {"color": palette.muted, "strokeWidth": 1, "opacity": 0.7},
        "median": {"color": palette.ink, "opacity": 1},
        "change": {"color": palette.accent, "strokeWidth": 1.5, "strokeDash": [6, 3]},
        "change-text": {"color": palette.accent, "fontSize": 12, "fontWeight": 600},
        "trend": {"color": palette.ink, "strokeWidth": 2},
        "cell": {"stroke": palette.line},
        "cell-text": {"color": palette.ink, "fontSize": 13},
    }
