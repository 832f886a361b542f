"""Lines with the event's marker that were not understood, or have new keys: the messages about them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.files.paths import quoted
from parsers.event import MARKER

MAX_SHAPES = 8
"""How many shapes of unread lines are counted; a log has one, if any."""


@dataclass(slots=True)
class Unread:
    """The place of a source's first line that was not understood, and the shapes of all such lines.

    `shapes` are templates of the text before the marker, each with the number of lines that begin so.
    """

    offset: int
    line_number: int
    shapes: dict[str, int] = field(default_factory=dict)

    def add(self, shape: str | None) -> None:
        """Count a line's shape, if it has one."""
        if shape is not None and (shape in self.shapes or len(self.shapes) < MAX_SHAPES):
            self.shapes[shape] = self.shapes.get(shape, 0) + 1


def keys_text(path: str, counts: dict[str, int]) -> str:
    """Return a message: which keys of event lines are new, and how many lines have each."""
    keys = ", ".join(f"{key} ({count:,})" for key, count in sorted(counts.items()))
    return f"{path}: event lines have keys that this version doesn't know, and doesn't store: {keys}"


def unread_text(path: str, count: int, unread: Unread) -> str:
    """Return a message: how many such lines a log has, where the first one is, and what to do.

    If most of them have one shape, the message proposes it as a template.
    """
    lines = f"1 line with {MARKER} is" if count == 1 else f"{count:,} lines with {MARKER} are"
    first = f"{path}: {lines} not read, since what stands before it is not known: the first is line"
    shape, usual = max(unread.shapes.items(), key=lambda item: item[1], default=("", 0))
    if 2 * usual > count:
        return f"{first} {unread.line_number:,}; most would be read by {reading_with(shape, path)}"
    return (
        f"{first} {unread.line_number:,}, at offset {unread.offset}: look at it, and name a prefix of your "
        "own with --prefix"
    )


def reading_with(shape: str, path: str) -> str:
    """Return the command that reads a log with a template."""
    template = "'" + shape.replace("'", "'\\''") + "'"
    return f"`tokentail backfill --full --prefix {template} {quoted(path)}`"
