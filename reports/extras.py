"""Libraries that only some reports need: imported when they are used; an error says how to install them."""

from __future__ import annotations

import importlib
from typing import Any

from ingest.errors import MissingExtra
from ingest.extras import extra_command


def imported(module: str, extra: str) -> Any:
    """Import a module that comes with an extra of this package.

    Raises:
        MissingExtra: it is not installed; the message says how to install the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"this needs {module.partition('.')[0]}, which is not installed ({error}): install the extra "
            f'"{extra}": {extra_command(extra)}'
        ) from error
