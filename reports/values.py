"""Values as SQLite holds them, and what they are in Python."""

from __future__ import annotations

import json

LARGEST = (1 << 63) - 1
"""The largest number that SQLite can hold; some file systems number files beyond it."""


def truth(value: object) -> bool | None:
    """Return 0, 1 or NULL as one of Python's truths."""
    return None if value is None else bool(value)


def paths(text: str | None) -> list[str]:
    """Return the deliverable paths; none where they are unknown, or where somebody broke the text."""
    try:
        found = json.loads(text or "[]")
    except (ValueError, TypeError, RecursionError):
        return []
    return [path for path in found if isinstance(path, str)] if isinstance(found, list) else []
