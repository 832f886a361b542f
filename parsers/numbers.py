"""Numbers and path lists as the executor's format strings write them.

Strict on purpose: ASCII digits only, and nothing that SQLite's 64-bit integers can't hold, so that
a number of a thousand digits, or one in another script, is a reject and not a crash.
"""

from __future__ import annotations

import ast
import re

_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
"""18 digits: every such number fits SQLite's signed 64-bit integer, and no token count needs more."""

DECIMAL = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
"""A plain decimal number, as patterns say it."""

_DECIMAL = re.compile(DECIMAL, re.ASCII)

# Possessive: nothing is tried twice, nor remembered for it.
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

    Only single string literals, with a backslash, are ever handed to `ast.literal_eval`, so neither
    nesting nor size can hurt, and nothing is evaluated.
    """
    if not _LIST.fullmatch(text):
        return None
    items: list[str] = _ITEM.findall(text)
    try:
        return tuple([str(ast.literal_eval(item)) if "\\" in item else item[1:-1] for item in items])
    except (ValueError, SyntaxError):  # an escape that no Python string has
        return None
