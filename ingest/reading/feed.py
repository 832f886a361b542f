"""The bytes of an open log from its checkpoint on, in chunks; the newest ones are kept to be hashed."""

from __future__ import annotations

import io
from collections.abc import Iterator

from ingest.files.logfile import (
    CHUNK_BYTES,
    TAIL_BYTES,
    LogFile,
    chunks,
    digest,
    overlapping_chunks,
    reading,
)
from ingest.reading.lines import Position, newlines_in
from ingest.reading.resume import Opened

_KEPT_BYTES = 2 * TAIL_BYTES
"""Bytes before the newest chunk that are kept: the end of some lines shows only a few bytes after it."""


class Feed:
    """The chunks of one log; `end_offset` is after the last byte that was yielded.

    `plain` reads line by line. Reading stops at `last_offset`, or at the file's end if that is `None`.
    """

    def __init__(
        self, log: LogFile, opened: Opened, position: Position, plain: bool, last_offset: int | None
    ) -> None:
        """Start at a checkpoint; `position` is moved past the lines that are cut from the chunks."""
        self._log = log
        self._opened = opened
        self._position = position
        self._plain = plain
        self._last_offset = last_offset
        self._recent = Recent(position, opened.before)
        self.end_offset = opened.offset

    def chunks(self) -> Iterator[bytes]:
        """Yield chunks as they come.

        Raises:
            Rewritten: the file was truncated or written anew meanwhile.
            LogUnfinished: compressed data stops before its end.
            LogUnreadable: it can't be read, or is damaged from here on.
        """
        for chunk in self._recent.through(self._limited(self._all_chunks())):
            self.end_offset += len(chunk)
            yield chunk

    def tail(self, offset: int) -> str | None:
        """Return the tail at an offset; it is read again if it is kept no longer."""
        stream = self._opened.log.stream
        tail = self._recent.tail_before(offset)
        if tail is None and self._opened.log.is_plain:
            first = max(0, offset - TAIL_BYTES)
            with reading(self._log.shown):
                place = stream.tell()
                stream.seek(first)
                tail = tail_of(stream.read(offset - first))
                stream.seek(place)
        return tail

    def newlines(self, start: int, end: int) -> int:
        """Count the newlines between two offsets of a plain file by reading it again.

        Raises:
            LogUnreadable: it can't be read.
        """
        stream, count = self._opened.log.stream, 0
        with reading(self._log.shown):
            place = stream.tell()
            stream.seek(start)
            while start < end and (chunk := stream.read(min(CHUNK_BYTES, end - start))):
                count += newlines_in(chunk)
                start += len(chunk)
            stream.seek(place)
        return count

    def _all_chunks(self) -> Iterator[bytes]:
        opened, stream, path = self._opened, self._opened.log.stream, self._log.shown
        if opened.after:
            yield opened.after
        if opened.trouble is not None:
            raise opened.trouble
        if self._log.pipe is not None:
            yield from self._log.pipe.chunks(path)
        elif opened.log.is_plain and not self._plain:
            yield from overlapping_chunks(stream, path, opened.before + opened.after)
        elif isinstance(stream, io.RawIOBase):  # a line at a time would be a byte at a time
            buffered = io.BufferedReader(stream)
            try:
                yield from chunks(buffered, path, by_line=True)
            finally:
                if not stream.closed:  # a buffer that is thrown away closes what it reads from
                    buffered.detach()
        else:
            yield from chunks(stream, path, by_line=self._plain)

    def _limited(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        end = self._last_offset
        if end is None:
            yield from chunks
            return
        for chunk in chunks:
            left = end - self.end_offset
            if left > 0:
                yield chunk[:left]
            if left < len(chunk):
                return


def tail_of(before: bytes) -> str:
    """Return the hash of the last `TAIL_BYTES` of the bytes before an offset."""
    return digest(before[-TAIL_BYTES:])


class Recent:
    """Keep the newest bytes of a stream, to hash those before a checkpoint."""

    def __init__(self, position: Position, before: bytes) -> None:
        """Start at a position, with the bytes before it as far as they are known.

        The hash of the tail at the position is kept, however long the line after it is.
        """
        self._position = position
        self._kept: tuple[int, str | None] = (position.offset, tail_of(before))
        self._before = before
        self._chunk = b""
        self._start = position.offset - len(before)

    def through(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield chunks; the last one is kept, with some bytes before it."""
        for chunk in chunks:
            self._kept = (self._position.offset, self.tail_before(self._position.offset))
            end = self._start + len(self._before) + len(self._chunk)
            self._before = (self._before + self._chunk[-_KEPT_BYTES:])[-_KEPT_BYTES:]
            self._chunk = chunk
            self._start = end - len(self._before)
            yield chunk

    def tail_before(self, offset: int) -> str | None:
        """Return the hash of the tail at an offset; `None` if its bytes are not kept."""
        if offset == self._kept[0]:
            return self._kept[1]
        first, end = max(0, offset - TAIL_BYTES) - self._start, offset - self._start
        if first < 0:
            return None
        split = len(self._before)  # a chunk is large: it is not copied for its hash
        return tail_of(self._before[first:end] + self._chunk[max(0, first - split) : max(0, end - split)])
