r"""The event lines: `[TokenEstimationV2] predicted_output=... model=...`.

Two forms, unchanged in all their history, and a third line that shares the marker and is no event.
The values are `%s` of Python values, so `None`, `True` and `False` occur, and a category or a model
may hold a space: a line is cut at the known keys in their order, never at white space. The search
for each key goes forward only, so the time is linear in the length of the line.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, NamedTuple

from parsers.family import Family
from parsers.numbers import decimal, whole
from parsers.records import EstimationEvent, Malformed, Noted
from parsers.torn import PRINTED

MARKER = "[TokenEstimationV2]"

_WRITE_FAILURE = " Failed to write DB telemetry"

_FULL = (
    "predicted_output",
    "actual_output",
    "smape",
    "selected_budget",
    "category",
    "complexity",
    "deliverables",
    "success",
    "stop_reason",
    "truncated",
    "model",
)
_FALLBACK = (
    "predicted_output",
    "actual_total",
    "selected_budget",
    "category",
    "complexity",
    "deliverables",
    "success",
    "model",
)


_NEW_KEY = re.compile(r" ([A-Za-z_][A-Za-z0-9_.-]{0,59})=")
MAX_NEW_KEYS = 20
"""How many keys that we don't know a line may have; one with more is something else."""


class _Values(dict[str, str]):
    """The values of the known keys, and the names of keys that we don't know."""

    new_keys: tuple[str, ...] = ()


def _cut_at_keys(text: str, keys: tuple[str, ...]) -> _Values | Malformed:
    """Cut `key=value key=value ...` into its values, for these keys in this order; others may be there."""
    values = _Values()
    start = _start_of(text, keys[0])
    if start < 0:
        cut_short = (keys[0] + "=").startswith(text)
        return Malformed("cut off" if cut_short else "unknown shape")
    new: list[str] = _NEW_KEY.findall(f" {text[:start]}")
    if not set(keys).isdisjoint(new):
        return Malformed("unknown shape")
    start += len(keys[0]) + 1
    for key, following in pairwise(keys):
        end = text.find(f" {following}=", start)
        if end < 0:
            # A line that simply stops was cut; one that goes on with other keys is not ours to guess.
            return Malformed("unknown shape" if "=" in text[start:] else "cut off")
        values[key] = text[start:end]
        start = end + len(following) + 2
    values[keys[-1]] = text[start:]
    for key, value in values.items():
        if "=" in value and (parts := _NEW_KEY.split(value))[1:]:
            values[key], new = parts[0], new + parts[1::2]
    if len(new) > MAX_NEW_KEYS:
        return Malformed(f"unknown shape: {len(new)} keys that are not known")
    if twice := next((key for number, key in enumerate(new) if key in keys or key in new[:number]), None):
        return Malformed(f"unknown shape: {twice} comes twice")
    values.new_keys = tuple(new)
    return values


def _start_of(text: str, key: str) -> int:
    """Return where the first key stands: at the beginning, or behind others."""
    if text.startswith(f"{key}="):
        return 0
    place = text.find(f" {key}=")
    return place + 1 if place >= 0 and _NEW_KEY.match(f" {text}") else -1


def _text(value: str) -> str | None:
    return None if value == "None" else value


_TRUTH = {"True": True, "False": False, "None": None}


_IN_FORM = {"smape": re.compile(r"-?[0-9]+(?:\.[0-9]+)?%", re.ASCII)}
_WHOLE = re.compile(r"-?[0-9]+", re.ASCII)


def _no_number(key: str, value: str) -> Malformed:
    """Say why a value is no number that is kept: not there, too large or too small, or not understood."""
    if value in ("", "None", "%", "None%"):
        return Malformed(f"number missing: {key}")
    if _IN_FORM.get(key, _WHOLE).fullmatch(value):
        return Malformed(f"number out of range: {key}")
    return Malformed(f"number not understood: {key}")


def _read_values(values: dict[str, str], is_total: bool) -> EstimationEvent | Malformed:
    numbers: dict[str, int] = {}
    for key in ("predicted_output", "actual_total" if is_total else "actual_output", "deliverables"):
        number = whole(values[key])
        if number is None:
            return _no_number(key, values[key])
        numbers[key] = number
    budget = _text(values["selected_budget"])
    if budget is not None and whole(budget) is None:
        return _no_number("selected_budget", budget)
    smape = values.get("smape", "nan%")
    if not smape.endswith("%") or (decimal(smape[:-1]) is None and smape != "nan%"):
        return _no_number("smape", smape)
    for key in ("success", "truncated"):
        if values.get(key, "None") not in _TRUTH:
            return Malformed(f"unknown shape: {key} is neither True, False nor None")
    for key in ("category", "complexity", "stop_reason", "model"):
        if "=" in values.get(key, ""):  # part of the value, or of something that is no key
            return Malformed(f"unknown shape: {key} holds another key")
    if not values["model"]:
        return Malformed("cut off")
    return EstimationEvent(
        predicted_output_tokens=numbers["predicted_output"],
        actual_output_tokens=numbers["actual_total" if is_total else "actual_output"],
        actual_is_total=is_total,
        smape_percent=decimal(smape[:-1]),
        selected_budget=None if budget is None else int(budget),
        category=_text(values["category"]),
        complexity=_text(values["complexity"]),
        deliverable_count=numbers["deliverables"],
        success=_TRUTH[values["success"]],
        stop_reason=_text(values.get("stop_reason", "None")),
        truncated=_TRUTH[values.get("truncated", "None")],
        model=_text(values["model"]),
    )


_ENDING = re.compile(
    r"selected_budget=([0-9]{1,18}|None) category=([^=]*) complexity=([^=]*) deliverables=([0-9]{1,18}) "
    r"success=(True|False|None) stop_reason=([^=]*) truncated=(True|False|None) model=([^=]+)"
)


_ANOTHER_WITHIN = re.compile(rf":[0-9][0-9]:[0-9][0-9]|[0-9]: [A-Za-z]*Warning: |{PRINTED}")
"""What another line begins with, which may have been appended to this one."""

WHOLE = (
    r"\[TokenEstimationV2\] predicted_output=(0|[1-9][0-9]{0,11}) actual_output=(0|[1-9][0-9]{0,11}) "
    r"smape=((?:0|[1-9][0-9]{0,8})\.[0-9])% (selected_budget=.*)"
)
"""An event in its usual form: predicted, actual, SMAPE, and how the line ends; see `Endings`."""


class Ending(NamedTuple):
    """What an event line says behind its three numbers.

    `values` are the fields of `EstimationEvent` from `selected_budget` on, `identity` the same as
    text, as it goes into an event's key.
    """

    values: tuple[Any, ...]
    identity: str


_MAX_ENDINGS = 50_000
"""How many different ends of event lines are remembered: some 20 MB, if all are different."""


class Endings(dict[str, Ending | None]):
    """How event lines end, by their text from `selected_budget=` on; `None` where `read` must tell.

    Most events share all their values but three numbers.
    """

    def __missing__(self, rest: str) -> Ending | None:
        if len(self) >= _MAX_ENDINGS:
            self.clear()
        values = _read_ending(rest.rstrip("\r").rstrip(" "))
        ending = self[rest] = None if values is None else Ending(values, "\x1f".join(map(str, values)))
        return ending


def _read_ending(text: str) -> tuple[Any, ...] | None:
    found = _ENDING.fullmatch(text) if text.isascii() and text.isprintable() else None
    if found is None or _ANOTHER_WITHIN.search(text):
        return None
    budget, category, complexity, deliverables, success, stop_reason, truncated, model = found.groups()
    return (
        None if budget == "None" else int(budget),
        _text(category),
        _text(complexity),
        int(deliverables),
        _TRUTH[success],
        _text(stop_reason),
        _TRUTH[truncated],
        _text(model),
    )


def read(message: str) -> EstimationEvent | Malformed | Noted:
    """Read a message that opens with the marker; never `None`: what is no event is malformed."""
    if message.startswith(_WRITE_FAILURE, len(MARKER)):
        return Noted("write_failure")
    values, is_total = _values_of(message)
    return values if isinstance(values, Malformed) else _read_values(values, is_total)


def new_keys(message: str) -> tuple[str, ...]:
    """Return the keys of an event's message that we don't know: a newer executor's."""
    if message.count("=") <= len(_FALLBACK):
        return ()
    values, _ = _values_of(message)
    return () if isinstance(values, Malformed) else values.new_keys


def _values_of(message: str) -> tuple[_Values | Malformed, bool]:
    text = message[len(MARKER) :].strip()
    is_total = " actual_total=" in text.partition(" selected_budget=")[0]
    return _cut_at_keys(text, _FALLBACK if is_total else _FULL), is_total


FAMILY = Family(
    name="event",
    markers=(MARKER,),
    opening=r"\[TokenEstimationV2\]",
    read=read,
    needs_prefix=False,  # without one it has no time, and that is a reject, not nothing
    samples=(
        "[TokenEstimationV2] predicted_output=5200 actual_output=1157 smape=127.2% "
        "selected_budget=8192 category=implementation complexity=low deliverables=1 success=True "
        "stop_reason=end_turn truncated=False model=some-model-4",
        "[TokenEstimationV2] predicted_output=7020 actual_output=16384 smape=80.0% "
        "selected_budget=None category=doc write complexity=high deliverables=0 success=False "
        "stop_reason=None truncated=None model=some model",
        "[TokenEstimationV2] predicted_output=900 actual_total=5200 selected_budget=8192 "
        "category=docs complexity=low deliverables=3 success=None model=some-model-4",
        "[TokenEstimationV2] Failed to write DB telemetry: no such table",
    ),
)
