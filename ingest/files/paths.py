"""Paths as they are stored, and as a message may show them."""

from __future__ import annotations

import os

from ingest.files.urls import is_url, shown_url

STANDARD_INPUT = "-"


def stored_path(path: str) -> str:
    """Return a path as the database keeps it: absolute, and text whatever its bytes are."""
    if path == STANDARD_INPUT or is_url(path):
        return shown(path)
    return shown(os.path.abspath(path))


def shown(path: str) -> str:
    """Return a path as text, whatever its bytes are; of a URL what anybody may see."""
    if is_url(path):
        path = shown_url(path)
    return os.fsencode(path).decode("utf-8", "backslashreplace")
