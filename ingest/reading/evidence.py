"""What must stand in a file for it to be the source that a checkpoint was made of.

Its head, the bytes before the checkpoint, the newest marker line, an unterminated line that was stored:
each is a place and a hash. All of them must be there; none of them alone is proof.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import IO

from ingest.errors import LogUnfinished, LogUnreadable
from ingest.files.logfile import LogFile, chunks, reading
from ingest.files.sample import Sample, digest


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


def upto(stream: Iterator[bytes], start: int, end_offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield chunks with their offsets until they reach an offset; the last may go beyond it."""
    for chunk in stream if start < end_offset else ():
        yield start, chunk
        start += len(chunk)
        if start >= end_offset:
            return
