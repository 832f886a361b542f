"""Which files in a folder may be logs, by their names."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Sequence

NAMES = ("*.log", "*.log.*", "*.log-*", "*.txt", "*.out", "*.err", "*.jsonl")

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

GLOBS = (*NAMES, *(f"{name}{ending}" for name in NAMES for ending in COMPRESSED))
"""Names that a log may have; `*.log.*` and `*.log-*` cover rotations, dated ones too."""


def name_test(globs: Sequence[str]) -> Callable[[str], bool]:
    """Return whether a name is one of those that globs mean, as a test.

    Those of a star and an ending, or of something between two stars, cost next to nothing.
    """
    endings: tuple[str, ...] = ()
    parts: list[str] = []
    others: list[str] = []
    for pattern in map(os.path.normcase, globs):
        if pattern[:1] == "*" and _is_literal(pattern[1:]):
            endings += (pattern[1:],)
        elif pattern[:1] == "*" == pattern[-1:] and _is_literal(pattern[1:-1]):
            parts.append(pattern[1:-1])
        else:
            others.append(pattern)
    fits = _fits(others)

    def is_meant(name: str) -> bool:
        return name.endswith(endings) or any(part in name for part in parts) or bool(fits(name))

    return is_meant if os.path.normcase("A") == "A" else lambda name: is_meant(os.path.normcase(name))


def _is_literal(text: str) -> bool:
    return bool(text) and not any(one in text for one in "*?[")


def _fits(patterns: Sequence[str]) -> Callable[[str], object]:
    if not patterns:
        return lambda _: False
    return re.compile("|".join(map(fnmatch.translate, patterns))).match
