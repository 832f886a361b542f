"""Go on where a source was left: from an open log file to its first unread byte.

Here the bytes decide whether the file is the source at all: what a checkpoint remembers of them must
stand where it stood.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from ingest.errors import LogUnfinished, LogUnreadable, NotALog
from ingest.files.logfile import LogFile, OpenLog, chunks, reading, what_is_not_a_log
from ingest.files.pipe import piped_chunks
from ingest.files.sample import TAIL_BYTES, Sample
from ingest.reading.checkpoint import Checkpoint, Remembered
from ingest.reading.encoding import Encoding, encoding_named, encoding_of, may_be_half_a_mark
from ingest.reading.evidence import Watch, stands_in, upto
from ingest.reading.fingerprint import HEAD_BYTES, Fingerprint, fingerprint_of
from ingest.reading.lines import Position, newlines_in
from ingest.reading.remembered import from_text

MAX_OFFSET = 1 << 60
"""No file reaches as far; an offset beyond it was not written by us."""


class NotTheSame(Exception):
    """The bytes before the checkpoint are others: this file is not the source it seemed to be."""


class DamagedCheckpoint(NotTheSame):
    """What is kept of a source can't be, whatever its file holds: it can't be gone on with."""


@dataclass(slots=True)
class Opened:
    """An open log that stands at the checkpoint, the bytes read past it on the way, what is remembered.

    `trouble` came up while they were read: it is due when they are used up.
    """

    log: OpenLog
    offset: int
    before: bytes
    ahead: bytes
    fingerprint: Fingerprint
    encoding: Encoding
    remembered: Remembered
    trouble: LogUnfinished | LogUnreadable | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """A stream's first bytes, and what ended them too early."""

    data: bytes
    trouble: LogUnfinished | LogUnreadable | None = None


def stand_at(log: LogFile, opened: OpenLog, checkpoint: Checkpoint | None) -> Opened | None:
    """Bring an opened log to its checkpoint, or past its byte order mark; `None` if it is empty.

    Raises:
        NotTheSame: its bytes before the checkpoint are not those of the source.
        NotALog: it is read for the first time, and is something else altogether.
        LogUnfinished, LogUnreadable: there is not even a first byte.
    """
    return _begin(log, opened) if checkpoint is None else _go_on(log, opened, checkpoint)


def _begin(log: LogFile, opened: OpenLog) -> Opened | None:
    head = read_head(opened.stream, log)
    if head.trouble is not None and not head.data:
        raise head.trouble
    if may_be_half_a_mark(head.data):  # or nothing at all: what it will be is not told yet
        return None
    not_a_log = what_is_not_a_log(head.data)
    if not_a_log is not None:
        raise NotALog(f"{log.shown}: {not_a_log}, not a log, so not read")
    encoding = encoding_of(head.data)
    before, ahead = head.data[: len(encoding.mark)], head.data[len(encoding.mark) :]
    fingerprint = fingerprint_of(head.data)
    return Opened(opened, len(before), before, ahead, fingerprint, encoding, Remembered(), head.trouble)


def _go_on(log: LogFile, opened: OpenLog, checkpoint: Checkpoint) -> Opened:
    remembered, encoding = recall(checkpoint)
    samples, offset = evidence_of(checkpoint, remembered), checkpoint.offset
    head = b""
    if checkpoint.fingerprint.size_bytes < HEAD_BYTES:  # the name of a file grows with it
        head = read_head(opened.stream, log).data
    if opened.is_plain:
        before, ahead = _seek(log, opened, offset, samples), b""
    else:
        before, ahead, newlines = _skip(log, opened.stream, head, remembered.position, samples)
        if remembered.position.counted_offset is not None:
            number = remembered.position.number + newlines
            remembered.position = Position(offset, number, number)
    fingerprint = fingerprint_of(head) if head else checkpoint.fingerprint
    return Opened(opened, offset, before, ahead, fingerprint, encoding, remembered)


def _seek(log: LogFile, opened: OpenLog, offset: int, samples: list[Sample]) -> bytes:
    """Go to an offset of a plain file; return the last bytes before it."""
    too_short = opened.file is not None and opened.file.size_bytes < offset
    if too_short or not stands_in(opened.stream, samples, log):
        raise NotTheSame
    first = max(0, offset - TAIL_BYTES)
    with reading(log.shown):
        opened.stream.seek(first)
        return opened.stream.read(offset - first)


def _skip(
    log: LogFile, stream: IO[bytes], head: bytes, position: Position, samples: list[Sample]
) -> tuple[bytes, bytes, int]:
    """Decompress up to a position, and past it as far as a sample goes.

    Returns:
        What is on both sides of it, and how many newlines before it were not counted yet.
    """
    watch, offset = Watch(samples), position.offset
    counted = offset if position.counted_offset is None else position.counted_offset
    watch.see(0, head)
    newlines = newlines_in(head[counted:offset])
    before, ahead = head[:offset], head[offset:]
    try:
        for start, chunk in upto(chunks(stream, log.shown), len(head), max(offset, watch.end_offset)):
            watch.see(start, chunk)
            split = max(0, offset - start)
            newlines += newlines_in(chunk[max(0, counted - start) : split])
            before = (before + chunk[:split])[-TAIL_BYTES:]
            ahead += chunk[split:]
    except (LogUnfinished, LogUnreadable) as error:  # nothing shows that this is the source
        raise NotTheSame from error
    if not watch.standing.issuperset(samples):
        raise NotTheSame
    return before[-TAIL_BYTES:], ahead, newlines


def head_of(log: LogFile) -> bytes:
    """Open a log and read its first bytes, as many as its compressed data gives."""
    with log.opened() as opened:
        return read_head(opened.stream, log, HEAD_BYTES).data


def read_head(stream: IO[bytes], log: LogFile, most_bytes: int | None = None) -> Head:
    """Read a stream's first bytes: those that its fingerprint may cover, or all there are.

    `most_bytes` are read at once, so what comes back may be more.
    """
    head, path = b"", log.shown
    try:
        read = chunks(stream, path, most_bytes=most_bytes)
        for chunk in piped_chunks(stream, path) if log.is_stream else read:
            head += chunk
            if len(head) >= HEAD_BYTES or (log.is_stream and b"\n" in head):
                break
    except (LogUnfinished, LogUnreadable) as error:
        return Head(head, error)
    return Head(head)


def is_source(log: LogFile, checkpoint: Checkpoint) -> bool:
    """Whether a log file holds, before a checkpoint, the bytes that were there when it was made."""
    with log.opened() as opened, suppress(NotTheSame, LogUnfinished, LogUnreadable):
        return stand_at(log, opened, checkpoint) is not None
    return False


def evidence_of(checkpoint: Checkpoint, remembered: Remembered) -> list[Sample]:
    """Return what must stand in a file for it to be the source of a checkpoint."""
    fingerprint, offset = checkpoint.fingerprint, checkpoint.offset
    samples = [Sample(0, fingerprint.size_bytes, fingerprint.digest)]
    if checkpoint.tail is not None:
        size = min(TAIL_BYTES, offset)
        samples.append(Sample(offset - size, size, checkpoint.tail))
    if remembered.last_marker is not None:
        samples.append(remembered.last_marker)
    if remembered.provisional is not None:
        samples.append(remembered.provisional.sample)
    return samples


def recall(checkpoint: Checkpoint) -> tuple[Remembered, Encoding]:
    """Read back what a checkpoint remembers, and the encoding that it names.

    Raises:
        DamagedCheckpoint: a part of it can't be, so nothing is known of the source: its log is read anew.
    """
    try:
        remembered = from_text(Remembered, checkpoint.remembered)
        encoding = encoding_named(checkpoint.encoding)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedCheckpoint from error
    if remembered.position.offset != checkpoint.offset:
        raise DamagedCheckpoint
    for sample in evidence_of(checkpoint, remembered):
        if not 0 <= sample.offset < MAX_OFFSET or not 0 <= sample.size_bytes <= HEAD_BYTES:
            raise DamagedCheckpoint
    return remembered, encoding
