"""What many event lines say alike, numbered, so that it is staged once."""

from __future__ import annotations

from parsers.quick import Ending


class EndingNumbers(dict[tuple[object, ...], int]):
    """The numbers, from 1 on, of what event lines say behind their three numbers; `new` are to be staged.

    `by_identity` are those of endings that were asked for as such.
    """

    def __init__(self) -> None:
        super().__init__()
        self.new: list[tuple[object, ...]] = []
        self.by_identity: dict[bytes, int] = {}

    def __missing__(self, values: tuple[object, ...]) -> int:
        number = self[values] = len(self) + 1
        self.new.append((number, *values))
        return number

    def of(self, ending: Ending) -> int:
        """Return the number of an ending."""
        number = self.by_identity[ending.identity] = self[ending.values]
        return number
