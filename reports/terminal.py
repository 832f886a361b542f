"""Text for a terminal: untrusted text made harmless, numbers made readable, tables aligned."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_LINE_WIDTH = 200
"""Characters of a log's line that are shown."""

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def printable(text: str) -> str:
    """Replace control characters, terminal escapes and bidirectional marks by Python's escapes for them."""
    if text.isprintable():
        return text
    return "".join(char if _is_harmless(char) else char.encode("unicode_escape").decode() for char in text)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def shortened(text: str) -> str:
    """Return a line of a log to show, cut to its first characters."""
    return text if len(text) <= _LINE_WIDTH else f"{text[:_LINE_WIDTH]}..."


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
    """Return a name to show: `(none)` for `None`, `(empty)` for an empty text."""
    return "(none)" if name is None else name or "(empty)"


def percent(share: float | None, digits: int = 0) -> str:
    """Write a share of 0..1 as a percentage, or `-` where there is none."""
    return "-" if share is None else f"{share:.{digits}%}"


def heat(have: int, target: int, width: int) -> str:
    """Draw how much of a target there is, `###.. 3/5`, in ASCII; `width` is that of the bar in characters."""
    filled = min(width, have * width // target) if have < target else width
    if have and not filled:
        filled = 1
    return f"{'#' * filled}{'.' * (width - filled)} {have:,}/{target:,}"


_GAP = 2
"""Characters between two columns."""

_NAMES = (1 << 30, 24)
"""Widths to which columns of names are cut, in characters, tried in this order before a column goes."""

_NARROWEST = 8
"""Characters of a name that are left at least."""

_LONG_TEXT = 24
"""A last column of text with more characters goes below its rows where there is no room beside them."""

_LEAST = ("sd", "min", "max", "predicted", "actual", "clean", "left out", "95% interval", "median")
"""Columns that go first where there is no room for all, unless a table says otherwise."""


class _Page:
    """The width in characters that tables and sentences have to fit; `None`: any."""

    width: int | None = None


def fit_to(width: int | None) -> None:
    """Set the width in characters that `table` and `wrapped` fit; `None` lets text be as wide as it is."""
    _Page.width = width


def wrapped(line: str) -> list[str]:
    """Break a sentence that is wider than the page between words, into lines."""
    if _Page.width is None or len(line) <= _Page.width:
        return [line]
    from textwrap import wrap  # noqa: PLC0415 - most lines are short

    indent = " " * (len(line) - len(line.lstrip()))
    return wrap(
        line.lstrip(),
        max(20, _Page.width),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def cut(text: str, width: int) -> str:
    """Cut a name to a width by replacing its middle: its start and its end distinguish it."""
    if len(text) <= width:
        return text
    kept = max(2, width - 2)
    return f"{text[: (kept + 1) // 2]}..{text[len(text) - kept // 2 :]}"


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    text_columns: int = 1,
    last_text_columns: int = 0,
    least: Sequence[str] = _LEAST,
) -> list[str]:
    """Align rows under a header: the first `text_columns` and last `last_text_columns` left, numbers right.

    Where the page is too narrow, names are cut and columns left out: first those named in `least`, then
    numbers, then text, from the right. A line below the table says which.
    """
    shown = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(header))]
    are_text = [
        column < text_columns or column >= len(header) - last_text_columns for column in range(len(header))
    ]
    below = _goes_below(widths, are_text) if rows else False
    if rows:
        columns, widths = _fitted(shown[0][: len(header) - below], widths, are_text, least)
    else:
        columns = list(range(len(header)))
    lines = [
        (" " * _GAP)
        .join(
            cut(row[column], widths[column]).ljust(widths[column])
            if are_text[column]
            else row[column].rjust(widths[column])
            for column in columns
        )
        .rstrip()
        for row in shown
    ]
    rule = (" " * _GAP).join("-" * widths[column] for column in columns)
    left_out = [name for column, name in enumerate(shown[0][: len(header) - below]) if column not in columns]
    note = [f"not shown here: {', '.join(left_out)} (--wide)"] if left_out else []
    body = [
        text
        for line, row in zip(lines[1:], shown[1:], strict=True)
        for text in (line, *_below(row[-1], below))
    ]
    return [lines[0], rule, *body, *(text for line in note for text in wrapped(line))]


def _goes_below(widths: Sequence[int], are_text: Sequence[bool]) -> bool:
    """Whether the last column is text for which there is no room beside the others."""
    is_long = len(widths) > 1 and are_text[-1] and widths[-1] > _LONG_TEXT
    return _Page.width is not None and is_long and sum(widths) + _GAP * (len(widths) - 1) > _Page.width


def _below(text: str, below: bool) -> list[str]:
    return [f"    {line.strip()}" for line in wrapped(text)] if below and text else []


def _fitted(
    header: Sequence[str], widths: Sequence[int], are_text: Sequence[bool], least: Sequence[str]
) -> tuple[list[int], list[int]]:
    """Return which columns are shown, and how wide each is, in characters."""
    columns, room = list(range(len(header))), _Page.width
    if room is None:
        return columns, list(widths)
    may_be_cut = [is_text and "UTC" not in name for name, is_text in zip(header, are_text, strict=False)]
    going = _going(header, are_text, least)
    while True:
        for most in _NAMES:
            narrow = [
                min(wide, most) if cuts else wide for wide, cuts in zip(widths, may_be_cut, strict=False)
            ]
            if _sum(narrow, columns) <= room:
                return columns, narrow
        if not going:
            break
        columns.remove(going.pop(0))
    while _sum(narrow, columns) > room:  # no column may go any more: the widest name is cut
        widest = max(columns, key=lambda column: may_be_cut[column] * narrow[column])
        if not may_be_cut[widest] or narrow[widest] <= _NARROWEST:
            break
        narrow[widest] -= 1
    return columns, narrow


def _sum(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[column] for column in columns) + _GAP * (len(columns) - 1)


def _going(header: Sequence[str], are_text: Sequence[bool], least: Sequence[str]) -> list[int]:
    """Return the columns that may go, the least first; the first and those without a header (marks) stay."""
    may_go = [column for column in range(1, len(header)) if header[column]]
    named = [column for name in least for column in may_go if header[column] == name]
    rest = [column for column in reversed(may_go) if column not in named]
    return [*named, *sorted(rest, key=lambda column: are_text[column])]
