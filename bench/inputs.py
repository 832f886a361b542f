"""Inputs on disk, made once for their parameters: the log or folder, and beside it what is in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import logs, prefixes, shapes, tally
from bench.tally import Tally

VERSION = 2
"""Raised where a generator changes what it writes, so that no cache of the old kind is taken."""

SEED = 1
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Input:
    """A log file or a folder of them, and what there is to find in it."""

    path: Path
    tally: Tally

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files if file.is_file())


@dataclass(frozen=True, slots=True)
class Inputs:
    """Makes inputs in a folder, each of a size that `scale` multiplies."""

    folder: Path
    scale: float = 1.0
    seed: int = SEED

    def _made(self, name: str, suffix: str, make: Callable[[Path], Tally]) -> Input:
        """Return an input of this name, made now unless it is there; a half-made one never has its tally."""
        path = self.folder / f"{name}-v{VERSION}-seed{self.seed}{suffix}"
        beside = self.folder / f"{path.name}.tally.json"
        if not beside.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            make(path).save(beside)
        return Input(path, tally.load(beside))

    def _bytes(self, size_mb: int) -> int:
        return int(size_mb * MB * self.scale)

    def sparse(self, size_mb: int = 1000) -> Input:
        """Return a real-shaped log: noise, and an event every 13.7 KB with the lines around it."""
        size = self._bytes(size_mb)
        return self._made(f"sparse-{size}", ".log", lambda path: logs.write_sparse(path, size, self.seed))

    def few(self, size_mb: int = 1000) -> Input:
        """Return a log with as many events, of which only every tenth has the lines around it."""
        size = self._bytes(size_mb)
        return self._made(
            f"few-{size}", ".log", lambda path: logs.write_sparse(path, size, self.seed, logs.FEW)
        )

    def drained(self, size_mb: int = 300) -> Input:
        """Return a log in which each call has a process of its own, with 17 marked lines."""
        size = self._bytes(size_mb)
        return self._made(f"drained-{size}", ".log", lambda path: logs.write_drained(path, size, self.seed))

    def none(self, size_mb: int = 600) -> Input:
        """Return the same noise without our lines."""
        size = self._bytes(size_mb)
        return self._made(f"none-{size}", ".log", lambda path: logs.write_none(path, size, self.seed))

    def dense(self, events: int = 1_000_000) -> Input:
        """Return event lines alone."""
        return self.events(int(events * self.scale))

    def events(self, events: int) -> Input:
        """Return so many event lines, whatever the scale."""
        return self._made(f"dense-{events}", ".log", lambda path: logs.write_dense(path, events, self.seed))

    def _made_of(self, of: Input, name: str, suffix: str, write: Callable[[Path, Path], None]) -> Input:
        def make(path: Path) -> Tally:
            write(of.path, path)
            return of.tally

        return self._made(name, suffix, make)

    def _shaped(self, of: Input, name: str, suffix: str, write: Callable[[Path, Path], None]) -> Input:
        return self._made_of(of, f"{name}-{of.path.stat().st_size}", suffix, write)

    def many(self, size_mb: int = 1000) -> Input:
        """Return a folder of log files as real ones are: a run or a queue each, most of them short."""
        size = self._bytes(size_mb)
        return self._made(f"many-{size}", "", lambda path: logs.write_many(path, size, self.seed))

    def joined(self) -> Input:
        """Return the same lines in one file."""
        many = self.many()
        return self._made_of(many, f"joined-{many.size_bytes}", ".log", shapes.join)

    def prefixed(self, of: Input, form: str) -> Input:
        """Return a log in one of the forms of `bench.prefixes.FORMS`."""
        write = partial(prefixes.write, form=prefixes.FORMS[form])
        return self._made_of(of, f"{of.path.stem}-as-{form}", ".log", write)

    def gz(self) -> Input:
        """Return the sparse log, compressed."""
        return self._shaped(self.sparse(), "gz", ".log.gz", shapes.write_gzip)

    def utf16(self) -> Input:
        """Return a sparse log of 100 MB as UTF-16."""
        return self._shaped(self.sparse(100), "utf16", ".txt", shapes.write_utf16)

    def mix(self) -> Input:
        """Return a sparse log of 200 MB, in twenty files of five shapes."""
        return self._shaped(self.sparse(200), "mix", "", shapes.write_mix)

    def small(self, files: int) -> Input:
        """Return so many short logs without events; the scale has been applied."""

        def make(path: Path) -> Tally:
            shapes.write_small(path, files)
            return Tally()

        return self._made(f"small-{files}", "", make)
