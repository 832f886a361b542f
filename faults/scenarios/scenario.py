"""What a scenario is: an id, a sentence, a script of what happens, and the modes in which it is tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faults.world import World

FOLDER = ("folder",)
ALL = ("folder", "named", "backfill")
CRON = ("folder", "named")
FINISHED = ("folder", "backfill")
BACKFILL = ("backfill",)
FOLLOW = ("follow",)
"""Modes in which a scenario is tried, by their names in `MODES`; `CRON` are logs that go on growing."""


class Impossible(Exception):
    """This machine can't play the scenario; the message says why."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scripted life of log files.

    `others` says that other tailers can be tried in it too. The suite plays the first `quick` one of each
    number. Where the program isn't right yet, `awaited` says what would be: the scenario must fail then.
    """

    id: str
    title: str
    play: Callable[[World], None]
    modes: tuple[str, ...] = FOLDER
    others: bool = True
    quick: bool = True
    awaited: str = ""

    @property
    def all_modes(self) -> tuple[str, ...]:
        """The modes of the whole campaign: what is read from a folder can be followed there too."""
        return (*self.modes, "follow") if "folder" in self.modes else self.modes
