"""How far a source was read, and what must be remembered to go on: stored with the rows.

A checkpoint is a value. The scan makes it at the end of a batch, the store commits it in the same
transaction as the batch's rows, and the next scan starts from it.

What it must remember is JSON text: the state of dataclasses, by their own types. A dataclass is an
object, in which fields at their default are left out, so that the text of a quiet source is short; a
named tuple is an array (and was an object once). Reading it back is strict: text that doesn't fit the
types raises, and the source is then read again from the start. A field that was renamed keeps its first
key there (`stored_as` in its metadata), since databases have it.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeVar

from ingest.files.logfile import Sample, digest
from ingest.linking.state import LinkerState
from ingest.reading.lines import Position
from ingest.reading.pieces import PieceState
from ingest.reading.unread import Unread
from ingest.reading.wrap import WrapWidth

HEAD_BYTES = 1024
"""How much of a file its fingerprint covers."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of a file's first `size_bytes` bytes (decompressed), in hexadecimal.

    It identifies a log whatever its name is now. It covers as many bytes as there were, up to
    `HEAD_BYTES`, and grows with the file until then.
    """

    size_bytes: int
    digest: str

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with `head` (at least `HEAD_BYTES` of it, or all) is this one."""
        return len(head) >= self.size_bytes and digest(head[: self.size_bytes]) == self.digest


def fingerprint_of(head: bytes) -> Fingerprint:
    """Return the fingerprint of a file's first bytes, without NULs at their end, which may be filled yet."""
    covered = head[:HEAD_BYTES]
    covered = covered.rstrip(b"\0") or covered
    return Fingerprint(len(covered), digest(covered))


RULES = 1
"""The version of the rules by which lines are linked and counted. It rises when the same lines give more
deliverable paths than before, or anything else: what was read by older rules stays as it is until it is read
in full, and `verify` asks of it only whether something was lost."""


@dataclass(slots=True)
class Counters:
    """What was counted in a source. Marker lines = sightings + rejects, always.

    Each occurrence of the event's marker is a sighting, a reject, a failed write, a quotation or unread.
    The last two are `None` in a source of which a part was read before they were counted.
    """

    marker_lines: int = 0
    sightings: int = 0
    rejects: int = 0
    legacy_lines: int = 0
    write_failures: int = 0
    skipped_events: int = 0
    long_lines: int = 0
    calls_without_telemetry: int = 0
    quoted_lines: int | None = 0
    unread_lines: int | None = 0

    def count_unclaimed(self, quoted: int, unread: int) -> None:
        """Count occurrences that are neither events nor rejects nor failed writes."""
        if self.quoted_lines is not None and self.unread_lines is not None:
            self.quoted_lines += quoted
            self.unread_lines += unread


UNCLAIMED = ("quoted_lines", "unread_lines")
"""Counts that may not be known."""

COUNTED = tuple(field.name for field in fields(Counters))
"""The names of the counters, which are columns of `log_sources`."""


@dataclass(frozen=True, slots=True)
class Provisional:
    """An unterminated last line that was stored: its beginning, and the offset after it at that time."""

    sample: Sample
    end_offset: int


@dataclass(slots=True)
class Remembered:
    """The part of a checkpoint that is no column: the state of reading and linking.

    `provisional` is the unterminated last line that was stored although the checkpoint is before it: if the
    file grows, its rows are removed and the line is read again. `last_marker` is the newest marker line: a
    file that was truncated and grew again may have the same banner and the same tail, but not the same event
    at the same time in the same place. `container_logs` is true until a line shows the executor's own prefix
    inside a container's. `foreign` is set once it was said that a line is in another encoding than its file,
    `doubted` once it was said that two clocks differ by more than the zone explains. `piped` is a hash of
    all that came through a pipe: another pipe that begins so continues the source. `pieces` is the state of
    joining a container's lines. `unread` is set once a line with the event's marker was not understood.
    `new_keys` counts the event lines with keys that we don't know. `rules` is the version of the rules by
    which the source's first line was read; 0 is that of versions that stored none.
    """

    position: Position = field(default_factory=Position)
    width: WrapWidth = field(default_factory=WrapWidth)
    linker: LinkerState = field(default_factory=LinkerState)
    counters: Counters = field(default_factory=Counters)
    provisional: Provisional | None = None
    container_logs: bool = True
    last_marker: Sample | None = None
    foreign: bool = False
    piped: Sample | None = None
    pieces: PieceState = field(default_factory=PieceState)
    unread: Unread | None = None
    doubted: bool = False
    rules: int = 0
    new_keys: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where to go on in a source.

    `tail` is the hash of the bytes before the offset, `None` where they could not be read. It shows that a
    file was truncated even if it has grown past the old offset, or begins with the same banner; such a file
    is read from its start. `remembered` is JSON text, so that nothing in it is shared with a scan.
    `prefix` is the custom template that the source is read with.
    """

    fingerprint: Fingerprint
    tail: str | None
    offset: int
    encoding: str
    zone: str
    remembered: str
    prefix: str | None = None


# As text, and back

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


def _plain(state: Any) -> Any:
    if isinstance(state, deque):
        return list(state)
    return {
        key: part
        for key, name, default in _stored_fields(state.__class__)
        if (part := getattr(state, name)) is not default and part != default
    }


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)


@cache
def _stored_fields(kind: Any) -> tuple[tuple[str, str, Any], ...]:
    """Return of each field its key in the stored text, its name, and the value that is left out."""
    return tuple((_stored_key(field), field.name, _default(field)) for field in dataclasses.fields(kind))


def _stored_key(field: dataclasses.Field[Any]) -> str:
    """Return the key under which databases have a field: where it was renamed since, the first name."""
    key: str = field.metadata.get("stored_as", field.name)
    return key


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


@cache
def _reader(kind: Any) -> Reader:
    """Return the reader of values of a type; cached, since looking at a type takes longer than reading."""
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
    order = getattr(kind, "_fields", None)
    fields_stored = () if order is not None else dataclasses.fields(kind)
    names = {_stored_key(field): field.name for field in fields_stored} or {name: name for name in readers}

    def read(value: Any) -> Any:
        if order is not None and isinstance(value, list):
            known = value[: len(order)]  # older versions may have kept more
            return kind(*[readers[name](item) for name, item in zip(order, known, strict=True)])
        items = _required(value, dict).items()
        return kind(**{names[key]: readers[names[key]](item) for key, item in items})

    return read


def _required(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not {kind}")
    return value
