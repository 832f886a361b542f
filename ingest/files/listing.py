"""The files that paths lead to: those that are named, and the logs below the folders that are named.

Each file is listed once, whatever names lead to it, and looked up once; nothing is opened. Hidden folders,
loops of symbolic links and files without a log's name are left out.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING

from ingest.errors import LogUnreadable
from ingest.files.paths import STANDARD_INPUT, remote, shown, stored_path, unreadable
from ingest.files.urls import is_url
from ingest.notices import Level, Notice, notice_of

if TYPE_CHECKING:
    from ingest.files.ranges import ObjectState

NAMES = ("*.log", "*.log.*", "*.log-*", "*.txt", "*.out", "*.err", "*.jsonl")

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

GLOBS = (*NAMES, *(f"{name}{ending}" for name in NAMES for ending in COMPRESSED))
"""Names that a log may have; `*.log.*` and `*.log-*` cover rotations, dated ones too."""

MAX_INTEGER = (1 << 63) - 1
"""The largest integer of SQLite; some file systems have larger inode numbers."""

_MOST_PASSED_OVER, _SHOWN = 1_000, 3
"""How many of the files that were passed over are remembered, and how many are named in a message."""

_BY_NUMBER = os.scandir in os.supports_fd
"""Whether a folder can be listed by its file descriptor, which is quicker than by its path."""

Listed = tuple[str, str, "os.stat_result | ObjectState | None", bool]
"""A path as it was given, and as it is stored; the file's state, and whether a person named it.

The state is `None` for standard input, for what is no regular file, and if it can't be looked up.
"""


class Files:
    """A set of files, by device and inode, both cut to what the database can hold."""

    def __init__(self) -> None:
        """Begin with none."""
        self._inodes: dict[int, set[int]] = {}

    def add(self, device: int, inode: int) -> bool:
        """Add a file; return whether it is new."""
        inodes = self._inodes.get(device)
        if inodes is None:
            inodes = self._inodes.setdefault(device & MAX_INTEGER, set())
            self._inodes[device] = inodes
        inode &= MAX_INTEGER
        if inode in inodes:
            return False
        inodes.add(inode)
        return True

    def holds(self, device: int, inode: int) -> bool:
        """Whether a file is one of these."""
        return inode & MAX_INTEGER in self._inodes.get(device & MAX_INTEGER, ())


class PassedOver:
    """Files in folders that look like logs but don't match the names that are read."""

    def __init__(self) -> None:
        """Begin with none."""
        self._files: list[tuple[str, int, int]] = []
        self._more = 0

    def add(self, path: str, state: os.stat_result | ObjectState | None) -> None:
        """Add a file, unless it is empty."""
        if state is None or not stat.S_ISREG(state.st_mode) or not state.st_size:
            return
        if len(self._files) < _MOST_PASSED_OVER:
            self._files.append((path, state.st_dev, state.st_ino))
        else:
            self._more += 1

    def text(self, met: Files) -> str | None:
        """Return a message with their number, without those that were `met` under another name; or `None`."""
        left = sorted(path for path, device, inode in self._files if not met.holds(device, inode))
        if not left:
            return None
        count = len(left) + self._more
        names = ", ".join(map(shown, left[:_SHOWN])) + (
            f" and {count - _SHOWN:,} more" if count > _SHOWN else ""
        )
        what = "1 file looks like a log and was" if count == 1 else f"{count:,} files look like logs and were"
        return (
            f"{what} not read, for the name alone: {names} (name what is to be read, or give --glob; unpack "
            "archives)"
        )


class Listing:
    """The files that paths lead to, in the order in which they are found, and notices about the paths.

    `folders` are those that were walked, with their state before that; `empty` are those that were named and
    hold no log.
    """

    def __init__(self, paths: Sequence[str], globs: Sequence[str] = (), not_logs: Sequence[str] = ()) -> None:
        """List what paths lead to: a file is listed as it is, a folder is walked, `-` is a stream.

        `globs` replaces the names that are read in folders; `not_logs` are files that are never read there
        (our own database and the files beside it).
        """
        self.files = 0
        self.missing: list[str] = []
        self.folders: list[tuple[str, os.stat_result]] = []
        self.notices: list[Notice] = []
        self.empty: list[str] = []
        self.met = Files()
        self._paths = paths
        self.globs = globs
        self._passed_over = PassedOver()
        own = [state for path in not_logs if (state := _looked_up(path)) is not None]
        self._excluded = {(state.st_dev, state.st_ino) for state in own}
        self._names: set[str] = set()

    def __iter__(self) -> Iterator[Listed]:
        """Yield each file once; the notices are complete at the end."""
        for path in self._paths:
            if is_url(path):
                yield from self._remote(path)
                continue
            state = None if path == STANDARD_INPUT else _looked_up(path)
            if state is not None and stat.S_ISDIR(state.st_mode):
                yield from self._below(path)
            elif path == STANDARD_INPUT or state is not None or os.path.lexists(path):
                if state is not None and not stat.S_ISREG(state.st_mode):
                    state = None
                if self._is_first(path, state):
                    yield path, stored_path(path), state, True
            elif path:
                self._notice("problem", "missing", path, f"{shown(path)}: no such file or folder")
                self.missing.append(path)
            else:
                text = "one of the paths is empty: is a variable unset where they are named?"
                self._notice("problem", "empty-path", None, text)
        if (passed_over := self._passed_over.text(self.met)) is not None:
            self._notice("note", "passed-over", None, passed_over)

    def _remote(self, url: str) -> Iterator[Listed]:
        """Yield the object that a URL names, or the logs below it."""
        is_log = name_test(self.globs or GLOBS)
        is_empty, globs = True, ", ".join(self.globs or NAMES)
        try:
            found: Iterator[tuple[str, ObjectState, bool]] = remote().listed(url, globs)
            for object_url, state, named in found:
                inner = object_url[len(url) :].strip("/").split("/")
                if not named and any(part.startswith(".") for part in inner):
                    continue
                if not named and not is_log(inner[-1]):
                    if not self.globs and looks_like_log(inner[-1]):
                        self._passed_over.add(object_url, state)
                    continue
                is_empty = False
                if self._is_first(object_url, state):
                    yield object_url, stored_path(object_url), state, named
        except LogUnreadable as error:
            self.notices.append(notice_of(error, shown(url)))
            return
        if is_empty:
            self._note_empty(url)

    def _is_first(self, path: str, state: os.stat_result | ObjectState | None) -> bool:
        """Whether a file was not met before; another link to the same file is only counted."""
        if state is None:
            is_first = self._is_new_name(path)
            self.files += is_first
            return is_first
        is_first = self.met.add(state.st_dev, state.st_ino)
        is_new_name = state.st_nlink > 1 and self._is_new_name(path)
        self.files += is_first or is_new_name
        return is_first

    def _is_new_name(self, path: str) -> bool:
        name = path if path == STANDARD_INPUT else os.path.realpath(path)
        is_new = name not in self._names
        self._names.add(name)
        return is_new

    # Folders

    def _below(self, folder: str) -> Iterator[Listed]:
        """Yield the logs below a folder, in the order of their names."""
        is_log = name_test(self.globs or GLOBS)
        is_empty = True
        for walked, entries in self._walked(folder, is_log):
            prefix, stored_prefix = os.path.join(walked, ""), os.path.join(stored_path(walked), "")
            as_given = prefix == stored_prefix
            while entries:
                entry = entries.pop()  # so that its cached state is freed
                name, state = entry.name, _state_of(entry)
                path = prefix + name
                if state is None or not stat.S_ISREG(state.st_mode):
                    if self._is_odd(path, state):
                        continue
                elif (state.st_dev, state.st_ino) in self._excluded:
                    continue
                is_empty = False
                if self._is_first(path, state):
                    stored = path if as_given and path.isascii() else stored_prefix + shown(name)
                    yield path, stored, state, False
        if is_empty:
            self._note_empty(folder)

    def _note_empty(self, folder: str) -> None:
        globs = ", ".join(self.globs or NAMES)
        text = f"{shown(folder)}: no logs in this folder (looked for {globs}; --glob changes that)"
        self.empty.append(folder)
        self._notice("note", "no-logs", folder, text)

    def _notice(self, level: Level, code: str, path: str | None, text: str) -> None:
        self.notices.append(Notice(level, code, None if path is None else shown(path), text))

    def _is_odd(self, path: str, state: os.stat_result | None) -> bool:
        """Whether an entry with a log's name is no file; one that can't be looked up is noticed later."""
        is_odd = state is not None or os.path.islink(path)
        if is_odd:
            text = f"{shown(path)}: not a regular file, or a link to nothing, so not read"
            self._notice("note", "no-file", path, text)
        return is_odd

    def _walked(
        self, folder: str, is_log: Callable[[str], bool]
    ) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
        """Yield each folder once, with its logs in reverse order, which are looked up while it is open."""
        left, visited = [folder], Files()
        while left:
            current = left.pop()
            logs: list[os.DirEntry[str]] = []
            folders: list[str] = []
            with ExitStack() as stack:
                try:
                    state = os.stat(current)
                    if not visited.add(state.st_dev, state.st_ino):
                        continue
                    self.folders.append((current, state))
                    for entry in stack.enter_context(_entries(current)):
                        if _is_folder(entry):
                            folders += (
                                [] if entry.name.startswith(".") else [os.path.join(current, entry.name)]
                            )
                        elif is_log(entry.name):
                            logs.append(entry)
                        elif not self.globs and looks_like_log(entry.name):
                            self._passed_over.add(os.path.join(current, entry.name), _state_of(entry))
                except OSError as error:
                    self._complain(current, error)
                    continue
                logs.sort(key=attrgetter("name"), reverse=True)
                yield current, logs
            left += sorted(folders, reverse=True)

    def _complain(self, folder: str, error: OSError) -> None:
        vanished = isinstance(error, FileNotFoundError)  # while we looked: that happens
        text = str(unreadable(folder, error))
        self._notice("note" if vanished else "problem", "folder", folder, text)


def _looked_up(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


@contextmanager
def _entries(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Open a folder, by its file descriptor if the system can."""
    if not _BY_NUMBER:
        with os.scandir(folder) as entries:
            yield entries
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(descriptor) as entries:
            yield entries
    finally:
        os.close(descriptor)


def _state_of(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Look up an entry of an open folder, with links followed."""
    if not _BY_NUMBER:  # on Windows an entry's own state lacks device and inode
        return _looked_up(entry.path)
    try:
        return entry.stat()
    except (OSError, ValueError):
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


# Names


_LOOKS_LIKE_ONE = (
    r"(?:.*[._-])?(?:log|logs|syslog)(?:[._-]?\d[\w.:-]*)?"  # its last word, with a number or a date at most
    r"|.*\.(?:log|txt|out|err|jsonl|ndjson)(?:~|[._-](?:\d[\w.:-]*|old|bak|backup|orig|save|prev|previous))"
    r"|.*\.(?:ndjson|jsonlines|tgz|tbz2?|txz|tar|zip|7z|rar)(?:\.[a-z]+\d?)?"
    r"|(?:current|previous|messages|console|std(?:out|err)|@[0-9a-f]{24}(?:\.[su])?|[^.]+)\.(?:gz|bz2|xz|zst|lz4|z)"
    r"|current|previous|messages|console|std(?:out|err)|@[0-9a-f]{24}(?:\.[su])?"
)
"""Names, in lower case, that logs may have too: other programs name, rotate, keep and pack them so."""


def looks_like_log(name: str) -> bool:
    """Whether a name may be a log's although none of `GLOBS` matches it."""
    return re.fullmatch(_LOOKS_LIKE_ONE, name.lower()) is not None


def name_test(globs: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that tells whether any of the globs matches a name, ignoring case.

    Globs of a star and a suffix, or of a text between two stars, are tested without a regular expression.
    """
    endings: tuple[str, ...] = ()
    parts: list[str] = []
    others: list[str] = []
    for pattern in map(str.lower, globs):
        if pattern[:1] == "*" and _is_literal(pattern[1:]):
            endings += (pattern[1:],)
        elif pattern[:1] == "*" == pattern[-1:] and _is_literal(pattern[1:-1]):
            parts.append(pattern[1:-1])
        else:
            others.append(pattern)
    fits = _fits(others)

    def is_meant(name: str) -> bool:
        if name.endswith(endings) or any(part in name for part in parts) or fits(name):
            return True
        lower = name.lower()
        return lower != name and is_meant(lower)

    return is_meant


def _is_literal(text: str) -> bool:
    return bool(text) and not any(character in text for character in "*?[")


def _fits(patterns: Sequence[str]) -> Callable[[str], object]:
    if not patterns:
        return lambda _: False
    return re.compile("|".join(map(fnmatch.translate, patterns))).match
