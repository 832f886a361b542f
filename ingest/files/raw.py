"""What a path leads to, looked up and opened as it is: a file on disk, or an object behind a URL."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from ingest.errors import LogUnreadable, LogVanished
from ingest.files.paths import shown
from ingest.files.rewritten import Rewritten
from ingest.files.urls import is_url, remote

if TYPE_CHECKING:
    from ingest.files.ranges import ObjectState


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
        raise LogUnreadable(f"{shown(path)}: {reason_of(error)}") from error


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
    """Tell what the very thing is that was opened."""
    found: ObjectState | None = getattr(raw, "found", None)
    return found or os.fstat(raw.fileno())


@contextmanager
def _opened_object(url: str) -> Iterator[io.RawIOBase]:
    try:
        with remote().opened(url) as ranges:
            yield ranges
    except Rewritten as error:  # under the eyes of one who only looks at it
        raise LogUnreadable(f"{shown(url)}: changed while it was read: the next run reads it") from error


def _opened_file(path: str) -> io.FileIO:
    try:
        # Unbuffered: what is read again must come from the file, which may be another one by now.
        raw = open(path, "rb", buffering=0, opener=_open_at_once)  # noqa: SIM115 - closed by callers
    except FileNotFoundError as error:
        raise LogVanished(f"{shown(path)}: vanished before it could be read") from error
    except (OSError, ValueError) as error:
        raise LogUnreadable(f"{shown(path)}: {reason_of(error)}") from error
    if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        raw.close()
        raise LogUnreadable(f"{shown(path)}: not a regular file, so not read")
    return raw


def _open_at_once(path: str, flags: int) -> int:
    """Open for reading without waiting: a pipe may have taken the place of the file that was there."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def reason_of(error: BaseException) -> str:
    """Say what an error means, as the end of a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)[:1].lower() + str(text)[1:]
