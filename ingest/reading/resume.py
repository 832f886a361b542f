"""Go on where a source was left: from an open log file to its first unread byte.

Here the bytes decide whether the file is the source at all: those before the checkpoint must be the
ones that were there when it was made.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from ingest.errors import LogUnfinished, LogUnreadable, NotALog
from ingest.reading.checkpoint import Checkpoint, Remembered
from ingest.reading.fingerprint import HEAD_BYTES, TAIL_BYTES, Fingerprint, digest, fingerprint_of, tail_of
from ingest.reading.lines import Encoding, encoding_named, encoding_of, may_be_half_a_mark
from ingest.reading.logfile import LogFile, chunks, what_is_not_a_log
from ingest.reading.remembered import from_text


class NotTheSame(Exception):
    """The bytes before the checkpoint are others: this file is not the source it seemed to be."""


@dataclass(slots=True)
class Opened:
    """A stream that stands at the checkpoint, the bytes read past it on the way, what is remembered."""

    stream: IO[bytes]
    offset: int
    before: bytes
    ahead: bytes
    fingerprint: Fingerprint
    encoding: Encoding
    remembered: Remembered


def stand_at(
    log: LogFile, stream: IO[bytes], compression: str | None, checkpoint: Checkpoint | None
) -> Opened | None:
    """Bring an opened log to its checkpoint, or past its byte order mark; `None` if it is empty.

    Raises:
        NotTheSame: its bytes before the checkpoint are not those of the source.
        NotALog: it is read for the first time, and is something else altogether.
        LogUnfinished, LogUnreadable: its compressed data ends, or is damaged, before the checkpoint.
    """
    return _begin(log, stream) if checkpoint is None else _go_on(log, stream, compression, checkpoint)


def _begin(log: LogFile, stream: IO[bytes]) -> Opened | None:
    head = read_head(stream, log)
    if may_be_half_a_mark(head):  # or nothing at all: what it will be is not told yet
        return None
    not_a_log = what_is_not_a_log(head)
    if not_a_log is not None:
        raise NotALog(f"{log.shown}: {not_a_log}, not a log, so not read")
    encoding = encoding_of(head)
    mark = len(encoding.mark)
    return Opened(stream, mark, head[:mark], head[mark:], fingerprint_of(head), encoding, Remembered())


def _go_on(log: LogFile, stream: IO[bytes], compression: str | None, checkpoint: Checkpoint) -> Opened:
    remembered = recall(checkpoint)
    head = b""
    if checkpoint.fingerprint.size_bytes < HEAD_BYTES:  # the name of a file grows with it
        head = read_head(stream, log)
        if not checkpoint.fingerprint.matches(head):
            raise NotTheSame
    fingerprint = fingerprint_of(head) if head else checkpoint.fingerprint
    if compression is None:
        sample = remembered.last_marker
        if sample is not None:
            stream.seek(sample.offset)
            if digest(stream.read(sample.size_bytes)) != sample.digest:
                raise NotTheSame
        first = max(0, checkpoint.offset - TAIL_BYTES)
        stream.seek(first)
        before, ahead = stream.read(checkpoint.offset - first), b""
    else:
        before, ahead = _skip(log, stream, checkpoint.offset, head)
    if len(before) < min(TAIL_BYTES, checkpoint.offset) or checkpoint.tail not in (None, tail_of(before)):
        raise NotTheSame
    encoding = encoding_named(checkpoint.encoding)
    return Opened(stream, checkpoint.offset, before, ahead, fingerprint, encoding, remembered)


def head_of(log: LogFile) -> bytes:
    """Open a log and read its first bytes; none where its compressed data has not got that far."""
    with log.opened() as (stream, _), suppress(LogUnfinished):
        return read_head(stream, log)
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
    with log.opened() as (stream, compression):
        try:
            return stand_at(log, stream, compression, checkpoint) is not None
        except (NotTheSame, LogUnfinished, LogUnreadable):
            return False


def recall(checkpoint: Checkpoint) -> Remembered:
    """Read back what a checkpoint remembers.

    Raises:
        NotTheSame: it is unreadable, so nothing is known of the source; it is read from its start.
    """
    try:
        return from_text(Remembered, checkpoint.remembered)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise NotTheSame from error
