"""One log file on disk at one moment: what it is, and its bytes, decompressed.

Logs are opened read-only, never locked, never changed. A file is identified by its bytes, not by its name:
a rotation may rename and compress it at any time.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, cast

from ingest.errors import LogUnfinished, LogUnreadable, Rewritten
from ingest.files.compression import compression_of, decompressed
from ingest.files.listing import MAX_INTEGER
from ingest.files.paths import (
    STANDARD_INPUT,
    looked_up,
    not_regular,
    opened_raw,
    reason_of,
    shown,
    state_of,
    stored_path,
    unreadable,
)
from ingest.files.urls import is_url
from parsers.prefix import starts_with_prefix

if TYPE_CHECKING:  # what is remote, or piped, is imported where a path is
    from ingest.files.pipe import Pipe
    from ingest.files.ranges import ObjectState

CHUNK_BYTES = 256 * 1024
"""How much is read at once: large enough that the call costs nothing, small enough for the cache."""

FRESH_NS = 2_000_000_000
"""How long after a change another one may leave the same time, in ns: FAT's clock ticks every two seconds."""

OVERLAP_BYTES = 256
"""Bytes that are read twice: enough to hold the time of a log line, and so few that they cost nothing."""

TAIL_BYTES = 256
"""How many bytes a tail hash covers."""

_SQLITE_MAGIC = b"SQLite format 3\0"
_TEXT_CONTROLS = b"\t\n\r\f\b\x1b"
_DAMAGE = (OSError, EOFError)


@dataclass(frozen=True, slots=True)
class FileState:
    """The result of one `stat`: enough to recognise an unchanged file without opening it.

    `tail_hash` is the hash of its last bytes, if it was changed so recently that another change that keeps
    its size might keep its time as well, since clocks of file systems tick slowly. Else it is `None`.
    """

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    tail_hash: str | None = field(default=None, compare=False)

    @property
    def number(self) -> tuple[int, int]:
        """Device and inode: unique among the files that exist, but a later file may get the same."""
        return self.device, self.inode

    @property
    def is_fresh(self) -> bool:
        """Whether the file was changed so recently that another change may leave the same time."""
        return self.modified_ns >= time.time_ns() - FRESH_NS


@dataclass(frozen=True, slots=True)
class OpenLog:
    """An opened log: its decompressed bytes, its compression, and the state of the file that was opened.

    `file` is `None` for standard input. A `remote` log is better not read twice. `raw` has the bytes on disk.
    """

    stream: IO[bytes]
    compression: str | None = None
    file: FileState | None = None
    remote: bool = False
    raw: io.RawIOBase | None = None

    @property
    def disk_offset(self) -> int:
        """How far it was read, in bytes on disk; 0 for standard input."""
        return 0 if self.raw is None or self.raw.closed else self.raw.tell()

    @property
    def is_plain(self) -> bool:
        """Whether its bytes are those on disk, so that they can be read again."""
        return self.compression is None and self.file is not None


@dataclass(frozen=True, slots=True)
class LogFile:
    """A path to read, and whether a person named it (rather than finding it in a folder).

    `found_at` is the path that led to the file before: a link that leads elsewhere now, or the name that the
    file had before its rotation. `stored` is the stored path, if it is known already; `name` is the path in
    messages, if that differs from `path`. Standard input is read through its `pipe`.
    """

    path: str
    named: bool = True
    found_at: str | None = None
    stored: str | None = field(default=None, compare=False)
    name: str | None = field(default=None, compare=False)
    pipe: Pipe | None = field(default=None, compare=False)

    @property
    def is_stream(self) -> bool:
        """Whether this is standard input, which can be neither looked up nor read again."""
        return self.path == STANDARD_INPUT

    @property
    def is_remote(self) -> bool:
        """Whether this is an object at a URL."""
        return is_url(self.path)

    @property
    def shown(self) -> str:
        """The path as a message may show it."""
        return self.name or ("standard input" if self.is_stream else shown(self.path))

    @property
    def stored_path(self) -> str:
        """The path as the database keeps it: absolute, and text whatever its bytes are."""
        return self.found_at or self.stored or stored_path(self.path)

    @property
    def real_path(self) -> str | None:
        """The path with links followed; `None` for standard input."""
        if self.is_remote:
            return self.stored_path
        return None if self.is_stream else shown(os.path.realpath(self.path))

    def state(self, found: os.stat_result | ObjectState | None = None) -> FileState:
        """Look the file up, or use what was `found` when it was looked up.

        Raises:
            LogVanished: it does not exist.
            LogUnreadable: it is not a regular file, or can't be looked up.
        """
        return self._state(found or looked_up(self.path))

    def _state(self, found: os.stat_result | ObjectState) -> FileState:
        if not stat.S_ISREG(found.st_mode):
            raise not_regular(self.path)
        device, inode = found.st_dev & MAX_INTEGER, found.st_ino & MAX_INTEGER
        return FileState(device, inode, found.st_size, found.st_mtime_ns)

    @contextmanager
    def opened(self) -> Iterator[OpenLog]:
        """Open the file without waiting, then look it up by its descriptor, so that both are the same file.

        Raises:
            LogVanished: it does not exist.
            LogUnreadable: it can't be opened, is no regular file, or no module that unpacks it is installed.
        """
        if self.is_stream:
            yield OpenLog(sys.stdin.buffer)
            return
        with opened_raw(self.path) as raw:
            try:
                state = self._state_of(raw)
                compression = compression_of(raw.read(8) or b"")
                raw.seek(0)
            except OSError as error:
                raise unreadable(self.path, error) from error
            stream = cast(IO[bytes], raw)
            if compression is not None:
                stream = decompressed(raw, compression, self.shown, state.size_bytes)
            yield OpenLog(stream, compression, state, self.is_remote, raw)

    def _state_of(self, raw: io.RawIOBase) -> FileState:
        """Return the state of an opened file, with a tail hash if its time is too fresh to be trusted."""
        found = state_of(raw)
        state = self._state(found)
        if state.is_fresh and not getattr(found, "tagged", False):
            state = replace(state, tail_hash=_tail_hash(raw, state.size_bytes))
        return state

    def has_same_tail(self, state: FileState) -> bool:
        """Whether the file's last bytes still have the hash `state.tail_hash`."""
        with opened_raw(self.path) as raw:
            try:
                return _tail_hash(raw, state.size_bytes) == state.tail_hash
            except OSError as error:
                raise unreadable(self.path, error) from error


def _tail_hash(raw: io.RawIOBase, size_bytes: int) -> str:
    raw.seek(max(0, size_bytes - TAIL_BYTES))
    found = digest(raw.read(TAIL_BYTES) or b"")
    raw.seek(0)
    return found


def chunks(
    stream: IO[bytes], path: str, by_line: bool = False, most_bytes: int | None = None
) -> Iterator[bytes]:
    """Yield the rest of a stream, each time as much as there is, up to `most_bytes` (`CHUNK_BYTES`).

    `by_line` ends each chunk after a newline, as Python's own reading of lines does.

    Raises:
        LogUnfinished: compressed data stops before its end.
        LogUnreadable: it can't be read, or is damaged from here on.
    """
    # A pipe's lines come when they are written, not when a chunk is full.
    read = stream.readline if by_line else getattr(stream, "read1", stream.read)
    while True:
        try:
            chunk = read(most_bytes or CHUNK_BYTES)
        except _DAMAGE as error:
            if isinstance(error, EOFError):
                raise LogUnfinished(f"{path}: ends before the end of its compressed data") from error
            raise LogUnreadable(f"{path}: damaged or unreadable: {reason_of(error)}") from error
        if not chunk:
            return
        yield chunk


def overlapping_chunks(stream: IO[bytes], path: str, newest: bytes) -> Iterator[bytes]:
    """Yield the rest of a plain file that may be truncated and written anew at any moment.

    `newest` are the bytes before its position. Each read begins with the newest bytes that were read before:
    if they differ now, the bytes after them are of another generation of the file, and are never joined to
    those before. The last read does the same, so that a file that became shorter is noticed.

    Raises:
        Rewritten: the file was truncated or written anew meanwhile.
        LogUnreadable: it can't be read.
    """
    newest = newest[-OVERLAP_BYTES:]
    while True:
        with reading(path):
            stream.seek(-len(newest), 1)
            again = stream.read(len(newest) + CHUNK_BYTES)
        if not again.startswith(newest):
            raise Rewritten
        if len(again) == len(newest):
            return
        chunk = again[len(newest) :]
        newest = again[-OVERLAP_BYTES:]
        yield chunk


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn errors of the system into one that names the log.

    Raises:
        LogUnreadable: for any of them.
    """
    try:
        yield
    except OSError as error:
        raise LogUnreadable(f"{path}: damaged or unreadable: {reason_of(error)}") from error


def is_database(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a SQLite database; one that can't be read, or only once, is none."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    except OSError:
        return False


def what_is_not_a_log(head: bytes) -> str | None:
    """Return what a file is whose first bytes are no text; `None` if it may be a log.

    NULs are ignored: real logs quote UTF-16 text, and a truncated log may begin with a hole. A file with a
    line that has a known prefix is a log, whatever else is in it (a model's answer, for one).
    """
    if head.startswith(_SQLITE_MAGIC):
        return "a SQLite database"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    text = head.replace(b"\0", b"")
    if any(map(starts_with_prefix, io.BytesIO(text.removeprefix(codecs.BOM_UTF8)))):
        return None
    controls = sum(byte < 32 and byte not in _TEXT_CONTROLS for byte in text)
    return "a binary file" if controls * 20 > len(text) else None


# Samples: bytes remembered by offset and hash


def digest(data: bytes) -> str:
    """Return the hash used throughout: 128 bits are far beyond chance."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def running_digest() -> hashlib.blake2b:
    """Begin the same hash for data that comes in chunks."""
    return hashlib.blake2b(digest_size=16)


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of a source's bytes: offset, size and hash."""

    offset: int
    size_bytes: int
    digest: str

    @property
    def end_offset(self) -> int:
        """The offset after the last of these bytes."""
        return self.offset + self.size_bytes


def sample_of(offset: int, data: bytes) -> Sample:
    """Return the sample of bytes at an offset."""
    return Sample(offset, len(data), digest(data))
