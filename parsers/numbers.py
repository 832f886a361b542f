"""Numbers and path lists as the executor's format strings write them.

They are read strictly: only ASCII digits, and only numbers that fit SQLite's 64-bit integers, so that a
number of a thousand digits, or in another script, is a reject and not a crash.
"""

from __future__ import annotations

import ast
import re

_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
"""18 digits: every such number fits SQLite's signed 64-bit integer, and no token count needs more."""

DECIMAL = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
"""The pattern of a plain decimal number."""

_DECIMAL = re.compile(DECIMAL, re.ASCII)

# Possessive quantifiers: no backtracking, and no memory for it.
_STRING = r"'[^'\\]*+(?:\\.[^'\\]*+)*+'|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\""
_ITEM = re.compile(_STRING)
_LIST = re.compile(rf"\[(?:(?:{_STRING})(?:, (?:{_STRING}))*+)?\]")


def whole(text: str) -> int | None:
    """Read a whole number >= 0, or `None` where the text is anything else."""
    return int(text) if _WHOLE.fullmatch(text) else None


def decimal(text: str) -> float | None:
    """Read a plain decimal number >= 0, or `None` where the text is anything else (`nan` too)."""
    return float(text) if _DECIMAL.fullmatch(text) else None


def string_list(text: str) -> tuple[str, ...] | None:
    """Read a Python list literal of strings, or `None` where it is cut off or holds anything else.

    `ast.literal_eval` gets only single string literals with a backslash, so nesting and size do no harm, and
    nothing else is evaluated.
    """
    if not _LIST.fullmatch(text):
        return None
    items: list[str] = _ITEM.findall(text)
    try:
        return tuple([str(ast.literal_eval(item)) if "\\" in item else item[1:-1] for item in items])
    except (ValueError, SyntaxError):  # an escape that no Python string has
        return None
