"""Where data may live: the place that the system has for it, and never inside a virtual environment.

Who makes an environment anew (`python -m venv --clear`, an upgrade of pipx) deletes what is in it.
"""

from __future__ import annotations

import os
import sys

from ingest.errors import UsageMistake
from ingest.storing.database import DEFAULT_PATH

_MARKS = ("pyvenv.cfg", "conda-meta")
"""What tells a folder that it is an environment of Python's, or of conda's."""


def data_folder() -> str:
    """Return the folder in which this system keeps a user's data of this program; it need not be there."""
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or os.path.join("~", "AppData", "Local")
    elif sys.platform == "darwin":
        base = os.path.join("~", "Library", "Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME", "")
        base = base if os.path.isabs(base) else os.path.join("~", ".local", "share")
    return os.path.join(os.path.expanduser(base), "tokentail")


def data_database() -> str:
    """Return the database in that folder."""
    return os.path.join(data_folder(), DEFAULT_PATH)


def other_database() -> str:
    """Say where a database is, if there is one in that folder, where the one that was meant isn't there."""
    place = data_database()
    if not os.path.exists(place):
        return ""
    return f"there is one at {place}: name it with --db, or go where its tokentail.toml is"


def environment_around(path: str) -> str | None:
    """Return the virtual environment that a path lies in; `None`: it lies in none."""
    folder = os.path.dirname(os.path.realpath(path))
    while True:
        if any(os.path.exists(os.path.join(folder, mark)) for mark in _MARKS):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def default_database() -> str:
    """Return the database that is meant where nobody names one: `telemetry.db` in the current folder.

    Raises:
        UsageMistake: it would be made within a virtual environment. One that is there already is used.
    """
    environment = None if os.path.exists(DEFAULT_PATH) else environment_around(DEFAULT_PATH)
    if environment is None:
        return DEFAULT_PATH
    raise UsageMistake(
        f"the database, {DEFAULT_PATH}, would lie inside the virtual environment {environment}, and be "
        f"deleted with it: name another place with --db, such as {data_database()}, or go to another folder; "
        "`tokentail init` there writes settings that name a place"
    )
