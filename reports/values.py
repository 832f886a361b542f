"""Values as SQLite holds them, and what they are in Python."""

from __future__ import annotations

import json

LARGEST = (1 << 63) - 1
"""The largest integer that SQLite can hold; numbers of files and devices are stored modulo the next one."""


def truth(value: object) -> bool | None:
    """Return 0, 1 or NULL as `False`, `True` or `None`."""
    return None if value is None else bool(value)


def paths(text: str | None) -> list[str]:
    """Return the paths in a `deliverables_json`; none where it is NULL or no JSON array."""
    try:
        found = json.loads(text or "[]")
    except (ValueError, TypeError, RecursionError):
        return []
    return [path for path in found if isinstance(path, str)] if isinstance(found, list) else []
