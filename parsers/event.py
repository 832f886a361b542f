r"""The event lines: `[TokenEstimationV2] predicted_output=... model=...`.

There are two forms, and a third line that has the marker and is no event. Values are `%s` of Python values,
so `None`, `True` and `False` occur, and a category or a model may contain a space: a line is cut at the known
keys in their order, never at white space. The search for each key goes forward only, so the time is linear
in the length of the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from parsers.family import Family
from parsers.numbers import decimal, whole
from parsers.records import EstimationEvent, Malformed, Noted
from parsers.torn import PRINTED

MARKER = "[TokenEstimationV2]"

_WRITE_FAILURE = " Failed to write DB telemetry"


class Kind(NamedTuple):
    """A kind of value: its pattern in an event's usual form, how it is read, and the reason if it can't be.

    `read` raises `ValueError` if a text is no such value; `wrong` returns the reason, given the key and text.
    """

    quick: str
    read: Callable[[str], Any]
    wrong: Callable[[str, str], str]


def _number(text: str) -> int:
    found = whole(text)
    if found is None:
        raise ValueError
    return found


def _number_or_none(text: str) -> int | None:
    return None if text == "None" else _number(text)


def _percent(text: str) -> float | None:
    """Read a percentage; `None` for `nan`."""
    found = decimal(text.removesuffix("%"))
    if not text.endswith("%") or (found is None and text != "nan%"):
        raise ValueError
    return found


def _text(text: str) -> str | None:
    if "=" in text:  # part of the value, or of something that is no key
        raise ValueError
    return None if text == "None" else text


_TRUTH = {"True": True, "False": False, "None": None}


def _truth(text: str) -> bool | None:
    if text not in _TRUTH:
        raise ValueError
    return _TRUTH[text]


_WHOLE = re.compile(r"-?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?%", re.ASCII)


def _no_number(key: str, text: str, form: re.Pattern[str] = _WHOLE) -> str:
    """Return why a value is no number that can be stored: missing, out of range, or not understood."""
    if text in ("", "None", "%", "None%"):
        return f"number missing: {key}"
    return f"number {'out of range' if form.fullmatch(text) else 'not understood'}: {key}"


def _no_percent(key: str, text: str) -> str:
    return _no_number(key, text, _DECIMAL)


def _no_truth(key: str, _: str) -> str:
    return f"unknown shape: {key} is neither True, False nor None"


def _no_text(key: str, _: str) -> str:
    return f"unknown shape: {key} holds another key"


NUMBER = Kind("([0-9]{1,18})", _number, _no_number)
NUMBER_OR_NONE = Kind("([0-9]{1,18}|None)", _number_or_none, _no_number)
PERCENT = Kind(r"((?:0|[1-9][0-9]{0,8})\.[0-9])%", _percent, _no_percent)
TRUTH = Kind("(True|False|None)", _truth, _no_truth)
TEXT = Kind("([^=]*)", _text, _no_text)


class Field(NamedTuple):
    """A field of the event line: its key, its column, its kind, and whether the shorter form has it, too.

    All fields are a part of an event's identity: see `ingest.identity`.
    """

    key: str
    column: str
    kind: Kind
    in_fallback: bool = True


FIELDS = (
    Field("predicted_output", "predicted_output_tokens", NUMBER),
    Field("actual_output", "actual_output_tokens", NUMBER),
    Field("smape", "logged_smape_percent", PERCENT, in_fallback=False),
    Field("selected_budget", "selected_budget", NUMBER_OR_NONE),
    Field("category", "category", TEXT),
    Field("complexity", "complexity", TEXT),
    Field("deliverables", "deliverable_count", NUMBER),
    Field("success", "success", TRUTH),
    Field("stop_reason", "stop_reason", TEXT, in_fallback=False),
    Field("truncated", "truncated", TRUTH, in_fallback=False),
    Field("model", "model", TEXT),
)
"""All fields, in the order of the line; keys, patterns, columns and checks follow from this tuple.

`EstimationEvent` has them in this order, with `actual_is_total` after the second.
"""

COLUMNS = (
    *(field.column for field in FIELDS[:2]),
    "actual_is_total",
    *(field.column for field in FIELDS[2:]),
)
"""The columns of an `EstimationEvent`, in its order."""


def identity_of(values: Iterable[Any]) -> str:
    """Return values of an event line as text, as the digest in an event's key is made of it."""
    return "\x1f".join(map(str, values))


_TOTAL = "actual_total"
"""The key of the second field in the shorter form."""

FULL = {field.key: field.kind for field in FIELDS}
FALLBACK = {_TOTAL if field is FIELDS[1] else field.key: field.kind for field in FIELDS if field.in_fallback}
"""Both forms of the line: the keys in their order, with the kinds of their values."""

_NEW_KEY = re.compile(r" ([A-Za-z_][A-Za-z0-9_.-]{0,59})=")
MAX_NEW_KEYS = 20
"""How many unknown keys an event line may have; a line with more is a reject."""


class _Values(dict[str, str]):
    """The values of the known keys, and the names of unknown ones."""

    new_keys: tuple[str, ...] = ()


def _cut_at_keys(text: str, keys: tuple[str, ...]) -> _Values | Malformed:
    """Cut `key=value key=value ...` at these keys in this order; other keys may be between them.

    Of a line that was cut, the values that are whole are returned.
    """
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
        if end < 0 and "=" in text[start:]:
            return Malformed("unknown shape")
        if end < 0:  # a line that simply stops was cut
            break
        values[key] = text[start:end]
        start = end + len(following) + 2
    else:
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
    """Return the index of the first key: at the beginning, or after other keys; -1 if it is missing."""
    if text.startswith(f"{key}="):
        return 0
    place = text.find(f" {key}=")
    return place + 1 if place >= 0 and _NEW_KEY.match(f" {text}") else -1


def _read_values(values: dict[str, str], is_total: bool) -> EstimationEvent | Malformed:
    read: list[Any] = []
    for field in FIELDS:
        key = _TOTAL if is_total and field is FIELDS[1] else field.key
        text = values.get(key)
        try:
            read.append(None if text is None else field.kind.read(text))
        except ValueError:
            return Malformed(field.kind.wrong(key, text or ""))
    if not values.get("model"):
        return Malformed("cut off")
    return EstimationEvent._make([*read[:2], is_total, *read[2:]])


_ATTRIBUTE_FIELDS = FIELDS[3:]
_ATTRIBUTES = re.compile(" ".join(f"{field.key}={field.kind.quick}" for field in _ATTRIBUTE_FIELDS))
_ATTRIBUTE_READERS = tuple(field.kind.read for field in _ATTRIBUTE_FIELDS)

_ANOTHER_WITHIN = re.compile(rf":[0-9][0-9]:[0-9][0-9]|[0-9]: [A-Za-z]*Warning: |{PRINTED}")
"""The beginnings of other lines that may have been appended to this one; each has `:`, `;` or `[` in it."""

WHOLE = (
    r"\[TokenEstimationV2\] predicted_output=(0|[1-9][0-9]{0,11}) actual_output=(0|[1-9][0-9]{0,11}) "
    r"smape=((?:0|[1-9][0-9]{0,8})\.[0-9])% (selected_budget=.*)"
)
"""An event in its usual form: predicted, actual, SMAPE, and its attributes; see `AttributesCache`."""


class Attributes(NamedTuple):
    """What an event line says after its three numbers.

    `values` are the fields of `EstimationEvent` from `selected_budget` on; `identity` is the same as text,
    as the digest in an event's key is made of it.
    """

    values: tuple[Any, ...]
    identity: str


_MAX_CACHED = 50_000
"""How many different texts are cached: some 20 MB, if all are different."""


class AttributesCache(dict[str, Attributes | None]):
    """The attributes of event lines, by their text from `selected_budget=` on; `None` if `read` is needed.

    Most events share all their values but three numbers.
    """

    def __missing__(self, rest: str) -> Attributes | None:
        if len(self) >= _MAX_CACHED:
            self.clear()
        values = _read_attributes(rest.rstrip("\r").rstrip(" "))
        self[rest] = None if values is None else Attributes(values, identity_of(values))
        return self[rest]


def _read_attributes(text: str) -> tuple[Any, ...] | None:
    found = _ATTRIBUTES.fullmatch(text) if text.isascii() and text.isprintable() else None
    if found is None or not found[len(_ATTRIBUTE_READERS)]:
        return None
    if (":" in text or ";" in text or "[" in text) and _ANOTHER_WITHIN.search(text):
        return None
    return tuple([read(value) for read, value in zip(_ATTRIBUTE_READERS, found.groups(), strict=True)])


def read(message: str) -> EstimationEvent | Malformed | Noted:
    """Read a message that begins with the marker; one that is no event is `Malformed`."""
    if message.startswith(_WRITE_FAILURE, len(MARKER)):
        return Noted("write_failure")
    values, is_total = _values_of(message)
    return values if isinstance(values, Malformed) else _read_values(values, is_total)


def new_keys(message: str) -> tuple[str, ...]:
    """Return the unknown keys of an event's message, as a newer executor may write them."""
    if message.count("=") <= len(FALLBACK):
        return ()
    values, _ = _values_of(message)
    return () if isinstance(values, Malformed) else values.new_keys


def _values_of(message: str) -> tuple[_Values | Malformed, bool]:
    text = message[len(MARKER) :].strip()
    is_total = " actual_total=" in text.partition(" selected_budget=")[0]
    return _cut_at_keys(text, tuple(FALLBACK if is_total else FULL)), is_total


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
