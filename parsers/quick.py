r"""The lines that almost all logs are made of, read at once where they stand among others.

An executor's own prefix, and behind it an event line in its usual form: one pattern of bytes finds
both, forward only. Most events share all their values but three numbers, so the rest of the line is
looked up among those seen before. What is out of the ordinary (another prefix, bytes beyond ASCII,
numbers too large for floating point) is left to `parsers.line`, which agrees with this module on
every line; a property test says so.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from parsers import event
from parsers.records import EstimationEvent

_SECOND = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_PREFIX = rb"(?:\[(%b)\] [A-Z]+: |(%b)(?:,(\d{3}))? - \S+ - [A-Z]+ - )" % (_SECOND, _SECOND)
_EVENT = re.compile(
    _PREFIX + rb"\[TokenEstimationV2\] predicted_output=(0|[1-9]\d{0,11}) actual_output=(0|[1-9]\d{0,11}) "
    rb"smape=((?:0|[1-9]\d{0,8})\.\d)% (selected_budget=.*)\n"
)

match_prefix = re.compile(_PREFIX).match
"""Match one of the executor's own prefixes; groups: second, or second and perhaps milliseconds."""

_MAX_KNOWN = 50_000
"""How many different ends of event lines are remembered: some 20 MB, if all are different."""


class Ending(NamedTuple):
    """What an event line says behind its three numbers.

    `values` are the fields of `EstimationEvent` from `selected_budget` on, `identity` the same as
    text, as it goes into an event's key.
    """

    values: tuple[object, ...]
    identity: bytes


class QuickEvent(NamedTuple):
    """An event line that was read at once.

    `second` is the time as logged, without its milliseconds, which are `None` where the prefix has
    none. `numbers` are predicted, actual and SMAPE as logged: with `ending.identity` they identify
    the payload.
    """

    second: bytes
    milliseconds: bytes | None
    numbers: tuple[bytes, bytes, bytes]
    payload: EstimationEvent
    identity: bytes


class QuickEvents:
    """Read event lines, and remember how they end."""

    def __init__(self) -> None:
        self._endings: dict[bytes, Ending | None] = {}

    def read(self, block: bytes, start: int) -> QuickEvent | None:
        """Read the event line that starts at an index of a block of whole lines.

        `None` is no verdict: the line is to be read by `parsers.line.parse_line`.
        """
        found = _EVENT.match(block, start)
        if found is None:
            return None
        second, other, milliseconds, predicted, actual, smape, rest = found.groups()
        try:
            ending = self._endings[rest]
        except KeyError:
            ending = self._remember(rest)
        if ending is None:
            return None
        payload = tuple.__new__(
            EstimationEvent, (int(predicted), int(actual), False, float(smape), *ending.values)
        )
        return tuple.__new__(
            QuickEvent, (second or other, milliseconds, (predicted, actual, smape), payload, ending.identity)
        )

    def _remember(self, rest: bytes) -> Ending | None:
        if len(self._endings) >= _MAX_KNOWN:
            self._endings.clear()
        ending = self._endings[rest] = _ending(rest)
        return ending


def _ending(rest: bytes) -> Ending | None:
    text = rest.rstrip(b"\r").decode("utf-8", "replace")
    if not (text.isascii() and text.isprintable()):
        return None
    record = event.read(f"{event.MARKER} predicted_output=1 actual_output=1 smape=0.0% {text}")
    if not isinstance(record, EstimationEvent):
        return None
    return Ending(record[4:], "\x1f".join(map(str, record[4:])).encode("ascii"))
