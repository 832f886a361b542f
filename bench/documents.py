"""What is measured, put between the marks of a document."""

from __future__ import annotations

from pathlib import Path


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
