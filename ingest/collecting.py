"""How often the interpreter looks for cycles among the objects that it made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT_EVERY = 50_000
"""Objects made before cycles among them are looked for: rows have none, and looking often takes a third of
the time of a dense log; looking never lets those of the interpreter's own libraries pile up."""


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for cycles of objects seldom."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, 20, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
