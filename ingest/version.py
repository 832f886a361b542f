"""The version of the installed program."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """Return the installed version; a checkout that was never installed has none."""
    try:
        return version("tokentail")
    except PackageNotFoundError:
        return "not installed"
