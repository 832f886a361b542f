r"""What a terminal would not show as text: colours and other escape sequences, and what a `\r` overwrites.

Removed before a line is read, in every prefix and family: a run is `run-A`, not `run-A\x1b[0m`, and the
same call in a coloured log and in a plain one is one event. Each search goes forward only, so the time is
linear in the length of the line; nothing here reaches across a newline.
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
    """Return text of one or more lines without its escape sequences, and with as many lines."""
    return _SEQUENCE.sub(b"", text) if ESCAPE in text else text


def shown(text: bytes) -> bytes:
    r"""Return what of a line's text counts: of the parts between `\r`, the last that is not empty."""
    if b"\r" not in text:
        return text
    text = text.rstrip(b"\r")
    return text[text.rfind(b"\r") + 1 :]


def places_in(line: bytes, indexes: Iterable[int]) -> Iterator[int]:
    """Yield where in a line the characters are that stand at indexes, in order, of it without its escapes."""
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
