r"""What a terminal does not show as text: colours and other escape sequences, and text that `\r` overwrites.

It is removed before a line is read, so that a run is `run-A`, not `run-A\x1b[0m`, and the same call in a
coloured log and in a plain one is one event. Each search goes forward only, so the time is linear in the
length of the line; no match crosses a newline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

ESCAPE = b"\x1b"

_SEQUENCE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]?"  # colours, erasing, moving: CSI
    rb"|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # links, titles and other strings: OSC, DCS, SOS, PM, APC
    rb"|[ -/]+[0-~]|[0-Z\\`-~]?)"  # character sets; all else is one character
)


def without_escapes(text: bytes) -> bytes:
    """Return text of one or more lines without its escape sequences; the number of lines is kept."""
    return _SEQUENCE.sub(b"", text) if ESCAPE in text else text


def shown(text: bytes) -> bytes:
    r"""Return the part of a line that a terminal shows: the last one between `\r` that is not empty."""
    if b"\r" not in text:
        return text
    text = text.rstrip(b"\r")
    return text[text.rfind(b"\r") + 1 :]


def places_in(line: bytes, indexes: Iterable[int]) -> Iterator[int]:
    """Yield the indexes in a line of characters whose indexes, in order, are those without its escapes."""
    if ESCAPE not in line:
        yield from indexes
        return
    visible, texts = 0, _between(line)
    start, end = next(texts)
    for index in indexes:
        while index >= visible + end - start and end < len(line):
            visible += end - start
            start, end = next(texts)
        yield start + index - visible


def _between(line: bytes) -> Iterator[tuple[int, int]]:
    start = 0
    for found in _SEQUENCE.finditer(line):
        yield start, found.start()
        start = found.end()
    yield start, len(line)
