"""What one stretch of a source holds: the unit that is committed, or not, as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from ingest.events import Fact
from ingest.files.logfile import FileState
from ingest.linking.state import Amendment, EscalationContext
from ingest.reading.checkpoint import Checkpoint, Counters
from ingest.reading.unread import Unread
from parsers.records import Escalation

State = Literal["reading", "complete", "unterminated", "unfinished", "damaged", "replaced"]
"""How a source was left: in the middle; read to its end; a last line waits for its newline;
compressed data waits for its end; damaged from the checkpoint on; or its file is now another one."""


class Sighting(NamedTuple):
    """One place where an event was seen. `line_number` counts physical lines from 1."""

    offset: int
    line_number: int
    fact: Fact


@dataclass(frozen=True, slots=True)
class Reject:
    """A marker line that could not become an event, and why. `line` is text, cut to a sane length."""

    offset: int
    line_number: int
    reason: str
    line: str


@dataclass(frozen=True, slots=True)
class SeenEscalation:
    """One place where an escalation was seen: its time (aware UTC and as logged), what is known around it."""

    offset: int
    line_number: int
    record: Escalation
    moment: datetime
    timestamp_text: str
    around: EscalationContext


@dataclass(slots=True)
class Rows:
    """What a stretch of a source becomes in the database.

    `amendments` reach events that earlier batches stored; those of this one are amended already.
    """

    sightings: list[Sighting] = field(default_factory=list)
    amendments: list[Amendment] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    escalations: list[SeenEscalation] = field(default_factory=list)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.sightings) + len(self.amendments) + len(self.rejects) + len(self.escalations)


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of a stretch of one source, and the checkpoint that covers them.

    `file` is what was opened to read it: the bytes are of this file, whatever its path leads to now.
    `taken_back_from` names the offset from which an unterminated line was stored before, which
    this batch reads again. `counters` are the source's, all told. `unread_bytes` are left for the
    next run; `problem` says why, where that is not only a line that is not finished. `remarks` are
    worth knowing once, `warnings` need a look. `unread` tells of lines that were not understood.
    `occurrences` of the event's marker were counted by a plain search, where lines were read plainly.
    `new_keys` are those of event lines that we don't know, with how many lines of the stretch have each.
    `disk_offset` is how far the file was read, in bytes as they are on disk.
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
