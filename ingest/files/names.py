"""Which files in a folder may be logs, by their names."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence

NAMES = ("*.log", "*.log.*", "*.log-*", "*.txt", "*.out", "*.err", "*.jsonl")

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

GLOBS = (*NAMES, *(f"{name}{ending}" for name in NAMES for ending in COMPRESSED))
"""Names that a log may have; `*.log.*` and `*.log-*` cover rotations, dated ones too."""


_LOOKS_LIKE_ONE = re.compile(
    r"(?:.*[._-])?(?:log|logs|syslog)(?:[._-]?\d[\w.:-]*)?"  # its last word, with a number or a date at most
    r"|.*\.(?:log|txt|out|err|jsonl|ndjson)(?:~|[._-](?:\d[\w.:-]*|old|bak|backup|orig|save|prev|previous))"
    r"|.*\.(?:ndjson|jsonlines|tgz|tbz2?|txz|tar|zip|7z|rar)(?:\.[a-z]+\d?)?"
    r"|(?:current|previous|messages|console|std(?:out|err)|@[0-9a-f]{24}(?:\.[su])?|[^.]+)\.(?:gz|bz2|xz|zst|lz4|z)"
    r"|current|previous|messages|console|std(?:out|err)|@[0-9a-f]{24}(?:\.[su])?"
)
"""Names, in lower case, of what may be a log too: as other programs call, rotate, keep and pack them."""


def looks_like_log(name: str) -> bool:
    """Whether a name that is none of `GLOBS` is one that a log may have."""
    return _LOOKS_LIKE_ONE.fullmatch(name.lower()) is not None


def name_test(globs: Sequence[str]) -> Callable[[str], bool]:
    """Return whether a name is one of those that globs mean, without regard to case, as a test.

    Those of a star and an ending, or of something between two stars, cost next to nothing.
    """
    endings: tuple[str, ...] = ()
    parts: list[str] = []
    others: list[str] = []
    for pattern in map(str.lower, globs):
        if pattern[:1] == "*" and _is_literal(pattern[1:]):
            endings += (pattern[1:],)
        elif pattern[:1] == "*" == pattern[-1:] and _is_literal(pattern[1:-1]):
            parts.append(pattern[1:-1])
        else:
            others.append(pattern)
    fits = _fits(others)

    def is_meant(name: str) -> bool:
        if name.endswith(endings) or any(part in name for part in parts) or fits(name):
            return True
        lower = name.lower()
        return lower != name and is_meant(lower)

    return is_meant


def _is_literal(text: str) -> bool:
    return bool(text) and not any(one in text for one in "*?[")


def _fits(patterns: Sequence[str]) -> Callable[[str], object]:
    if not patterns:
        return lambda _: False
    return re.compile("|".join(map(fnmatch.translate, patterns))).match
