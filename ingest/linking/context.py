"""What the lines around an event tell of it, and how two tellings become one.

`merged` is commutative, associative and idempotent, so the result depends neither on the order of
files nor on how often anything is read. It fills gaps and never replaces a known value with an
unknown one; where two sightings know different values, the better source wins, then the smaller
value, so that both orders agree.
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
"""Best first. What a person imports is what the phase declared; applied files were guarded; `executor`
is its own row in an adopted database."""


class Deliverables(NamedTuple):
    """The deliverable paths of an event's phase, and which kind of line told them.

    `paths` keeps the executor's limits; `complete` is false where some are missing from it.
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
    """Return text that UTF-8 can hold: half a surrogate pair, as an escape can name it, stays its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class Told(NamedTuple):
    """A name, and which kind of line told it."""

    name: str
    source: str


class Context(NamedTuple):
    """What is known of an event beyond its own line; `None` is not known (yet).

    Tokens are counts, `confidence` is 0..1, `attempt_index` counts from 0.
    """

    run: Told | None = None
    phase: Told | None = None
    actual_max_tokens: int | None = None
    input_tokens: int | None = None
    total_tokens: int | None = None
    confidence: float | None = None
    attempt_index: int | None = None
    estimated_deliverable_count: int | None = None
    phase_outcome: str | None = None
    deliverables: Deliverables | None = None


NOTHING_TOLD = Context()

_BOTH = object()


def merged(one: Context, other: Context) -> Context:
    """Unite what two places tell of one event."""
    if one is NOTHING_TOLD or one == other:
        return other
    if other is NOTHING_TOLD:
        return one
    told = [
        mine if its is None else its if mine is None else _BOTH for mine, its in zip(one, other, strict=True)
    ]
    if _BOTH not in told:
        return Context._make(told)
    return Context._make(
        [
            better_told(one.run, other.run, RUN_SOURCES),
            better_told(one.phase, other.phase, PHASE_SOURCES),
            *map(_smaller, one[2:-1], other[2:-1]),
            better_deliverables(one.deliverables, other.deliverables),
        ]
    )


def _smaller(one: Any, other: Any) -> Any:
    """Return the smaller of two known values, or the one that is known."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def better_told(one: Told | None, other: Told | None, sources: tuple[str, ...]) -> Told | None:
    """Return the name that the better source told, whichever comes first."""
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda told: (sources.index(told.source), told.name))


def better_deliverables(one: Deliverables | None, other: Deliverables | None) -> Deliverables | None:
    """Return the paths that are to be trusted more, whichever come first."""
    if one is None or other is None:
        return one or other
    return min(one, other, key=Deliverables.rank)
