"""The fuzzer: hostile input until something is not true that must be, or the time is over.

    python -m faults.fuzz [--seconds N] [--seed N] [--plain]     search
    python -m faults.fuzz FILE...                                try saved inputs again

Guided by coverage where atheris is installed; else, and with `--plain`, by a loop of our own that
changes inputs at random and keeps those that held new kinds of things. A failing input is saved below
`fuzz-failures/`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from types import ModuleType

Check = Callable[[bytes], Counter[str]]

FAILURES = Path("fuzz-failures")
MAX_INPUT_BYTES = 1_000


class Search:
    """One search: what it tried so far, and for how long."""

    def __init__(self, check: Check, seconds: float, seed: int, how: str) -> None:
        """Begin now."""
        self._check = check
        self._started = time.monotonic()
        self._seconds = seconds
        self._seed = seed
        self._inputs = 0
        self.kinds: Counter[str] = Counter()
        print(f"seed {seed}, {seconds:.0f} s, {how}", flush=True)

    @property
    def is_over(self) -> bool:
        """Whether the time is."""
        return time.monotonic() - self._started >= self._seconds

    def tried(self, data: bytes) -> Counter[str] | None:
        """Try an input; return what was in it, or `None` if it failed and was saved."""
        self._inputs += 1
        try:
            kinds = self._check(data)
        except Exception:
            traceback.print_exc()
            print(f"saved {saved(data)}", file=sys.stderr)
            return None
        self.kinds += kinds
        return kinds

    def say(self, failed: bool) -> int:
        """Print what was tried and the verdict; return the exit code."""
        elapsed = time.monotonic() - self._started
        print(", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items())))
        print(
            f"fuzz: {'FAILED' if failed else 'no failure'} in {self._inputs} inputs, {elapsed:.0f} s, "
            f"{len(self.kinds)} kinds of things, seed {self._seed}",
            flush=True,
        )
        return int(failed)


def saved(data: bytes) -> Path:
    """Save a failing input under a name made of its content."""
    FAILURES.mkdir(exist_ok=True)
    path = FAILURES / f"{sha256(data).hexdigest()[:16]}.bin"
    path.write_bytes(data)
    return path


def search_plainly(search: Search, seed: int) -> int:
    """Try random inputs, and changes of those that held something new."""
    rng = random.Random(seed)
    pool: list[bytes] = []
    while not search.is_over:
        fresh = not pool or rng.random() < 0.5
        data = rng.randbytes(rng.randrange(MAX_INPUT_BYTES)) if fresh else mutated(rng, rng.choice(pool))
        known = set(search.kinds)
        kinds = search.tried(data)
        if kinds is None:
            return search.say(failed=True)
        if not kinds.keys() <= known or rng.random() < 0.01:
            pool.append(data)
    return search.say(failed=False)


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Change an input in a few places."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(changed) + 1)
        piece = rng.randbytes(rng.randrange(1, 8))
        changed[place : place + rng.choice((0, 1, len(piece), 50))] = rng.choice((piece, b"", changed[:20]))
    return bytes(changed[:MAX_INPUT_BYTES])


def search_guided(atheris: ModuleType, search: Search, seed: int, seconds: int) -> None:
    """Let atheris choose the inputs; it ends the process, so the verdict is printed on the way."""

    def try_one(data: bytes) -> None:
        failed = search.tried(data) is None
        if failed or search.is_over:
            sys.stderr.flush()
            os._exit(search.say(failed))

    flags = [f"-seed={seed % 2**32}", f"-max_len={MAX_INPUT_BYTES}", f"-max_total_time={seconds + 60}"]
    atheris.Setup([sys.argv[0], *flags, "-len_control=0", "-timeout=300", "-verbosity=0"], try_one)
    atheris.Fuzz()


def main() -> int:
    """Search, or try saved inputs again; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="saved inputs to try again")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--plain", action="store_true", help="not guided by coverage, even if it could be")
    asked = parser.parse_args()
    check, atheris = loaded(guided=not asked.plain and not asked.files)
    for file in asked.files:
        print(f"{file}: {dict(check(file.read_bytes()))}")
    if asked.files:
        return 0
    seed = random.SystemRandom().randrange(1, 2**32) if asked.seed is None else asked.seed
    search = Search(check, asked.seconds, seed, "guided by coverage" if atheris else "at random")
    if atheris:
        search_guided(atheris, search, seed, asked.seconds)
    return search_plainly(search, seed)


def loaded(guided: bool) -> tuple[Check, ModuleType | None]:
    """Load what is to be tried, instrumented by atheris if that is wanted and installed."""
    try:
        atheris = importlib.import_module("atheris") if guided else None
    except ImportError:
        atheris = None
    with atheris.instrument_imports(include=["ingest", "parsers"]) if atheris else nullcontext():
        target = importlib.import_module("faults.target")
    return target.check, atheris


if __name__ == "__main__":
    sys.exit(main())
