"""The same lines as other loggers and containers write them: each with another prefix."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_EXECUTORS = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] ([A-Z]+): ")

_PART_BYTES = 16_384
"""Docker and containerd cut longer lines into parts."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an executor's log.

    `time` and `milliseconds` are those of the last prefix. `message` is what follows the line's own
    prefix; without one it is the whole line, and `level` is empty.
    """

    text: str
    time: str
    milliseconds: int
    level: str
    message: str

    @property
    def utc(self) -> str:
        """The time as containers write it."""
        return f"{self.time.replace(' ', 'T')}.{self.milliseconds:03d}456789Z"


def lines_of(text: str) -> Iterator[Line]:
    """Yield the lines of a text. What is logged within a second gets milliseconds, which go forward."""
    time, milliseconds = "2024-03-01 06:00:00", 0
    for line in text.removesuffix("\n").split("\n"):
        found = _EXECUTORS.match(line)
        if found:
            milliseconds = min(milliseconds + 83, 999) if found[1] == time else 0
            time = found[1]
        level, message = (found[2], line[found.end() :]) if found else ("", line)
        yield Line(line, time, milliseconds, level, message)


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield a line's parts, and whether each is the last one; they may be shorter than they could."""
    size = _PART_BYTES if text.isascii() else _PART_BYTES // 4
    for start in range(0, len(text) or 1, size):
        yield text[start : start + size], start + size >= len(text)


def json_line(line: Line) -> str:
    """Write a line as the executor does when it logs JSON."""
    entry = {"timestamp": line.time, "level": line.level or "INFO", "message": line.message}
    return f"{json.dumps(entry, ensure_ascii=False)}\n"


def _escaped(text: str) -> str:
    """Write a string as Docker does."""
    written = json.dumps(text, ensure_ascii=False)
    return written.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def docker(line: Line) -> str:
    """Write a line as Docker's json-file does."""
    return "".join(
        f'{{"log":{_escaped(part + chr(10) * is_last)},"stream":"stderr","time":"{line.utc}"}}\n'
        for part, is_last in _parts(line.text)
    )


def cri(line: Line) -> str:
    """Write a line as a container runtime of Kubernetes does."""
    return "".join(
        f"{line.utc} stderr {'F' if is_last else 'P'} {part}\n" for part, is_last in _parts(line.text)
    )


def _own(shape: str) -> Callable[[Line], str]:
    def write(line: Line) -> str:
        if not line.level:
            return f"{line.text}\n"
        time, milliseconds = line.time, f"{line.milliseconds:03d}"
        prefix = shape.format(time=time, milliseconds=milliseconds, level=line.level)
        return f"{prefix}{line.message}\n"

    return write


EXECUTOR = "executor"
OWN: dict[str, Callable[[Line], str]] = {
    EXECUTOR: _own("[{time}] {level}: "),
    "scripts": _own("{time},{milliseconds} - executor.model_clients - {level} - "),
    "bracketed": _own("[{time}] [{level}] "),
    "named": _own("{time},{milliseconds} [{level}] executor.model_clients: "),
    "unnamed": _own("{time},{milliseconds} [{level}] "),
}
"""The executor's own prefixes; the first one is by far the most common."""

CONTAINERS: dict[str, Callable[[Line], str]] = {"docker": docker, "cri": cri}
"""What a container's runtime puts around a line, with the executor's prefix inside."""

WRAPPED: dict[str, Callable[[Line], str]] = {"json": json_line, **CONTAINERS}
FORMS: dict[str, Callable[[Line], str]] = {**OWN, **WRAPPED}
"""Every form of which there is a case."""


def rewrite(piece: bytes, form: Callable[[Line], str]) -> bytes:
    """Return whole lines in another form."""
    return "".join(map(form, lines_of(piece.decode()))).encode()


def write(log: Path, path: Path, form: Callable[[Line], str]) -> None:
    """Write a log in another form."""
    with log.open("rb") as source, path.open("wb") as target:
        while piece := source.read(1 << 20):
            target.write(rewrite(piece + source.readline(), form))
