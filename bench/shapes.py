"""The same content in other shapes: joined, compressed, as UTF-16, cut into files of several forms."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.prefixes import docker, json_line, rewrite

MANY_PER_FOLDER = 1000


def pieces(log: Path, size_bytes: int) -> Iterator[bytes]:
    """Yield the log in pieces of about so many bytes, cut at line boundaries."""
    with log.open("rb") as file:
        while piece := file.read(size_bytes):
            yield piece + file.readline()


def join(folder: Path, path: Path) -> None:
    """Write all log files of a folder into one, in the order of their names."""
    with path.open("wb") as target:
        for log in sorted(folder.iterdir()):
            with log.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)


def write_small(folder: Path, files: int) -> None:
    """Write so many short logs, each with other bytes, a thousand to a folder."""
    for number in range(files):
        inner = folder / f"{number // MANY_PER_FOLDER:04d}"
        inner.mkdir(parents=True, exist_ok=True)
        text = f"[2025-02-03 04:05:06] INFO: executor {number} has nothing to do\n"
        (inner / f"run-{number:06d}.log").write_text(text, encoding="utf-8")


def write_gzip(log: Path, path: Path) -> None:
    """Compress a log, as a rotation is."""
    with log.open("rb") as source, gzip.open(path, "wb", compresslevel=6) as target:
        shutil.copyfileobj(source, target, 1 << 20)


def write_utf16(log: Path, path: Path) -> None:
    """Write a log as Windows PowerShell captures it: UTF-16 with BOM and CRLF (here unwrapped)."""
    with path.open("wb") as target:
        target.write(b"\xff\xfe")
        for piece in pieces(log, 1 << 20):
            target.write(piece.decode().replace("\n", "\r\n").encode("utf-16-le"))


def write_mix(log: Path, folder: Path, files: int = 20) -> None:
    """Cut a log into so many files, and give each one of five shapes in turn."""
    folder.mkdir()
    part = folder.parent / "part.tmp"
    for number, piece in enumerate(pieces(log, log.stat().st_size // files + 1)):
        name = f"executor-{number:02d}"
        part.write_bytes(piece)
        match number % 5:
            case 0:
                shutil.copyfile(part, folder / f"{name}.log")
            case 1:
                write_gzip(part, folder / f"{name}.log.gz")
            case 2:
                write_utf16(part, folder / f"{name}.txt")
            case 3:
                (folder / f"{name}.jsonl").write_bytes(rewrite(piece, json_line))
            case _:
                (folder / f"{name}.docker.jsonl").write_bytes(rewrite(piece, docker))
    part.unlink()
