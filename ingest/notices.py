"""What an ingest has to say beside its counts: values, of which nobody has to read the text.

A notice is known by its code and its path. So what is new in a follow's turn, and what is over, are
differences of sets, whatever the sentences are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from ingest.errors import TokentailError

Level = Literal["problem", "warning", "note"]
"""A file could not be read, or not wholly; bytes may be gone, or it needs a look; worth knowing once."""

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
        "moved",
        "elsewhere",
    }
)
"""Codes of what happened once: it is said each time that it happens. All else is a state, which stands until
somebody looks again and doesn't find it so."""


class Notice(NamedTuple):
    """One thing to say. `path` is the file or folder that it is about, as it is shown; `None`: none."""

    level: Level
    code: str
    path: str | None
    text: str

    @property
    def key(self) -> tuple[str, str | None]:
        """What makes two notices the same."""
        return (self.code, self.path)


def notice_of(error: TokentailError, path: str | None, level: Level = "problem") -> Notice:
    """Return the notice that an error of ours is."""
    return Notice(level, error.code, path, str(error))


class Standing:
    """The notices that stand, over the turns of a follow."""

    def __init__(self) -> None:
        """Begin with none."""
        self._notices: dict[tuple[str, str | None], Notice] = {}

    @property
    def problems(self) -> list[Notice]:
        """The problems that stand."""
        return [notice for notice in self._notices.values() if notice.level == "problem"]

    def add(self, notices: Iterable[Notice]) -> list[Notice]:
        """Add what was found, and return what of it is new."""
        found = list(dict.fromkeys(notices))
        new = [notice for notice in found if notice.key not in self._notices]
        self._notices |= {notice.key: notice for notice in found if notice.code not in HAPPENED}
        return new

    def clear(self, found: Iterable[Notice], put_off: Collection[str]) -> list[Notice]:
        """Take away, and return, what was not found again by a turn that left only some paths for later."""
        keys = {notice.key for notice in found}
        over = [
            notice
            for key, notice in self._notices.items()
            if key not in keys and (notice.path is None or notice.path not in put_off)
        ]
        for notice in over:
            del self._notices[notice.key]
        return over
