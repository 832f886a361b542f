"""Hard-wrapped captures: lines that Windows PowerShell 5.1 wrapped at the console's width, joined again.

A physical line without a prefix continues the one before it if that one reached the console's width or ends
in a space; joining is plain concatenation. The width is written nowhere, so it is taken to be the length of
the longest line so far. While only lines that are whole by their own pattern have that length, it may be no
width at all, and they are not joined with the next line. The last value of such a context line is not
believed, since it may be cut. Only UTF-16 captures are joined: in other logs unprefixed dumps follow events.

A chunk is decoded and cut at once. If no line in it changes what is known of the width, only the lines that
may go on are looked at. Blocks that are not plain text (a hole, a mark, half a character, a line of UTF-8),
or have a line wider than all before, are read line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, chain, compress

from ingest import memory
from ingest.reading.blocks import Block, Cuts, Numbering
from ingest.reading.encoding import Encoding, begins_strangely
from ingest.reading.lines import Line, Position, Rest, last_line, wide_lines
from parsers.line import is_whole_event, parse_line
from parsers.prefix import starts_with_prefix
from parsers.records import Malformed

MIN_WIDTH = 40
"""Columns; no console is narrower, so shorter lines show nothing of the width."""

_ERROR_BLOCK = re.compile(rb"At (?:line:\d+|[A-Za-z]:\\[^:\n]*:\d+) char:\d+|\+ |    \+ ")
"""The beginnings of what PowerShell adds below the first line that a program wrote to standard error."""

MAX_EVENT_BYTES = 16 * 1024
"""The longest line that may be a whole event. Trying longer ones after each of their pieces would take time
by the square of the number of pieces."""


_BEYOND = "\u0100"
"""A line whose first character is this or a later one may be UTF-8, or begin with a mark."""


@dataclass(frozen=True, slots=True)
class WrapWidth:
    """What is known of a capture's width: the longest physical line so far.

    It is measured in characters and in UTF-16 units, since a capture may have been wrapped by either; an
    emoji is one character and two units. `reached` is 1 once a line of that length was not whole by its own
    pattern: it was wrapped there, while whole lines may be of any length.
    """

    characters: int = MIN_WIDTH
    units: int = MIN_WIDTH
    reached: int = 0

    def seen(self, length: int, units: int, is_whole: bool = False) -> WrapWidth:
        """Return what is known after one more line, of so many characters and UTF-16 units."""
        if length < self.characters and units <= self.units:
            return self
        units = max(self.units, units)
        if length < self.characters:
            return WrapWidth(self.characters, units, self.reached)
        reached = not is_whole or (length == self.characters and self.reached > 0)
        return WrapWidth(length, units, int(reached))

    def may_go_on(self, lines: list[str]) -> list[int] | None:
        """Return the numbers (from 0) of lines that may go on; `None` if one of them changes the width."""
        lengths, units = list(map(len, lines)), list(map(units_in, lines))
        longest, most = max(lengths), max(units)
        if longest > self.characters or most > self.units:
            return None
        if longest == self.characters and not self.reached:
            return None
        if longest < self.characters and most < self.units:
            return [number for number, line in enumerate(lines) if line.endswith(" ")]
        return [
            number
            for number, (line, length, many) in enumerate(zip(lines, lengths, units, strict=True))
            if length == self.characters or many == self.units or line.endswith(" ")
        ]


def units_in(text: str) -> int:
    """Return how many UTF-16 units a text has."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _measured(data: bytes) -> tuple[int, int]:
    """Return how many characters and UTF-16 units a line has."""
    if data.isascii():
        return len(data), len(data)
    text = data.decode("utf-8", "replace")
    return len(text), units_in(text)


class Joiner:
    """Join the physical lines of one capture, from a position and a known width on.

    `position` and `width` are those at the end of the last whole logical line. The pieces after it count as
    unread, so that half an event is never stored and the next run reads them again.
    """

    def __init__(self, position: Position, width: WrapWidth) -> None:
        """Start at a position; both are kept up to date."""
        self.position = position
        self.width = width
        self._pieces: list[Line] = []
        self._size = 0
        self._seen = width  # the width as known with the pieces
        self._is_doubtful = False  # whether the only piece may be a whole line or a wrapped one

    @property
    def is_waiting(self) -> bool:
        """Whether there are pieces of a line that may go on."""
        return bool(self._pieces)

    def add(self, line: Line) -> Iterator[Line]:
        """Add the next physical line, and yield the logical lines that are whole now."""
        data, pieces = line.data, self._pieces
        is_doubtful = self._is_doubtful and line.terminated
        if pieces and (is_doubtful or self._size > memory.MAX_LINE_BYTES or is_new(data)):
            yield self._whole(is_torn=is_doubtful and not is_new(data))
        pieces.append(line)
        self._size += line.size_bytes
        length, units = _measured(data)
        longest = length >= self._seen.characters
        is_short = longest and self._size <= MAX_EVENT_BYTES
        is_event = is_short and is_whole_event(_data(pieces))
        is_context = is_short and not is_event and len(pieces) == 1 and _is_whole_context(data)
        self._seen = width = self._seen.seen(length, units, is_event or is_context)
        reached = longest or units >= width.units or data.endswith(b" ")
        self._is_doubtful = line.terminated and is_context and not width.reached
        if line.terminated and not (reached and (width.reached > 0 or not is_event)):
            yield self._whole()

    def forget(self) -> None:
        """Drop the pieces: they are read again, from the position on."""
        self._pieces.clear()
        self._size, self._seen, self._is_doubtful = 0, self.width, False

    def rest(self) -> Iterator[Line]:
        """Yield the line that may go on, if there is one; nothing follows."""
        if self._pieces:
            yield _concatenated(self._pieces)._replace(ordinal=self.position.ordinal + 1, terminated=False)

    def _whole(self, is_torn: bool = False) -> Line:
        pieces, position = self._pieces, self.position
        line, number, ordinal = pieces[0], pieces[-1].number, position.ordinal + 1
        if len(pieces) > 1:
            line = _concatenated(pieces)._replace(ordinal=ordinal)
        elif line.ordinal != ordinal:  # most lines, once any was joined
            line = tuple.__new__(Line, (*line[:3], ordinal, *line[4:]))
        position.offset, position.number, position.ordinal = line.end_offset, number, ordinal
        self.width, self._size, self._is_doubtful = self._seen, 0, False
        pieces.clear()
        return line._replace(is_torn=True) if is_torn else line


def is_new(data: bytes) -> bool:
    """Whether a line can't continue the one above."""
    return not data or starts_with_prefix(data) or _ERROR_BLOCK.match(data) is not None


def _is_whole_context(data: bytes) -> bool:
    """Whether a line is a context line, or an event, as it is."""
    parsed = parse_line(data)
    return parsed is not None and not isinstance(parsed.record, Malformed)


def _concatenated(pieces: list[Line]) -> Line:
    return pieces[0]._replace(
        end_offset=pieces[-1].end_offset,
        data=_data(pieces),
        size_bytes=sum(line.size_bytes for line in pieces),
    )


def _data(pieces: list[Line]) -> bytes:
    return b"".join(line.data for line in pieces)


def split_wide(
    chunks: Iterable[bytes],
    joiner: Joiner,
    numbering: Numbering,
    encoding: Encoding,
    line_by_line: bool = False,
) -> Iterator[Block | None]:
    """Yield blocks of logical lines; `chunks` begin at the joiner's position.

    The consumer moves the position past each block. A `None` comes after each chunk. The last line comes in
    a block that is not complete, if it has no newline or may still go on.
    Lines that may go on are cut again with the next chunk, if they are no longer than the last one, so
    that reading byte by byte takes no longer. With `line_by_line`, each line is read by itself.
    """
    rest, physical = Rest(), replace(joiner.position)
    for chunk in chunks:
        if rest.add(chunk):
            data, start = rest.take(), physical.offset
            in_one_piece = not (rest.dropped or joiner.is_waiting or line_by_line)
            cut = _block(data, len(chunk), joiner, encoding) if in_one_piece else None
            if cut is not None:
                text, cuts = cut
                if cuts.raw:
                    yield Block(numbering, joiner.position.offset, text, cuts)
                    physical = replace(joiner.position)
                rest.keep(data[len(cuts.raw) :], 2)
            else:
                rest.give_back(data)
                yield from _by_line(wide_lines(rest, physical, encoding), joiner, numbering)
                waiting = data[joiner.position.offset - start :]
                if in_one_piece and not rest.dropped and len(waiting) <= len(chunk):
                    joiner.forget()
                    rest.give_back(waiting)
                    physical = replace(joiner.position)
        yield None
    yield from _by_line(wide_lines(rest, physical, encoding), joiner, numbering)
    yield from _by_line(last_line(rest, physical, encoding), joiner, numbering)
    last = list(joiner.rest())
    if last:
        yield Block.of(last, numbering, complete=False)


def _by_line(lines: Iterable[Line], joiner: Joiner, numbering: Numbering) -> Iterator[Block]:
    """Yield the logical lines that are whole with the next physical ones."""
    whole_lines = [logical for line in lines for logical in joiner.add(line)]
    if whole_lines:
        numbering.pass_lines()
        yield Block.of(whole_lines, numbering)


def _block(data: bytes, most_left: int, joiner: Joiner, encoding: Encoding) -> tuple[bytes, Cuts] | None:
    """Cut off all whole logical lines at once; return their text, and where they are in the file.

    `None` if they must be read one by one, or more than `most_left` bytes of physical lines would be left.
    """
    raw = data[: _end_of_lines(data, encoding.newline)]
    cut = _cut(raw, encoding) if raw and len(data) <= memory.MAX_LINE_BYTES else None
    if cut is None:
        return None
    lines, ends = cut
    may_go_on = joiner.width.may_go_on(lines)
    if may_go_on is None:
        return None
    last = len(lines) - 1
    waits = bool(may_go_on) and may_go_on[-1] == last
    goes_on = {number for number in may_go_on if number < last and not is_new(lines[number + 1].encode())}
    if waits:  # the last line is left for the next chunk, with all lines that it continues
        while last - 1 in goes_on:
            last -= 1
        start = ends[last - 1] if last else 0
        if len(raw) - start > most_left:
            return None
        raw = raw[:start]
        del lines[last:], ends[last:]
        goes_on = {number for number in goes_on if number < last}
    begins, newlines = [True] * (len(lines) + 1), ["\n"] * len(lines)
    for number in goes_on:
        begins[number + 1], newlines[number] = False, ""
    text = "".join(chain.from_iterable(zip(lines, newlines, strict=True)))
    firsts = list(compress(range(len(begins)), begins))
    return text.encode(), Cuts(raw, ends, firsts, len(encoding.newline))


def _cut(raw: bytes, encoding: Encoding) -> tuple[list[str], list[int]] | None:
    """Cut whole physical lines; return them and the indexes after them; `None` if they are not plain text."""
    try:
        text = raw.decode(encoding.name)
    except UnicodeDecodeError:
        return None
    lines = text.split("\n")[:-1]
    if "\0" in text:
        return None
    units = map(len, lines) if 2 * len(text) == len(raw) else map(units_in, lines)
    ends = list(accumulate(2 * count + 2 for count in units))
    if max(lines) >= _BEYOND:
        for number, line in enumerate(lines):
            if line >= _BEYOND and begins_strangely(raw, ends[number - 1] if number else 0, encoding):
                return None
    return [line.rstrip("\r") for line in lines] if "\r" in text else lines, ends


def _end_of_lines(data: bytes, newline: bytes) -> int:
    """Return where the last whole line of a chunk ends; newlines stand at even indexes."""
    end = data.rfind(newline)
    while end % 2 and end >= 0:
        end = data.rfind(newline, 0, end + 1)
    return end + 2 if end >= 0 else 0
