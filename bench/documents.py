"""What is measured, as tables: for a terminal, and put between the marks of a document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

Rows = Sequence[Sequence[str]]
"""The header, and a row for each line below it."""


def plain(rows: Rows) -> str:
    """Lay a table out for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def markdown(rows: Rows, rule: str = "---") -> str:
    """Lay a table out for a document; `rule` aligns its columns."""
    header, *body = rows
    lines = [header, [rule] * len(header), *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def put(document: Path, marks: tuple[str, str], text: str) -> None:
    """Put a text between two marks of a document, in the place of what stands there.

    Raises:
        ValueError: the document has no such marks.
    """
    before, begin, rest = document.read_text(encoding="utf-8").partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"{document} has no {marks[0]} and {marks[1]}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
