"""The rejects: marker lines that could not become events, with where and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlite_utils import Database

_REJECTS = """
SELECT source.path, reject.line_number, reject.byte_offset, reject.reason, reject.line
FROM rejected_lines AS reject JOIN log_sources AS source USING (source_id)
ORDER BY source.path, reject.byte_offset
"""


def rejects(db: Database) -> Iterator[dict[str, Any]]:
    """Yield the rejects, each a dictionary, by the path of their log and their place in it."""
    yield from db.query(_REJECTS)
