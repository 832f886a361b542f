"""An event's context, read from the lines around it, and how the contexts of two sightings are merged.

`merged` is commutative, associative and idempotent, so the result depends neither on the order of
files nor on how often anything is read. It fills gaps and never replaces a known value with an
unknown one. Where two sightings have different values, the better source wins, then the smaller value.
"""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import Any, NamedTuple

MAX_PATHS = 20
"""The executor's own limit of paths kept for an event."""

MAX_PATH_LENGTH = 200
"""The executor's own limit of a path's characters; a longer one ends in `...`."""

RUN_SOURCES = ("executor", "initialized", "lock", "verified", "manifest", "soft_cap", "drain")
PHASE_SOURCES = ("executor", "budget", "builder")
DELIVERABLES_SOURCES = ("imported", "applied", "required", "missing", "scope", "protected", "attempted")
"""Kinds of lines that name a run, a phase or paths, the most trusted first. `imported` is what a person
imported as the phase's declaration; `executor` is the executor's own row in an adopted database."""


class Deliverables(NamedTuple):
    """The deliverable paths of an event's phase, and the kind of line that they are from (`source`).

    `paths` keeps the executor's limits; `complete` is false if some are missing.
    """

    source: str
    paths: tuple[str, ...]
    complete: bool

    def rank(self) -> tuple[bool, int, int, tuple[str, ...]]:
        """Order by trust: the smallest is the best."""
        return (not self.complete, DELIVERABLES_SOURCES.index(self.source), -len(self.paths), self.paths)

    def as_json(self) -> str:
        """Return the paths as the executor stores them: a JSON array."""
        return f"[{', '.join(map(encode_basestring, self.paths))}]"


def deliverables(source: str, paths: tuple[str, ...], complete: bool) -> Deliverables:
    """Build deliverables within the executor's limits on number and length of paths."""
    kept = paths[:MAX_PATHS]
    if not "".join(kept).isascii() or max(map(len, kept), default=0) > MAX_PATH_LENGTH:
        kept = tuple(
            path if len(path) <= MAX_PATH_LENGTH else path[: MAX_PATH_LENGTH - 3] + "..."
            for path in map(storable, kept)
        )
    return Deliverables(source, kept, complete and len(paths) <= MAX_PATHS)


def storable(text: str) -> str:
    r"""Return text that UTF-8 can hold: half a surrogate pair, from a `\u` escape, stays an escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class Attributed(NamedTuple):
    """The name of a run or a phase, and the kind of line that it is from."""

    name: str
    source: str


class Context(NamedTuple):
    """What is known of an event beyond its own line; `None` is not known (yet).

    Tokens are counts, `confidence` is 0..1, `attempt_index` counts from 0.
    """

    run: Attributed | None = None
    phase: Attributed | None = None
    actual_max_tokens: int | None = None
    input_tokens: int | None = None
    total_tokens: int | None = None
    confidence: float | None = None
    attempt_index: int | None = None
    estimated_deliverable_count: int | None = None
    phase_outcome: str | None = None
    deliverables: Deliverables | None = None


NO_CONTEXT = Context()

_BOTH = object()


def merged(left: Context, right: Context) -> Context:
    """Merge the contexts of two sightings of one event."""
    if left is NO_CONTEXT or left == right:
        return right
    if right is NO_CONTEXT:
        return left
    values = [
        mine if its is None else its if mine is None else _BOTH for mine, its in zip(left, right, strict=True)
    ]
    if _BOTH not in values:
        return Context._make(values)
    return Context._make(
        [
            better_name(left.run, right.run, RUN_SOURCES),
            better_name(left.phase, right.phase, PHASE_SOURCES),
            *map(_smaller, left[2:-1], right[2:-1]),
            better_deliverables(left.deliverables, right.deliverables),
        ]
    )


def _smaller(left: Any, right: Any) -> Any:
    """Return the smaller of two values; a known one before `None`."""
    if left is None or right is None:
        return right if left is None else left
    return min(left, right)


def better_name(
    left: Attributed | None, right: Attributed | None, sources: tuple[str, ...]
) -> Attributed | None:
    """Return the name from the better source, in either order."""
    if left is None or right is None:
        return left or right
    return min(left, right, key=lambda name: (sources.index(name.source), name.name))


def better_deliverables(left: Deliverables | None, right: Deliverables | None) -> Deliverables | None:
    """Return the more trusted paths, in either order."""
    if left is None or right is None:
        return left or right
    return min(left, right, key=Deliverables.rank)
