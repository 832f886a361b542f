"""The bytes of an open log from its checkpoint on, in the manner that fits it; the newest are remembered."""

from __future__ import annotations

import io
from collections.abc import Iterator

from ingest.files.logfile import CHUNK_BYTES, LogFile, chunks, reading
from ingest.files.overlap import overlapping_chunks
from ingest.files.pipe import piped_chunks
from ingest.files.sample import TAIL_BYTES
from ingest.reading.fingerprint import Recent, tail_of
from ingest.reading.lines import Position, newlines_in
from ingest.reading.resume import Opened


class Feed:
    """Chunks of one log; `end_offset` is after the last byte that was handed out.

    `plain` reads line by line; `last_offset` is where reading is to stop, `None` at the file's end.
    """

    def __init__(
        self, log: LogFile, opened: Opened, position: Position, plain: bool, last_offset: int | None
    ) -> None:
        """Start at a checkpoint; `position` is that of the lines which are cut from the chunks."""
        self._log = log
        self._opened = opened
        self._position = position
        self._plain = plain
        self._last_offset = last_offset
        self._recent = Recent(position, opened.before)
        self.end_offset = opened.offset

    def chunks(self) -> Iterator[bytes]:
        """Yield what is there, as it comes.

        Raises:
            Rewritten: the file was truncated or written anew meanwhile.
            LogUnfinished: compressed data stops before its end.
            LogUnreadable: it can't be read, or is damaged from here on.
        """
        for chunk in self._recent.through(self._limited(self._all_chunks())):
            self.end_offset += len(chunk)
            yield chunk

    def tail(self, offset: int) -> str | None:
        """Return the tail at an offset; where it has passed out of reach it is read again."""
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
        """Count the newlines between two offsets of a plain file, which is read again for it.

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
        if opened.ahead:
            yield opened.ahead
        if opened.trouble is not None:
            raise opened.trouble
        if self._log.is_stream:
            yield from piped_chunks(stream, path)
        elif opened.log.is_plain and not self._plain:
            yield from overlapping_chunks(stream, path, opened.before + opened.ahead)
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
