"""How often the interpreter collects garbage, and the C library returns memory to the system."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT_EVERY = 50_000
"""Objects made between two garbage collections: rows form no cycles, and collecting often takes a third of
the time of a dense log. Without any collection cycles of the interpreter's own libraries would pile up."""

KEPT_BYTES = 4 << 20
"""The size of a buffer that is made and freed at once. From it the GNU C library learns that buffers up to
this size come and go: it keeps twice as much free memory, rather than giving each buffer back to the system,
which clears every page of the next one. A log that says nothing is read in two thirds of the time."""


@contextmanager
def little_tidying() -> Iterator[None]:
    """Collect garbage seldom, and keep the memory of freed buffers for the next ones."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, 20, 1_000)
    bytes(KEPT_BYTES)
    try:
        yield
    finally:
        gc.set_threshold(*before)
