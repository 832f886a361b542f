"""Resuming a source: from an open log file to its first unread byte.

Here the bytes decide whether the file is the source at all. A checkpoint remembers samples of them, each an
offset and a hash: the head, the bytes before the checkpoint, the newest marker line, and an unterminated line
that was stored. All of them must match; none of them alone is proof.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from ingest.errors import LogUnfinished, LogUnreadable, NotALog, damage_suppressed
from ingest.files.logfile import (
    TAIL_BYTES,
    LogFile,
    OpenLog,
    Sample,
    chunks,
    digest,
    reading,
    running_digest,
    what_is_not_a_log,
)
from ingest.reading.checkpoint import (
    HEAD_BYTES,
    RULES,
    Checkpoint,
    Fingerprint,
    Remembered,
    fingerprint_of,
    from_text,
)
from ingest.reading.encoding import Encoding, encoding_named, encoding_of, is_utf32, may_be_half_a_mark
from ingest.reading.lines import Position, newlines_in

MAX_OFFSET = 1 << 60
"""No file is so long: a larger offset in the database was not written by us."""


class NotTheSame(Exception):
    """The bytes before the checkpoint differ: the file is not the source that it seemed to be."""


class DamagedCheckpoint(NotTheSame):
    """What the database keeps of a source is damaged, so it can't be resumed in any file."""


@dataclass(slots=True)
class Opened:
    """An open log at its checkpoint, with the bytes `before` and `after` it that were read on the way.

    `trouble` came up while `after` was read: it is raised when those bytes are used up.
    """

    log: OpenLog
    offset: int
    before: bytes
    after: bytes
    fingerprint: Fingerprint
    encoding: Encoding
    remembered: Remembered
    trouble: LogUnfinished | LogUnreadable | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """A stream's first bytes, and the error that ended them too early."""

    data: bytes
    trouble: LogUnfinished | LogUnreadable | None = None


def open_at(log: LogFile, opened: OpenLog, checkpoint: Checkpoint | None) -> Opened | None:
    """Move an open log to its checkpoint, or past its byte order mark; `None` if it is empty.

    Raises:
        NotTheSame: its bytes before the checkpoint are not those of the source.
        NotALog: it is read for the first time, and is something else altogether.
        LogUnfinished, LogUnreadable: there is not even a first byte, or it is UTF-32.
    """
    return _begin(log, opened) if checkpoint is None else _go_on(log, opened, checkpoint)


def _begin(log: LogFile, opened: OpenLog) -> Opened | None:
    head = read_head(opened.stream, log)
    if head.trouble is not None and not head.data:
        raise head.trouble
    _refuse_utf32(log, head.data)
    if may_be_half_a_mark(head.data):  # or nothing at all: its encoding is not known yet
        return None
    not_a_log = what_is_not_a_log(head.data)
    if not_a_log is not None:
        raise NotALog(f"{log.shown}: {not_a_log}, not a log, so not read")
    encoding = encoding_of(head.data)
    before, after = head.data[: len(encoding.mark)], head.data[len(encoding.mark) :]
    fingerprint = fingerprint_of(head.data)
    remembered = Remembered(rules=RULES)
    return Opened(opened, len(before), before, after, fingerprint, encoding, remembered, head.trouble)


def _go_on(log: LogFile, opened: OpenLog, checkpoint: Checkpoint) -> Opened:
    remembered, encoding = recall(checkpoint)
    samples, offset = evidence_of(checkpoint, remembered), checkpoint.offset
    head = b""
    if checkpoint.fingerprint.size_bytes < HEAD_BYTES:  # the fingerprint grows with the file
        head = _first_bytes(opened.stream, log)
        _refuse_utf32(log, head)
    if opened.is_plain:
        before, after = _seek(log, opened, offset, samples), b""
    else:
        before, after, newlines = _skip(log, opened.stream, head, remembered.position, samples)
        if remembered.position.counted_offset is not None:
            number = remembered.position.number + newlines
            remembered.position = Position(offset, number, number)
    fingerprint = fingerprint_of(head) if head else checkpoint.fingerprint
    return Opened(opened, offset, before, after, fingerprint, encoding, remembered)


def _refuse_utf32(log: LogFile, head: bytes) -> None:
    if is_utf32(head):
        raise LogUnreadable(
            f"{log.shown}: UTF-32, which is not read: write it as UTF-8 (`iconv -f UTF-32 -t UTF-8`, in "
            "PowerShell `-Encoding utf8`), and ingest that"
        )


def _seek(log: LogFile, opened: OpenLog, offset: int, samples: list[Sample]) -> bytes:
    """Move to an offset of a plain file; return the last bytes before it."""
    too_short = opened.file is not None and opened.file.size_bytes < offset
    if too_short or not all_match(opened.stream, samples, log):
        raise NotTheSame
    first = max(0, offset - TAIL_BYTES)
    with reading(log.shown):
        opened.stream.seek(first)
        return opened.stream.read(offset - first)


def _skip(
    log: LogFile, stream: IO[bytes], head: bytes, position: Position, samples: list[Sample]
) -> tuple[bytes, bytes, int]:
    """Decompress up to a position, and past it as far as a sample reaches.

    Returns:
        The bytes before and after the position, and how many newlines before it were not counted yet.
    """
    matcher, offset = SampleMatcher(samples), position.offset
    counted = offset if position.counted_offset is None else position.counted_offset
    matcher.see(0, head)
    newlines = newlines_in(head[counted:offset])
    before, after = head[:offset], head[offset:]
    try:
        rest = chunks(stream, log.shown) if log.pipe is None else log.pipe.chunks(log.shown)
        for start, chunk in _upto(rest, len(head), max(offset, matcher.end_offset)):
            matcher.see(start, chunk)
            split = max(0, offset - start)
            newlines += newlines_in(chunk[max(0, counted - start) : split])
            before = (before + chunk[:split])[-TAIL_BYTES:]
            after += chunk[split:]
    except (LogUnfinished, LogUnreadable) as error:  # not all samples can be compared
        if error.may_pass:
            raise
        raise NotTheSame from error
    if not matcher.matched.issuperset(samples):
        raise NotTheSame
    return before[-TAIL_BYTES:], after, newlines


def _upto(stream: Iterator[bytes], start: int, end_offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield chunks with their offsets until they reach an offset; the last may go beyond it."""
    for chunk in stream if start < end_offset else ():
        yield start, chunk
        start += len(chunk)
        if start >= end_offset:
            return


def head_of(log: LogFile) -> bytes:
    """Open a log and return its first bytes, as many as can be decompressed.

    Raises:
        LogUnreadable: it can't be opened, or the system refused to read it.
    """
    with log.opened() as opened:
        return _first_bytes(opened.stream, log, HEAD_BYTES)


def _first_bytes(stream: IO[bytes], log: LogFile, most_bytes: int | None = None) -> bytes:
    head = read_head(stream, log, most_bytes)
    if head.trouble is not None and head.trouble.may_pass:
        raise head.trouble
    return head.data


def read_head(stream: IO[bytes], log: LogFile, most_bytes: int | None = None) -> Head:
    """Read a stream's first bytes: as many as its fingerprint may cover, or all there are.

    `most_bytes` are read at once, so what comes back may be more.
    """
    head, path = b"", log.shown
    try:
        read = chunks(stream, path, most_bytes=most_bytes)
        for chunk in log.pipe.chunks(path) if log.pipe is not None else read:
            head += chunk
            if len(head) >= HEAD_BYTES or (log.is_stream and b"\n" in head):
                break
    except (LogUnfinished, LogUnreadable) as error:
        return Head(head, error)
    return Head(head)


def is_source(log: LogFile, checkpoint: Checkpoint) -> bool:
    """Whether a log file holds, before a checkpoint, the bytes that were there when it was made.

    Raises:
        LogUnreadable: it can't be opened, or the system refused to read it: nobody knows.
    """
    with log.opened() as opened, suppress(NotTheSame, LogUnfinished), damage_suppressed():
        return open_at(log, opened, checkpoint) is not None
    return False


# Evidence


def evidence_of(checkpoint: Checkpoint, remembered: Remembered) -> list[Sample]:
    """Return the samples that a file must match to be the source of a checkpoint."""
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
    """Return what a checkpoint remembers, and the encoding that it names.

    Raises:
        DamagedCheckpoint: a part of it is invalid; the log must be read again from its start.
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


def all_match(stream: IO[bytes], samples: Collection[Sample], log: LogFile) -> bool:
    """Whether a plain file has all samples at their offsets.

    Raises:
        LogUnreadable: it can't be read.
    """
    with reading(log.shown):
        return all(_matches(stream, sample) for sample in samples)


def _matches(stream: IO[bytes], sample: Sample) -> bool:
    stream.seek(sample.offset)
    return digest(stream.read(sample.size_bytes)) == sample.digest


class SampleMatcher:
    """Compare samples with the bytes of a stream as they pass: one pass for the samples of many sources."""

    def __init__(self, samples: Collection[Sample]) -> None:
        """Begin with none that matched, but for empty ones."""
        self._waiting = sorted(set(samples), key=lambda sample: sample.offset)
        self._begun: dict[Sample, bytes] = {}
        self.matched: set[Sample] = {sample for sample in self._waiting if not sample.size_bytes}
        self.end_offset = max((sample.end_offset for sample in samples), default=0)

    def may_match(self, samples: Collection[Sample], offset: int) -> bool:
        """Whether some samples match as far as was read: up to an offset."""
        return all(sample in self.matched or sample.end_offset > offset for sample in samples)

    def see(self, offset: int, chunk: bytes) -> None:
        """Compare a chunk that begins at an offset."""
        end = offset + len(chunk)
        while self._waiting and self._waiting[0].offset < end:
            self._begun[self._waiting.pop(0)] = b""
        for sample in list(self._begun):
            first = max(sample.offset, offset)
            self._begun[sample] += chunk[first - offset : sample.end_offset - offset]
            if sample.end_offset <= end and digest(self._begun.pop(sample)) == sample.digest:
                self.matched.add(sample)


def matching_samples(log: LogFile, samples: Collection[Sample]) -> set[Sample]:
    """Return the samples that a log has at their offsets; it is read once, compressed or not.

    Raises:
        LogUnreadable: it can't be opened, or the system refused to read it.
    """
    matcher, offset = SampleMatcher(samples), 0
    with log.opened() as opened:
        if opened.is_plain:
            return {sample for sample in samples if all_match(opened.stream, [sample], log)}
        with suppress(LogUnfinished), damage_suppressed():  # what was read before the damage counts
            for chunk in chunks(opened.stream, log.shown):
                matcher.see(offset, chunk)
                offset += len(chunk)
                if offset >= matcher.end_offset:
                    break
    return matcher.matched


_PATIENCE_SECONDS, _PACE_BYTES = 5.0, 256 << 10
"""How long a pipe may take to repeat an earlier one: so many seconds, and one more for each so many bytes."""


def piped_again(chunks: Iterator[bytes], before: Mapping[int, tuple[Sample, Collection[Sample]]]) -> set[int]:
    """Return the ids of the sources whose pipes this one repeats: it begins with all that came through them.

    `before` has, for each source, a sample of all that came through its pipe, and its evidence. Reading
    stops as soon as the answer is known. It also stops if the pipe is slow: a program that repeats old
    output is quick, and new lines that come slowly must not wait to be stored.
    """
    matcher = SampleMatcher({sample for _, samples in before.values() for sample in samples})
    offset, started, hashed = 0, 0.0, running_digest()
    left, same = dict(before), set[int]()
    for chunk in chunks:
        now = time.monotonic()
        started = started if offset else now
        matcher.see(offset, chunk)
        for end, digest_there in _digests(
            hashed, offset, chunk, {whole.end_offset for whole, _ in left.values()}
        ):
            for source_id in [source_id for source_id, (whole, _) in left.items() if whole.end_offset == end]:
                whole, samples = left.pop(source_id)
                if whole.digest == digest_there and matcher.matched.issuperset(samples):
                    same.add(source_id)
        offset += len(chunk)
        left = {source_id: found for source_id, found in left.items() if matcher.may_match(found[1], offset)}
        if not left or (offset and now - started > _PATIENCE_SECONDS + offset / _PACE_BYTES):
            break
    return same


def _digests(
    hashed: hashlib.blake2b, offset: int, chunk: bytes, ends: Collection[int]
) -> Iterator[tuple[int, str]]:
    """Add a chunk, which begins at an offset, to a hash; yield the hash at each end within the chunk."""
    done = 0
    for end in sorted(end for end in ends if offset < end <= offset + len(chunk)):
        hashed.update(chunk[done : end - offset])
        done = end - offset
        yield end, hashed.hexdigest()
    hashed.update(chunk[done:])
