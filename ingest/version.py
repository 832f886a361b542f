"""The version of the program, for `setup.cfg`, too: asking what is installed would delay each start."""

from __future__ import annotations

VERSION = "0.2.0"


def program_version() -> str:
    """Return the version of the program."""
    return VERSION
