"""What other programs load of tokentail, under a name that is nobody else's: its command and its plugins.

Its packages have plain names (`commandline`, `ingest`, `parsers`, `reports`). A project of the user's that
has a folder of such a name, and is found first, would be imported in their place: nothing of it is, and one
sentence says so. What a plugin adds is missing then, and sqlite-utils and Datasette go on without it.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

_PLUGINS = ("sqlite_utils_plugin", "datasette_plugin")


def main() -> None:
    """Run the command line and exit; the entry point of the console script."""
    if (trouble := _shadowed("commandline", "ingest", "parsers", "reports")) is not None:
        sys.exit(f"tokentail: {trouble}")
    from ingest.cli import main as run  # noqa: PLC0415 - see above

    run()


def __getattr__(name: str) -> ModuleType:
    """Return a plugin by its name, imported when the program that it is for asks for it."""
    if name not in _PLUGINS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if (trouble := _shadowed("reports")) is not None:
        sys.stderr.write(f"tokentail: {trouble}; its SQL functions are missing here\n")
        return ModuleType(name)
    return import_module(f"reports.plugins.{name}")


def _shadowed(*names: str) -> str | None:
    """Say which of our packages something else stands in place of; nothing of either is imported."""
    here = os.path.dirname(os.path.realpath(__file__))
    for name in names:
        found = _place(name)
        if found is not None and os.path.dirname(os.path.realpath(found)) != here:
            return (
                f"{found} stands in the place of its own package {name!r}: install tokentail in an "
                "environment of its own, start it in another folder, or take that one off PYTHONPATH"
            )
    return None


def _place(name: str) -> str | None:
    """Return where a package would be imported from: its folder, or its file."""
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None) if loaded is not None else find_spec(name)
    origin = getattr(loaded, "__file__", None) if spec is None else spec.origin
    if origin is None:
        return None
    return os.path.dirname(origin) if os.path.basename(origin).startswith("__init__.") else str(origin)
