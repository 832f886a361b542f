"""Paths: as they are stored, as messages show them, and the files and objects that they lead to."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from ingest.errors import LogUnreadable, LogVanished, Rewritten
from ingest.files.urls import is_url, shown_url

if TYPE_CHECKING:
    from ingest.files.ranges import ObjectState

STANDARD_INPUT = "-"


def stored_path(path: str) -> str:
    """Return a path as the database keeps it: absolute, and text whatever its bytes are."""
    if path == STANDARD_INPUT or is_url(path):
        return shown(path)
    return shown(os.path.abspath(path))


def shown(path: str) -> str:
    """Return a path as text, whatever its bytes are; a URL without its secrets."""
    if is_url(path):
        path = shown_url(path)
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def quoted(path: str | os.PathLike[str]) -> str:
    """Return a path as it stands in a command that a shell reads."""
    import shlex  # noqa: PLC0415 - few runs advise a command

    return shlex.quote(shown(os.fspath(path)))


# What a path leads to


def remote() -> ModuleType:
    """Return what reads URLs, imported where the first one is: it takes a quarter of an idle ingest."""
    from ingest.files import remote as reader  # noqa: PLC0415

    return reader


def looked_up(path: str) -> os.stat_result | ObjectState:
    """Tell what is at a path.

    Raises:
        LogVanished: nothing.
        LogUnreadable: it is not to be seen.
    """
    if is_url(path):
        found: ObjectState = remote().look_up(path)
        return found
    try:
        return os.stat(path)
    except FileNotFoundError as error:
        raise LogVanished(f"{shown(path)}: vanished, or a link to nothing") from error
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def is_there(path: str) -> bool:
    """Whether anything is at a path; what can't be seen may be."""
    try:
        return looked_up(path) is not None
    except LogVanished:
        return False
    except LogUnreadable:
        return is_url(path)


def opened_raw(path: str) -> AbstractContextManager[io.RawIOBase]:
    """Open the bytes at a path, never waiting for them.

    Raises:
        LogVanished: nothing is there.
        LogUnreadable: it can't be opened, or is no regular file.
    """
    return _opened_object(path) if is_url(path) else _opened_file(path)


def state_of(raw: io.RawIOBase) -> os.stat_result | ObjectState:
    """Return the state of an opened file or object."""
    found: ObjectState | None = getattr(raw, "found", None)
    return found or os.fstat(raw.fileno())


@contextmanager
def _opened_object(url: str) -> Iterator[io.RawIOBase]:
    try:
        with remote().opened(url) as ranges:
            yield ranges
    except Rewritten as error:  # raised to a caller that only looks at it
        raise LogUnreadable(f"{shown(url)}: changed while it was read: the next run reads it") from error


def _opened_file(path: str) -> io.FileIO:
    try:
        # Unbuffered: bytes that are read again must come from the file, which may have changed meanwhile.
        raw = open(path, "rb", buffering=0, opener=_open_at_once)  # noqa: SIM115 - closed by callers
    except FileNotFoundError as error:
        raise LogVanished(f"{shown(path)}: vanished before it could be read") from error
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        raw.close()
        raise not_regular(path)
    return raw


def _open_at_once(path: str, flags: int) -> int:
    """Open for reading without waiting: the file may have been replaced by a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def unreadable(path: str, error: OSError | ValueError) -> LogUnreadable:
    """Return an error of ours for a path that can't be looked up or opened."""
    advice = "the next run tries again"
    if isinstance(error, PermissionError):
        advice = "let the user that runs tokentail read it"
    elif isinstance(error, IsADirectoryError):
        advice = "name a file in it"
    elif isinstance(error, ValueError | NotADirectoryError):
        advice = "no file has such a name"
    return LogUnreadable(f"{shown(path)}: can't be read ({reason_of(error)}): {advice}")


def not_regular(path: str) -> LogUnreadable:
    """Return an error of ours for a path at which there is a pipe, a device or a folder."""
    text = f"{shown(path)}: not a regular file, so not read"
    return LogUnreadable(f"{text}: a pipe is read as standard input, `- < {shown(path)}`")


def reason_of(error: BaseException) -> str:
    """Return an error's text as the end of a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)[:1].lower() + str(text)[1:]
