"""What bounds memory: the limits of what is held at once, and how often garbage is collected.

A log is read in chunks (`ingest.files.logfile.CHUNK_BYTES`), a long line is cut, and a batch is full by its
rows or its bytes: nothing grows with the size of a log.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MAX_LINE_BYTES = 1 << 20
"""Longest line that is kept whole; the longest in several hundred real logs had 319,000 bytes."""

MAX_BATCH_RECORDS = 8_000
"""Rows of one transaction: few enough for memory, so many that commits cost next to nothing."""

MAX_BATCH_BYTES = 64 << 20
"""Bytes of one transaction, so that a kill in a log without events loses little work."""

MAX_QUEUED_BYTES = 64 << 20
"""How much may be queued for the writer; workers wait while there is more."""

CACHE_BYTES = 16 << 20
"""How much of the database is kept in memory: the pages that a batch of events of one time touches."""

SORTED_BYTES = 64 << 20
"""How much a report sorts in memory where temporary files have less room; some 500,000 events."""

COLLECT_EVERY = 50_000
"""Objects made between two garbage collections: rows form no cycles, and collecting often takes a third of
the time of a dense log. Without any collection cycles of the interpreter's own libraries would pile up."""

KEPT_BYTES = 4 << 20
"""The size of a buffer that is made and freed at once. From it the GNU C library learns that buffers up to
this size come and go: it keeps twice as much free memory, rather than giving each buffer back to the system,
which clears every page of the next one. A log that says nothing is read in two thirds of the time."""


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Collect garbage seldom, and keep the memory of freed buffers for the next ones."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, 20, 1_000)
    bytes(KEPT_BYTES)
    try:
        yield
    finally:
        gc.set_threshold(*before)
