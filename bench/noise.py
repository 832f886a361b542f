"""What an executor logs besides our lines: blocks of chatter, stack traces, dumps of code, long lines.

A block is bytes in which NUL stands for a prefix's time, so that a block is rendered by one
`replace`. None holds a marker of ours.
"""

from __future__ import annotations

from functools import cache
from random import Random

STAMP = "\0"
"""Stands before each line that has a prefix; the clock's time takes its place."""

POOL_BLOCKS = 3000
"""Blocks are drawn from so many: enough that gzip's window seldom holds one twice."""

_PARTS = (
    "ledger",
    "router",
    "catalog",
    "session",
    "billing",
    "search",
    "export",
    "worker",
    "parser",
    "cache",
)
_VERBS = ("resolved", "refreshed", "skipped", "queued", "compared", "merged", "loaded", "flushed", "indexed")
_FOLDERS = ("src", "app", "lib", "tests", "docs", "scripts", "config")
_ERRORS = ("ValueError", "KeyError", "TimeoutError", "ConnectionError", "AssertionError", "OSError")


def a_path(rng: Random) -> str:
    """Return the name of a file in somebody's project."""
    return f"{rng.choice(_FOLDERS)}/{rng.choice(_PARTS)}/{rng.choice(_PARTS)}_{rng.randrange(400)}.py"


def _chatter(rng: Random) -> str:
    part, verb, number = rng.choice(_PARTS), rng.choice(_VERBS), rng.randrange(100_000)
    said = rng.choice(
        (
            f"INFO: [Http] POST https://models.example/v1/messages 200 in {number} ms, id={number * 7919:x}",
            f"INFO: [Context] {a_path(rng)} {verb} for the prompt, {number} bytes, rank {number % 97}",
            f"INFO: [Memory] {verb} {number} notes of '{part}', nearest at distance 0.{number:05d}",
            f"INFO: [Index] {part}: {number} of {number * 3} symbols {verb}; {number % 41} are new since",
            f"INFO: next poll in {number % 60}s; {number % 9} queued, {number % 4} wait for '{part}'",
            f"DEBUG: [Router] candidates={{'{part}': 0.{number % 1000:03d}, 'rest': {number}}} {verb}",
            f"DEBUG: [Cache] key={number * 104729:024x} {verb} from {a_path(rng)} after {number % 900} us",
            f"WARNING: [Qa] {a_path(rng)}:{number % 700}: '{part}' is {verb} twice, the second one wins",
            f"WARNING: retry {number % 5} of 5 for '{part}': the server asked to wait {number % 30} s",
            f"INFO: ✅ check '{part}' {verb} in {number} ms, nothing to do for {a_path(rng)}",
            f"INFO: 🔎 {number} lines of {a_path(rng)} {verb}, {number % 13} differ from the baseline",
        )
    )
    return f"{STAMP}{said}\n"


def _trace(rng: Random) -> str:
    frames = "".join(
        f'  File "/srv/executor/{a_path(rng)}", line {rng.randrange(1, 900)}, in {rng.choice(_VERBS)}\n'
        f"    return self.{rng.choice(_PARTS)}.{rng.choice(_VERBS)}(request, timeout={rng.randrange(90)})\n"
        for _ in range(rng.randrange(3, 12))
    )
    error, part = rng.choice(_ERRORS), rng.choice(_PARTS)
    return (
        f"{STAMP}ERROR: '{part}' was not {rng.choice(_VERBS)}\nTraceback (most recent call last):\n"
        f"{frames}{error}: {part} is gone ({rng.randrange(10_000)})\n"
    )


def _code(rng: Random) -> str:
    lines = [f"{STAMP}DEBUG: answer, first part of {a_path(rng)}:"]
    for _ in range(rng.randrange(4, 40)):
        part, verb, number = rng.choice(_PARTS), rng.choice(_VERBS), rng.randrange(10_000)
        lines.append(
            rng.choice(
                (
                    f"def {verb}_{part}(rows: list[dict[str, int]], limit: int = {number}) -> Counts:",
                    f'    """Return what of {part} was {verb}, by name; at most to the limit."""',
                    f"    if rows[{number % 10}].get('{part}', {number}) > limit and not self.{verb}:",
                    f"        {part} = [row for row in rows if row['{verb}'] >= {number}][:limit]",
                    f"    assert {verb}({part}, {number}) == {number * 3}, '{part} is {verb} once'",
                    "",
                )
            )
        )
    return "\n".join(lines) + "\n"


def _long(rng: Random) -> str:
    words = " ".join(f"{rng.choice(_PARTS)}={rng.randrange(10**6)}" for _ in range(rng.randrange(150, 1500)))
    return f"{STAMP}DEBUG: [Snapshot] {words}\n"


def _block(rng: Random) -> bytes:
    draw = rng.random()
    if draw < 0.012:
        text = _long(rng)
    elif draw < 0.04:
        text = _trace(rng)
    elif draw < 0.12:
        text = _code(rng)
    else:
        text = "".join(_chatter(rng) for _ in range(rng.randrange(2, 14)))
    return text.encode()


@cache
def _pool(seed: int) -> list[bytes]:
    rng = Random(f"pool {seed}")
    return [_block(rng) for _ in range(POOL_BLOCKS)]


class Noise:
    """An endless supply of blocks, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(f"noise {seed}")
        self._pool = _pool(seed)

    def block(self) -> bytes:
        """Return the next block, without its times."""
        return self._pool[int(self._rng.random() * POOL_BLOCKS)]
