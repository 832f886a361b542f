"""Folders of logs: their sources get their label, and a folder that has no logs any more is a warning."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence

from ingest.files.folders import Folder, label_for
from ingest.files.listing import GLOBS, Listing, name_test
from ingest.files.paths import shown, stored_path
from ingest.files.urls import is_url
from ingest.notices import Notice
from ingest.storing import writes
from ingest.storing.database import immediate

_READ_LOCALLY = """
SELECT path, real_path FROM log_sources
WHERE path <> '-' AND state NOT IN ('replaced', 'imported') AND host IS NULL
"""


def keep_labels(connection: sqlite3.Connection, folders: tuple[Folder, ...]) -> None:
    """Give each source the label that its folder has now; nothing is written where all have theirs.

    A source in none of the folders keeps what it has.
    """
    if not any(folder.label for folder in folders):
        return
    sources = connection.execute("SELECT source_id, path, label FROM log_sources")
    now = [(label_for(folders, path), source_id, label) for source_id, path, label in sources]
    changed = [
        (label, source_id) for label, source_id, before in now if label is not None and label != before
    ]
    if changed:
        with immediate(connection):
            for label, source_id in changed:
                writes.update_source(connection, source_id, {"label": label})


def with_emptied(connection: sqlite3.Connection, listing: Listing, notices: Sequence[Notice]) -> list[Notice]:
    """Return the notices of an ingest, with a warning in place of the note of each folder that had logs."""
    is_log = name_test(listing.globs or GLOBS)
    places = [{row[0], row[1] or row[0]} for row in connection.execute(_READ_LOCALLY)]
    emptied: list[Notice] = []
    for folder in listing.empty:
        names = [Folder(stored_path(folder))]
        if not is_url(folder):
            names.append(Folder(shown(os.path.realpath(folder))))
        count = sum(
            any(is_log(_name(path)) and any(name.holds(path) for name in names) for path in read)
            for read in places
        )
        if count:
            were = "1 was" if count == 1 else f"{count:,} were"
            text = (
                f"{shown(folder)}: no logs in this folder any more ({were} read from it): is it mounted, "
                "does the executor log elsewhere? `tokentail sources forget` ends this, if that is meant"
            )
            emptied.append(Notice("warning", "emptied", shown(folder), text))
    had_logs = {("no-logs", notice.path) for notice in emptied}
    return [*(notice for notice in notices if notice.key not in had_logs), *emptied]


def _name(path: str) -> str:
    return path.rpartition("/")[2] if is_url(path) else os.path.basename(path)
