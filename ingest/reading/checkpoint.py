"""How far a source was read, and all that must be known to go on: stored with the rows.

A checkpoint is a value. It is made by the scan at the end of a batch, committed by the store in the
same transaction as the batch's rows, and handed back to the next scan.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from ingest.files.sample import Sample
from ingest.linking.state import LinkerState
from ingest.reading.fingerprint import Fingerprint
from ingest.reading.lines import Position
from ingest.reading.pieces import PieceState
from ingest.reading.unread import Unread
from ingest.reading.wrap import WrapWidth


@dataclass(slots=True)
class Counters:
    """What was counted in a source. Marker lines = sightings + rejects, always.

    Each occurrence of the event's marker is a sighting, a reject, a failed write, a quotation or unread.
    The last two are `None` in a source that was read in part before they were counted.
    """

    marker_lines: int = 0
    sightings: int = 0
    rejects: int = 0
    legacy_lines: int = 0
    write_failures: int = 0
    skipped_events: int = 0
    long_lines: int = 0
    calls_without_telemetry: int = 0
    quoted_lines: int | None = 0
    unread_lines: int | None = 0

    def count_unclaimed(self, quoted: int, unread: int) -> None:
        """Count occurrences that are neither events nor rejects nor failed writes."""
        if self.quoted_lines is not None and self.unread_lines is not None:
            self.quoted_lines += quoted
            self.unread_lines += unread


UNCLAIMED = ("quoted_lines", "unread_lines")
"""Counts that may not be known."""

COUNTED = tuple(field.name for field in fields(Counters))
"""What is counted, by its names: columns of `log_sources`."""


@dataclass(frozen=True, slots=True)
class Provisional:
    """An unterminated last line that was stored: its beginning, and the offset after it as it was then."""

    sample: Sample
    end_offset: int


@dataclass(slots=True)
class Remembered:
    """The part of a checkpoint that is no column: the state of reading and linking.

    `provisional` is the unterminated last line that was stored, though the checkpoint stands before
    it: if the file grows, what was stored of it is taken back and the line read again.
    `last_marker` is the newest marker line: a file that was truncated and grew again may have the
    same banner and the same tail, but not the same event at the same time in the same place.
    `container_logs` until a line shows the executor's own prefix inside a container's. `foreign` once
    a line was in another encoding than its file, and that was said. `pieces` tells of those of a container's
    lines. `unread` once a line with the event's marker was not understood. `new_keys` of event lines, with
    how many lines have each.
    """

    position: Position = field(default_factory=Position)
    width: WrapWidth = field(default_factory=WrapWidth)
    linker: LinkerState = field(default_factory=LinkerState)
    counters: Counters = field(default_factory=Counters)
    provisional: Provisional | None = None
    container_logs: bool = True
    last_marker: Sample | None = None
    foreign: bool = False
    pieces: PieceState = field(default_factory=PieceState)
    unread: Unread | None = None
    new_keys: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where to go on in a source.

    `tail` is the hash of the bytes before the offset, `None` where they were out of reach.
    `remembered` is JSON text: what it holds is copied by writing and reading it, never shared. `prefix` is
    the template of one's own that the source is read with.
    """

    fingerprint: Fingerprint
    tail: str | None
    offset: int
    encoding: str
    zone: str
    remembered: str
    prefix: str | None = None
