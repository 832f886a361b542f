"""What is stored, and what that changed: values, handed in and out of the store."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.files.logfile import LogFile
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import Counters
from ingest.storing.sources import Source


@dataclass(slots=True)
class Stored:
    """What batches changed, and the source of each as it is now.

    What the same store made before, and they completed, is not among the updated.
    """

    sources: list[Source] = field(default_factory=list)
    events_new: int = 0
    events_updated: int = 0
    further_sightings: int = 0
    pruned: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A batch, of which log, and of which source: `None` for one that is new.

    `before` are the source's counters without it.
    """

    batch: Batch
    log: LogFile
    source: Source | None = None
    before: Counters = field(default_factory=Counters)
