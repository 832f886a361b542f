"""One huge log read in several places at once, stitched where it was cut.

What must be remembered where a segment begins is known only when all in front of it was read. It is
guessed instead: a stretch before the segment is read by itself, and leaves what its lines leave. Nothing
else goes into linking, so where the guess turns out to be what is remembered there, the rows of the
segment are those of one pass, whoever read it; where it isn't, the segment is read again, here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ingest.files.logfile import LogFile, OpenLog
from ingest.pool.here import Here, unless_replaced
from ingest.pool.parts import unpacked
from ingest.pool.segments import Cutter, Read, Segment, read_segment
from ingest.reading.batch import Batch, Rows
from ingest.reading.checkpoint import COUNTED, Checkpoint, Counters, Remembered
from ingest.reading.encoding import Encoding, encoding_named, encoding_of
from ingest.reading.fingerprint import HEAD_BYTES
from ingest.reading.lines import Position
from ingest.reading.remembered import as_text
from ingest.reading.resume import recall
from ingest.reading.scan import ScanOptions, scan_opened

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ingest.pool.processes import Processes

PIECE_BYTES = 4 << 20
MAX_PIECE_BYTES = 64 << 20
"""How much is read here, twice as much each time, until there is so much in it that others are to help."""

BUSY_BYTES = 64 << 10
"""How many bytes have a row then: a log with fewer rows is read as fast as it comes from the disk."""

MAX_WRONG = 2
"""Wrong guesses after which the rest of a log is read here."""


class Stitching(Here):
    """Scan in this process; a plain file on this machine of which enough is left, in others as well."""

    def __init__(self, processes: Processes, min_bytes: int) -> None:
        """Use processes that somebody else ends, where so many bytes are left."""
        self._processes = processes
        self._min_bytes = min_bytes

    def scan(self, log: LogFile, checkpoint: Checkpoint | None, options: ScanOptions) -> Iterator[Batch]:
        """Scan a log."""
        with log.opened() as opened:
            if opened.is_plain and not opened.remote:
                stitched = _Stitched(log, opened, options, self._processes)
                yield from stitched.batches(checkpoint, self._min_bytes)
            else:
                yield from scan_opened(log, opened, checkpoint, options)


class _Stitched:
    """One reading of one log; what is read here is of the file that was opened, whatever its name is now."""

    def __init__(self, log: LogFile, opened: OpenLog, options: ScanOptions, processes: Processes) -> None:
        self._log = log
        self._opened = opened
        self._cutter = Cutter(log, opened, options.finished)
        self._options = options
        self._processes = processes
        self._last: Batch | None = None
        self._rows = 0

    def batches(self, checkpoint: Checkpoint | None, min_bytes: int) -> Iterator[Batch]:
        """Read pieces here until one is busy, then segments everywhere, then what is left."""
        offset, piece_bytes = 0 if checkpoint is None else checkpoint.offset, PIECE_BYTES
        while self._cutter.size - offset >= min_bytes and not self._encoding(checkpoint).is_wide:
            end = self._cutter.line_start(offset + piece_bytes)
            if end is None:
                break
            self._rows = 0
            yield from self._told(self._here(checkpoint, end), end)
            if self._last is None or self._last.state != "reading":
                return
            checkpoint = self._last.checkpoint
            if self._rows * BUSY_BYTES >= end - offset:
                yield from self._in_segments((end - offset) // self._rows)
                break
            offset, piece_bytes = end, min(2 * piece_bytes, MAX_PIECE_BYTES)
        if self._last is None or self._last.state == "reading":
            yield from self._here(checkpoint if self._last is None else self._last.checkpoint, None)

    def _encoding(self, checkpoint: Checkpoint | None) -> Encoding:
        if checkpoint is not None:
            return encoding_named(checkpoint.encoding)
        return encoding_of(self._opened.stream.read(HEAD_BYTES))

    def _here(self, checkpoint: Checkpoint | None, end_offset: int | None) -> Iterator[Batch]:
        """Read from a checkpoint up to an offset in this process."""
        options = replace(self._options, end_offset=end_offset)
        self._opened.stream.seek(0)
        batches = scan_opened(self._log, self._opened, checkpoint, options)
        return batches if self._last is None else unless_replaced(batches, self._last)

    def _told(self, batches: Iterator[Batch], end_offset: int | None) -> Iterator[Batch]:
        """Yield batches up to an offset at which the log goes on, and remember where they led to."""
        for batch in batches:
            goes_on = end_offset is not None and batch.state == "complete"
            told = replace(batch, state="reading") if goes_on else batch
            self._last = replace(told, rows=Rows())
            self._rows += len(batch.rows)
            yield told

    def _in_segments(self, row_bytes: int) -> Iterator[Batch]:
        """Read segments of a log that has a row every so many bytes."""
        pending: deque[tuple[Segment, Future[Read | None]]] = deque()
        assert self._last is not None  # noqa: S101 - for the type checker: a piece was read
        segments, wrong = self._cutter.segments(self._last.checkpoint, row_bytes), 0
        try:
            while self._last.state == "reading" and wrong < MAX_WRONG:
                while len(pending) <= self._processes.count and (one := next(segments, None)) is not None:
                    pending.append((one, self._begun(one)))
                if not pending:
                    return
                segment, future = pending.popleft()
                read, at = future.result(), self._last
                if read is not None and _fits(at.checkpoint, read.start):
                    yield from self._told(_rebased(read, at), segment.end_offset)
                else:
                    wrong += 1
                end = self._cutter.size if segment.end_offset is None else segment.end_offset
                if self._last.state == "reading" and self._last.checkpoint.offset < end:
                    rest = self._here(self._last.checkpoint, segment.end_offset)
                    yield from self._told(rest, segment.end_offset)
        finally:
            for _, future in pending:
                future.cancel()

    def _begun(self, segment: Segment) -> Future[Read | None]:
        return self._processes.submit(lambda process: process.call(read_segment, segment), lambda: None)


def _fits(true: Checkpoint, guessed: Checkpoint) -> bool:
    """Whether all that matters for what comes is as it was guessed."""
    same_place = (true.offset, true.tail, true.zone) == (guessed.offset, guessed.tail, guessed.zone)
    return same_place and _what_matters(true) == _what_matters(guessed)


def _what_matters(checkpoint: Checkpoint) -> Remembered:
    """Return what is remembered without what is only counted."""
    remembered = recall(checkpoint)[0]
    remembered.position, remembered.counters = Position(), Counters()
    linker = remembered.linker
    linker.calls_lost = linker.anchors.lost = linker.anchors.undecided = 0
    return remembered


def _rebased(read: Read, before: Batch) -> Iterator[Batch]:
    """Yield batches that were counted from a guess, counted from what is true."""
    true, guess = recall(before.checkpoint)[0], recall(read.start)[0]
    read.batches.reverse()
    while read.batches:  # each is let go of when it is stored
        batch = unpacked(read.batches.pop())
        remembered = recall(batch.checkpoint)[0]
        linker, anchors = remembered.linker, remembered.linker.anchors
        linker.calls_lost += true.linker.calls_lost - guess.linker.calls_lost
        anchors.lost += true.linker.anchors.lost - guess.linker.anchors.lost
        anchors.undecided += true.linker.anchors.undecided - guess.linker.anchors.undecided
        remembered.counters = _plus(remembered.counters, true.counters, guess.counters)
        yield replace(
            batch,
            counters=_plus(batch.counters, true.counters, guess.counters),
            checkpoint=replace(batch.checkpoint, remembered=as_text(remembered)),
        )


def _plus(counted: Counters, true: Counters, guess: Counters) -> Counters:
    return Counters(
        **{name: getattr(counted, name) + getattr(true, name) - getattr(guess, name) for name in COUNTED}
    )
