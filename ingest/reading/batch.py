"""A batch: the rows of one stretch of a source, committed as a whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from ingest.files.logfile import FileState
from ingest.identity import Fact
from ingest.linking.state import Amendment, EscalationContext
from ingest.reading.checkpoint import Checkpoint, Counters
from ingest.reading.unread import Unread
from parsers.records import Escalation

State = Literal["reading", "complete", "unterminated", "unfinished", "damaged", "replaced"]
"""How a source was left: read in part; read to its end; with a last line that has no newline yet; with
compressed data that has no end yet; damaged from the checkpoint on; or with another file in its place."""


class Sighting(NamedTuple):
    """One place where an event was seen. `line_number` counts physical lines from 1."""

    offset: int
    line_number: int
    fact: Fact


@dataclass(frozen=True, slots=True)
class Reject:
    """A marker line that could not become an event, and why. `line` is its text, cut at `MAX_REJECT_TEXT`."""

    offset: int
    line_number: int
    reason: str
    line: str


@dataclass(frozen=True, slots=True)
class SeenEscalation:
    """One place where an escalation was seen: its time (aware UTC and as logged) and its context."""

    offset: int
    line_number: int
    record: Escalation
    moment: datetime
    timestamp_text: str
    around: EscalationContext


class TwoReadings(NamedTuple):
    """Both times, as the database writes them, that the local time of an event may be."""

    first: str
    last: str


@dataclass(slots=True)
class Rows:
    """What a stretch of a source becomes in the database.

    `amendments` are for events of earlier batches; events of this one have their amendments already.
    `two_readings` are of events among the `sightings`.
    """

    sightings: list[Sighting] = field(default_factory=list)
    amendments: list[Amendment] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    escalations: list[SeenEscalation] = field(default_factory=list)
    two_readings: list[TwoReadings] = field(default_factory=list)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.sightings) + len(self.amendments) + len(self.rejects) + len(self.escalations)


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of a stretch of one source, and the checkpoint that covers them.

    `file` is the file that was opened to read it, whatever its path leads to now. `taken_back_from` is the
    offset of an unterminated line that was stored before and is read again by this batch. `counters` are
    those of the whole source. `unread_bytes` are left for the next run; `problem` says why, unless it is
    only a line without its newline. `remarks` are said once, `warnings` need a look. `unread` describes
    lines that were not understood. `occurrences` of the event's marker were counted by a plain search, if
    lines were read one by one. `new_keys` counts the event lines with keys that we don't know.
    `disk_offset` is how far the file was read, in bytes on disk (compressed ones, where it is compressed).
    """

    rows: Rows
    checkpoint: Checkpoint
    counters: Counters
    state: State
    compression: str | None
    bytes_read: int
    unread_bytes: int = 0
    taken_back_from: int | None = None
    file: FileState | None = None
    problem: str | None = None
    remarks: tuple[str, ...] = ()
    unread: Unread | None = None
    occurrences: int = 0
    warnings: tuple[str, ...] = ()
    disk_offset: int = 0
    new_keys: dict[str, int] = field(default_factory=dict)
