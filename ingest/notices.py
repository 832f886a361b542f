"""Notices: what an ingest reports beside its counts, as values whose text no code has to read.

They are made where something is found (`ingest.recognition`, `ingest.pipeline`, `ingest.zones`) and printed
by `commandline.output`. What ends a command is an exception of `ingest.errors`.

Code and path identify a notice. So what is new in a follow's turn, and what is over, are differences of
sets, whatever the sentences are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from ingest.errors import TokentailError

Level = Literal["problem", "warning", "note"]
"""problem: a file could not be read, or not wholly; warning: bytes may be lost, or a person should look;
note: worth knowing once."""

HAPPENED = frozenset(
    {
        "changed-encoding",
        "clocks",
        "replaced",
        "rewritten",
        "source-gone",
        "reread",
        "new-zone",
        "two-zones",
        "two-readings",
        "moved",
        "elsewhere",
    }
)
"""Codes of what happened once, and is reported each time. All others are states, which last until they are
not found any more."""


class Notice(NamedTuple):
    """A sentence for a person. `path` is the file or folder that it is about, as it is shown, if any."""

    level: Level
    code: str
    path: str | None
    text: str

    @property
    def key(self) -> tuple[str, str | None]:
        """What makes two notices the same."""
        return (self.code, self.path)


def notice_of(error: TokentailError, path: str | None, level: Level = "problem") -> Notice:
    """Return an error of ours as a notice."""
    return Notice(level, error.code, path, str(error))


class StandingNotices:
    """The notices that last over the turns of a follow."""

    def __init__(self) -> None:
        """Begin with none."""
        self._notices: dict[tuple[str, str | None], Notice] = {}

    @property
    def problems(self) -> list[Notice]:
        """The problems that last."""
        return [notice for notice in self._notices.values() if notice.level == "problem"]

    def add(self, notices: Iterable[Notice]) -> list[Notice]:
        """Add what was found, and return what of it is new."""
        found = list(dict.fromkeys(notices))
        new = [notice for notice in found if notice.key not in self._notices]
        self._notices |= {notice.key: notice for notice in found if notice.code not in HAPPENED}
        return new

    def clear(self, found: Iterable[Notice], put_off: Collection[str]) -> list[Notice]:
        """Remove and return the notices that a turn did not find again, except for paths that it put off."""
        keys = {notice.key for notice in found}
        over = [
            notice
            for key, notice in self._notices.items()
            if key not in keys and (notice.path is None or notice.path not in put_off)
        ]
        for notice in over:
            del self._notices[notice.key]
        return over
