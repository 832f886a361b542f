"""Go on where a source was left: from an open log file to its first unread byte.

Here the bytes decide whether the file is the source at all. What a checkpoint remembers of them must
stand where it stood: its head, the bytes before the checkpoint, the newest marker line, an unterminated
line that was stored. Each is a place and a hash. All of them must be there; none of them alone is proof.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from ingest.errors import LogUnfinished, LogUnreadable, NotALog
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
        LogUnfinished, LogUnreadable: there is not even a first byte, or it is UTF-32.
    """
    return _begin(log, opened) if checkpoint is None else _go_on(log, opened, checkpoint)


def _begin(log: LogFile, opened: OpenLog) -> Opened | None:
    head = read_head(opened.stream, log)
    if head.trouble is not None and not head.data:
        raise head.trouble
    _refuse_utf32(log, head.data)
    if may_be_half_a_mark(head.data):  # or nothing at all: what it will be is not told yet
        return None
    not_a_log = what_is_not_a_log(head.data)
    if not_a_log is not None:
        raise NotALog(f"{log.shown}: {not_a_log}, not a log, so not read")
    encoding = encoding_of(head.data)
    before, ahead = head.data[: len(encoding.mark)], head.data[len(encoding.mark) :]
    fingerprint = fingerprint_of(head.data)
    remembered = Remembered(rules=RULES)
    return Opened(opened, len(before), before, ahead, fingerprint, encoding, remembered, head.trouble)


def _go_on(log: LogFile, opened: OpenLog, checkpoint: Checkpoint) -> Opened:
    remembered, encoding = recall(checkpoint)
    samples, offset = evidence_of(checkpoint, remembered), checkpoint.offset
    head = b""
    if checkpoint.fingerprint.size_bytes < HEAD_BYTES:  # the name of a file grows with it
        head = read_head(opened.stream, log).data
        _refuse_utf32(log, head)
    if opened.is_plain:
        before, ahead = _seek(log, opened, offset, samples), b""
    else:
        before, ahead, newlines = _skip(log, opened.stream, head, remembered.position, samples)
        if remembered.position.counted_offset is not None:
            number = remembered.position.number + newlines
            remembered.position = Position(offset, number, number)
    fingerprint = fingerprint_of(head) if head else checkpoint.fingerprint
    return Opened(opened, offset, before, ahead, fingerprint, encoding, remembered)


def _refuse_utf32(log: LogFile, head: bytes) -> None:
    if is_utf32(head):
        raise LogUnreadable(
            f"{log.shown}: UTF-32, which is not read: write it as UTF-8 (`iconv -f UTF-32 -t UTF-8`, in "
            "PowerShell `-Encoding utf8`), and ingest that"
        )


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
        rest = chunks(stream, log.shown) if log.pipe is None else log.pipe.chunks(log.shown)
        for start, chunk in _upto(rest, len(head), max(offset, watch.end_offset)):
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


def _upto(stream: Iterator[bytes], start: int, end_offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield chunks with their offsets until they reach an offset; the last may go beyond it."""
    for chunk in stream if start < end_offset else ():
        yield start, chunk
        start += len(chunk)
        if start >= end_offset:
            return


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
        for chunk in log.pipe.chunks(path) if log.pipe is not None else read:
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


# Evidence


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


def stands_in(stream: IO[bytes], samples: Collection[Sample], log: LogFile) -> bool:
    """Whether all samples are where they were in a plain file.

    Raises:
        LogUnreadable: it can't be read.
    """
    with reading(log.shown):
        return all(_stands(stream, sample) for sample in samples)


def _stands(stream: IO[bytes], sample: Sample) -> bool:
    stream.seek(sample.offset)
    return digest(stream.read(sample.size_bytes)) == sample.digest


class Watch:
    """Look for samples in the bytes of a stream as they pass: one pass for any number of sources."""

    def __init__(self, samples: Collection[Sample]) -> None:
        """Look for these."""
        self._waiting = sorted(set(samples), key=lambda sample: sample.offset)
        self._begun: dict[Sample, bytes] = {}
        self.standing: set[Sample] = {sample for sample in self._waiting if not sample.size_bytes}
        self.end_offset = max((sample.end_offset for sample in samples), default=0)

    def may_stand(self, samples: Collection[Sample], offset: int) -> bool:
        """Whether all of some samples are there as far as has been seen: up to an offset."""
        return all(sample in self.standing or sample.end_offset > offset for sample in samples)

    def see(self, offset: int, chunk: bytes) -> None:
        """Look at a chunk that begins at an offset."""
        end = offset + len(chunk)
        while self._waiting and self._waiting[0].offset < end:
            self._begun[self._waiting.pop(0)] = b""
        for sample in list(self._begun):
            first = max(sample.offset, offset)
            self._begun[sample] += chunk[first - offset : sample.end_offset - offset]
            if sample.end_offset <= end and digest(self._begun.pop(sample)) == sample.digest:
                self.standing.add(sample)


def standing_in(log: LogFile, samples: Collection[Sample]) -> set[Sample]:
    """Return the samples that are where they were in a log, which is read once, compressed or not.

    Raises:
        LogUnreadable: it can't be opened.
    """
    watch, offset = Watch(samples), 0
    with log.opened() as opened:
        if opened.is_plain:
            return {sample for sample in samples if stands_in(opened.stream, [sample], log)}
        with suppress(LogUnfinished, LogUnreadable):  # what comes before the damage is what it was
            for chunk in chunks(opened.stream, log.shown):
                watch.see(offset, chunk)
                offset += len(chunk)
                if offset >= watch.end_offset:
                    break
    return watch.standing


_PATIENCE_SECONDS, _PACE_BYTES = 5.0, 256 << 10
"""How long a pipe may be in repeating another one: so long, and a second more for each so many bytes."""


def piped_again(chunks: Iterator[bytes], before: Mapping[int, tuple[Sample, Collection[Sample]]]) -> set[int]:
    """Return the sources of which all that came through their pipes comes through this one, and first.

    `before` has all that came of each, and its evidence. No more is read than it takes to know, and who
    repeats what was there is quick: what else may come slowly is not to wait for being stored.
    """
    watch = Watch({sample for _, samples in before.values() for sample in samples})
    offset, started, hashed = 0, 0.0, running_digest()
    left, same = dict(before), set[int]()
    for chunk in chunks:
        now = time.monotonic()
        started = started if offset else now
        watch.see(offset, chunk)
        for end, digest_there in _digests(
            hashed, offset, chunk, {whole.end_offset for whole, _ in left.values()}
        ):
            for one in [one for one, (whole, _) in left.items() if whole.end_offset == end]:
                whole, samples = left.pop(one)
                if whole.digest == digest_there and watch.standing.issuperset(samples):
                    same.add(one)
        offset += len(chunk)
        left = {one: found for one, found in left.items() if watch.may_stand(found[1], offset)}
        if not left or (offset and now - started > _PATIENCE_SECONDS + offset / _PACE_BYTES):
            break
    return same


def _digests(
    hashed: hashlib.blake2b, offset: int, chunk: bytes, ends: Collection[int]
) -> Iterator[tuple[int, str]]:
    """Add a chunk, which begins at an offset, to a hash; yield the hash at the ends that are within."""
    done = 0
    for end in sorted(end for end in ends if offset < end <= offset + len(chunk)):
        hashed.update(chunk[done : end - offset])
        done = end - offset
        yield end, hashed.hexdigest()
    hashed.update(chunk[done:])
