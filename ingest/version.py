"""The version of the program. `setup.cfg` takes it from here: asking what is installed delays each start."""

from __future__ import annotations

VERSION = "0.2.0"


def program_version() -> str:
    """Return the version of the program."""
    return VERSION
