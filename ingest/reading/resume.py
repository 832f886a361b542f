"""Go on where a source was left: from an open log file to its first unread byte.

Here the bytes decide whether the file is the source at all: those before the checkpoint must be the
ones that were there when it was made.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from ingest.errors import LogUnfinished, LogUnreadable, NotALog
from ingest.reading.checkpoint import Checkpoint, Remembered, Sample
from ingest.reading.encoding import Encoding, encoding_named, encoding_of, may_be_half_a_mark
from ingest.reading.fingerprint import HEAD_BYTES, TAIL_BYTES, Fingerprint, digest, fingerprint_of, tail_of
from ingest.reading.logfile import LogFile, OpenLog, chunks, what_is_not_a_log
from ingest.reading.remembered import from_text


class NotTheSame(Exception):
    """The bytes before the checkpoint are others: this file is not the source it seemed to be."""


@dataclass(slots=True)
class Opened:
    """An open log that stands at the checkpoint, the bytes read past it on the way, what is remembered."""

    log: OpenLog
    offset: int
    before: bytes
    ahead: bytes
    fingerprint: Fingerprint
    encoding: Encoding
    remembered: Remembered


def stand_at(log: LogFile, opened: OpenLog, checkpoint: Checkpoint | None) -> Opened | None:
    """Bring an opened log to its checkpoint, or past its byte order mark; `None` if it is empty.

    Raises:
        NotTheSame: its bytes before the checkpoint are not those of the source.
        NotALog: it is read for the first time, and is something else altogether.
        LogUnfinished, LogUnreadable: its compressed data ends, or is damaged, before the checkpoint.
    """
    return _begin(log, opened) if checkpoint is None else _go_on(log, opened, checkpoint)


def _begin(log: LogFile, opened: OpenLog) -> Opened | None:
    head = read_head(opened.stream, log)
    if may_be_half_a_mark(head):  # or nothing at all: what it will be is not told yet
        return None
    not_a_log = what_is_not_a_log(head)
    if not_a_log is not None:
        raise NotALog(f"{log.shown}: {not_a_log}, not a log, so not read")
    encoding = encoding_of(head)
    mark = len(encoding.mark)
    return Opened(opened, mark, head[:mark], head[mark:], fingerprint_of(head), encoding, Remembered())


def _go_on(log: LogFile, opened: OpenLog, checkpoint: Checkpoint) -> Opened:
    remembered, encoding = recall(checkpoint)
    stream, offset = opened.stream, checkpoint.offset
    head = b""
    if checkpoint.fingerprint.size_bytes < HEAD_BYTES:  # the name of a file grows with it
        head = read_head(stream, log)
        if not checkpoint.fingerprint.matches(head):
            raise NotTheSame
    fingerprint = fingerprint_of(head) if head else checkpoint.fingerprint
    if opened.is_plain:
        if opened.file is not None and opened.file.size_bytes < offset:
            raise NotTheSame
        before, ahead = _before(stream, offset, remembered.last_marker), b""
    else:
        before, ahead = _skip(log, stream, offset, head)
    if len(before) < min(TAIL_BYTES, offset) or checkpoint.tail not in (None, tail_of(before)):
        raise NotTheSame
    return Opened(opened, offset, before, ahead, fingerprint, encoding, remembered)


def _before(stream: IO[bytes], offset: int, sample: Sample | None) -> bytes:
    """Go to an offset of a plain file; return the last bytes before it."""
    if sample is not None:
        stream.seek(sample.offset)
        if digest(stream.read(sample.size_bytes)) != sample.digest:
            raise NotTheSame
    first = max(0, offset - TAIL_BYTES)
    stream.seek(first)
    return stream.read(offset - first)


def head_of(log: LogFile) -> bytes:
    """Open a log and read its first bytes; none where its compressed data has not got that far."""
    with log.opened() as opened, suppress(LogUnfinished):
        return read_head(opened.stream, log)
    return b""


def read_head(stream: IO[bytes], log: LogFile) -> bytes:
    """Read a stream's first bytes: those that its fingerprint may cover, or all there are."""
    head = b""
    for chunk in chunks(stream, log.shown):
        head += chunk
        if len(head) >= HEAD_BYTES or (log.is_stream and b"\n" in head):
            break
    return head


def _skip(log: LogFile, stream: IO[bytes], offset: int, head: bytes) -> tuple[bytes, bytes]:
    """Decompress up to an offset; return the last bytes before it and those read past it."""
    before, reached = head, len(head)
    for chunk in chunks(stream, log.shown) if reached < offset else ():
        before, reached = (before + chunk)[-TAIL_BYTES - len(chunk) :], reached + len(chunk)
        if reached >= offset:
            break
    past = reached - offset
    if past < 0:
        raise NotTheSame
    return (before[:-past] if past else before)[-TAIL_BYTES:], before[len(before) - past :]


def is_source(log: LogFile, checkpoint: Checkpoint) -> bool:
    """Whether a log file holds, before a checkpoint, the bytes that were there when it was made."""
    with log.opened() as opened:
        try:
            return stand_at(log, opened, checkpoint) is not None
        except (NotTheSame, LogUnfinished, LogUnreadable):
            return False


def recall(checkpoint: Checkpoint) -> tuple[Remembered, Encoding]:
    """Read back what a checkpoint remembers, and the encoding that it names.

    Raises:
        NotTheSame: a part of it can't be, so nothing is known of the source; it is read from its start.
    """
    try:
        remembered = from_text(Remembered, checkpoint.remembered)
        sample, offset = remembered.last_marker, checkpoint.offset
        if offset < 0 or (sample is not None and not 0 <= sample.offset < sample.end_offset <= offset):
            raise NotTheSame
        return remembered, encoding_named(checkpoint.encoding)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise NotTheSame from error
