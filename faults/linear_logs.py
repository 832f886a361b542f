"""Reading a log takes time linear in its length, whatever lines follow each other in it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.hostile import event_message, logged
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions

LINES, FACTOR = 2_000, 4
ROUNDS = 3

_EVENT = logged(event_message(5))
_START = logged("[TokenEstimationV2]")[:48]


def _wide(*lines: str) -> bytes:
    return b"\xff\xfe" + "".join(f"{line}\r\n" for line in lines).encode("utf-16-le")


def _narrow(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _anchor(phase: str) -> str:
    return logged(
        f"[TOKEN_BUDGET] phase={phase} complexity=low input=5 output=1157/16384 total=6 utilization=7.1% "
        "model=m"
    )


def _paired(count: int, first: Callable[[int], str], second: Callable[[int], str]) -> bytes:
    return _narrow(*(line for number in range(count) for line in (first(number), second(number))))


LOGS: dict[str, Callable[[int], bytes]] = {
    "one event again and again": lambda count: _narrow(*[_EVENT] * count),
    "events of one second": lambda count: _narrow(
        *(logged(event_message(number)) for number in range(count))
    ),
    "one event in ever new phases": lambda count: _paired(
        count, lambda number: _anchor(f"p{number}"), lambda _: _EVENT
    ),
    "anchors, then events": lambda count: _narrow(
        *(_anchor(f"p{number}") for number in range(count)), *[_EVENT] * count
    ),
    "phases that never end": lambda count: _paired(
        count, lambda number: logged(f"Next phase: p{number}"), lambda number: logged(event_message(number))
    ),
    "paths without end": lambda count: _narrow(
        logged("[p] ❌ DELIVERABLES VALIDATION FAILED"), "📋 REQUIRED DELIVERABLES:", *["  ✓ a.md"] * count
    ),
    "runs without end": lambda count: _paired(
        count, lambda number: logged(f"Generating manifest for run: r{number}"), lambda _: _EVENT
    ),
    "wrapped lines of an unsure width": lambda count: _wide(
        "x" * (len(_START) + 2), f"{_START}😀", *[f"{'y' * len(_START)}😀"] * count
    ),
    "a wrapped line without end": lambda count: _wide(_EVENT, *["z" * len(_EVENT)] * count),
    "a wrapped line that ever grows": lambda count: _wide(
        _EVENT, *("z" * (40 + number % 900) for number in range(count))
    ),
    "holes": lambda count: b"".join([b"\0" * 20 + _EVENT.encode() + b"\0" * 20 + b"\n"] * count),
}


def ratios() -> Iterator[tuple[float, float, str]]:
    """Yield for each log how many times as long the larger one took, its seconds, and what it is."""
    for name, make in LOGS.items():
        small = min(_seconds(make(LINES)) for _ in range(ROUNDS))
        large = min(_seconds(make(LINES * FACTOR)) for _ in range(ROUNDS))
        yield large / small, large, f"a log of {name}"


def _seconds(data: bytes) -> float:
    with tempfile.TemporaryDirectory(prefix="tokentail-fuzz-") as name:
        log = Path(name) / "executor.log"
        log.write_bytes(data)
        started = time.perf_counter()
        ingest([str(log)], Path(name) / "t.db", IngestOptions("ingest", zone_named("UTC")))
        return time.perf_counter() - started
