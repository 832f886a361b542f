"""Cuts that more budget doesn't help: which they are, and which only needed more."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from conftest import Tokentail
from event_rows import Row, event_row, insert, stored
from ingest.storing.database import open_for_writing
from reports.futile import Try, futile

CASES: dict[str, tuple[Sequence[tuple[int, int, bool]], set[int]]] = {
    "filled-again": ([(4000, 4000, True), (8000, 8000, True)], {0, 1}),
    "and-again": ([(4000, 4000, True), (5000, 5000, True), (6000, 6000, True)], {0, 1, 2}),
    "enough": ([(4000, 4000, True), (8000, 2900, False)], set()),
    "cut-once": ([(4000, 4000, True)], set()),
    "same-ceiling": ([(4000, 4000, True), (4000, 4000, True)], set()),
    "smaller-ceiling": ([(8000, 8000, True), (4000, 4000, True)], set()),
    "between-them-the-same": ([(4000, 4000, True), (4000, 4000, True), (8000, 8000, True)], {0, 1, 2}),
    "next-was-enough": ([(4000, 4000, True), (8000, 2500, False), (9000, 9000, True)], set()),
    "first-needed-more-after-all": ([(4000, 4000, True), (8000, 8000, True), (9000, 5000, False)], {1}),
    "both-needed-more-after-all": ([(4000, 4000, True), (8000, 8000, True), (9000, 8500, False)], set()),
    "looped-and-then-did-not": ([(4000, 4000, True), (8000, 8000, True), (9000, 900, False)], {0, 1}),
    "cap-below-the-ceiling": ([(4000, 4000, True), (8000, 4096, True)], {0, 1}),
    "capped-twice-below-the-ceiling": ([(5000, 4096, True), (6000, 4096, True)], {0, 1}),
    "neither-filled-nor-capped": ([(4000, 4000, True), (8000, 6000, True)], set()),
    "no-longer-than-whole-ones": ([(1000, 1000, True), (2000, 2000, True)], set()),
    "as-long-as-whole-ones": ([(1000, 1000, True), (3000, 3000, True)], {0, 1}),
    "ceiling-not-known": ([(0, 4000, True), (8000, 8000, True)], set()),
}


@pytest.mark.parametrize(("tries", "unhelped"), CASES.values(), ids=CASES)
def test_cut_that_more_budget_does_not_help(tries: Any, unhelped: set[int]) -> None:
    """The next, larger one was filled too, with as many tokens as any whole answer of the stratum: 3,000."""
    assert futile([Try(7, *values) for values in tries], 3000) == unhelped
    apart = [Try(phase, *values) for phase, values in enumerate(tries)]
    assert futile(apart, 3000) == set()


def test_tries_of_phases_may_come_in_between_one_another() -> None:
    """Each phase is looked at by itself, and the places are those of the whole list."""
    tries = [Try(1, 10, 10, True), Try(2, 10, 10, True), Try(1, 10, 9, False), Try(2, 20, 20, True)]
    assert futile(tries, 5) == {1, 3}


def test_long_work_is_rarely_taken_for_a_loop() -> None:
    """At 1.25 times the ceiling many are cut again that only need much; few of them are left out."""
    chance, cut_again, left_out = random.Random(4), 0, 0
    for _ in range(10):
        tries = []
        for phase in range(300):
            predicted = chance.randrange(2000, 40_000)
            needed, room = round(predicted * math.exp(0.5 * chance.gauss(0, 1))), round(1.8 * predicted)
            tries.append(Try(phase, room, min(needed, room), needed > room))
            if needed > room:
                room = round(1.25 * room)
                tries.append(Try(phase, room, min(needed, room), needed > room))
        cut_again += len(futile(tries, 0))
        left_out += len(futile(tries, max(attempt.actual for attempt in tries if not attempt.cut)))
    assert cut_again > 300
    assert left_out < 0.2 * cut_again


def cut(phase: str, ceiling: int, minute: int, **columns: object) -> Row:
    """Return an answer that was cut at its ceiling."""
    values = {"actual_max_tokens": ceiling, "actual_output_tokens": ceiling, "truncated": 1, "success": 0}
    return event_row(phase_id=phase, timestamp=f"2026-01-14 09:{minute:02}:00.000000", **(values | columns))


def escalated(db: Database, phase: str, minute: int, retry: int) -> None:
    """Put an escalation into a database."""
    row = {
        "run_id": "run-1",
        "phase_id": phase,
        "timestamp": f"2026-01-14 09:{minute:02}:30.000000",
        "attempt_index": 1,
        "reason": "truncation",
        "was_truncated": 1,
        "base_value": 1,
        "retry_max_tokens": retry,
        "created_at": "2026-01-14 10:00:00.000000",
        "escalation_key": f"{phase} {minute}",
        "timestamp_text": "",
    }
    db.table("token_budget_escalation_events").insert(row)


def test_report_says_whom_more_budget_won_t_help(tmp_path: Path, called: Tokentail) -> None:
    """In the text and in JSON, for what is selected; of another stratum, run or an unknown phase none."""
    rows = [
        *(event_row(actual_output_tokens=3000) for _ in range(3)),
        *(cut("loop", ceiling, ceiling // 1000) for ceiling in (4000, 8000)),
        *(cut("capped", ceiling, 1, actual_output_tokens=4096) for ceiling in (5000, 6000)),
        *(cut("unknown", ceiling, 1) for ceiling in (4000, 8000)),
        *(cut("runs", ceiling, 1, run_id=f"run-{ceiling}") for ceiling in (4000, 8000)),
        event_row(category="tests", actual_output_tokens=9000),
        *(cut("long", ceiling, 1, category="tests") for ceiling in (4000, 8000)),
        *(cut("longer", ceiling, 1, category="backend") for ceiling in (10_000, 20_000)),
    ]
    stored(tmp_path / "telemetry.db", rows)
    assert json.loads(called("report", "--json").stdout)["futile"] == {"answers": 6, "phases": 3}
    line = (
        "More budget won't help 6 cut answers of 3 phases: the next, larger one was filled to the brim too "
        "(a provider's cap, or a loop)"
    )
    assert line in called("report").stdout.splitlines()
    assert line in called("report", "--by", "model,category").stdout.splitlines()
    loop = json.loads(called("report", "--phase", "loop", "--json").stdout)["futile"]
    assert loop == {"answers": 2, "phases": 1}
    assert "won't help" not in called("report", "--category", "tests").stdout


def test_calibrate_leaves_them_out_and_says_so(tmp_path: Path, called: Tokentail) -> None:
    """The budget is that of the others: with three loops among 63 phases there would be none."""
    whole = [
        event_row(phase_id=f"p{number}", actual_output_tokens=1000 + number, predicted_output_tokens=1000)
        for number in range(60)
    ]
    loops = [
        cut(f"loop-{number}", ceiling, ceiling // 1000, predicted_output_tokens=1000)
        for number in range(3)
        for ceiling in (4000, 8000)
    ]
    stored(tmp_path / "telemetry.db", [*whole, *loops])
    found = json.loads(called("calibrate", "--json").stdout)
    assert found["futile"] == {"answers": 6, "phases": 3}
    assert found["overall"]["budget"]["factor"] == 1.059
    assert found["overall"]["truncated"] == found["overall"]["budget"]["censored"] == 0
    shown = called("calibrate").stdout
    assert "More budget won't help 6 cut answers of 3 phases" in shown
    assert ": left out of all numbers here" in shown
    once = [row for row in loops if row["actual_max_tokens"] == 4000]
    stored(tmp_path / "once.db", [*whole, *once])
    found = json.loads(called("calibrate", "--db", "once.db", "--json").stdout)
    assert (found["futile"]["answers"], found["overall"]["budget"]["factor"]) == (0, None)
    assert "won't help" not in called("calibrate", "--db", "once.db").stdout


def test_ceiling_of_a_retry_is_what_its_escalation_said(tmp_path: Path, called: Tokentail) -> None:
    """Where the retry's own line is lacking: its selected budget is that of the first call."""
    database = tmp_path / "telemetry.db"
    own = {"actual_max_tokens": None, "selected_budget": 4000, "actual_output_tokens": 4000}
    with open_for_writing(database) as db:
        insert(db, [cut(phase, 4000, minute, **own) for phase in ("told", "not") for minute in (1, 3)])
        db.conn.commit()
        assert json.loads(called("report", "--json").stdout)["futile"]["answers"] == 0
        escalated(db, "told", 2, 5000)
        escalated(db, "not", 4, 5000)  # after both
        db.conn.commit()
    assert json.loads(called("report", "--json").stdout)["futile"] == {"answers": 2, "phases": 1}
