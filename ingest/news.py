"""What a follow says: each thing once, however many rounds find it, and of a problem when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ingest.files.listing import Listed
from ingest.files.paths import shown
from ingest.summary import Summary


@dataclass(slots=True)
class News:
    """What one round brought: its counts, those of its sentences that are new, the problems that are over."""

    summary: Summary
    mended: list[str] = field(default_factory=list)

    @property
    def is_any(self) -> bool:
        """Whether there is anything to say; lines that hold nothing of ours are no news."""
        found = self.summary
        counts = (found.events_new, found.events_updated, found.further_sightings, found.rejects)
        said = (found.problems, found.warnings, found.notes, self.mended)
        return any(counts) or any(said) or found.calls_without_telemetry > 0 or found.legacy_lines > 0


class Told:
    """What was said, and still stands.

    A sentence stands until a round tries its file, or lists the paths, and doesn't find it so any more.
    """

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._standing: dict[str, str | None] = {}
        self._problems: set[str] = set()

    @property
    def problems(self) -> list[str]:
        """The problems that stand."""
        return [text for text in self._standing if text in self._problems]

    def news(
        self,
        summary: Summary,
        tried: Iterable[Listed] | None,
        listed: Sequence[str],
        is_there: Callable[[str], bool],
    ) -> News:
        """Leave in a round's summary what is new.

        `tried` are the files that were read; `None`: it was not done to its end, so nothing is over. `listed`
        are the problems of paths; `is_there` tells whether a file still is.
        """
        owners = {path: shown(path) for path, *_ in tried or ()}
        said = {*summary.problems, *summary.warnings, *summary.notes}
        over = [
            text
            for text, path in self._standing.items()
            if tried is not None and text not in said and (not path or path in owners or not is_there(path))
        ]
        mended = [text for text in over if text in self._problems and self._standing[text] is not None]
        for text in over:
            del self._standing[text]
            self._problems.discard(text)
        self._problems.update(summary.problems)
        for texts in (summary.problems, summary.warnings, summary.notes):
            new = [text for text in dict.fromkeys(texts) if text not in self._standing]
            self._standing |= {text: _NO_FILE if text in listed else _owner(text, owners) for text in new}
            texts[:] = new
        return News(summary, mended)

    def problem(self, text: str) -> bool:
        """Note a problem that is not one of a file; return whether it is new."""
        is_new = text not in self._standing
        self._standing[text] = _NO_FILE
        self._problems.add(text)
        return is_new


_NO_FILE = ""
"""In place of a file's path: each round finds such a thing, or it is over. `None`: nobody knows."""


def _owner(text: str, owners: dict[str, str]) -> str | None:
    """Return the path of the file that a sentence begins with."""
    names = (path for path, name in owners.items() if text.startswith((f"{name}: ", f"{name} and ")))
    return max(names, key=len, default=None)
