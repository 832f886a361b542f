"""The token counts of the selected events, by stratum: what every metric is computed from.

Read in one pass and kept as plain arrays, so that a million events take a second and 24 MB.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlite_utils import Database

from reports.phases import PHASE, Phases
from reports.selection import CEILING, Selection
from reports.strata import Key, Strata
from reports.values import truth

_TOKENS = """
SELECT {key} phase_outcome, success, truncated, deliverables_complete = 1 AND deliverables_json <> '[]',
    {phase}, predicted_output_tokens, actual_output_tokens, COALESCE({ceiling}, 0)
FROM token_estimation_v2_events WHERE {where}
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """What the log says of events; `None` where it doesn't.

    `parsed` is the builder's success; `real` is whether all their deliverable paths are known.
    """

    parsed: bool | None
    truncated: bool | None
    real: bool

    @property
    def clean(self) -> bool:
        """Whether the answers were parsed and are whole."""
        return self.parsed is True and self.truncated is False


def _counts() -> array[int]:
    return array("q")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts of events of one stratum and kind, side by side; a ceiling of 0 is not known.

    `phase` is the number of the phase that each belongs to: the same in all strata and kinds.
    """

    predicted: array[int] = field(default_factory=_counts)
    actual: array[int] = field(default_factory=_counts)
    ceiling: array[int] = field(default_factory=_counts)
    phase: array[int] = field(default_factory=_counts)

    def __len__(self) -> int:
        return len(self.actual)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield (predicted, actual) of the events that can be measured: neither is 0."""
        pairs = zip(self.predicted, self.actual, strict=True)
        return filter(all, pairs) if 0 in self.predicted or 0 in self.actual else pairs

    def extend(self, other: Tokens) -> None:
        """Take in more events."""
        self.predicted.extend(other.predicted)
        self.actual.extend(other.actual)
        self.ceiling.extend(other.ceiling)
        self.phase.extend(other.phase)


Kinds = dict[Kind, Tokens]


@dataclass(frozen=True, slots=True)
class Counted:
    """The token counts by stratum, in the order of the strata, and how many phases ended how."""

    by_stratum: dict[Key, Kinds]
    outcomes: Counter[str | None]


def read_tokens(db: Database, selection: Selection, strata: Strata) -> Counted:
    """Read the token counts and the phases' outcomes of the selected events."""
    width = len(strata.dimensions)
    by_stratum: dict[Key, Kinds] = {}
    outcomes: Counter[str | None] = Counter()
    for name, tokens in _scanned(db, selection, strata).items():
        outcome, parsed, truncated, real = name[width:]
        outcomes[None if outcome is None else str(outcome)] += len(tokens)
        kind = Kind(truth(parsed), truth(truncated), bool(real))
        key = tuple(None if part is None else str(part) for part in name[:width])
        by_stratum.setdefault(key, {}).setdefault(kind, Tokens()).extend(tokens)
    return Counted({key: by_stratum[key] for key in sorted(by_stratum, key=strata.place)}, outcomes)


def tokens_by_stratum(db: Database, selection: Selection, strata: Strata) -> dict[Key, Kinds]:
    """Read the token counts of the selected events; the strata come in their own order."""
    return read_tokens(db, selection, strata).by_stratum


def _scanned(
    db: Database, selection: Selection, strata: Strata
) -> dict[tuple[str | int | None, ...], Tokens]:
    """Read the events in one pass; those that agree in all but their tokens are kept together."""
    query = _TOKENS.format(
        key=strata.columns(selection), phase=PHASE, ceiling=CEILING, where=selection.where()
    )
    phases = Phases()
    unknown, known = phases.next, phases.known
    found: dict[tuple[str | int | None, ...], Tokens] = {}
    for row in db.conn.execute(query, selection.values()):
        tokens = found.get(row[:-4])
        if tokens is None:
            tokens = found[row[:-4]] = Tokens()
        phase = row[-4]  # a call of `phases.number` for each of a million events would be felt
        tokens.phase.append(unknown() if phase is None else known[phase])
        tokens.predicted.append(row[-3])
        tokens.actual.append(row[-2])
        tokens.ceiling.append(row[-1])
    return found
