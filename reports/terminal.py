"""Text for a terminal: untrusted text made harmless, numbers made readable, tables aligned."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def printable(text: str) -> str:
    """Show control characters, terminal escapes and bidirectional tricks as escapes, not obey them."""
    if text.isprintable():
        return text
    return "".join(one if _is_harmless(one) else one.encode("unicode_escape").decode() for one in text)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def bytes_text(count: int) -> str:
    """Write a number of bytes as people do: `1.3 MB` (powers of 1,000)."""
    size = float(count)
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the loop returns")


def counted(count: int, noun: str) -> str:
    """Write a count with its noun: `1 file`, `2,000 files`."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def number(value: float | None, digits: int, unit: str = "") -> str:
    """Write a number with its unit, or `-` where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def label(name: str | None) -> str:
    """Return a name to show: one that is not told, and one of no letters, are told apart."""
    return "(none)" if name is None else name or "(empty)"


def percent(share: float | None, digits: int = 0) -> str:
    """Write a share of 0..1 as a percentage, or `-` where there is none."""
    return "-" if share is None else f"{share:.{digits}%}"


def heat(have: int, target: int, width: int) -> str:
    """Draw how much of a target is there: `###.. 3/5`; readable without colour and in every encoding."""
    filled = min(width, have * width // target) if have < target else width
    if have and not filled:
        filled = 1
    return f"{'#' * filled}{'.' * (width - filled)} {have:,}/{target:,}"


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1, last_text_columns: int = 0
) -> list[str]:
    """Align rows under a header; the first `text_columns` and the last ones left, numbers right."""
    numbers = range(text_columns, len(header) - last_text_columns)
    shown = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(header))]
    lines = []
    for row in shown:
        cells = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]
