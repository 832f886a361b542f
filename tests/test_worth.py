"""What the estimates are worth: against a constant and the floor, recomputed from the rows."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Tokentail
from event_rows import event_row, stored, strict
from reports import worth as worth_module
from reports.tokens import Kind, Tokens
from reports.worth import Worth, errors_of, together, worth_line

CLEAN = Kind(parsed=True, truncated=False, real=False)


def smape(estimate: float, answer: float) -> float:
    return 200 * abs(estimate - answer) / (estimate + answer)


def mean(values: Sequence[float]) -> Any:
    """Return the mean to within rounding, `None` of nothing."""
    return pytest.approx(statistics.fmean(values)) if values else None


def recomputed(strata: Sequence[Sequence[tuple[int, int, int]]]) -> dict[str, Any]:
    """Return what is to be found of (phase, predicted, actual), as a few plain lines have it."""
    logged, constant, floor, phases = [], [], [], 0
    for answers in strata:
        for phase, predicted, actual in answers:
            others = [other[2] for other in answers if other[0] != phase]
            if others:
                logged.append(smape(predicted, actual))
                constant.append(smape(statistics.median(others), actual))
        for phase in {answer[0] for answer in answers}:
            tries = [answer[2] for answer in answers if answer[0] == phase]
            pairs = [smape(actual, other_actual) for actual, other_actual in permutations(tries, 2)]
            floor += [statistics.fmean(pairs)] * len(tries) if pairs else []
            phases += bool(pairs)
    return {
        "n": len(logged),
        "logged": mean(logged),
        "constant": mean(constant),
        "floor_n": len(floor),
        "floor_phases": phases,
        "floor": mean(floor),
    }


def kinds(answers: Sequence[tuple[int, int, int]]) -> dict[Kind, Tokens]:
    """Return the answers of a stratum as a report reads them."""
    tokens = Tokens()
    for phase, predicted, actual in answers:
        tokens.phase.append(phase)
        tokens.predicted.append(predicted)
        tokens.actual.append(actual)
        tokens.ceiling.append(0)
    return {CLEAN: tokens}


NUMBERS = st.one_of(st.integers(1, 5), st.integers(50, 10**12))
ANSWERS = st.lists(st.tuples(st.integers(0, 4), NUMBERS, NUMBERS), max_size=12)


@settings(max_examples=150)
@given(st.lists(ANSWERS, max_size=3))
def test_worth_is_what_plain_python_computes(strata: list[list[tuple[int, int, int]]]) -> None:
    """Each stratum with its own median, the phase left out; ties, phases alone, and none at all."""
    found = together(errors_of(kinds(answers)) for answers in strata)
    computed = {name: getattr(found, name) for name in recomputed(strata)}
    assert computed == recomputed(strata)


ROWS = [
    event_row(phase_id=f"p{number // 2}", predicted_output_tokens=400 + number, actual_output_tokens=actual)
    for number, actual in enumerate((1000, 1100, 900, 1300, 950, 1000))
]


def test_report_and_calibrate_say_it_first(tmp_path: Path, called: Tokentail) -> None:
    """The first line that a person sees; cut answers, and those that were not parsed, are not in it."""
    rows = [
        *ROWS,
        event_row(phase_id="p9", truncated=1, actual_output_tokens=90_000),
        event_row(phase_id="p9", success=0, actual_output_tokens=70),
        event_row(category="tests", phase_id="p1", actual_output_tokens=70_000),
        event_row(phase_id="unknown", actual_output_tokens=800, predicted_output_tokens=800),
        event_row(phase_id="unknown", actual_output_tokens=1600, predicted_output_tokens=800),
    ]
    stored(tmp_path / "telemetry.db", rows)
    answers = [
        (number // 2, row["predicted_output_tokens"], row["actual_output_tokens"])
        for number, row in enumerate(ROWS)
    ]
    answers += [(11, 800, 800), (12, 800, 1600)]
    wanted = recomputed([answers, [(1, 1000, 70_000)]])
    line = (
        "SMAPE {logged:.0f} against {constant:.0f} for a constant; "
        "answers to equal work differ by {floor:.0f} anyway"
    )
    for command in ("report", "calibrate"):
        found = strict(called(command, "--json").stdout)
        assert found["worth"] == wanted
        assert line.format(**found["worth"]) in called(command).stdout.splitlines()[:4]
    docs, tests = strict(called("report", "--json").stdout)["strata"]
    assert docs["worth"] == recomputed([answers])
    assert (tests["worth"]["n"], tests["worth"]["constant"], tests["worth"]["floor"]) == (0, None, None)


def test_what_there_is_not_is_said(tmp_path: Path, called: Tokentail) -> None:
    """Without tries there is no floor; without another phase no constant, and no line."""
    assert worth_line(Worth(3, 101.4, 45.0, 0, 0, None)) == (
        "SMAPE 101 against 45 for a constant; how far answers to equal work differ anyway is not known: "
        "no phase has two clean ones"
    )
    assert worth_line(Worth(0, None, None, 4, 1, 22.4)) == ""
    stored(tmp_path / "telemetry.db", [event_row(), event_row()])
    assert "for a constant" not in called("report").stdout
    assert called("calibrate").stdout.startswith("2 events of 2 ")
    found = json.loads(called("report", "--json").stdout)["worth"]
    assert (found["n"], found["constant"], found["floor_n"], found["floor"]) == (0, None, 2, 0)


def test_of_very_many_answers_some_phases_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole phases are left out, and of one with very many tries some tries."""
    monkeypatch.setattr(worth_module, "MAX_ANSWERS", 100)
    many = [(number // 2, 1000, 500 + number % 7) for number in range(600)]
    found = errors_of(kinds(many)).worth()
    kept = [answer for answer in many if answer[0] % 6 == 0]
    assert {name: getattr(found, name) for name in recomputed([kept])} == recomputed([kept])
    monkeypatch.undo()
    tries = errors_of(kinds([(1, 1000, 1000 + number) for number in range(4000)])).worth()
    assert (tries.floor_n, tries.floor_phases) == (worth_module.MAX_TRIES, 1)
    assert 20 < (tries.floor or 0) < 60
