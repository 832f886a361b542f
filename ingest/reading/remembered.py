"""What a checkpoint must remember, as JSON text: the state of dataclasses, by their own types.

A dataclass is an object, in which fields at their default are left out, so that the text of a quiet source
is short; a named tuple is an array (and was an object once). Reading it back is
strict: text that doesn't fit the types raises, and the source is then read again from the start.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections import deque
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")


def as_text(state: Any) -> str:
    """Write a dataclass instance as JSON."""
    return _ENCODER.encode(state)


def from_text(kind: type[T], text: str) -> T:
    """Read back what `as_text` wrote.

    Raises:
        ValueError, TypeError, KeyError: the text is not such a state.
    """
    state: T = _typed(kind, json.loads(text))
    return state


def _plain(value: Any) -> Any:
    if isinstance(value, deque):
        return list(value)
    return {
        name: one
        for name, default in _defaults(value.__class__)
        if (one := getattr(value, name)) is not default and one != default
    }


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)


@lru_cache(maxsize=64)
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Return the fields of a dataclass, with the values that are left out."""
    return tuple((field.name, _default(field)) for field in dataclasses.fields(kind))


@lru_cache(maxsize=64)
def _hints(kind: Any) -> dict[str, Any]:
    """Return the types of a state's fields: finding them out takes longer than all the rest of reading it."""
    return typing.get_type_hints(kind)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _typed(kind: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")):
        return _built(kind, value)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _typed(next(part for part in arguments if part is not types.NoneType), value)
    if origin is dict:
        _require(value, dict)
        return {key: _typed(arguments[1], item) for key, item in value.items()}
    if origin in (tuple, list, deque):
        _require(value, list)
    if origin is tuple:
        kinds = arguments if arguments[-1] is not Ellipsis else (arguments[0],) * len(value)
        return tuple(_typed(part, item) for part, item in zip(kinds, value, strict=True))
    if origin in (list, deque):
        return origin(_typed(arguments[0], item) for item in value)
    if kind is float and isinstance(value, int):
        return float(value)
    if origin is not typing.Literal:
        _require(value, kind)
    return value


def _built(kind: Any, value: Any) -> Any:
    hints = _hints(kind)
    if isinstance(value, list) and hasattr(kind, "_fields"):
        value = dict(zip(kind._fields, value, strict=True))
    _require(value, dict)
    return kind(**{name: _typed(hints[name], item) for name, item in value.items()})


def _require(value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not {kind}")
