"""The logical lines of bytes, as the decoders cut them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ingest.reading.blocks import Numbering, split_blocks
from ingest.reading.encoding import UTF_8, Encoding
from ingest.reading.lines import Line, Position
from ingest.reading.wrap import Joiner, WrapWidth, split_wide


@dataclass
class Read:
    """Lines, and how many of them came as plain text; the position and the width at their end."""

    lines: list[Line]
    in_text: int
    position: Position
    width: WrapWidth


def read_lines(
    chunks: Iterable[bytes],
    encoding: Encoding = UTF_8,
    position: Position | None = None,
    width: WrapWidth | None = None,
    line_by_line: bool = False,
) -> Read:
    """Read chunks that begin at a position, which is moved."""
    position = Position() if position is None else position
    numbering = Numbering(position, None)
    joiner = Joiner(position, WrapWidth() if width is None else width)
    if encoding.is_wide:
        blocks = split_wide(chunks, joiner, numbering, encoding, line_by_line)
    else:
        blocks = split_blocks(chunks, numbering, encoding, lambda _: True)
    lines, in_text = [], 0
    for block in blocks:
        if block is not None:
            found = list(block.each())
            lines += found
            in_text += 0 if block.lines else len(found)
            assert block.data == b"".join(line.data + b"\n" for line in found) or b"\r" in block.data
            assert all(line.terminated for line in found) or not block.complete
    return Read(lines, in_text, position, joiner.width)
