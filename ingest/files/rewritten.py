"""A file that became another one while it was read."""

from __future__ import annotations


class Rewritten(Exception):
    """The bytes that were read last are no longer there."""
