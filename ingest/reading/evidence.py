"""What must stand in a file for it to be the source that a checkpoint was made of.

Its head, the bytes before the checkpoint, the newest marker line, an unterminated line that was stored:
each is a place and a hash. All of them must be there; none of them alone is proof.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import IO

from ingest.errors import LogUnfinished, LogUnreadable
from ingest.files.logfile import LogFile, chunks, reading
from ingest.files.sample import Sample, digest, running_digest


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


def upto(stream: Iterator[bytes], start: int, end_offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield chunks with their offsets until they reach an offset; the last may go beyond it."""
    for chunk in stream if start < end_offset else ():
        yield start, chunk
        start += len(chunk)
        if start >= end_offset:
            return
