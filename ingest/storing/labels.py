"""Labels of sources, as the folders that they are in have them now. A source elsewhere keeps what it has."""

from __future__ import annotations

import sqlite3

from ingest.files.folders import Folder, label_for
from ingest.storing import writes
from ingest.storing.database import immediate


def keep_labels(connection: sqlite3.Connection, folders: tuple[Folder, ...]) -> None:
    """Give each source its label; nothing is written where all have theirs."""
    if not any(folder.label for folder in folders):
        return
    sources = connection.execute("SELECT source_id, path, label FROM log_sources")
    told = [(label_for(folders, path), source_id, label) for source_id, path, label in sources]
    changed = [
        (label, source_id) for label, source_id, before in told if label is not None and label != before
    ]
    if changed:
        with immediate(connection):
            for label, source_id in changed:
                writes.update_source(connection, source_id, {"label": label})
