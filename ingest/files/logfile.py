"""One log file on disk at one moment: what it is, and its bytes, decompressed.

Logs are opened read-only, never locked, never touched. What the file *is* is told by its bytes,
not by its name: a rotation may rename and compress it at any time.
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

from ingest.errors import LogUnfinished, LogUnreadable
from ingest.files.compression import compression_of, decompressed
from ingest.files.listing import MAX_INTEGER
from ingest.files.paths import (
    STANDARD_INPUT,
    Rewritten,
    is_url,
    looked_up,
    opened_raw,
    reason_of,
    shown,
    state_of,
    stored_path,
    unreadable,
)
from parsers.prefix import starts_with_prefix

if TYPE_CHECKING:  # what is remote, or piped, is imported where a path is
    from ingest.files.pipe import Pipe
    from ingest.files.ranges import ObjectState

CHUNK_BYTES = 256 * 1024
"""How much is read at once: large enough that the call costs nothing, small enough for the cache."""

FRESH_NS = 2_000_000_000
"""How long after a change another one may show the same time, in nanoseconds: FAT ticks every two seconds."""

OVERLAP_BYTES = 256
"""Bytes that are read twice: enough to hold the time of a log line, few enough to cost nothing."""

TAIL_BYTES = 256
"""How many bytes tell how something ends."""

_SQLITE_MAGIC = b"SQLite format 3\0"
_TEXT_CONTROLS = b"\t\n\r\f\b\x1b"
_DAMAGE = (OSError, EOFError)


@dataclass(frozen=True, slots=True)
class FileState:
    """What one `stat` tells: enough to know an unchanged file without opening it.

    `ending` is the hash of its last bytes, where it was changed so lately that another change, of as
    many bytes, might leave no trace in the rest: clocks of file systems tick slowly. `None` where it
    had settled.
    """

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    ending: str | None = field(default=None, compare=False)

    @property
    def number(self) -> tuple[int, int]:
        """What tells it from the other files that are there: a later one may be given the same."""
        return self.device, self.inode

    @property
    def is_fresh(self) -> bool:
        """Whether the file was changed so lately that its time can't tell another change."""
        return self.modified_ns >= time.time_ns() - FRESH_NS


@dataclass(frozen=True, slots=True)
class OpenLog:
    """An opened log: its decompressed bytes, how it is compressed, and what the very file is that was opened.

    `file` is `None` for standard input. What is `remote` is better not read twice. `raw` is what is on disk.
    """

    stream: IO[bytes]
    compression: str | None = None
    file: FileState | None = None
    remote: bool = False
    raw: io.RawIOBase | None = None

    @property
    def disk_offset(self) -> int:
        """How far it was read, in bytes on disk; 0 of standard input."""
        return 0 if self.raw is None or self.raw.closed else self.raw.tell()

    @property
    def is_plain(self) -> bool:
        """Whether its bytes are those on the disk, where they can be looked at again."""
        return self.compression is None and self.file is not None


@dataclass(frozen=True, slots=True)
class LogFile:
    """A path to read, and whether a person named it (rather than finding it in a folder).

    `found_at` is the path that led here before: a link that leads elsewhere now, or the name that the
    file had before its rotation. `stored` is how the path is stored, where whoever found it told; `name` is
    what messages call it, where it was given by another path. Standard input is read through its `pipe`.
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
        """Whether this is an object behind a URL."""
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
        """Where links lead from the path; `None` for standard input."""
        if self.is_remote:
            return self.stored_path
        return None if self.is_stream else shown(os.path.realpath(self.path))

    def state(self, found: os.stat_result | ObjectState | None = None) -> FileState:
        """Look the file up, or tell what was `found` when that was done.

        Raises:
            LogVanished: it is not there.
            LogUnreadable: it is not a regular file, or not to be seen.
        """
        return self._state(found or looked_up(self.path))

    def _state(self, found: os.stat_result | ObjectState) -> FileState:
        if not stat.S_ISREG(found.st_mode):
            raise LogUnreadable(f"{self.shown}: not a regular file, so not read")
        device, inode = found.st_dev & MAX_INTEGER, found.st_ino & MAX_INTEGER
        return FileState(device, inode, found.st_size, found.st_mtime_ns)

    @contextmanager
    def opened(self) -> Iterator[OpenLog]:
        """Open the file, never waiting for it; it is looked up when it is open, so that it is the same file.

        Raises:
            LogVanished: it is not there.
            LogUnreadable: it can't be opened, is no regular file, or what reads it is not installed.
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
        """Tell what an opened file is, with the hash of its end where its time can't tell a change."""
        found = state_of(raw)
        state = self._state(found)
        if state.is_fresh and not getattr(found, "tagged", False):
            state = replace(state, ending=_ending(raw, state.size_bytes))
        return state

    def ends_as(self, state: FileState) -> bool:
        """Whether the file's last bytes are still those that `state.ending` is the hash of."""
        with opened_raw(self.path) as raw:
            try:
                return _ending(raw, state.size_bytes) == state.ending
            except OSError as error:
                raise unreadable(self.path, error) from error


def _ending(raw: io.RawIOBase, size_bytes: int) -> str:
    raw.seek(max(0, size_bytes - TAIL_BYTES))
    found = digest(raw.read(TAIL_BYTES) or b"")
    raw.seek(0)
    return found


def chunks(
    stream: IO[bytes], path: str, by_line: bool = False, most_bytes: int | None = None
) -> Iterator[bytes]:
    """Yield what is left of a stream, as much at once as there is, up to `most_bytes` (`CHUNK_BYTES`).

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
    """Yield what is left of a plain file that may be truncated and written anew at any moment.

    `newest` are the bytes before the place where it stands. Each read begins with the newest bytes that
    were read before: if others stand there now, what follows belongs to another generation of the file and
    is never joined to what came before. The same holds at the end, where a file that has become shorter
    shows it.

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
    """Name the log that can't be read on.

    Raises:
        LogUnreadable: for any error of the system's.
    """
    try:
        yield
    except OSError as error:
        raise LogUnreadable(f"{path}: damaged or unreadable: {reason_of(error)}") from error


def is_database(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a SQLite database; one that can't be read is none."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    except OSError:
        return False


def what_is_not_a_log(head: bytes) -> str | None:
    """Say what a file is whose first bytes are no text; `None` if it may be a log.

    NULs are left out: real logs quote UTF-16 text, and a truncated log may begin with a hole. A line
    that was logged makes it a log, whatever a model's answer holds around it.
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


# Bytes remembered by their place and their hash


def digest(data: bytes) -> str:
    """Return the hash used throughout: 128 bits are far beyond chance."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def running_digest() -> hashlib.blake2b:
    """Begin the same hash of what comes in pieces."""
    return hashlib.blake2b(digest_size=16)


@dataclass(frozen=True, slots=True)
class Sample:
    """Some bytes of a source: where they begin, how many they are, their hash."""

    offset: int
    size_bytes: int
    digest: str

    @property
    def end_offset(self) -> int:
        """The offset after the last of these bytes."""
        return self.offset + self.size_bytes


def sample_of(offset: int, data: bytes) -> Sample:
    """Remember bytes by their hash."""
    return Sample(offset, len(data), digest(data))
