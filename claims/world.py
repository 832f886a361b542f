"""Worlds whose truth is known: answers of phases, as rows, and new answers to compare claims with.

An answer needs exp(shape(z)) times its prediction and its stratum's level, z a standard normal number
of which a part belongs to the phase. So its median and every quantile are known, however skewed it is.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import NormalDist
from typing import Any

from sqlite_utils import Database

NORMAL = NormalDist()
LIKENESS = 0.75
"""The intraclass correlation of a phase's answers, as in public data of ten answers a prompt (.62 to .96)."""

_CEILING_SPREAD = 0.5
_START = datetime(2026, 1, 1)  # noqa: DTZ001 - as the database writes it, in UTC
_COLUMNS = (
    "run_id, phase_id, timestamp, category, complexity, deliverable_count, deliverables_json, "
    "predicted_output_tokens, actual_output_tokens, selected_budget, actual_max_tokens, success, truncated, "
    "actual_is_total, deliverables_complete"
)
_ALWAYS_NULL = "model, phase_outcome, deliverables_source, estimated_deliverable_count"
_TABLE = f"CREATE TABLE token_estimation_v2_events (event_id INTEGER PRIMARY KEY, {_COLUMNS}, {_ALWAYS_NULL})"

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class World:
    """How answers come: so many phases and tries, the share that is cut, the shape, the strata.

    `spread` is the standard deviation of the logarithm; `skewed` ones have three times as much above the
    median as below it. Strata differ by `apart` (a deviation of the logarithm); `mixed` ones come in any
    order, else one after the other. From phase `changes_at` on all is `changes_by` times as much.
    """

    phases: int
    tries: int = 1
    cut: float = 0.0
    skewed: bool = False
    strata: int = 1
    mixed: bool = True
    spread: float = 0.5
    apart: float = 0.8
    changes_at: int | None = None
    changes_by: float = 1.0

    def shape(self, z: float) -> float:
        """Return the logarithm of what an answer needs, over its stratum's level."""
        if not self.skewed:
            return self.spread * z
        return self.spread * (1.5 if z > 0 else 0.5) * z

    def levels(self, chance: random.Random) -> list[float]:
        """Return the logarithm of each stratum's level; one alone is at 0."""
        return [chance.gauss(0, self.apart) if self.strata > 1 else 0.0 for _ in range(self.strata)]

    def beyond(self, ratio: float) -> float:
        """Return which share of the answers needs more than a multiple of its stratum's level."""
        logarithm = math.log(ratio)
        scale = self.spread * ((1.5 if logarithm > 0 else 0.5) if self.skewed else 1.0)
        return 1 - NORMAL.cdf(logarithm / scale)

    def new_answers(self, chance: random.Random, count: int) -> list[float]:
        """Return what new answers need, as multiples of their stratum's level; each of a new phase."""
        return [math.exp(self.shape(chance.gauss(0, 1))) for _ in range(count)]

    def rows(self, levels: list[float], chance: random.Random) -> Iterator[Row]:
        """Yield the events."""
        order = [chance.randrange(self.strata) for _ in range(self.phases)]
        for number, stratum in enumerate(order if self.mixed else sorted(order)):
            changed = self.changes_at is not None and number >= self.changes_at
            level = levels[stratum] + (math.log(self.changes_by) if changed else 0.0)
            yield from self._phase(number, stratum, level, chance)

    def _phase(self, number: int, stratum: int, level: float, chance: random.Random) -> Iterator[Row]:
        common = chance.gauss(0, math.sqrt(LIKENESS))
        for attempt in range(self.tries):
            z = common + chance.gauss(0, math.sqrt(1 - LIKENESS))
            ceiling_z = self._ceiling(chance)
            predicted = chance.randrange(2000, 40_000)
            ceiling = round(predicted * math.exp(level + self.shape(ceiling_z)))
            needed = round(predicted * math.exp(level + self.shape(z)))
            at = _START + timedelta(hours=number, minutes=attempt)
            cut = needed > ceiling
            yield (
                *("run", f"phase-{number}", at.isoformat(sep=" ", timespec="microseconds")),
                *(f"work-{stratum}", "low", 1, "[]", predicted, min(needed, ceiling)),
                *(ceiling, ceiling, int(not cut), int(cut), 0, 0),
            )

    def _ceiling(self, chance: random.Random) -> float:
        """Return the z from which on an answer is cut; drawn so that a share of `cut` is."""
        if not self.cut:
            return 8.0
        middle = -NORMAL.inv_cdf(self.cut) * math.sqrt(1 + _CEILING_SPREAD**2)
        return chance.gauss(middle, _CEILING_SPREAD)


class Rows:
    """A database in memory, for one world after the other; whoever makes it closes it."""

    def __init__(self) -> None:
        self.db = Database(memory=True)
        self.db.conn.execute(_TABLE)
        self.db.conn.execute(
            "CREATE TABLE token_budget_escalation_events (run_id, phase_id, timestamp, retry_max_tokens)"
        )

    def hold(self, rows: Iterator[Row]) -> Database:
        """Return the database with these events and no others."""
        with self.db.conn as connection:
            connection.execute("DELETE FROM token_estimation_v2_events")
            places = ", ".join("?" * len(_COLUMNS.split(", ")))
            connection.executemany(
                f"INSERT INTO token_estimation_v2_events ({_COLUMNS}) VALUES ({places})", rows
            )
        return self.db

    def close(self) -> None:
        """Let the database go."""
        self.db.close()
