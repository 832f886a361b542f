"""What a worker does: read a log, or a part of it, if it is the very log that is seen where it is stored.

Nothing here knows the pool, or the database; all of it can be pickled.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ingest.errors import LogUnfinished, LogUnreadable
from ingest.files.logfile import FileState, LogFile
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import Checkpoint
from ingest.reading.resume import NotTheSame
from ingest.reading.scan import MAX_BATCH_RECORDS, ScanOptions, scan
from ingest.reading.sifting import Sifter
from ingest.version import program_version

MAX_PART_ROWS = MAX_BATCH_RECORDS
"""Rows after which a part ends: an answer must fit into memory, many times over."""


class OtherVersion(Exception):
    """A worker has another version of the program: it might read other things out of the same lines."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A log to scan from its start or from a checkpoint; `file` is what it is where the database is."""

    log: LogFile
    file: FileState
    zone: str
    finished: bool
    checkpoint: Checkpoint | None = None
    version: str = field(default_factory=program_version)


@dataclass(frozen=True, slots=True)
class Part:
    """What a worker read of a log; all that is left of it if `is_whole`.

    `refusal` says why it read nothing: then the log is read where the database is.
    """

    batches: list[Batch]
    is_whole: bool = True
    refusal: str | None = None


_LOCAL = threading.local()


def read_parts(wanted: Sequence[Wanted]) -> list[Part]:
    """Read some logs.

    Raises:
        OtherVersion: this worker should not.
    """
    return [read_part(one) for one in wanted]


def read_part(wanted: Wanted) -> Part:
    """Read a log from its start or from a checkpoint, up to some rows.

    Raises:
        OtherVersion: this worker should not.
    """
    if wanted.version != program_version():
        raise OtherVersion(f"it has tokentail {program_version()}, and here is {wanted.version}")
    known: dict[str, Sifter] = _LOCAL.__dict__.setdefault("known", {})
    options = ScanOptions(wanted.zone, wanted.finished, known=known)
    try:
        _compare(wanted, wanted.log.state())
        return _collected(wanted, options)
    except (LogUnreadable, LogUnfinished, NotTheSame) as error:
        return Part([], refusal=str(error) or "it changed meanwhile")


def _collected(wanted: Wanted, options: ScanOptions) -> Part:
    batches: list[Batch] = []
    rows = 0
    for batch in scan(wanted.log, wanted.checkpoint, options):
        assert batch.file is not None  # noqa: S101 - for the type checker: it is no stream
        _compare(wanted, batch.file)
        file = replace(batch.file, device=wanted.file.device, inode=wanted.file.inode)
        batches.append(replace(batch, file=file))
        rows += len(batch.rows)
        if rows >= MAX_PART_ROWS and batch.state == "reading":
            return Part(batches, is_whole=False)
    return Part(batches)


def _compare(wanted: Wanted, there: FileState) -> None:
    """Make sure that a path leads to the same log here and there, as far as that can be seen.

    Raises:
        LogUnreadable: it doesn't. Device and inode may differ: they are of the machine that looks.
    """
    here = wanted.file
    if (here.size_bytes, here.modified_ns) != (there.size_bytes, there.modified_ns):
        raise LogUnreadable(f"{wanted.log.shown}: of another size or time there")
