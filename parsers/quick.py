r"""The lines that almost all logs are made of, read at once where they stand among others.

An executor's own prefix, and behind it an event line in its usual form: one pattern of bytes finds
both, forward only. Most events share all their values but three numbers, so the rest of the line is
looked up among those seen before. A context line whose family has a shape is read by one pattern, too.
What is out of the ordinary (another prefix, bytes beyond ASCII, numbers too large for floating point) is
left to `parsers.line`, which agrees with this module on every line; a property test says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from parsers import event
from parsers.family import Shape
from parsers.records import Record
from parsers.registry import FAMILIES

_SECOND = rb"[0-9]{4}-[0-9]{2}-[0-9]{2} (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_PREFIX = rb"(?:\[(%b)\] [A-Z]+: |(%b)(?:,([0-9]{3}))? - \S+ - [A-Z]+ - )" % (_SECOND, _SECOND)

match_prefix = re.compile(_PREFIX).match
"""Match one of the executor's own prefixes; groups: second, or second and perhaps milliseconds."""

match_event = re.compile(
    _PREFIX + rb"\[TokenEstimationV2\] predicted_output=(0|[1-9][0-9]{0,11}) "
    rb"actual_output=(0|[1-9][0-9]{0,11}) smape=((?:0|[1-9][0-9]{0,8})\.[0-9])% (selected_budget=.*)\n"
).match
"""Match a whole event line; groups: those of the prefix, predicted, actual, SMAPE, and how the line ends.

That it is an event is told by `Endings`.
"""

_BEHIND_PREFIX = (
    rf"(?:\[{_SECOND.decode()}\] [A-Z]+: |{_SECOND.decode()}(?:,[0-9]{{3}})? - \S+ - [A-Z]+ - )(?:%s)"
)
_READERS = [family.read for family in FAMILIES for _ in family.markers]

Shaped = tuple[Callable[[str], re.Match[str] | None], Callable[..., Record | None]]
"""How to match a line as text, without white space at its end, and what to make of the match's groups."""


@cache
def shaped(marker: int) -> Shaped | None:
    """Return how to read the lines with a marker (of `parsers.registry.MARKERS`) behind an executor's prefix.

    `None` where no one pattern does.
    """
    reader = _READERS[marker]
    if not isinstance(reader, Shape):
        return None
    return re.compile(_BEHIND_PREFIX % reader.pattern, re.ASCII).fullmatch, reader.build


_MAX_KNOWN = 50_000
"""How many different ends of event lines are remembered: some 20 MB, if all are different."""


class Ending(NamedTuple):
    """What an event line says behind its three numbers.

    `values` are the fields of `EstimationEvent` from `selected_budget` on, `identity` the same as
    text, as it goes into an event's key.
    """

    values: tuple[Any, ...]
    identity: bytes


class Endings(dict[bytes, Ending | None]):
    """How event lines end, by the bytes from `selected_budget=` on; `None` where more care is needed."""

    def __missing__(self, rest: bytes) -> Ending | None:
        if len(self) >= _MAX_KNOWN:
            self.clear()
        ending = self[rest] = _ending(rest)
        return ending


def _ending(rest: bytes) -> Ending | None:
    text = rest.rstrip(b"\r").decode("utf-8", "replace").rstrip(" ")
    if not (text.isascii() and text.isprintable()):
        return None
    values = event.read_ending(text)
    return None if values is None else Ending(values, _identity_of(values))


def _identity_of(values: tuple[Any, ...]) -> bytes:
    """Return what an event line says behind its three numbers, as it goes into keys."""
    return "\x1f".join(map(str, values)).encode("utf-8", "surrogatepass")
