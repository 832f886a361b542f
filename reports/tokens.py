"""The token counts of the selected events, by stratum: what the validation is computed from.

Read in one pass and kept as plain arrays, four of 8 bytes an event: a million events take 32 MB.
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
    """What the log says of the answers of some events; `None` where it says nothing.

    `parsed` is the event line's success; `real` is whether all their deliverable paths are known.
    """

    parsed: bool | None
    truncated: bool | None
    real: bool

    @property
    def clean(self) -> bool:
        """Whether the answers were parsed and are whole, by what the log says."""
        return self.parsed is True and self.truncated is False


def _counts() -> array[int]:
    return array("q")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts of the events of one stratum and kind, one array a column; a ceiling of 0 is unknown.

    `phase` holds the number of each event's phase: a phase has one number in all strata and kinds.
    """

    predicted: array[int] = field(default_factory=_counts)
    actual: array[int] = field(default_factory=_counts)
    ceiling: array[int] = field(default_factory=_counts)
    phase: array[int] = field(default_factory=_counts)

    def __len__(self) -> int:
        return len(self.actual)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Return (predicted, actual) of the events that can be measured: neither is 0."""
        pairs = zip(self.predicted, self.actual, strict=True)
        return filter(all, pairs) if 0 in self.predicted or 0 in self.actual else pairs

    def extend(self, other: Tokens) -> None:
        """Append the events of another one."""
        self.predicted.extend(other.predicted)
        self.actual.extend(other.actual)
        self.ceiling.extend(other.ceiling)
        self.phase.extend(other.phase)


Kinds = dict[Kind, Tokens]
"""The events of one stratum, by what the log says of their answers."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The token counts by stratum, in the strata's order, and how many events have which phase outcome."""

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
    """Read the token counts of the selected events by stratum, in the order of the strata."""
    return read_tokens(db, selection, strata).by_stratum


def _scanned(
    db: Database, selection: Selection, strata: Strata
) -> dict[tuple[str | int | None, ...], Tokens]:
    """Read the events in one pass; those that agree in all but phase and tokens are kept together.

    A key is the stratum's, then phase outcome, parsed, truncated and real, as the database holds them.
    """
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
