"""The conditions of a measurement: what matters of the machine, and how busy it was."""

from __future__ import annotations

import os
import platform
import sqlite3


def load() -> float:
    """Return how many processes wanted to run in the last minute."""
    return os.getloadavg()[0]


def machine(load_before: float) -> str:
    """Name processors, system, Python and SQLite, and the load since."""
    return (
        f"{os.cpu_count()} processors, {platform.system()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}. "
        f"Load when it began {load_before:.1f}, when it ended {load():.1f}; alone it is about 1."
    )
