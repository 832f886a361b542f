"""One executor of the fleet: it writes as long as the fleet runs, and its log is rotated in every way.

Nothing that it ever wrote may be missing in the end: what is deleted was stored before, and nothing is
written between the copy and the truncation of copytruncate.
"""

from __future__ import annotations

import gzip
import os
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random

from faults.calls import Call, number_in

KEPT_ROTATIONS = 4
"""So many rotations, the newest ones, are never deleted."""

AWAY_SECONDS = 0.4
"""How long a folder is away: long enough for a follow to notice."""

Stored = Callable[[set[int]], bool]
"""Whether the events of these calls are stored."""


class Writer:
    """One folder with one log; `written` are the calls whose event line is whole."""

    def __init__(self, folder: Path, numbers: Iterator[int], rng: Random, stored: Stored) -> None:
        """Begin the log; `numbers` are those of the calls, shared by all writers."""
        folder.mkdir()
        self.written: list[int] = []
        self._folder = folder
        self._log = folder / "run.log"
        self._numbers = numbers
        self._rng = rng
        self._stored = stored
        self._rotations = count(1)
        self._owed: tuple[int, bytes] | None = None
        self._file = self._log.open("ab", buffering=0)
        self._ways = (
            self._rename,
            self._rename,
            self._rename_and_hold,
            self._copytruncate,
            self._begin_another,
            self._vanish,
            self._compress,
        )

    def close(self) -> None:
        """Write what is owed, and end."""
        self._finish_line()
        self._file.close()

    def write(self) -> None:
        """Write some lines, and perhaps a part of one."""
        self._finish_line()
        for _ in range(self._rng.randrange(1, 6)):
            call = Call(next(self._numbers))
            self._file.write("".join(f"{line}\n" for line in call.lines).encode())
            self.written.append(call.number)
        if self._rng.random() < 0.3:
            call = Call(next(self._numbers))
            line = f"{call.event}\n".encode()
            cut = self._rng.randrange(1, len(line))
            self._file.write(line[:cut])
            self._owed = (call.number, line[cut:])

    def rotate(self) -> None:
        """Rotate in one of the ways, and delete old rotations whose events are stored."""
        self._finish_line()
        self._rng.choice(self._ways)()
        rotations = sorted(self._rotated(), key=lambda path: path.stat().st_mtime_ns)
        for path in rotations[:-KEPT_ROTATIONS]:
            if self._stored(numbers_in(path)):
                path.unlink()

    def _finish_line(self) -> None:
        if self._owed is not None:
            number, rest = self._owed
            self._file.write(rest)
            self.written.append(number)
            self._owed = None

    def _rotated(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path != self._log]

    def _rotated_name(self) -> Path:
        number = next(self._rotations)
        return self._folder / self._rng.choice((f"run.log.{number}", f"run-2026{number:04}.log"))

    def _reopen(self) -> None:
        self._file.close()
        self._file = self._log.open("ab", buffering=0)

    def _rename(self) -> None:
        self._log.rename(self._rotated_name())
        self._reopen()

    def _rename_and_hold(self) -> None:
        """Rename the log, and write on to it before another one is begun."""
        self._log.rename(self._rotated_name())
        self.write()
        self._finish_line()
        self._reopen()

    def _copytruncate(self) -> None:
        shutil.copyfile(self._log, self._rotated_name())
        os.truncate(self._log, 0)

    def _begin_another(self) -> None:
        """Go on in a log of another name, as who dates his logs does."""
        self._log = self._folder / f"other-{next(self._rotations)}.log"
        self._reopen()

    def _vanish(self) -> None:
        """Let the folder have another name for a moment, outside of the fleet."""
        away = self._folder.parent.parent / f"away-{self._folder.name}"
        self._folder.rename(away)
        self.write()
        time.sleep(AWAY_SECONDS)
        away.rename(self._folder)

    def _compress(self) -> None:
        plain = [path for path in self._rotated() if path.suffix != ".gz"]
        if plain:
            path = self._rng.choice(plain)
            data = gzip.compress(path.read_bytes())
            with path.with_name(f"{path.name}.gz").open("wb", buffering=0) as packed:
                packed.write(data[: len(data) // 2])
                packed.write(data[len(data) // 2 :])
            path.unlink()


def numbers_in(path: Path) -> set[int]:
    """Return the numbers of the calls whose event is in a log."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return {number for line in data.decode().splitlines() if (number := number_in(line)) is not None}
