"""What a checkpoint must remember, as JSON text: the state of dataclasses, by their own types.

A dataclass is an object, in which fields at their default are left out, so that the text of a quiet
source is short; a named tuple is an array (and was an object once). Reading it back is strict: text
that doesn't fit the types raises, and the source is then read again from the start.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
Reader = Callable[[Any], Any]


def as_text(state: Any) -> str:
    """Write a dataclass instance as JSON."""
    return _ENCODER.encode(state)


def from_text(kind: type[T], text: str) -> T:
    """Read back what `as_text` wrote.

    Raises:
        ValueError, TypeError, KeyError: the text is not such a state.
    """
    state: T = _reader(typing.cast(Any, kind))(json.loads(text))
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


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Return the fields of a dataclass, with the values that are left out."""
    return tuple((field.name, _default(field)) for field in dataclasses.fields(kind))


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


@cache
def _reader(kind: Any) -> Reader:
    """Return what reads back values of a type: finding out how takes longer than all the rest of it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _reader_of_optional(_reader(next(part for part in arguments if part is not types.NoneType)))
    if origin is typing.Literal:
        return lambda value: value
    if origin is None and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")):
        return _reader_of_fields(kind)
    if origin is dict:
        return _reader_of_dict(_reader(arguments[1]))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return _reader_of_parts([_reader(part) for part in arguments])
    if origin in (tuple, list, deque):
        return _reader_of_items(origin, _reader(arguments[0]))
    return _reader_of_atoms(kind)


def _reader_of_atoms(kind: type) -> Reader:
    def read(value: Any) -> Any:
        if kind is float and isinstance(value, int):
            return float(value)
        return _required(value, kind)

    return read


def _reader_of_optional(inner: Reader) -> Reader:
    return lambda value: None if value is None else inner(value)


def _reader_of_dict(inner: Reader) -> Reader:
    return lambda value: {key: inner(item) for key, item in _required(value, dict).items()}


def _reader_of_items(kind: type, inner: Reader) -> Reader:
    return lambda value: kind([inner(item) for item in _required(value, list)])


def _reader_of_parts(inner: list[Reader]) -> Reader:
    return lambda value: tuple([read(v) for read, v in zip(inner, _required(value, list), strict=True)])


def _reader_of_fields(kind: Any) -> Reader:
    readers = {name: _reader(hint) for name, hint in typing.get_type_hints(kind).items()}
    names = getattr(kind, "_fields", None)

    def read(value: Any) -> Any:
        if names is not None and isinstance(value, list):
            return kind(*[readers[name](item) for name, item in zip(names, value, strict=True)])
        return kind(**{name: readers[name](item) for name, item in _required(value, dict).items()})

    return read


def _required(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not {kind}")
    return value
