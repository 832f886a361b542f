"""A folder of partitions that a command keeps: its own files come, change and go; those of others stay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from ingest.cli.sink import opened_sink
from ingest.errors import Unwritable, UsageMistake
from reports.terminal import counted

FILE = "part-0.parquet"


class Folder:
    """Partitions below a folder, one file in each; `is_ours` tells whether a file may be replaced."""

    def __init__(self, output: str, is_ours: Callable[[str], bool]) -> None:
        """Use a folder, which need not be there.

        Raises:
            UsageMistake: it is a file.
        """
        self._path = Path(output)
        self._is_ours = is_ours
        self._changed = self._same = self._removed = 0
        if self._path.exists() and not self._path.is_dir():
            raise UsageMistake(f"{output}: a file; --partition-by writes a folder: name another")

    def names(self) -> list[str]:
        """Return the partitions that have a file of ours."""
        found = self._path.iterdir() if self._path.is_dir() else ()
        return sorted(one.name for one in found if self._may_replace(one.name) and (one / FILE).exists())

    def check(self, names: Iterable[str]) -> None:
        """Make sure that partitions can be written.

        Raises:
            Unwritable: a file that we did not write has the name of one; nothing was changed.
        """
        for name in sorted(names):
            if not self._may_replace(name):
                raise Unwritable(
                    f"{self._path / name / FILE}: not written by this command, so not replaced; nothing was "
                    "changed: choose another folder with --output"
                )

    def _may_replace(self, name: str) -> bool:
        place = self._path / name
        file = place / FILE
        if place.is_symlink() or (place.exists() and not place.is_dir()) or file.is_symlink():
            return False
        return not file.exists() or self._is_ours(str(file))

    def put(self, name: str, write: Callable[[IO[bytes]], None]) -> None:
        """Write a partition; nobody ever sees half of it.

        Raises:
            Unwritable: it can't be written.
        """
        file = self._path / name / FILE
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            before = file.stat() if file.exists() else None
        except OSError as error:
            raise Unwritable(
                f"{file.parent}: can't be made ({error.strerror}): choose another folder with --output"
            ) from error
        with opened_sink(str(file), leave_same=True) as sink:
            write(sink)
        after = file.stat()
        same = before is not None and (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        self._same += same
        self._changed += not same

    def remove(self, names: Collection[str]) -> None:
        """Remove files of ours, and their folders where nothing else is in them.

        Raises:
            Unwritable: one can't be removed.
        """
        for name in names:
            file = self._path / name / FILE
            try:
                file.unlink()
            except OSError as error:
                raise Unwritable(
                    f"{file}: can't be removed ({error.strerror}): choose another folder with --output"
                ) from error
            with suppress(OSError):  # somebody has put something there
                file.parent.rmdir()
            self._removed += 1

    def done(self) -> str:
        """Say what became of the partitions."""
        total = counted(self._changed + self._same, "partition")
        return f"{total}: {self._changed:,} written, {self._same:,} as they were, {self._removed:,} removed"
