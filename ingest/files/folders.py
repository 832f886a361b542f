"""What a person said of the logs below a folder: the zone that their times are in, and a label.

The nearest folder decides; what it doesn't tell, one further out may.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from ingest.files.paths import stored_path


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, or a log, as the database keeps paths; a zone's name, a label, or `None` where not told."""

    path: str
    zone: str | None = None
    label: str | None = None

    def holds(self, stored: str) -> bool:
        """Whether a log, by its path as it is stored, is the folder or below it."""
        return _with_separator(stored).startswith(_with_separator(self.path))


def _with_separator(path: str) -> str:
    return os.path.join(os.path.normcase(path), "")


def folder_at(path: str, zone: str | None, label: str | None) -> Folder:
    """Return a folder by its path as a person wrote it."""
    return Folder(stored_path(path), zone, label)


def nearest_first(folders: Iterable[Folder]) -> tuple[Folder, ...]:
    """Put folders in an order in which the first that holds a log is the nearest."""
    return tuple(sorted(folders, key=lambda folder: len(folder.path), reverse=True))


def zone_told(folders: tuple[Folder, ...], stored: str) -> str | None:
    """Return the zone that folders, the nearest first, tell of a log."""
    return next((one.zone for one in folders if one.zone is not None and one.holds(stored)), None)


def label_told(folders: tuple[Folder, ...], stored: str) -> str | None:
    """Return the label that folders, the nearest first, tell of a log."""
    return next((one.label for one in folders if one.label is not None and one.holds(stored)), None)
