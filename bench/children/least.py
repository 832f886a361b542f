"""The least that Python can do with a log: each line that holds a marker becomes a record. `least LOG`.

One automaton for all markers, one pattern and one tuple a line: no time, no number of a line, no
linking, no key, no row. Who reads with Python, and reads context, is slower than this.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ingest.reading.markers import find_markers
from parsers.quick import match_event, match_prefix, shaped
from parsers.registry import EVENT_MARKER

BLOCK_BYTES = 256 * 1024


def records(log: Path) -> int:
    """Make a record of each line; return how many of them are events."""
    events = 0
    with log.open("rb", buffering=0) as file:
        rest = b""
        while chunk := file.read(BLOCK_BYTES):
            block = rest + chunk
            whole = block.rfind(b"\n") + 1
            block, rest = block[:whole], block[whole:]
            done = 0
            for marker, found, _ in find_markers(block):
                if found < done:
                    continue
                start = block.rfind(b"\n", done, found) + 1 or done
                done = block.find(b"\n", found) + 1
                if marker == EVENT_MARKER:
                    events += 1
                    if (event := match_event(block, start)) is not None:
                        event.groups()
                elif (shape := shaped(marker)) is not None:
                    matches, build = shape
                    if context := matches(block[start : done - 1].decode("utf-8", "replace").rstrip()):
                        build(*context.groups())
                else:
                    match_prefix(block, start)
    return events


def main() -> None:
    """Print how many events there are."""
    print(records(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
