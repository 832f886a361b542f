"""A person's settings for the logs below a folder: the zone of their times, and a label.

The nearest folder that has a setting decides.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from ingest.files.paths import stored_path


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, or a log, by its stored path, with a zone's name and a label; `None` is not set."""

    path: str
    zone: str | None = None
    label: str | None = None

    def holds(self, stored: str) -> bool:
        """Whether a log, given its stored path, is the folder or is below it."""
        return _with_separator(stored).startswith(_with_separator(self.path))


def _with_separator(path: str) -> str:
    return os.path.join(os.path.normcase(path), "")


def folder_at(path: str, zone: str | None, label: str | None) -> Folder:
    """Return a folder, given its path as a person wrote it."""
    return Folder(stored_path(path), zone, label)


def nearest_first(folders: Iterable[Folder]) -> tuple[Folder, ...]:
    """Return folders in such an order that the first one that holds a log is the nearest."""
    return tuple(sorted(folders, key=lambda folder: len(folder.path), reverse=True))


def zone_for(folders: tuple[Folder, ...], stored: str) -> str | None:
    """Return the zone that is set for a log; `folders` are in the order of `nearest_first`."""
    return next((folder.zone for folder in folders if folder.zone is not None and folder.holds(stored)), None)


def label_for(folders: tuple[Folder, ...], stored: str) -> str | None:
    """Return the label that is set for a log; `folders` are in the order of `nearest_first`."""
    return next(
        (folder.label for folder in folders if folder.label is not None and folder.holds(stored)), None
    )
