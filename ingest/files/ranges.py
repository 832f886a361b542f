"""A remote object as a file: its bytes come in ranges, all of one version of it, or not at all.

The first range at a place is small, and ranges grow while reading goes on from there: looking at a place
costs little, and a whole object needs few requests.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import IO, ClassVar, NamedTuple, cast

from ingest.errors import Rewritten
from ingest.files.trouble import trouble_of

FIRST_BYTES = 256 << 10
"""The size of the first range at a place: many logs are no longer."""

BEFORE_BYTES = 64 << 10
"""How much of that is before the place."""

MOST_BYTES = 8 << 20
"""The size up to which ranges grow: a request's latency is then negligible."""

_GROWTH = 4
_SPOOLED_BYTES = 16 << 20
"""How much of an object without ranges is kept in memory; a larger one goes into a temporary file."""


class ObjectState(NamedTuple):
    """What is known of an object without opening it, under the names of a file's `stat`.

    `st_ino` is made of its key, `st_mtime_ns` of its time and its ETag; `version` is both as the server gives
    them. `tagged` means that there is an ETag, so that every change shows.
    """

    st_mode: int
    st_dev: int
    st_ino: int
    st_nlink: int
    st_size: int
    st_mtime_ns: int
    version: str
    tagged: bool

    def is_same(self, other: ObjectState) -> bool:
        """Whether this is the same version of an object, as far as the server shows it."""
        return (self.st_size, self.version) == (other.st_size, other.version)


class Ranges(io.RawIOBase):
    """One version of an object; `found` is its state when it was opened.

    `look` returns its state now; `None` if the server itself refuses ranges of another version.
    `whole` opens all of it in one response, for a server without ranges.
    """

    _looks: ClassVar[deque[tuple[tuple[str, str, int], bytes]]] = deque(maxlen=4)
    """The newest first ranges, by URL, version and start: the same place is often read again soon."""

    def __init__(
        self,
        url: str,
        file: IO[bytes],
        found: ObjectState,
        look: Callable[[], ObjectState] | None,
        whole: Callable[[], IO[bytes]],
    ) -> None:
        """Read from a file of fsspec's, which has no cache of its own."""
        self._url = url
        self._file = file
        self.found = found
        self._look = look
        self._whole = whole
        self._place = 0
        self._start = 0
        self._block = b""
        self._step = FIRST_BYTES

    def readable(self) -> bool:
        """Return true: this can be read."""
        return True

    def seekable(self) -> bool:
        """Return true: this can be read at any place."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place without fetching anything."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.found.st_size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer, or less of it at the object's end.

        Raises:
            Rewritten: the object has another version now.
            LogUnreadable: it can't be read, or can't be reached any more.
        """
        filled = 0
        while filled < len(buffer) and self._place < self.found.st_size:
            index = self._place - self._start
            if not 0 <= index < len(self._block):
                self._start, self._block = self._fetched(index == len(self._block) > 0)
                index = self._place - self._start
            data = memoryview(self._block)[index : index + len(buffer) - filled]
            buffer[filled : filled + len(data)] = data
            filled += len(data)
            self._place += len(data)
        return filled

    def _fetched(self, reads_on: bool) -> tuple[int, bytes]:
        """Fetch a range: the next one, each time larger, or a first one, which begins before its place."""
        self._step = min(MOST_BYTES, self._step * _GROWTH) if reads_on else FIRST_BYTES
        start = self._place if reads_on else max(0, self._place - BEFORE_BYTES)
        look = (self._url, self.found.version, start)
        known = dict(tuple(self._looks)).get(look) if self.found.tagged and not reads_on else None
        data = known or self._asked(start, min(start + self._step, self.found.st_size))
        if not (reads_on or known):
            self._looks.append((look, data))
        return start, data

    def _asked(self, start: int, end: int) -> bytes:
        try:
            data = self._range(start, end)
        except ValueError:  # fsspec's word for a server without ranges
            self.fetch_whole()
            data = self._range(start, end)
        self._check()
        if len(data) != end - start:
            raise Rewritten
        return data

    def _range(self, start: int, end: int) -> bytes:
        with self._translated_errors():
            self._file.seek(start)
            return self._file.read(end - start)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except ValueError:
            raise
        except Exception as error:
            if type(error).__name__ == "FileExpired":  # s3fs's word for another ETag
                raise Rewritten from error
            raise trouble_of(error, self._url) from error

    def _check(self) -> None:
        """Make sure that the object still has the version that was opened."""
        if self._look is not None and not self.found.is_same(self._look()):
            raise Rewritten

    def fetch_whole(self) -> None:
        """Fetch the object in one response; from now on it is read from the local copy."""
        whole = tempfile.SpooledTemporaryFile(_SPOOLED_BYTES)  # noqa: SIM115 - closed with this
        with self._translated_errors(), closing(self._whole()) as stream:
            shutil.copyfileobj(stream, whole, MOST_BYTES)
        self._check()
        self.found = self.found._replace(st_size=whole.tell())
        self._file.close()
        self._file, self._look = cast(IO[bytes], whole), None

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()
