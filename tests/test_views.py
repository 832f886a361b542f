"""The views per run, per phase and per day: what plain Python counts."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

from event_rows import Row, event_row, stored

ROWS = [
    event_row(run_id="r1", phase_id="p1", truncated=1, success=0) | {"phase_outcome": None},
    event_row(run_id="r1", phase_id="p1", timestamp="2026-01-15 09:00:00.000000")
    | {"phase_outcome": "COMPLETE"},
    event_row(run_id="r1", phase_id="p2", actual_is_total=1, actual_output_tokens=99_000),
    event_row(run_id="r2", phase_id="p1", success=None, truncated=None) | {"phase_outcome": "FAILED"},
]


def expected(*names: str) -> dict[tuple[str, ...], tuple[int, int, int, int, int]]:
    """Return of each group its events, predicted and actual tokens, parsed and truncated ones."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in ROWS:
        groups[tuple(row["timestamp"][:10] if name == "day" else row[name] for name in names)].append(row)
    return {
        key: (
            len(rows),
            sum(row["predicted_output_tokens"] for row in rows if not row["actual_is_total"]),
            sum(row["actual_output_tokens"] for row in rows if not row["actual_is_total"]),
            sum(row["success"] == 1 for row in rows),
            sum(row["truncated"] == 1 for row in rows),
        )
        for key, rows in groups.items()
    }


def test_views_count_what_plain_python_counts(tmp_path: Path) -> None:
    """Events, tokens (totals left out), parsed and truncated ones, by run, by phase and by day."""
    views = {
        ("run_id",): ("v_token_estimation_runs", "events"),
        ("run_id", "phase_id"): ("v_token_estimation_phases", "tries"),
        ("day",): ("v_token_estimation_days", "events"),
    }
    with closing(sqlite3.connect(stored(tmp_path / "t.db", ROWS))) as connection:
        for names, (view, count) in views.items():
            columns = f"{count}, predicted_output_tokens, actual_output_tokens, parsed, truncated"
            rows = connection.execute(f"SELECT {', '.join(names)}, {columns} FROM {view}").fetchall()
            assert {row[: len(names)]: row[len(names) :] for row in rows} == expected(*names)
        outcomes = connection.execute("SELECT run_id, phase_id, phase_outcome FROM v_token_estimation_phases")
        assert ("r1", "p1", "COMPLETE") in (found := outcomes.fetchall())
        assert ("r2", "p1", "FAILED") in found
