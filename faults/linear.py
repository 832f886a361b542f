"""Reading a line takes time linear in its length, whatever is in it; and so does a log (`linear_logs`).

    python -m faults.linear

Every family of hostile lines is timed at two sizes side by side: four times the length may take about four
times as long. Both are below the limit of a line's length, and large enough that a quadratic pattern would
take minutes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

from faults.linear_logs import FACTOR, ratios
from ingest.reading.blocks import Numbering, split_blocks
from ingest.reading.encoding import ENCODINGS
from ingest.reading.extractor import Extractor
from ingest.reading.lines import Position
from ingest.reading.wrap import Joiner, WrapWidth, split_wide
from ingest.reading.zone import zone_named
from parsers.line import is_event_line, parse_line, shows_both_prefixes
from parsers.prefix import starts_with_prefix
from parsers.registry import FAMILIES

SMALL_BYTES = 200_000
MAX_RATIO = 8.0
"""How many times as long the larger size may take: twice what is linear, as clocks and caches are uneven."""

ROUNDS = 7
"""How often both are timed at most; the best of each counts."""

FASTEST_SECONDS = 0.02
"""What takes less at the larger size is fast enough; its time says more of memory than of the pattern."""

PREFIX = "[2026-01-14 09:00:00] INFO: "
OPENINGS = (
    *(
        "",
        PREFIX,
        "2026-01-14 09:00:00,1 - ",
        "2026-01-14T09:00:00Z stderr F ",
        "Jan 14 09:00:00 ",
        "python : ",
    ),
    *('{"message": ', '{"message": "', "Jan 14 09:00:00 box ", "2026-01-14 09:00:00 [INFO] "),
    *(
        PREFIX + text
        for text in ("[TokenEstimationV2] ", "[TokenEstimationV2] predicted_output=", "Phase ", "[p]")
    ),
    *(
        PREFIX + text
        for text in (
            "[p] Applied files: [",
            "[Scope] Scope paths: ['",
            "Updated phase ",
            "[p] Builder failed: ",
        )
    ),
    *(
        PREFIX + text
        for text in ("[TOKEN_BUDGET] phase=", "[LOCK] Acquired executor lock for run_id=", "✅ Run '")
    ),
    *(
        PREFIX + text
        for text in ("[drain_one_phase] Draining: ", "[TOKEN_SOFT_CAP] run_id=", "[BUILD-128] Phase '")
    ),
    *(
        PREFIX + text
        for text in ("[MODEL-SELECT] Builder: model=", "[BUILD-129:P10] ESCALATE-ONCE: phase=", "  ")
    ),
)
RUNS = (
    *(
        "[",
        "]",
        "[a] ",
        "[[a]",
        " ",
        "\t",
        "key=",
        "=",
        "'",
        '"',
        "\\",
        "', '",
        "'\\'",
        "(",
        ") (",
        "{",
        '{"a":',
        "},{",
    ),
    *(
        "é",
        "\x00",
        "a",
        "1",
        "/ ",
        " / ",
        " complexity=",
        " phase_id=",
        " status to ",
        " finished with status: ",
    ),
    *(
        " attempt=1 ",
        " selected_budget=",
        "[TokenEstimationV2] ",
        " actual_total=1",
        ": ",
        "- ",
        "\r",
        "→",
        "✅ ",
    ),
    *(
        "'a', ",
        "'\\n', ",
        "'\\x41', ",
        "'\\N{DASH}', ",
        '"a", ',
        "'a' ",
        " tokens=1→2",
        " (from a) ",
        ".",
        ", ",
    ),
)


def lines(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each family of hostile lines, and its line of about a size."""
    for opening in OPENINGS:
        for run in RUNS:
            yield f"{opening!r} + {run!r} ...", _filled(opening, run, size)
    for family in FAMILIES:
        for sample in family.samples:
            words = sample.split(" ")
            for place in range(len(words) + 1):
                text = " ".join([*words[:place], "x=y" * (size // 3), *words[place:]])
                yield f"{family.name}, filled before word {place}", (PREFIX + text).encode()
    listed = ", ".join(["'src/\\t\\'a.py'"] * (size // 15))
    yield "a list of paths", f"{PREFIX}[p] Applied files: [{listed}]".encode()
    yield "a list of one path", f"{PREFIX}[p] Applied files: ['{'a' * size}']".encode()
    yield "JSON of escapes", json.dumps({"message": "\x00é" * (size // 12), "timestamp": "x" * 9}).encode()
    yield "JSON in its message", json.dumps({"message": '"[{' * (size // 6)}).encode()


def _filled(opening: str, run: str, size: int) -> bytes:
    piece = run.encode()
    return opening.encode() + piece * (size // len(piece))


EXTRACTOR = Extractor(zone_named("UTC"))


def read(line: bytes) -> None:
    """Do with a line all that an ingest may do with it."""
    starts_with_prefix(line)
    is_event_line(line)
    shows_both_prefixes(line)
    parse_line(line)
    list(EXTRACTOR.extract(line + b"\n"))
    for encoding in ENCODINGS:
        position, chunks = Position(), [line, b"\n"]
        numbering = Numbering(position, None)
        if encoding.is_wide:
            list(split_wide(chunks, Joiner(position, WrapWidth()), numbering, encoding))
        else:
            list(split_blocks(chunks, numbering, encoding, lambda _: True))


def seconds(line: bytes) -> float:
    """Time one reading."""
    started = time.perf_counter()
    read(line)
    return time.perf_counter() - started


def ratio(small: bytes, large: bytes) -> tuple[float, float]:
    """Time two sizes side by side; return how many times as long the larger took, and how long."""
    best_small = best_large = float("inf")
    for _ in range(ROUNDS):
        best_small = min(best_small, seconds(small))
        best_large = min(best_large, seconds(large))
        if best_large < FASTEST_SECONDS or best_large < best_small * (FACTOR + 1):
            break
    return best_large / best_small, best_large


def main() -> int:
    """Time every family; return 1 if one is not linear."""
    found = []
    for (name, small), (_, large) in zip(lines(SMALL_BYTES), lines(SMALL_BYTES * FACTOR), strict=True):
        times, took = ratio(small, large)
        found.append((times if took >= FASTEST_SECONDS else 0.0, took, name))
    found += ratios()
    bad = [measured for measured in found if measured[0] > MAX_RATIO]
    for times, took, name in sorted(bad, reverse=True):
        print(f"NOT LINEAR: {times:.1f} times as long for {FACTOR} times the length, {took:.3f} s: {name}")
    worst, slowest = max(found), max(found, key=lambda measured: measured[1])
    print(
        f"linear: {'FAILED' if bad else 'yes'}, {len(found)} families; the worst took {worst[0]:.1f} times "
        f"as long for {FACTOR} times the length ({worst[2]}); the slowest {slowest[1]:.3f} s ({slowest[2]})"
    )
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
