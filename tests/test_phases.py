"""The unit is the phase: which events belong together, and what drawing whole phases gives."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from event_rows import event_row, stored
from ingest.storing.database import open_for_reading
from reports.phases import PHASE, Phases, by_phase
from reports.selection import Selection
from reports.strata import Strata
from reports.tokens import tokens_by_stratum


def test_a_phase_is_that_of_its_run_and_an_unknown_one_is_alone() -> None:
    """The same name in another run is another phase; events of unknown phases are never together."""
    phases = Phases()
    names = [
        ("r", "p"),
        ("r", "p"),
        ("s", "p"),
        ("r", "unknown"),
        ("r", "unknown"),
        ("unknown", "p"),
        ("r", "p"),
    ]
    query = f"WITH named (run_id, phase_id) AS (VALUES (?, ?)) SELECT {PHASE} FROM named"
    with closing(sqlite3.connect(":memory:")) as db:
        names_in_sql = [phase for name in names for (phase,) in db.execute(query, name)]
    assert [phases.number(phase) for phase in names_in_sql] == [0, 0, 1, 2, 3, 4, 0]


def test_phases_keep_their_numbers_in_all_strata_and_kinds(tmp_path: Path) -> None:
    """Tries of a phase are one unit, though one was cut and another is of another complexity."""
    rows = [
        event_row(phase_id="a", truncated=1),
        event_row(phase_id="a", truncated=0),
        event_row(phase_id="a", complexity="high"),
        event_row(phase_id="b"),
        event_row(phase_id="unknown"),
        event_row(phase_id="unknown"),
    ]
    with open_for_reading(stored(tmp_path / "t.db", rows)) as db:
        found = tokens_by_stratum(db, Selection(), Strata())
    numbers = {
        (key, kind.truncated): list(tokens.phase)
        for key, kinds in found.items()
        for kind, tokens in kinds.items()
    }
    assert numbers == {
        (("docs", "low"), True): [0],
        (("docs", "low"), False): [0, 1, 2, 3],
        (("docs", "high"), False): [0],
    }


def test_values_are_put_together_by_phase() -> None:
    """In the order in which the phases come, whatever stands between their events."""
    assert by_phase([1, 2, 3, 4], [7, 3, 7, 9]) == [[1, 3], [2], [4]]
