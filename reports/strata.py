"""Strata: the dimensions by which events are grouped, as SQL expressions and as names in a stable order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.errors import UsageMistake
from reports.selection import LOCAL_DAY, MODEL, Selection
from reports.values import LARGEST

_COLUMNS = {"complexity": "complexity", "model": MODEL, "run": "run_id", "phase": "phase_id"}
_PERIODS = {
    "day": f"{LOCAL_DAY}(timestamp)",
    "week": f"DATE({LOCAL_DAY}(timestamp), '-6 days', 'weekday 1')",
    "month": f"SUBSTR({LOCAL_DAY}(timestamp), 1, 7)",
}
DIMENSIONS = ("category", "complexity", "bucket", "model", "run", "phase", *_PERIODS)
"""Dimensions of strata: `bucket` is that of the number of deliverables, a `week` is named by its Monday. Day,
week and month need the SQL function `LOCAL_DAY`, which knows the time zone."""

DELIVERABLES = """COALESCE(
    NULLIF(deliverable_count, 0), NULLIF(estimated_deliverable_count, 0),
    CASE WHEN deliverables_complete = 1 AND json_valid(deliverables_json)
        THEN NULLIF(json_array_length(deliverables_json), 0) END
)"""
"""The number of deliverables: the event line's; where it says 0 the estimate's, else that of the paths if all
are known, else NULL."""

_COMPLEXITIES = ("low", "medium", "high")
_BUCKET = re.compile(r"(\d{1,9})(?:-(\d{1,9})|(\+))?", re.ASCII)

Key = tuple[str | None, ...]
"""The names of a stratum, one for each dimension; `None` where its events have none."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Numbers of deliverables from `low` to `high`, both included; a `high` of `None` is without limit."""

    low: int
    high: int | None

    @property
    def name(self) -> str:
        """The bucket as people write it: `4-7`, `16+`, `5`."""
        if self.high is None:
            return f"{self.low}+"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


DEFAULT_BUCKETS = (Bucket(1, 3), Bucket(4, 7), Bucket(8, 15), Bucket(16, None))


def parse_buckets(text: str) -> tuple[Bucket, ...]:
    """Read buckets as people write them: `1-3,4-7,8-15,16+`.

    Raises:
        UsageMistake: one is no bucket, or they don't rise or overlap.
    """
    buckets = []
    for part in text.split(","):
        found = _BUCKET.fullmatch(part.strip())
        if found is None:
            raise UsageMistake(f"{part.strip()!r} is no bucket: write for example 1-3,4-7,8-15,16+")
        low, high, open_end = found.groups()
        buckets.append(Bucket(int(low), None if open_end else int(high or low)))
    reached: int | None = -1
    for bucket in buckets:
        if reached is None or bucket.low <= reached or (bucket.high is not None and bucket.high < bucket.low):
            raise UsageMistake(
                f"the buckets {text!r} must rise and not overlap: for example 1-3,4-7,8-15,16+"
            )
        reached = bucket.high
    return tuple(buckets)


@dataclass(frozen=True, slots=True)
class Strata:
    """The dimensions by which events are grouped into strata, in the order of a stratum's key."""

    dimensions: tuple[str, ...] = ("category", "complexity")
    buckets: tuple[Bucket, ...] = DEFAULT_BUCKETS

    def columns(self, selection: Selection) -> str:
        """Return the SQL expressions of the key, each followed by a comma."""
        expressions = {**_COLUMNS, **_PERIODS, "category": selection.category, "bucket": self._bucket()}
        return "".join(f"{expressions[name]}, " for name in self.dimensions)

    def _bucket(self) -> str:
        """Return the SQL expression of a bucket's name; only parsed numbers are written into it."""
        cases = "".join(
            f"WHEN {DELIVERABLES} BETWEEN {bucket.low} AND {LARGEST if bucket.high is None else bucket.high} "
            f"THEN '{bucket.name}' "
            for bucket in self.buckets
        )
        return f"CASE {cases}END"

    def place(self, key: Key) -> tuple[tuple[int, str], ...]:
        """Return what keys are sorted by, as people expect: low before high, 4-7 before 16+, `None` last."""
        return tuple(self._rank(name, value) for name, value in zip(self.dimensions, key, strict=True))

    def _rank(self, dimension: str, value: str | None) -> tuple[int, str]:
        if value is None:
            return (1_000_000, "")
        known = {"complexity": _COMPLEXITIES, "bucket": tuple(bucket.name for bucket in self.buckets)}
        order = known.get(dimension, ())
        return (order.index(value) if value in order else len(order), value)
