"""Sources that are no logs: files that declare deliverables, exports, an executor's own rows.

Each is a source in the state `imported`, and holds what it said when it was imported last. Everything in
this module happens inside a transaction of the caller's.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from ingest.files.paths import STANDARD_INPUT, shown
from ingest.linking.context import Deliverables
from ingest.linking.timestamps import time_text
from ingest.storing import writes
from ingest.storing.groups import Placed
from ingest.storing.sources import IMPORTED
from ingest.storing.store import SourceWriter

_COUNTS = (
    *("unread_bytes", "marker_lines", "sightings", "rejects", "legacy_lines", "write_failures"),
    *("skipped_events", "long_lines", "calls_without_telemetry", "quoted_lines", "unread_lines"),
)
_BY_CONTENT = (
    "SELECT source_id FROM log_sources WHERE state = ? AND fingerprint = ? AND fingerprint_bytes = ?"
)
_BY_PATH = "SELECT source_id FROM log_sources WHERE state = ? AND path = ? ORDER BY source_id"
_DECLARED = "SELECT run_id, phase_id FROM phase_deliverables WHERE source_id = ?"


def declare(
    connection: sqlite3.Connection,
    file: str | os.PathLike[str],
    declared: Mapping[tuple[str, str], Deliverables],
) -> int:
    """Replace what a file declares of phases; return how many events changed."""
    path = os.path.abspath(file)
    content = "\x1f".join(f"{phase} {found}" for phase, found in sorted(declared.items()))
    digest = hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    source_id = source_at(connection, path, digest, len(content))
    writer = SourceWriter(connection)
    writer.begin()
    before = connection.execute(_DECLARED, [source_id]).fetchall()
    writes.delete_declared(connection, source_id)
    rows = [(source_id, *phase, found.as_json(), found.complete) for phase, found in declared.items()]
    writes.insert_declared(connection, rows)
    writer.declare_again({*before, *declared})
    return writer.finish().events_updated


def source_at(connection: sqlite3.Connection, path: str, digest: str, size_bytes: int) -> int:
    """Return the source of a path that was imported, whatever the file held then."""
    known = connection.execute(_BY_PATH, [IMPORTED, shown(path)]).fetchone()
    if known is None:
        return _new_source(connection, path, digest, size_bytes)
    source_id, now = int(known[0]), time_text(datetime.now(UTC))
    row = {"fingerprint": digest, "fingerprint_bytes": size_bytes, "last_seen": now}
    writes.update_source(connection, source_id, row)
    return source_id


def source_of_content(connection: sqlite3.Connection, path: str, digest: str, size_bytes: int) -> int:
    """Return the source that an export is: the same content is the same source, whatever its name."""
    known = connection.execute(_BY_CONTENT, [IMPORTED, digest, size_bytes]).fetchone()
    return int(known[0]) if known else _new_source(connection, path, digest, size_bytes)


def _new_source(connection: sqlite3.Connection, path: str, digest: str, size_bytes: int) -> int:
    now = time_text(datetime.now(UTC))
    row = dict.fromkeys(_COUNTS, 0) | {
        "path": path if path == STANDARD_INPUT else shown(os.path.abspath(path)),
        "fingerprint": digest,
        "fingerprint_bytes": size_bytes,
        "size_bytes": size_bytes,
        "byte_offset": size_bytes,
        "encoding": "utf-8",
        "timezone": "UTC",
        "state": IMPORTED,
        "remembered": "{}",
        "first_seen": now,
        "last_seen": now,
    }
    return writes.insert_source(connection, row)


def as_batches(items: Iterable[Placed], size: int) -> Iterator[list[Placed]]:
    """Yield facts in lists of at most a size."""
    batch: list[Placed] = []
    for item in items:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
    yield batch
