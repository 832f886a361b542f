"""The pieces into which a container's log splits long lines, joined again at the place and time of the first.

Each stream has its own pieces, and those of two streams may be interleaved. Lines are yielded in the order
in which they begin, so lines between the pieces of another one wait for its end. Once as
much waits as a line may have (`memory.MAX_LINE_BYTES`), the open line is cut there, and the rest of it is
other text. The checkpoint stays before the first line that waits, as before a line without its newline: the
next run reads it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ahocorasick_rs import BytesAhoCorasick

from ingest import memory
from ingest.reading.blocks import Block, Numbering
from ingest.reading.lines import SAMPLE_BYTES, Line, Position, newlines_in
from parsers.line import MARKER, occurrences_in
from parsers.piece import Piece, is_containers, is_dockers, joined, piece_of

_PIECES = BytesAhoCorasick((b"stdout P ", b"stderr P "))
_PIECES_OR_DOCKERS = BytesAhoCorasick((b"stdout P ", b"stderr P ", b'"log"'))
_DOCKERS = 2
"""The number of what stands in each line of Docker's, and hardly in others."""

_ENDED = re.compile(rb'\\n","stream":"std[^\n]*\n')
"""The end of a line of Docker's that is no piece; lines of other programs are looked at one by one."""

_SLICE_BYTES = 32 * 1024
"""The size of the slices of a block of Docker's that are looked at line by line if they hold a piece."""

_REST = "\u2026".encode()
"""The text in place of the beginning of a line that was cut."""


@dataclass(slots=True)
class PieceState:
    r"""What must be remembered of pieces at a position.

    `joined` is the number of lines that were further pieces. If `has_newlines`, a `log` value without `\n`
    is a piece; programs other than Docker write no `\n`. In `skipped` streams the open line was cut, so
    what comes next is the rest of it.
    """

    joined: int = 0
    has_newlines: bool = False
    skipped: list[str] = field(default_factory=list)

    def copy(self) -> PieceState:
        """Return a copy that doesn't change with the state."""
        return PieceState(self.joined, self.has_newlines, list(self.skipped))


class _Waiting:
    """A line that waits for its own end or an earlier line's; `before` is the state at its beginning."""

    def __init__(self, line: Line, piece: Piece | None, before: PieceState) -> None:
        self.lines = [line]
        self.last = line
        self.before = before
        self.stream = piece.stream if piece else ""
        self.is_open = piece is not None and not piece.is_last
        self.is_sure = piece is None or piece.is_cri or before.has_newlines
        self.is_torn = False
        self.kept_bytes = len(line.data)
        self._texts = [piece.text] if piece else []
        self._dropped_bytes = self._dropped_markers = 0

    def add(self, line: Line, piece: Piece) -> None:
        """Add the next piece; beyond the limit only its markers are counted."""
        self.last = line
        self.is_open = not piece.is_last
        self.is_sure = self.is_sure or piece.is_last
        if self.kept_bytes <= memory.MAX_LINE_BYTES:
            self.lines.append(line)
            self._texts.append(piece.text)
            self.kept_bytes += len(line.data)
        else:
            self._dropped_bytes += len(line.data)
            self._dropped_markers += occurrences_in(line.data)

    def whole(self) -> Iterator[Line]:
        """Yield the line joined from the pieces, or each by itself if nothing shows that they are pieces."""
        first, number = self.lines[0], self.lines[0].number - self.before.joined
        if len(self.lines) == 1 or not self.is_sure:
            for place, line in enumerate(self.lines):
                yield line._replace(ordinal=number + place, is_torn=self.is_torn)
            return
        data, starts = joined(first.data, self._texts)
        kept = data[: memory.MAX_LINE_BYTES]
        yield first._replace(
            end_offset=self.last.end_offset,
            ordinal=number,
            data=kept,
            size_bytes=len(data) + self._dropped_bytes,
            raw=first.data[:SAMPLE_BYTES],
            dropped_markers=self._dropped_markers + data.count(MARKER) - kept.count(MARKER),
            joints=tuple(zip(starts, map(self._offset_of, self.lines, self._texts), strict=True)),
            is_torn=self.is_torn,
        )

    @staticmethod
    def _offset_of(line: Line, text: str | bytes) -> int:
        """Return where in the file the text of a piece begins."""
        begin = text if isinstance(text, bytes) else text[:20].encode("utf-8", "replace").split(b"\n")[0]
        return line.offset + max(
            0, line.data.rfind(begin) if isinstance(text, bytes) else line.data.find(begin)
        )


class Pieces:
    """Join the pieces of one source's lines, from a position and a state on, which are kept up to date.

    `remarks` are to be said once.
    """

    def __init__(self, position: Position, state: PieceState) -> None:
        """Begin with no line that waits."""
        self._position = position
        self._state = state
        self._queue: list[_Waiting] = []
        self.remarks: list[str] = []

    @property
    def position(self) -> Position:
        """The position from which to go on: before all lines that wait."""
        if not self._queue:
            return self._position
        first = self._queue[0].lines[0]
        return Position(first.offset, first.number - 1, first.number - 1)

    @property
    def state(self) -> PieceState:
        """The state at that position."""
        return self._queue[0].before if self._queue else self._state

    def through(self, blocks: Iterable[Block | None], numbering: Numbering) -> Iterator[Block | None]:
        """Yield blocks in which no line is a piece; at the end, the lines that still wait."""
        numbering.join(self._state.joined)
        for block in blocks:
            if block is None:
                yield None
            elif block.lines:
                yield from self._through_lines(block.lines, numbering)
            else:
                yield from self._through_text(block, numbering)
        for waiting in self._queue:  # the checkpoint stays before it
            waiting.is_torn = waiting.is_torn or (waiting.is_open and waiting.is_sure)
            lines = [
                line._replace(terminated=line.terminated and not waiting.is_open) for line in waiting.whole()
            ]
            yield Block.of(lines, numbering, complete=False)

    def _through_text(self, block: Block, numbering: Numbering) -> Iterator[Block]:
        starts, may_be_dockers = pieces_in(block.data)
        if not starts and not self._is_busy:
            self._pass(block.data, may_be_dockers)
            yield block
            return
        start, data = 0, block.data
        starts.append(len(data))
        while start < len(data):
            first = start if self._is_busy else next(place for place in starts if place >= start)
            if first > start:
                self._pass(data[start:first], may_be_dockers)
                yield Block(numbering, block.offset + start, data[start:first])
                start = first
                continue
            end = data.find(b"\n", start) + 1
            line = self._line(block.offset + start, data[start:end], numbering)
            yield from self._through_lines([line], numbering)
            start = end

    def _through_lines(self, lines: Iterable[Line], numbering: Numbering) -> Iterator[Block]:
        whole_lines = [whole_line for line in lines for whole_line in self._add(line)]
        numbering.join(self._state.joined)
        for complete in (True, False):
            some = [line for line in whole_lines if line.terminated is complete]
            if some:
                yield Block.of(some, numbering, complete)

    @staticmethod
    def _line(offset: int, data: bytes, numbering: Numbering) -> Line:
        """Return the line of plain text at an offset, and move the position past it."""
        number, end_offset = numbering.before(offset) + 1, offset + len(data)
        numbering.counted(end_offset, number)
        numbering.move(end_offset)
        return Line(offset, end_offset, number, number, data[:-1].rstrip(b"\r"), len(data) - 1)

    def _pass(self, data: bytes, may_be_dockers: bool) -> None:
        """Note what lines without pieces show of the log."""
        if may_be_dockers and not self._state.has_newlines:
            self._state.has_newlines = ends_in_newlines(data)

    @property
    def _is_busy(self) -> bool:
        return bool(self._queue or self._state.skipped)

    def _add(self, line: Line) -> Iterator[Line]:
        """Add the next physical line, and yield the lines that are whole now."""
        piece = None if line.foreign or line.is_cut else piece_of(line.data)
        if piece is not None and piece.stream in self._state.skipped:
            yield from self._skip(line, piece)
            return
        if piece is not None and piece.is_last and not piece.is_cri:
            self._state.has_newlines = True
        opened = self._opened(piece) if piece is not None else None
        if opened is not None and piece is not None and line.terminated:
            self._state.joined += 1
            opened.add(line, piece)
        elif self._queue or (piece is not None and not piece.is_last and line.terminated):
            self._queue.append(_Waiting(line, piece, self._state.copy()))
        else:
            yield line._replace(ordinal=line.ordinal - self._state.joined) if self._state.joined else line
            return
        yield from self._whole()

    def _opened(self, piece: Piece) -> _Waiting | None:
        """Return the open line that a piece continues."""
        for waiting in self._queue:
            if waiting.is_open and waiting.stream == piece.stream:
                if waiting.is_sure or piece.is_last or not piece.begins_own:
                    return waiting
                waiting.is_open = False  # nothing shows that these are pieces, and a line begins here
        return None

    def _whole(self) -> Iterator[Line]:
        """Yield the lines before the first open one, unless one of them ends after that one begins."""
        self._cut_the_longest()
        number = next(
            (number for number, waiting in enumerate(self._queue) if waiting.is_open), len(self._queue)
        )
        done = self._queue[:number]
        if number < len(self._queue):
            first = self._queue[number].lines[0].offset
            if any(waiting.last.offset > first for waiting in done):
                return
        del self._queue[:number]
        for waiting in done:
            yield from waiting.whole()

    def _cut_the_longest(self) -> None:
        """Cut an open line for which too many bytes of other lines wait."""
        size = sum(waiting.kept_bytes for waiting in self._queue)
        for waiting in self._queue:
            if waiting.is_open and size - waiting.kept_bytes > memory.MAX_LINE_BYTES:
                waiting.is_open = False
                waiting.is_torn = waiting.is_sure
                self._state.skipped.append(waiting.stream)
                offset = waiting.lines[0].offset
                self.remarks.append(
                    f"the line that begins at offset {offset} in pieces has no end within "
                    f"{memory.MAX_LINE_BYTES >> 20} MiB of other lines: cut there"
                )

    def _skip(self, line: Line, piece: Piece) -> Iterator[Line]:
        """Add the rest of a line that was cut; a marker in it is behind other text."""
        self._state.joined += 1
        if piece.is_last:
            self._state.skipped.remove(piece.stream)
        if occurrences_in(line.data):
            data, _ = joined(line.data, [_REST if piece.is_cri else _REST.decode(), piece.text])
            place = ((0, line.offset),)
            yield line._replace(data=data, size_bytes=len(data), raw=line.data[:SAMPLE_BYTES], joints=place)


def ends_in_newlines(data: bytes) -> bool:
    """Whether any line of Docker's in a block ends in a newline."""
    for found in re.finditer(b'"log"', data):
        start = data.rfind(b"\n", 0, found.start()) + 1
        if is_dockers(data, start) and b'\\n"' in data[start : data.find(b"\n", start)]:
            return True
    return False


def pieces_in(data: bytes) -> tuple[list[int], bool]:
    """Return where the lines begin that are pieces without a line's end, and whether any may be Docker's."""
    may_be_dockers = is_dockers(data, 0)
    found = (_PIECES if may_be_dockers else _PIECES_OR_DOCKERS).find_matches_as_indexes(data)
    starts = {start for which, at, _ in found if which != _DOCKERS for start in _cri_piece(data, at)}
    if may_be_dockers or any(which == _DOCKERS for which, _, _ in found):
        may_be_dockers = True
        starts |= set(_docker_pieces(data))
    return sorted(starts), may_be_dockers


def _cri_piece(data: bytes, at: int) -> Iterator[int]:
    """Yield where CRI's line begins whose stream is named at an index, if it is one."""
    start = data.rfind(b"\n", 0, at) + 1
    if b" " not in data[start : at - 1] and is_containers(data, start):
        yield start


def _docker_pieces(data: bytes) -> Iterator[int]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", min(start + _SLICE_BYTES, len(data) - 1)) + 1 or len(data)
        lines = data[start:end]
        if len(_ENDED.findall(lines)) < newlines_in(lines):
            yield from _docker_pieces_of(lines, start)
        start = end


def _docker_pieces_of(lines: bytes, start: int) -> Iterator[int]:
    """Look at each line of a slice that begins at an index."""
    for line in lines.split(b"\n")[:-1]:
        if b'\\n"' not in line and line.startswith(b"{") and is_dockers(line, 0):
            yield start
        start += len(line) + 1
