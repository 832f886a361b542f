"""One huge log read in several places at once, stitched where it was cut.

What must be remembered where a segment begins is known only when all in front of it was read. It is
guessed instead: a stretch before the segment is read by itself, and leaves what its lines leave. Nothing
else goes into linking, so where the guess turns out to be what is remembered there, the rows of the
segment are those of one pass, whoever read it; where it isn't, the segment is read again, here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import IO, TYPE_CHECKING

from ingest.errors import LogUnfinished, LogUnreadable
from ingest.linking.linker import Linker
from ingest.linking.runs import LiveRuns
from ingest.linking.state import LinkerState
from ingest.pool.ahead import rest_here
from ingest.pool.parts import packed, unpacked
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import Checkpoint, Counters, Remembered
from ingest.reading.encoding import encoding_named, encoding_of
from ingest.reading.fingerprint import TAIL_BYTES, tail_of
from ingest.reading.lines import MAX_LINE_BYTES, Position
from ingest.reading.logfile import CHUNK_BYTES, LogFile
from ingest.reading.markers import find_markers
from ingest.reading.remembered import as_text
from ingest.reading.resume import NotTheSame, head_of, recall
from ingest.reading.scan import ScanOptions, scan
from ingest.reading.sifting import Sifter
from ingest.reading.zone import zone_recorded
from parsers.line import parse_line
from parsers.registry import MARKERS
from parsers.run import FAMILIES

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ingest.reading.processes import Processes

PIECE_BYTES = 4 << 20
"""How much is read here, again and again, until there is so much in it that others are to help."""

BUSY_ROWS = 64
"""How many rows that is: a log with fewer is read as fast as it comes from the disk."""

SEGMENT_ROWS = 8_000
MAX_SEGMENT_BYTES = 16 << 20
"""A segment has about so many rows, going by those of the last piece, and no more bytes."""

MAX_ROWS = 3 * SEGMENT_ROWS
"""Rows after which a segment's reading ends: the rest of it is read here. It must fit into memory."""

GUESS_ROWS = 64
"""How many rows are read to guess: more phases than are remembered."""

MAX_WRONG = 2
"""Wrong guesses after which the rest of a log is read here."""

_RUN_MARKERS = frozenset(MARKERS.index(marker.encode()) for one in FAMILIES for marker in one.markers)
_KNOWN: dict[str, Sifter] = {}


@dataclass(frozen=True, slots=True)
class Segment:
    """What is between two offsets at which lines begin; the last one of a log has no `end_offset`.

    `guess` is the checkpoint before it from which what is remembered at `offset` is to be guessed.
    """

    log: LogFile
    finished: bool
    guess: Checkpoint
    offset: int
    end_offset: int | None


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a segment, if what must be remembered where it begins is what `start` says."""

    start: Checkpoint
    batches: list[Batch]


def read_segment(segment: Segment) -> Read | None:
    """Read a segment, in any process; `None` where that can't be."""
    options = ScanOptions(segment.guess.zone, segment.finished, known=_KNOWN)
    before, inside = (replace(options, end_offset=end) for end in (segment.offset, segment.end_offset))
    try:
        *_, last = scan(segment.log, segment.guess, before)
        batches = _some(scan(segment.log, last.checkpoint, inside))
        return Read(last.checkpoint, [packed(batch) for batch in batches])
    except (LogUnreadable, LogUnfinished, NotTheSame, ValueError):
        return None


def _some(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield batches until they have so many rows that it is enough."""
    rows = 0
    for batch in batches:
        yield batch
        rows += len(batch.rows)
        if rows >= MAX_ROWS:
            return


def scan_in_segments(
    log: LogFile, checkpoint: Checkpoint | None, options: ScanOptions, processes: Processes, min_bytes: int
) -> Iterator[Batch]:
    """Yield the batches of a log as `scan` does; with other processes where so many bytes are left of it.

    Raises:
        NotALog, LogUnreadable, NotTheSame: as `scan`.
    """
    start = 0 if checkpoint is None else checkpoint.offset
    encoding = encoding_of(head_of(log)) if checkpoint is None else encoding_named(checkpoint.encoding)
    with log.opened() as opened:
        size = opened.file.size_bytes if opened.file is not None and opened.is_plain else 0
        if size - start >= min_bytes and not encoding.is_wide:
            stitched = _Stitched(log, opened.stream, size, options, processes)
            yield from stitched.batches(checkpoint, min_bytes)
            return
    yield from scan(log, checkpoint, options)


class _Stitched:
    """One reading of one log."""

    def __init__(
        self, log: LogFile, stream: IO[bytes], size: int, options: ScanOptions, processes: Processes
    ) -> None:
        self._log = log
        self._stream = stream
        self._size = size
        self._options = options
        self._processes = processes
        self._last: Batch | None = None
        self._rows = 0

    def batches(self, checkpoint: Checkpoint | None, min_bytes: int) -> Iterator[Batch]:
        """Read pieces here until one is busy, then segments everywhere, then what is left."""
        offset = 0 if checkpoint is None else checkpoint.offset
        while self._size - offset >= min_bytes:
            end = self._line_start(offset + PIECE_BYTES)
            if end is None:
                break
            self._rows = 0
            yield from self._told(scan(self._log, checkpoint, replace(self._options, end_offset=end)), end)
            if self._last is None or self._last.state != "reading":
                return
            checkpoint = self._last.checkpoint
            if self._rows >= BUSY_ROWS:
                yield from self._in_segments((end - offset) // self._rows)
                break
            offset = end
        if self._last is None:
            yield from scan(self._log, checkpoint, self._options)
        elif self._last.state == "reading":
            yield from rest_here(self._log, self._last, self._options)

    def _told(self, batches: Iterator[Batch], end_offset: int | None) -> Iterator[Batch]:
        """Yield batches up to an offset at which the log goes on, and remember where they led to."""
        for batch in batches:
            goes_on = end_offset is not None and batch.state == "complete"
            self._last = replace(batch, state="reading") if goes_on else batch
            self._rows += len(batch.rows)
            yield self._last

    def _in_segments(self, row_bytes: int) -> Iterator[Batch]:
        """Read segments of a log that has a row every so many bytes."""
        pending: deque[tuple[Segment, Future[Read | None]]] = deque()
        assert self._last is not None  # noqa: S101 - for the type checker: a piece was read
        segments, wrong = self._segments(self._last.checkpoint, row_bytes), 0
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
                end = self._size if segment.end_offset is None else segment.end_offset
                if self._last.state == "reading" and self._last.checkpoint.offset < end:
                    options = replace(self._options, end_offset=segment.end_offset)
                    yield from self._told(rest_here(self._log, self._last, options), segment.end_offset)
        finally:
            for _, future in pending:
                future.cancel()

    def _begun(self, segment: Segment) -> Future[Read | None]:
        return self._processes.submit(lambda process: process.call(read_segment, segment), lambda: None)

    # Where to cut

    def _segments(self, at: Checkpoint, row_bytes: int) -> Iterator[Segment]:
        """Cut what is left behind a checkpoint into segments, each when it is asked for."""
        segment_bytes = min(SEGMENT_ROWS * row_bytes, MAX_SEGMENT_BYTES)
        known = recall(at)[0]
        guess, offset, number, runs = at, at.offset, known.position.number, _Runs(at, known)
        counted = offset if known.position.counted_offset is None else known.position.counted_offset
        while True:
            end = self._line_start(offset + segment_bytes)
            yield Segment(self._log, self._options.finished, guess, offset, end)
            begin = None if end is None else self._line_start(max(offset, end - GUESS_ROWS * row_bytes))
            if end is None or begin is None:
                return
            for block in self._blocks(counted, begin):
                number += block.count(b"\n")
                runs.pass_block(block)
            counted, offset = begin, end
            remembered = Remembered(
                Position(begin, number, number),
                linker=LinkerState(runs=runs.runs),
                container_logs=known.container_logs,
                foreign=known.foreign,
            )
            tail = tail_of(self._bytes(max(0, begin - TAIL_BYTES), begin))
            guess = replace(at, tail=tail, offset=begin, remembered=as_text(remembered))

    # Bytes

    def _bytes(self, start: int, end: int) -> bytes:
        self._stream.seek(start)
        return self._stream.read(end - start)

    def _line_start(self, offset: int) -> int | None:
        """Return where the first line begins at an offset or behind it; `None` where none does."""
        at = max(0, offset - 1)
        while at < self._size and (data := self._bytes(at, at + CHUNK_BYTES)):
            found = data.find(b"\n")
            if found >= 0:
                return at + found + 1 if at + found + 1 < self._size else None
            at += len(data)
        return None

    def _blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield whole lines between two offsets at which lines begin; one that is too long is left out."""
        rest = b""
        while start < end:
            data = self._bytes(start, min(end, start + CHUNK_BYTES))
            if not data:
                return
            start += len(data)
            data = rest + data
            cut = data.rfind(b"\n") + 1
            rest = data[cut:] if len(data) - cut <= MAX_LINE_BYTES else b""
            yield data[:cut]


class _Runs:
    """Which runs are writing behind a checkpoint, by the lines alone that name runs or end them."""

    def __init__(self, at: Checkpoint, known: Remembered) -> None:
        self._zone = zone_recorded(at.zone)
        self._container_logs = known.container_logs
        self._linker = Linker(LinkerState(runs=known.linker.runs))

    @property
    def runs(self) -> LiveRuns:
        """The runs, as far as it is known."""
        return self._linker.state.runs

    def pass_block(self, block: bytes) -> None:
        """Look at whole lines."""
        for marker, at, _ in find_markers(block):
            if marker in _RUN_MARKERS:
                line = block[block.rfind(b"\n", 0, at) + 1 : block.find(b"\n", at)]
                parsed = parse_line(line.rstrip(b"\r"), self._container_logs)
                if parsed is not None:
                    stamp = parsed.stamp
                    seconds = None if stamp is None else self._zone.to_utc(stamp.moment).timestamp()
                    self._linker.context_line(parsed.record, 0, seconds)


# Guesses


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
    names = [field.name for field in fields(Counters)]
    return Counters(
        **{name: getattr(counted, name) + getattr(true, name) - getattr(guess, name) for name in names}
    )
