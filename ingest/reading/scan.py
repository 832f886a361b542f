"""The scan of one source from its checkpoint on: bytes to lines to records to linked batches.

It reads the log and touches no database, so it can run in another process. What it yields is all that the
store needs.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ingest import memory
from ingest.errors import LogUnfinished, LogUnreadable, Rewritten, UsageMistake
from ingest.files.logfile import LogFile
from ingest.reading.batch import Batch, State
from ingest.reading.batch_builder import BatchBuilder, Watcher
from ingest.reading.blocks import Block, Numbering, split_blocks
from ingest.reading.checkpoint import Checkpoint, Provisional, as_text
from ingest.reading.extractor import Extractor
from ingest.reading.feed import Feed
from ingest.reading.lines import Line, Position
from ingest.reading.pieces import Pieces
from ingest.reading.resume import NotTheSame, Opened, open_at
from ingest.reading.wrap import Joiner, split_wide
from ingest.reading.zone import zone_recorded
from parsers.line import occurrences_in, parts_of
from parsers.piece import is_containers
from parsers.records import EstimationEvent, Malformed
from parsers.template import Template, TemplateMistake, template

WAIT_SECONDS = 1.0
"""How long rows from a pipe may wait to be stored."""


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How to scan: the zone and the prefix of a new source, and whether the log is finished.

    `plain` parses every line by itself, as `verify` does, instead of searching chunks for markers first.
    Reading stops at `end_offset`, if that is given. A `watcher` sees each line and what becomes of it; lines
    are then read one by one, too. After `batch_bytes` a batch is full, whatever is in it.
    `known` has an extractor for each zone, whose caches help to read the next log.
    """

    zone: str
    finished: bool = False
    plain: bool = False
    end_offset: int | None = None
    watcher: Watcher | None = None
    batch_bytes: int = memory.MAX_BATCH_BYTES
    prefix: str | None = None
    known: dict[str, Extractor] = field(default_factory=dict)


def scan(log: LogFile, checkpoint: Checkpoint | None, options: ScanOptions) -> Iterator[Batch]:
    """Yield the batches of a log file from a checkpoint on, at least one if it holds any bytes.

    Damage ends the last batch and is described in its `problem`; what was read before it counts.

    Raises:
        NotALog: it is something else altogether.
        LogUnreadable: the file can't be opened.
        NotTheSame: its bytes before the checkpoint are not those of the source.
    """
    with log.opened() as open_log:
        try:
            opened = open_at(log, open_log, checkpoint)
        except LogUnfinished:
            return  # not even its head is there yet
        if opened is not None:
            yield from _Scan(log, opened, options, checkpoint).batches()


class _Scan:
    """One pass over one source: its lines, cut into batches, each with the checkpoint that covers it."""

    def __init__(
        self, log: LogFile, opened: Opened, options: ScanOptions, checkpoint: Checkpoint | None
    ) -> None:
        self._log = log
        self._opened = opened
        self._open_log = opened.log
        self._options = options
        self._extractor = _extractor_for(log, checkpoint.zone if checkpoint else options.zone, options.known)
        self._zone = self._extractor.zone
        self._prefix = checkpoint.prefix if checkpoint else options.prefix
        self._template = _template_of(log, self._prefix)
        self._remembered = opened.remembered
        self._remembered.position.offset = opened.offset
        self._was_provisional = self._remembered.provisional is not None
        self._taken_back_from = opened.offset if self._was_provisional else None
        self._remembered.provisional = None
        if options.watcher is not None:
            options.watcher.begin(log, self._template)
        self._builder = BatchBuilder(self._remembered, self._zone, self._template, options.watcher)
        self._feed = Feed(log, opened, self._remembered.position, options.plain, options.end_offset)
        position, plain = self._remembered.position, opened.log.is_plain
        recounts = plain and (position.counted_offset is not None or not opened.log.remote)
        self._numbering = Numbering(position, self._feed.newlines if recounts else None)
        self._joiner = Joiner(self._remembered.position, self._remembered.width)
        self._batch_start = self._fed_upto = opened.offset
        self._stream_due = 0.0
        self._occurrences = 0
        self._pieces = Pieces(self._remembered.position, self._remembered.pieces)
        self._last_lines: list[Line] = []  # of the file, if no newline ends the first of them

    @property
    def _position(self) -> Position:
        """The position of the checkpoint: before lines whose end has not come yet."""
        return self._pieces.position

    def batches(self) -> Iterator[Batch]:
        state: State = "complete"
        trouble: Exception | None = None
        try:
            yield from self._whole_lines()
        except LogUnfinished as error:
            state, trouble = "unfinished", error
        except LogUnreadable as error:
            state, trouble = "damaged", error
        except Rewritten as error:
            state, trouble = "replaced", NotTheSame(error)
        if trouble is not None and self._taken_back_from == self._position.offset:
            raise trouble  # the unterminated line that was stored was not reached, so it stays stored
        yield self._last_batch(state, None if isinstance(trouble, NotTheSame) else trouble)

    def _whole_lines(self) -> Iterator[Batch]:
        """Add all lines but a last one without a newline; yield each batch that is full."""
        try:
            for block in self._blocks():
                if block is not None and not block.complete:
                    self._last_lines += block.lines
                elif block is not None:
                    self._add_block(block)
                if self._is_full():
                    yield self._batch(self._checkpoint(), "reading")
        except (Exception, GeneratorExit):
            raise
        except BaseException:  # a signal: what came through a pipe will not come again
            if self._log.is_stream:
                yield self._last_batch("reading", None)
            raise

    def _add_block(self, block: Block) -> None:
        if block.lines or self._is_line_by_line:
            for line in block.each():
                self._add_line(line)
        else:
            extracted = self._extractor.extract(block.data, self._remembered.container_logs, self._template)
            self._builder.add_block(block, extracted)

    def _add_line(self, line: Line) -> None:
        if self._options.plain:
            self._occurrences += occurrences_in(line.data) + line.dropped_markers
        self._builder.add_line(line)

    def _last_batch(self, state: State, trouble: Exception | None) -> Batch:
        """Return the rest, with a last line that has no newline if it counts."""
        lines = self._last_lines if state == "complete" else []
        taken = [line for line in lines if self._counts_unterminated(line)]
        if taken:
            self._remembered.provisional = Provisional(lines[0].sample(), lines[-1].end_offset)
        checkpoint = self._checkpoint()
        for line in taken:
            self._add_line(line)
        unread = 0 if taken else max(0, self._feed.end_offset - self._position.offset)
        if unread and state == "complete":
            state = "unterminated"
        return self._batch(checkpoint, state, unread, None if trouble is None else str(trouble))

    def _counts_unterminated(self, line: Line) -> bool:
        """Whether the last line is read although it has no newline.

        If nothing can follow, any line is. In a finished log an event or a reject is, since its rows can be
        removed again if the file does go on. A context line is not: a fragment may name a wrong run or
        phase, and no later reading could undo that.
        """
        if not self._open_log.is_plain:
            return True
        parts = parts_of(line.data, self._remembered.container_logs, self._template)
        marker = any(
            part.parsed and isinstance(part.parsed.record, EstimationEvent | Malformed) for part in parts
        )
        finished = self._options.finished or self._was_provisional  # what was stored once stays stored
        return finished and (marker or line.is_cut or line.terminated)

    @property
    def _is_line_by_line(self) -> bool:
        return self._options.plain or self._options.watcher is not None

    def _blocks(self) -> Iterator[Block | None]:
        """Yield the logical lines from the checkpoint on; wrapped lines and pieces are joined."""
        chunks, encoding = self._feed.chunks(), self._opened.encoding
        if encoding.is_wide:
            return split_wide(chunks, self._joiner, self._numbering, encoding, self._is_line_by_line)
        blocks = split_blocks(chunks, self._numbering, encoding, self._wants)
        return self._pieces.through(blocks, self._numbering)

    def _wants(self, line: bytes) -> bool:
        """Whether a last line may say something, or may be a piece of a line that does."""
        return self._is_line_by_line or self._builder.wants(line) or is_containers(line, 0)

    def _is_full(self) -> bool:
        if self._log.is_stream and len(self._builder) and time.monotonic() >= self._stream_due:
            self._stream_due = time.monotonic() + WAIT_SECONDS
            return True
        return (
            len(self._builder) >= memory.MAX_BATCH_RECORDS
            or self._position.offset - self._batch_start >= self._options.batch_bytes
        )

    def _checkpoint(self) -> Checkpoint:
        self._remembered.width = self._joiner.width
        self._remembered.piped = self._log.pipe.sample() if self._log.pipe is not None else None
        self._builder.sync_state()
        position, pieces = self._pieces.position, self._pieces.state
        remembered = replace(self._remembered, position=position, pieces=pieces)
        return Checkpoint(
            fingerprint=self._opened.fingerprint,
            tail=self._feed.tail(position.offset),
            offset=position.offset,
            encoding=self._opened.encoding.name,
            zone=self._zone.name,
            remembered=as_text(remembered),
            prefix=self._prefix,
        )

    def _batch(
        self, checkpoint: Checkpoint, state: State, unread_bytes: int = 0, problem: str | None = None
    ) -> Batch:
        """Return what was read since the last batch, and begin the next one."""
        self._builder.sync_state()
        said = (*self._builder.remarks, *self._pieces.remarks)
        remarks = tuple(f"{self._log.shown}: {remark}" for remark in said)
        batch = Batch(
            rows=self._builder.build(),
            checkpoint=checkpoint,
            counters=replace(self._remembered.counters),
            state=state,
            compression=self._open_log.compression,
            bytes_read=self._feed.end_offset - self._fed_upto,
            unread_bytes=unread_bytes,
            taken_back_from=self._taken_back_from,
            file=self._open_log.file,
            problem=problem,
            remarks=remarks,
            unread=copy.deepcopy(self._remembered.unread),
            occurrences=self._occurrences,
            warnings=tuple(f"{self._log.shown}: {warning}" for warning in self._builder.warnings),
            disk_offset=self._open_log.disk_offset,
            new_keys=self._builder.new_keys,
        )
        self._taken_back_from, self._occurrences = None, 0
        self._builder.remarks.clear()
        self._builder.new_keys = {}
        self._pieces.remarks.clear()
        self._builder.warnings.clear()
        self._batch_start, self._fed_upto = self._position.offset, self._feed.end_offset
        return batch


def _template_of(log: LogFile, prefix: str | None) -> Template | None:
    """Return the template that a source is read with.

    Raises:
        LogUnreadable: the recorded one can't be used.
    """
    try:
        return None if prefix is None else template(prefix)
    except TemplateMistake as error:
        raise LogUnreadable(
            f"{log.shown}: the prefix that it is read with, {prefix!r}, is none: `tokentail backfill --full "
            "--prefix TEMPLATE` on it sets another"
        ) from error


def _extractor_for(log: LogFile, zone: str, known: dict[str, Extractor]) -> Extractor:
    """Return the extractor of the zone that a source is read in.

    Raises:
        LogUnreadable: this machine knows no zone of that name, though the one that read it first did.
    """
    try:
        if zone not in known:
            known[zone] = Extractor(zone_recorded(zone))
        return known[zone]
    except UsageMistake as error:
        raise LogUnreadable(
            f"{log.shown}: its times are read as {zone!r}, a zone that this machine doesn't know: "
            "install its time zone data (pip install tzdata), or read it where that is known"
        ) from error
