"""Factors and budgets: against plain computations, against known truth, and where the data isn't enough."""

from __future__ import annotations

import math
import os
import random
import statistics
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from conftest import ROOT, Tokentail
from event_rows import HOSTILE, Row, event_row, holding, stored, strict
from ingest.cli import cli
from ingest.storing.database import open_for_writing
from needed import Needed, median_of
from reports.calibration import BUDGET, GATE, Calibrated, Wish, calibrate
from reports.costs import Prices
from reports.selection import Selection
from reports.strata import Strata


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Open a database without events, for many tests that leave it so."""
    with open_for_writing(tmp_path_factory.mktemp("calibrate") / "telemetry.db") as db:
        yield db


_NUMBERS = count()


def moment(number: int) -> str:
    """Return a time, one minute after the one before, as the database writes it."""
    at = datetime(2026, 1, 1) + timedelta(minutes=number)  # noqa: DTZ001 - naive UTC
    return at.isoformat(sep=" ", timespec="microseconds")


def ratio_row(ratio: float, **columns: object) -> Row:
    """Return an event that needed so many times what was predicted, of a phase of its own."""
    number = next(_NUMBERS)
    values = {"phase_id": f"phase-{number}", "timestamp": moment(number), **columns}
    return event_row(predicted_output_tokens=1000, actual_output_tokens=max(1, round(1000 * ratio)), **values)


# Factors, against plain Python


OUTCOMES = st.sampled_from(
    ((1, 0), (1, 0), (1, 0), (0, 0), (None, 0), (1, 1), (0, 1), (1, None), (None, None))
)
ONE_CASE = st.tuples(
    st.sampled_from((100, 200, 300, 1000, 0)),
    st.sampled_from((60, 100, 150, 200, 300, 999, 0)),
    st.sampled_from((None, 100, 400)),
    OUTCOMES,
    st.integers(0, 15),
)
CASES = st.sampled_from((0, 10, 10, 10)).flatmap(
    lambda least: st.lists(ONE_CASE, min_size=least, max_size=24)
)
Case = tuple[int, int, int | None, tuple[int | None, int | None], int]


def smape(predicted: float, actual: float) -> float:
    """Return SMAPE as its definition has it."""
    return 200 * abs(predicted - actual) / (predicted + actual)


@settings(max_examples=60)
@given(CASES, st.integers(2, 7))
def test_factor_and_errors_are_what_plain_python_computes(
    empty: Database, cases: list[Case], min_phases: int
) -> None:
    """By phase: medians, errors with the factor of the other phases, and the trial forward in time."""
    events = [
        event_row(
            predicted_output_tokens=predicted,
            actual_output_tokens=actual,
            actual_max_tokens=ceiling,
            success=outcome[0],
            truncated=outcome[1],
            phase_id=f"phase-{phase}",
            timestamp=moment(number),
        )
        for number, (predicted, actual, ceiling, outcome, phase) in enumerate(cases)
    ]
    with holding(empty, events):
        found = calibrate(empty, Selection(min_actual=0), Strata(), Wish(min_phases, all_time=True))
    assume(not found.futile.answers)  # they are left out: tests/test_futile.py
    usable = [case for case in cases if case[0] and case[1] and case[3][1] is not None]
    assert [stratum.key for stratum in found.strata] == ([("docs", "low")] if usable else [])
    for stratum in (found.overall, *found.strata):
        check(stratum, usable, min_phases)


def needed(case: Case) -> Needed:
    """Return what an answer needed; a cut one at least its final ceiling, else its actual."""
    predicted, actual, ceiling, (_, truncated), phase = case
    return Needed((max(actual, ceiling or 0) if truncated else actual) / predicted, bool(truncated), phase)


def factor_of(cases: list[Case]) -> float | None:
    """Return the median of clean and cut answers, which tests/test_survival.py holds against exact sums."""
    return median_of(needed(case) for case in cases if case[3] == (1, 0) or case[3][1]).value


def error_of(cases: list[Case], factor: float = 1) -> float:
    """Return mean SMAPE of the clean answers with a factor."""
    return statistics.fmean(smape(case[0] * factor, case[1]) for case in cases if case[3] == (1, 0))


def check(found: Calibrated, cases: list[Case], min_phases: int) -> None:
    """Hold a stratum against a slow and plain computation."""
    clean = [case for case in cases if case[3] == (1, 0)]
    factor, usable = factor_of(cases), [case for case in cases if case[3] == (1, 0) or case[3][1]]
    assert (found.n, found.truncated) == (len(clean), sum(case[3][1] == 1 for case in cases))
    assert found.phases == len({case[4] for case in usable})
    assert found.factor == (None if factor is None else pytest.approx(factor))
    assert found.mean_actual == (statistics.fmean(case[1] for case in clean) if clean else None)
    assert found.ratio_median == (statistics.median(case[1] / case[0] for case in clean) if clean else None)
    assert (found.budget.n, found.budget.phases) == (len(cases), len({case[4] for case in cases}))
    phases = len({case[4] for case in clean})
    if phases < min_phases:
        assert (found.error_before, found.error_after, found.factor_interval) == (None, None, None)
        assert (found.forward, found.proposed_factor) == (None, None)
        assert found.why == f"{phases} of {min_phases} phases with clean answers"
        return
    assert found.error_before == pytest.approx(error_of(cases))
    check_left_out(found, cases)
    check_forward(found, cases)


def check_left_out(found: Calibrated, cases: list[Case]) -> None:
    """Predict the clean answers of each phase with the factor of all others."""
    errors: list[float] = []
    for phase in {case[4] for case in cases if case[3] == (1, 0)}:
        factor = factor_of([case for case in cases if case[4] != phase])
        if factor is None:
            return
        errors += [
            smape(case[0] * factor, case[1]) for case in cases if case[4] == phase and case[3] == (1, 0)
        ]
    if found.error_after is not None:
        assert found.error_after == pytest.approx(statistics.fmean(errors))


def check_forward(found: Calibrated, cases: list[Case]) -> None:
    """Fit on the phases that began in the earlier half, try on the others, propose only what helped."""
    phases = list(dict.fromkeys(case[4] for case in cases))
    early = phases[: len(phases) // 2]
    factor, later = factor_of([c for c in cases if c[4] in early]), [c for c in cases if c[4] not in early]
    if factor is None or not any(case[3] == (1, 0) for case in later):
        assert (found.forward, found.proposed_factor) == (None, None)
        return
    assert found.forward is not None
    assert (found.forward.fitted, found.forward.tried) == (len(early), len(phases) - len(early))
    before, after = error_of(later), error_of(later, factor)
    assert (found.forward.error_before, found.forward.error_after) == (
        pytest.approx(before),
        pytest.approx(after),
    )
    beyond = [case[3][1] == 1 or case[1] > case[0] * factor * (1 + 1e-12) for case in later]
    assert found.forward.beyond_after == pytest.approx(statistics.fmean(beyond))
    interval = found.factor_interval
    proposed = interval is not None and not interval.low <= 1 <= interval.high and before - after >= 1
    assert found.proposed_factor == (found.factor if proposed else None)
    assert ("it lessened the error by" in found.why) == proposed


def one_stratum(db: Database, events: list[Row], wish: Wish | None = None) -> Calibrated:
    """Return the calibration of events that are all in one stratum."""
    with holding(db, events):
        found = calibrate(db, Selection(), Strata(), wish)
    (stratum,) = found.strata
    assert found.overall.factor == stratum.factor
    assert found.overall.proposed_factor == stratum.proposed_factor
    return stratum


def test_a_factor_that_is_certain_is_proposed(empty: Database) -> None:
    """If everything needs about twice what was predicted, the factor is about 2, with its gain forward."""
    chance = random.Random(1)
    found = one_stratum(empty, [ratio_row(chance.uniform(1.8, 2.2)) for _ in range(40)])
    assert found.proposed_factor == pytest.approx(2, abs=0.1)
    assert found.factor_interval is not None
    assert 1.8 < found.factor_interval.low <= 2 <= found.factor_interval.high < 2.2
    assert found.forward is not None
    assert found.forward.error_before is not None
    assert found.forward.error_after is not None
    gain = found.forward.error_before - found.forward.error_after
    assert found.why == f"tried forward in time, it lessened the error by {gain:.1f} points"


def test_five_phases_are_not_enough_and_six_are(empty: Database) -> None:
    """Below six phases no interval is sure to 95%, and nothing is proposed, however many tries they had."""
    five = [ratio_row(2 + number / 10) for number in range(5)]
    more = [ratio_row(2, phase_id=row["phase_id"]) for row in five for _ in range(9)]
    assert one_stratum(empty, [*five, *more]).why == "5 of 6 phases with clean answers"
    assert one_stratum(empty, [*five, ratio_row(2)]).proposed_factor == pytest.approx(2.15)
    assert one_stratum(empty, five, Wish(min_phases=2)).why == "cut answers leave the interval open"


def test_a_factor_of_noise_is_not_proposed(empty: Database) -> None:
    """Estimates that are right on the whole get no factor: its interval includes 1."""
    chance = random.Random(2)
    found = one_stratum(empty, [ratio_row(chance.lognormvariate(0, 0.5)) for _ in range(60)])
    assert (found.proposed_factor, found.why) == (None, "the interval includes 1")


def test_a_factor_that_did_not_help_forward_in_time_is_not_proposed(empty: Database) -> None:
    """All needed more than predicted, the earlier half thrice as much: it misleads for the later."""
    events = [ratio_row(3 + number / 100) for number in range(12)]
    events += [ratio_row(1.1 + number / 100) for number in range(12)]
    found = one_stratum(empty, events, Wish(all_time=True))
    assert found.factor_interval is not None
    assert found.factor_interval.low > 1
    assert found.forward is not None
    assert found.forward.factor == pytest.approx(3.055)
    assert (found.proposed_factor, found.why) == (None, "tried forward in time, it did not help by 1 point")


def test_tries_of_a_phase_are_not_taken_for_evidence(empty: Database) -> None:
    """Eight phases of ten equal tries each: what eight answers don't show, these eighty don't either."""
    chance, events = random.Random(5), []
    for ratio in (0.4, 0.6, 0.7, 1.3, 0.8, 1.5, 0.5, 0.9):
        first = ratio_row(ratio)
        events += [
            first,
            *(ratio_row(ratio * chance.uniform(0.98, 1.02), phase_id=first["phase_id"]) for _ in range(9)),
        ]
    found = one_stratum(empty, events)
    assert (found.n, found.phases) == (80, 8)
    assert (found.proposed_factor, found.why) == (None, "the interval includes 1")


def test_where_most_answers_are_cut_no_factor_is_proposed(empty: Database) -> None:
    """Nobody knows the median: neither the bounds nor the few whole answers stand for it."""
    events = [ratio_row(1.0) for _ in range(9)]
    events += [ratio_row(5, truncated=1, success=0, actual_max_tokens=5000) for _ in range(60)]
    found = one_stratum(empty, events, Wish(all_time=True))
    assert (found.factor, found.factor_interval, found.proposed_factor) == (None, None, None)
    assert found.why == "so many answers were cut that nobody knows the median"


def test_cut_answers_do_not_pull_the_factor_down(empty: Database) -> None:
    """A third cut low: their bounds would make the median 0.75, where it is about 1."""
    chance, events = random.Random(7), []
    for _ in range(300):
        needs, ceiling = chance.lognormvariate(0, 0.5), chance.lognormvariate(0.25, 0.5)
        cut = {"truncated": int(needs > ceiling), "success": int(needs <= ceiling)}
        events.append(ratio_row(min(needs, ceiling), actual_max_tokens=round(1000 * ceiling), **cut))
    found = one_stratum(empty, events)
    assert 70 < found.truncated < 140
    assert found.factor == pytest.approx(1, abs=0.1)
    assert found.proposed_factor is None


def test_cut_answers_needed_their_final_ceiling_or_what_they_got(empty: Database) -> None:
    """Where a line has the final ceiling it is that; a selected budget is not what cut an answer."""
    events = [
        *(ratio_row(1) for _ in range(3)),
        ratio_row(2, truncated=1, selected_budget=16_000, actual_max_tokens=8000),
        ratio_row(3, truncated=1, selected_budget=16_000),
        ratio_row(5),
        ratio_row(9),
        ratio_row(10),
    ]
    with holding(empty, events):
        found = calibrate(empty, Selection(), Strata()).overall
    # cut at 8 and at 3: those three at 1 are 3/8; past 3, of three at risk of 5/8 of four, 5 takes it to half
    assert found.factor == pytest.approx(5)
    assert (found.n, found.truncated) == (6, 2)


def test_answers_that_were_not_parsed_count_for_budgets_only(empty: Database) -> None:
    """They say nothing of what a good answer needs, but a budget must hold them as well."""
    events = [ratio_row(1) for _ in range(45)] + [ratio_row(9, success=0) for _ in range(55)]
    found = one_stratum(empty, events, Wish(all_time=True))
    assert (found.n, found.factor, found.budget.n, found.budget.factor) == (45, 1, 100, 9)


def test_only_successes_leave_cut_answers_in(empty: Database) -> None:
    """A cut answer is never parsed: without it the budget would be too low, and nothing would say so."""
    events = [ratio_row(1 + number / 100) for number in range(60)]
    events += [ratio_row(3, success=0), *(ratio_row(4, success=0, truncated=1) for _ in range(3))]
    with holding(empty, events):
        found = calibrate(empty, Selection(success_only=True), Strata(), Wish(all_time=True)).overall
    assert (found.n, found.truncated, found.budget.n) == (60, 3, 63)
    assert found.budget.factor is None


# Changes, purposes, costs


def test_only_what_came_since_a_change_is_used(empty: Database) -> None:
    """Eight times too low until one day, then too high: the factor is that of the days since."""
    chance = random.Random(8)
    events = [ratio_row(8.7 * chance.lognormvariate(0, 0.4)) for _ in range(30)]
    events += [ratio_row(0.4 * chance.lognormvariate(0, 0.2)) for _ in range(12)]
    with holding(empty, events):
        since, ever = (
            calibrate(empty, Selection(), Strata(), Wish(all_time=all_time)) for all_time in (False, True)
        )
    assert [(change.at, change.phases_after) for change in since.changes] == [(events[30]["timestamp"], 12)]
    assert (since.overall.since, since.overall.n, since.overall.phases) == (events[30]["timestamp"], 12, 12)
    assert since.overall.proposed_factor == pytest.approx(0.4, rel=0.15)
    assert since.strata[0].since == events[30]["timestamp"]
    assert (ever.overall.since, ever.overall.n, ever.changes) == (None, 42, since.changes)


def test_a_change_of_one_stratum_leaves_the_others_as_they_are(empty: Database) -> None:
    """Its own answers are those since; the whole has these, and all of the others."""
    chance, events = random.Random(9), []
    for number in range(150):
        changed = number >= 90
        for name in ("docs", "tests", "code"):
            level = 3.0 if changed and name == "docs" else 1.0
            events.append(ratio_row(level * chance.lognormvariate(0, 0.6), category=name))
    with holding(empty, events):
        found = calibrate(empty, Selection(), Strata(("category",)))
    by_name = {stratum.key[0]: stratum for stratum in found.strata}
    assert by_name["docs"].since is not None
    assert abs(by_name["docs"].n - 60) <= 6
    assert (by_name["tests"].since, by_name["tests"].n, by_name["code"].n) == (None, 150, 150)
    assert (found.overall.since, found.overall.n) == (None, by_name["docs"].n + 300)


def test_a_factor_for_the_gate_passes_it(empty: Database) -> None:
    """Multiplied by it, at most 5% of the answers at hand are underestimated, where half were."""
    chance = random.Random(10)
    ratios = [chance.lognormvariate(0, 0.5) for _ in range(100)]
    found = one_stratum(empty, [ratio_row(ratio) for ratio in ratios], Wish(purpose=GATE))
    assert found.proposed_factor == found.gate.factor == pytest.approx(sorted(ratios)[95], abs=0.001)
    assert found.forward is not None
    assert found.forward.beyond_before == pytest.approx(0.5, abs=0.2)
    assert found.forward.beyond_after == pytest.approx(0.05, abs=0.07)
    assert "of the answers needed more" in found.why


def test_a_factor_for_the_budget_is_the_budget(empty: Database) -> None:
    """The prediction is then itself a budget that truncates so few."""
    events = [ratio_row(1 + number / 100) for number in range(60)]
    found = one_stratum(empty, events, Wish(purpose=BUDGET, all_time=True))
    assert found.proposed_factor == found.budget.factor == 1.59


def test_small_strata_get_a_pooled_budget_of_the_same_sureness(empty: Database) -> None:
    """Ten strata of eight phases: none has enough of its own, each gets one, and both are shown."""
    chance, events = random.Random(11), []
    for stratum in range(10):
        level = chance.lognormvariate(0, 0.8)
        events += [
            ratio_row(level * chance.lognormvariate(0, 0.3), category=f"work-{stratum}") for _ in range(8)
        ]
    random.Random(12).shuffle(events)
    with holding(empty, events):
        found = calibrate(empty, Selection(), Strata(("category",)), Wish(all_time=True))
    for stratum in found.strata:
        assert (stratum.budget.own_factor, stratum.budget.advised, stratum.budget.phases_needed) == (
            None,
            "pooled",
            41,
        )
        assert stratum.budget.factor == stratum.budget.pooled_factor is not None
        assert stratum.budget.why.startswith("pooled with the other strata")
    assert found.overall.budget.advised == "own"
    assert found.overall.budget.factor is not None
    cheaper = [
        stratum.budget.factor < found.overall.budget.factor
        for stratum in found.strata
        if stratum.budget.factor
    ]
    assert sum(cheaper) >= 7


def test_costs_choose_the_quantile_with_the_least_cost(empty: Database) -> None:
    """A token lacking costs nine times one left over: one in ten may be cut; costs are counted by hand."""
    ratios = [0.5 + number / 100 for number in range(199)]
    events = [ratio_row(ratio, actual_max_tokens=4000) for ratio in ratios]
    prices = Prices(of_truncation=9, of_waste=1)
    found = one_stratum(empty, events, Wish(prices=prices, all_time=True))
    assert found.budget.max_truncation == pytest.approx(0.1)
    factor = found.budget.factor
    assert factor == pytest.approx(sorted(ratios)[179])

    def cost(multiple: float) -> float:
        return sum(
            9 * max(0, 1000 * ratio - 1000 * multiple) + max(0, 1000 * multiple - 1000 * ratio)
            for ratio in ratios
        )

    assert found.costs is not None
    assert found.costs.cost_after == pytest.approx(cost(factor) * 1000 / 199)
    assert found.costs.cost_before == pytest.approx(cost(4.0) * 1000 / 199)
    assert found.costs.truncated_before == 0
    assert found.costs.truncated_after == pytest.approx(19 * 1000 / 199)
    assert cost(factor) <= 1.001 * min(cost(multiple) for multiple in ratios)
    assert not found.costs.at_least


def test_what_cut_answers_lacked_is_taken_from_whole_ones_beyond(empty: Database) -> None:
    """Cut at 2: it lacked what those at 3 and 5 needed more, half each; beyond all, who knows."""
    whole = [ratio_row(ratio, actual_max_tokens=8000) for ratio in (1, 1, 1, 3, 5)]
    cut = ratio_row(2, truncated=1, success=0, actual_max_tokens=2000)
    wish = Wish(max_truncation=0.5, prices=Prices(1, 1), all_time=True)
    found = one_stratum(empty, [*whole, cut], wish).costs
    assert found is not None
    spare = 3 * 7000 + 5000 + 3000
    assert (found.n, found.spare_before) == (6, pytest.approx(spare * 1000 / 6))
    assert found.short_before == pytest.approx((1000 + 3000) / 2 * 1000 / 6)
    assert found.spare_after == pytest.approx(3 * 2000 * 1000 / 6)
    assert found.short_after == pytest.approx((2000 + (0 + 2000) / 2) * 1000 / 6)
    assert found.truncated_after == pytest.approx((1 + 1 / 2) * 1000 / 6)
    assert (found.truncated_before, found.at_least) == (pytest.approx(1000 / 6), False)
    beyond = ratio_row(7, truncated=1, success=0, actual_max_tokens=7000)
    least = one_stratum(empty, [*whole, cut, beyond], wish).costs
    assert least is not None
    assert least.at_least


# The command


def test_calibration_of_known_data_finds_the_truth(called: Tokentail, tmp_path: Path) -> None:
    """From a database to the proposals: both strata's factors, the budget, and the file untouched."""
    chance = random.Random(4)
    events = []
    for name, median in (("docs", 0.4), ("tests", 2.5)):
        for _ in range(400):
            needed = median * chance.lognormvariate(0, 0.4)
            ceiling = median * chance.lognormvariate(1.6, 0.5)
            cut = {"truncated": int(needed > ceiling), "selected_budget": max(1, round(1000 * ceiling))}
            events.append(ratio_row(min(needed, ceiling), category=name, **cut))
    database = stored(tmp_path / "telemetry.db", events)
    before = database.read_bytes()
    done = called("calibrate", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = strict(done.stdout)
    assert database.read_bytes() == before
    beyond = math.exp(0.4 * statistics.NormalDist().inv_cdf(0.98))
    for stratum, name, median in zip(found["strata"], ("docs", "tests"), (0.4, 2.5), strict=True):
        assert (stratum["category"], stratum["complexity"]) == (name, "low")
        assert stratum["n"] + stratum["truncated"] == 400
        assert stratum["proposed_factor"] == pytest.approx(median, rel=0.1)
        assert stratum["factor_low"] <= median <= stratum["factor_high"]
        assert stratum["error_after"] < stratum["error_before"]
        assert stratum["budget"]["factor"] == pytest.approx(median * beyond, rel=0.25)
        assert stratum["budget"]["safe_factor"] > median * beyond
    assert found["overall"]["n"] == sum(stratum["n"] for stratum in found["strata"])
    shown = called("calibrate", "--max-truncation", "10").stdout
    assert "Factors: multiply the predictions by" in shown
    assert "Budgets that truncate at most 10%, as multiples of the prediction" in shown
    assert shown.count("tried forward in time, it lessened the error by") >= 2
    assert shown.count("its own 400 phases are enough for 10%") == 2
    cheapest = called("calibrate", "--cost-of-truncation", "20", "--cost-of-waste", "1").stdout
    assert cheapest.count("its own 400 phases are enough for 4.76%") == 2


def run(database: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Run the command within this process, as text and as JSON; return both results."""
    where = ["--db", str(database), "--min-actual", "0", *arguments]
    shown = CliRunner().invoke(cli, ["calibrate", *where], standalone_mode=False, catch_exceptions=False)
    as_json = CliRunner().invoke(
        cli, ["calibrate", *where, "--json"], standalone_mode=False, catch_exceptions=False
    )
    assert (shown.return_value, shown.stderr, as_json.return_value, as_json.stderr) == (0, "", 0, "")
    return shown.stdout, strict(as_json.stdout)


EDGES: dict[str, list[Row]] = {
    "one": [event_row()],
    "one-zero": [event_row(actual_output_tokens=0, predicted_output_tokens=0)],
    "zeros": [event_row(actual_output_tokens=0) for _ in range(9)]
    + [event_row(predicted_output_tokens=0) for _ in range(9)],
    "all-truncated": [event_row(truncated=1, selected_budget=number) for number in range(80)],
    "all-equal": [event_row(actual_output_tokens=1000) for _ in range(250)],
    "nobody-knows": [event_row(success=None, truncated=None) for _ in range(60)],
    "not-parsed": [event_row(success=0) for _ in range(60)],
    "tens-of-millions": [event_row(actual_output_tokens=10**7 + number) for number in range(60)],
    "eighteen-digits": [event_row(actual_output_tokens=10**18 - 1 - number) for number in range(55)]
    + [
        event_row(predicted_output_tokens=10**18 - 1, actual_output_tokens=1 + number) for number in range(55)
    ],
    "hostile": [
        event_row(category=name, complexity=name, model=name)
        for name in (HOSTILE, None, "", "x" * 5000)
        for _ in range(6)
    ],
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_give_numbers_or_null_and_never_a_warning(tmp_path: Path, name: str) -> None:
    """Zeros, all cut, all equal, NULLs, 18 digits and hostile names: JSON without NaN, harmless text."""
    shown, found = run(stored(tmp_path / "t.db", EDGES[name]))
    assert not any(control in shown for control in ("\x1b", "\r", "\x9b", "\u202e"))
    assert sum(stratum["n"] for stratum in found["strata"]) == found["overall"]["n"]
    for stratum in (found["overall"], *found["strata"]):
        assert isinstance(stratum["why"], str)
        numbers = [
            value for key, value in stratum.items() if key.startswith(("factor_l", "error", "mean", "ratio"))
        ]
        assert all(value is None or isinstance(value, (int, float)) for value in numbers)
        if stratum["proposed_factor"] is None:
            assert "lessened" not in stratum["why"]
    if name in {"zeros", "one-zero", "all-truncated", "nobody-knows", "not-parsed"}:
        assert (found["overall"]["n"], found["overall"]["proposed_factor"]) == (0, None)
    if name in {"zeros", "one-zero", "nobody-knows"}:
        assert (found["overall"]["factor"], found["overall"]["budget"]["n"]) == (None, 0)


@pytest.mark.parametrize("by", ["", "model", "bucket,model", "model,bucket,complexity,category"])
def test_strata_are_by_any_dimensions_and_sum_to_the_whole(tmp_path: Path, by: str) -> None:
    """Each stratum has the names it is by, in that order; the overall line is the same however they are."""
    events = [
        event_row(category=category, model=model, deliverable_count=number, actual_output_tokens=500 + number)
        for category in ("docs", None)
        for model in ("m", None)
        for number in (0, 2, 5, 40)
    ]
    shown, found = run(stored(tmp_path / "t.db", events), "--by", by)
    dimensions = by.split(",") if by else ["category", "complexity"]
    assert found["by"] == dimensions
    assert all(list(stratum)[: len(dimensions)] == dimensions for stratum in found["strata"])
    assert sum(stratum["n"] for stratum in found["strata"]) == found["overall"]["n"] == 16
    assert found["overall"]["factor"] == pytest.approx(statistics.median((500, 502, 505, 540)) / 1000)
    (header,) = [line for line in shown.splitlines() if "95% interval" in line]
    assert header.split()[: len(dimensions)] == dimensions


def test_a_sentence_at_the_top_says_what_to_change(tmp_path: Path) -> None:
    """For each stratum with something to change, what, and on how many answers and phases."""
    chance = random.Random(20)
    rows = [ratio_row(0.4 * chance.lognormvariate(0, 0.2)) for _ in range(60)]
    rows += [ratio_row(0.4, phase_id=rows[0]["phase_id"]), ratio_row(1, category="tests")]
    shown, found = run(stored(tmp_path / "t.db", rows))
    stratum = found["strata"][0]
    low, high = stratum["factor_low"], stratum["factor_high"]
    assert stratum["advice"] == (
        f"docs/low: multiply by {stratum['factor']:.2f} (95%: {low:.2f} to {high:.2f}), budget "
        f"{stratum['budget']['factor']:.2f} x what is predicted now, for 2% truncated; "
        "61 answers of 60 phases"
    )
    assert shown.splitlines()[4] == stratum["advice"]
    assert found["strata"][1]["advice"].startswith(
        "tests/low: leave the predictions as they are (1 of 6 phases with clean answers), "
    )


def test_a_change_is_said_at_the_top_with_what_is_done_about_it(tmp_path: Path) -> None:
    """When, from what to what, and that what came before is not used, or is."""
    chance = random.Random(21)
    rows = [ratio_row(8.7 * chance.lognormvariate(0, 0.3)) for _ in range(20)]
    rows += [ratio_row(0.4 * chance.lognormvariate(0, 0.3)) for _ in range(10)]
    database, day = stored(tmp_path / "t.db", rows), rows[20]["timestamp"]
    shown, found = run(database)
    (change,) = found["changes"]
    assert (change["stratum"], change["of"], change["at"]) == (None, "estimates", day)
    assert (change["phases_before"], change["phases_after"]) == (20, 10)
    ratios = [row["actual_output_tokens"] / 1000 for row in rows]
    assert change["before"] == pytest.approx(statistics.median(ratios[:20]))
    assert change["after"] == pytest.approx(statistics.median(ratios[20:]))
    step = f"{change['before']:.2f} to {change['after']:.2f} (median of 20 and 10 phases) at {day[:16]} UTC"
    assert f"Over all strata, actual / predicted went from {step}: what came before is not used" in shown
    assert f"10 answers of 10 phases since {day[:10]}" in found["overall"]["advice"]
    shown, found = run(database, "--tz", "Pacific/Kiritimati")
    local = (datetime.fromisoformat(day) + timedelta(hours=14)).isoformat(" ", "minutes")
    assert f"at {local} Pacific/Kiritimati: what came before is not used" in shown
    assert found["overall"]["advice"].endswith(f" since {local[:10]}")
    shown, found = run(database, "--all-time")
    assert "used all the same (--all-time)" in shown
    assert (found["overall"]["n"], found["overall"]["since"], found["all_time"]) == (30, None, True)


def test_purposes_and_costs_are_in_the_json(tmp_path: Path) -> None:
    """What was asked for, and numbers for it; costs name the share that may be truncated themselves."""
    chance = random.Random(22)
    rows = [ratio_row(chance.lognormvariate(0, 0.4), actual_max_tokens=50_000) for _ in range(120)]
    database = stored(tmp_path / "t.db", rows)
    _, gate = run(database, "--for", "gate")
    assert (gate["for"], gate["overall"]["proposed_factor"]) == ("gate", gate["overall"]["gate"]["factor"])
    assert "so that at most 5% are underestimated" in gate["overall"]["advice"]
    _, whole = run(database, "--for", "budget")
    assert whole["overall"]["proposed_factor"] == whole["overall"]["budget"]["factor"]
    assert "so that the prediction is a budget" in whole["overall"]["advice"]
    shown, priced = run(database, "--cost-of-truncation", "19")
    assert (priced["cost_of_truncation"], priced["cost_of_waste"]) == (19, 1)
    assert priced["max_truncation"] == pytest.approx(0.05)
    assert priced["overall"]["budget"]["factor"] == gate["overall"]["gate"]["factor"]
    assert priced["overall"]["costs"]["cost_after"] < priced["overall"]["costs"]["cost_before"]
    assert "Tokens per 1,000 calls" in shown
    assert "Tokens per 1,000 calls" not in run(database)[0]
    few = run(stored(tmp_path / "few.db", rows[:9]), "--cost-of-truncation", "19")[0]
    assert "What it costs is not told: no budget is known" in few


def test_nothing_to_calibrate_is_said(called: Tokentail, tmp_path: Path) -> None:
    """An empty database: no strata, no numbers, exit 0."""
    (tmp_path / "run.log").write_text("")
    called("ingest", "run.log")
    shown, found = run(tmp_path / "telemetry.db")
    assert "There is nothing to calibrate: no event is left." in shown
    assert (found["strata"], found["overall"]["n"], found["overall"]["factor"]) == ([], 0, None)
    assert found["overall"]["budget"]["phases_needed"] == 49


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ["--min-phases", "1"],
            ["--min-phases", "x"],
            ["--max-truncation", "0"],
            ["--max-truncation", "51"],
        ),
        *(["--max-truncation", "nan"], ["--by", "nothing"], ["--apply"], ["--for", "all"]),
        *(
            ["--cost-of-truncation", "0"],
            ["--cost-of-waste", "nan"],
        ),
    ],
    ids=" ".join,
)
def test_nonsense_is_wrong_use(arguments: list[str]) -> None:
    """What can't be meant exits with 2; and there is no option that applies a proposal."""
    done = CliRunner().invoke(cli, ["calibrate", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")


def test_costs_and_a_share_together_can_not_be_meant(called: Tokentail, tmp_path: Path) -> None:
    """Costs say how many may be truncated: the same asked for twice is wrong use."""
    stored(tmp_path / "telemetry.db", [event_row()])
    done = called("calibrate", "--cost-of-waste", 2, "--max-truncation", 3)
    assert (done.returncode, done.stdout) == (2, "")
    assert "leave out --max-truncation" in done.stderr


def test_it_needs_neither_scipy_nor_numpy(tokentail: Tokentail, tmp_path: Path) -> None:
    """The same numbers with these libraries and without."""
    for missing in ("scipy", "numpy"):
        (tmp_path / "stub" / missing).mkdir(parents=True)
        (tmp_path / "stub" / missing / "__init__.py").write_text('raise ImportError("not here")\n')
    stored(tmp_path / "telemetry.db", [ratio_row(1 + number / 60) for number in range(60)])
    without = {"PYTHONPATH": os.pathsep.join((str(tmp_path / "stub"), str(ROOT)))}
    done = tokentail("calibrate", "--json", **without)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == tokentail("calibrate", "--json").stdout
