"""Writing a file so that nobody ever sees half of it under its name."""

from __future__ import annotations

import filecmp
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from commandline.output import lost_output
from ingest.disk_space import what_makes_room
from ingest.errors import Unwritable, UsageMistake

STANDARD_OUTPUT = "-"


def goes_to_terminal(output: str | None) -> bool:
    """Whether an output (`None` and `-` are standard output) is a terminal."""
    return output in (None, STANDARD_OUTPUT) and sys.stdout is not None and sys.stdout.isatty()


@contextmanager
def opened_sink(
    output: str | None, kept: Sequence[str] = (), leave_same: bool = False
) -> Iterator[IO[bytes]]:
    """Open a file to write, or standard output (`None` or `-`); the file gets its name when it is whole.

    With `leave_same` a file that holds the same bytes already keeps its time of modification.

    Raises:
        UsageMistake: it is one of the files to be `kept`, or standard output is closed.
        OutputLost: standard output can't be written.
        Unwritable: the file can't be written.
    """
    if output in (None, STANDARD_OUTPUT):
        if sys.stdout is None:
            raise UsageMistake("standard output is closed: name a file")
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # `| head` has seen enough: no error of ours
            raise
        except OSError as error:
            raise lost_output(error) from error
        return
    path = Path(os.path.realpath(output))
    if any(path == Path(os.path.realpath(name)) for name in kept):
        raise UsageMistake(f"{output}: the database itself: choose another file with --output")
    if path.exists() and not path.is_file():  # a pipe or a device: there is nothing to replace
        with _named(output), path.open("wb") as file:
            yield file
        return
    with _replacing(output, path, leave_same) as file:
        yield file


@contextmanager
def _replacing(output: str, path: Path, leave_same: bool) -> Iterator[IO[bytes]]:
    """Write a new file beside `path` that replaces it at the end; after an error no new file is left."""
    part = path.with_name(f".tokentail-{secrets.token_hex(8)}.part")
    try:
        with _named(output):
            with _made(part, 0o600 if path.exists() else 0o666) as file:
                yield file
            if leave_same and path.exists() and filecmp.cmp(part, path, shallow=False):
                part.unlink()
                return
            if path.exists():
                shutil.copymode(path, part)
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _made(path: Path, mode: int) -> IO[bytes]:
    """Make a new file; an error if there is one: somebody could have put a link there."""
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))


@contextmanager
def _named(output: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = what_makes_room(error) or "choose another file"
        raise Unwritable(f"{output}: can't be written ({error.strerror}): {advice}") from error
