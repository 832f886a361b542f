"""The segments of one huge log: where it is cut, and what is guessed of what must be remembered there.

Which runs are writing is told by the lines alone that name runs or end them; all else by a stretch before
the segment. Whoever reads a segment reads that stretch first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ingest.errors import LogUnfinished, LogUnreadable
from ingest.files.logfile import CHUNK_BYTES, LogFile, OpenLog
from ingest.files.sample import TAIL_BYTES
from ingest.linking.state import LinkerState
from ingest.linking.windows import MAX_WINDOWS
from ingest.pool.parts import packed
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import Checkpoint, Remembered
from ingest.reading.fingerprint import tail_of
from ingest.reading.gathering import Gathering
from ingest.reading.lines import MAX_LINE_BYTES, Line, Position, newlines_in
from ingest.reading.markers import find_markers
from ingest.reading.remembered import as_text
from ingest.reading.resume import NotTheSame, recall
from ingest.reading.scan import ScanOptions, scan
from ingest.reading.sifting import Sifter
from ingest.reading.zone import zone_recorded
from parsers.registry import MARKERS
from parsers.run import FAMILIES

SEGMENT_ROWS = 5_000
MAX_SEGMENT_BYTES = 16 << 20
"""A segment has about so many rows, going by those of the last piece, and no more bytes, unless what is read
to guess before it is long."""

MAX_ROWS = 3 * SEGMENT_ROWS
"""Rows after which a segment's reading ends: the rest of it is read here. It must fit into memory."""

GUESS_ROWS = 64
"""How many rows are read to guess, at least: in most logs they are of more phases than are remembered."""

PARTS_GUESSED = 8
"""How many times as long as what is read to guess a segment is, so that reading it twice costs little."""

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


class Cutter:
    """Cuts one plain log into segments; `size` is how large it was when it was opened."""

    def __init__(self, log: LogFile, opened: OpenLog, finished: bool) -> None:
        """Use an open log, of which nobody reads at the same time."""
        self._log = log
        self._stream = opened.stream
        self._finished = finished
        self.size = 0 if opened.file is None else opened.file.size_bytes

    def segments(self, at: Checkpoint, row_bytes: int) -> Iterator[Segment]:
        """Cut what is left behind a checkpoint into segments, each when it is asked for."""
        known = recall(at)[0]
        stretch_bytes = _stretch(known, at.offset, row_bytes)
        segment_bytes = max(MAX_SEGMENT_BYTES, PARTS_GUESSED * stretch_bytes)
        segment_bytes = min(SEGMENT_ROWS * row_bytes, segment_bytes)
        position, runs = known.position, _Runs(known, at.zone)
        guess, offset, number = at, at.offset, position.number
        counted = offset if position.counted_offset is None else position.counted_offset
        while True:
            end = self.line_start(offset + segment_bytes)
            yield Segment(self._log, self._finished, guess, offset, end)
            begin = None if end is None else self.line_start(max(offset, end - stretch_bytes))
            if end is None or begin is None:
                return
            for block in self._blocks(counted, begin):
                number += newlines_in(block)
                runs.pass_block(block)
            counted, offset = begin, end
            remembered = as_text(runs.guessed(Position(begin, number, number)))
            tail = tail_of(self._bytes(max(0, begin - TAIL_BYTES), begin))
            guess = replace(at, tail=tail, offset=begin, remembered=remembered)

    def _bytes(self, start: int, end: int) -> bytes:
        self._stream.seek(start)
        return self._stream.read(end - start)

    def line_start(self, offset: int) -> int | None:
        """Return where the first line begins at an offset or behind it; `None` where none does."""
        at = max(0, offset - 1)
        while at < self.size and (data := self._bytes(at, at + CHUNK_BYTES)):
            found = data.find(b"\n")
            if found >= 0:
                return at + found + 1 if at + found + 1 < self.size else None
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


def _stretch(known: Remembered, offset: int, row_bytes: int) -> int:
    """Return how many bytes to guess from, by what is remembered at an offset, with a row every so many.

    Twice as many as hold all phases that are remembered, going by those that are: where only some calls
    tell their phase, or phases take many calls, that is long. Not where most of a segment were read twice.
    """
    least = GUESS_ROWS * row_bytes
    windows = known.linker.windows.by_phase
    begins = [window.events[0].offset for window in windows.values() if window.events]
    if not begins:
        return least
    wanted = 2 * (offset - min(begins)) * MAX_WINDOWS // len(windows)
    return max(least, wanted) if 2 * wanted <= SEGMENT_ROWS * row_bytes else least


class _Runs:
    """What the lines that name runs or end them leave by themselves, behind what is known."""

    def __init__(self, known: Remembered, zone: str) -> None:
        self._remembered = Remembered(
            linker=LinkerState(runs=known.linker.runs),
            container_logs=known.container_logs,
            foreign=known.foreign,
        )
        self._gathering = Gathering(self._remembered, zone_recorded(zone))

    def pass_block(self, block: bytes) -> None:
        """Look at whole lines."""
        for marker, at, _ in find_markers(block):
            if marker in _RUN_MARKERS:
                line = block[block.rfind(b"\n", 0, at) + 1 : block.find(b"\n", at)].rstrip(b"\r")
                self._gathering.take(Line(0, 0, 0, 0, line, len(line)))
        self._gathering.hand_over()  # nobody asks for rows

    def guessed(self, position: Position) -> Remembered:
        """Return what is to be remembered at a position, as far as these lines tell."""
        self._gathering.settle()
        told = self._remembered
        linker = LinkerState(runs=told.linker.runs)
        return Remembered(position, linker=linker, container_logs=told.container_logs, foreign=told.foreign)
