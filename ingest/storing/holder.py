"""Who holds the ingest's lock: asked only by somebody who didn't get it."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import UTC, datetime

from ingest.errors import TokentailError
from ingest.linking.timestamps import time_text
from ingest.storing.database import StrPath, opened_as_it_is

_NEWEST = """
SELECT 1 FROM ingest_runs WHERE command = 'follow' AND exit_code IS NULL AND started_at >= ?
ORDER BY ingest_run_id DESC LIMIT 1
"""


def is_follow(database: StrPath, since: float) -> bool:
    """Whether a follow holds the lock that was taken then: only the holder has begun a run since."""
    with (
        suppress(sqlite3.Error, TokentailError, OSError, ValueError, OverflowError),
        opened_as_it_is(database, not_ours=True) as connection,
    ):
        moment = time_text(datetime.fromtimestamp(since, UTC))
        return connection.execute(_NEWEST, [moment]).fetchone() is not None
    return False
