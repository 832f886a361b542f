"""The least that Python can do with a log: each line that holds a marker becomes a record. `least LOG`.

One automaton for all markers, one pattern a family: no number of a line, no linking, no row. Who reads
with Python, and reads context, is slower than this.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ingest.reading.extractor import ExtractedEvent, Extractor
from ingest.reading.zone import zone_named
from parsers.line import is_whole_event

BLOCK_BYTES = 256 * 1024


def records(log: Path) -> int:
    """Make a record of each line; return how many of them are events."""
    events, extractor = 0, Extractor(zone_named("UTC"))
    with log.open("rb", buffering=0) as file:
        rest = b""
        while chunk := file.read(BLOCK_BYTES):
            block = rest + chunk
            whole = block.rfind(b"\n") + 1
            block, rest = block[:whole], block[whole:]
            for _, _, what, _ in extractor.extract(block):
                events += type(what) is ExtractedEvent or (type(what) is bytes and is_whole_event(what))
    return events


def main() -> None:
    """Print how many events there are."""
    print(records(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
