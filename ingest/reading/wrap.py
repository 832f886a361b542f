"""Hard-wrapped captures: what Windows PowerShell 5.1 wrote in several lines is one again.

A physical line without a prefix continues the one before it if that one reached the console's
width or ends in a space; joining is plain concatenation. The width is told nowhere: it is the
length of the longest line so far, since nothing can be longer. As long as only whole events have that
length it may be no width at all, and they are not joined with what follows. Only UTF-16 captures are
treated so; in ordinary logs unprefixed dumps follow event lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingest.reading.lines import MAX_LINE_BYTES, Line, Position
from parsers.line import is_whole_event
from parsers.prefix import starts_with_prefix

MIN_WIDTH = 40
"""Columns; no console is narrower, and shorter lines say nothing of the width."""

MAX_EVENT_BYTES = 16 * 1024
"""How long a line may be to be looked at for an event that is whole: longer ones are none, and looking at
each of their pieces anew would take time by the square of their number."""


@dataclass(frozen=True, slots=True)
class WrapWidth:
    """What is known of a capture's width: the longest physical line so far.

    It is measured twice, in characters and in UTF-16 units, since a capture may have been cut by
    either and an emoji has one of the former and two of the latter. `reached` counts the lines of
    that length that are no whole events: they were cut there, while events may be as long as others.
    """

    characters: int = MIN_WIDTH
    units: int = MIN_WIDTH
    reached: int = 0

    def seen(self, length: int, units: int, is_event: bool = False) -> WrapWidth:
        """Return what is known after one more line, of so many characters and UTF-16 units."""
        if length < self.characters and units <= self.units:
            return self
        units = max(self.units, units)
        if length < self.characters:
            return WrapWidth(self.characters, units, self.reached)
        return WrapWidth(length, units, (not is_event) + (self.reached if length == self.characters else 0))


def _measured(data: bytes) -> tuple[int, int]:
    """Return how many characters and UTF-16 units a line has."""
    if data.isascii():
        return len(data), len(data)
    text = data.decode("utf-8", "replace")
    return len(text), len(text.encode("utf-16-le", "surrogatepass")) // 2


class Joiner:
    """Join the physical lines of one capture, from a position and a known width on.

    `position` and `width` are those at the end of the last whole logical line: what follows is
    unread, so that half an event is never stored, and going on from there reads the same again.
    """

    def __init__(self, position: Position, width: WrapWidth) -> None:
        """Start where `position` says; both are kept up to date."""
        self.position = position
        self.width = width

    def joined(self, lines: Iterable[Line | None]) -> Iterator[Line | None]:
        """Yield the logical lines; the last has `terminated` false while it may still go on."""
        width = self.width
        pieces: list[Line] = []
        size, may_continue = 0, False
        for line in lines:
            if line is None:
                yield None
                continue
            data = line.data
            length, units = _measured(data)
            if pieces and (not may_continue or size > MAX_LINE_BYTES or _is_new(data)):
                yield self._whole(pieces, width)
                pieces, size = [], 0
            pieces.append(line)
            size += line.size_bytes
            longest = length >= width.characters
            is_event = longest and size <= MAX_EVENT_BYTES and is_whole_event(_data(pieces))
            width = width.seen(length, units, is_event)
            reached = longest or units >= width.units or data.endswith(b" ")
            may_continue = reached and (width.reached > 0 or not is_event)
        if pieces and pieces[-1].terminated and not may_continue:
            yield self._whole(pieces, width)
        elif pieces:
            yield _concatenated(pieces)._replace(ordinal=self.position.ordinal + 1, terminated=False)

    def _whole(self, pieces: list[Line], width: WrapWidth) -> Line:
        line, ordinal = pieces[0], self.position.ordinal + 1
        if len(pieces) > 1:
            line = _concatenated(pieces)._replace(ordinal=ordinal)
        elif line.ordinal != ordinal:  # most lines, once any was joined
            line = tuple.__new__(Line, (*line[:3], ordinal, *line[4:]))
        self.position.offset, self.position.number = line.end_offset, pieces[-1].number
        self.position.ordinal = line.ordinal
        self.width = width
        return line


def _is_new(data: bytes) -> bool:
    return not data or starts_with_prefix(data)


def _concatenated(pieces: list[Line]) -> Line:
    return pieces[0]._replace(
        end_offset=pieces[-1].end_offset,
        data=_data(pieces),
        size_bytes=sum(line.size_bytes for line in pieces),
    )


def _data(pieces: list[Line]) -> bytes:
    return b"".join(line.data for line in pieces)
