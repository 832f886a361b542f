"""Factors and budgets: against plain computations, against known truth, and where the data can't tell."""

from __future__ import annotations

import math
import os
import random
import statistics
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from conftest import ROOT, Tokentail
from event_rows import HOSTILE, Row, event_row, holding, stored, strict
from ingest.cli.calibrate import calibrate_command
from ingest.storing.database import open_for_writing
from reports.calibration import Calibrated, calibrate
from reports.selection import Selection
from reports.strata import Strata
from reports.survival import budget_factor, samples_for_estimate, samples_for_sureness


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Open a database without events, for many tests that leave it so."""
    with open_for_writing(tmp_path_factory.mktemp("calibrate") / "telemetry.db") as db:
        yield db


def ratio_row(ratio: float, **columns: object) -> Row:
    """Return an event that needed so many times what was predicted."""
    return event_row(
        predicted_output_tokens=1000, actual_output_tokens=max(1, round(1000 * ratio)), **columns
    )


# Survival


def kaplan_meier(
    whole: Sequence[float], censored: Sequence[float]
) -> Iterator[tuple[float, Fraction, Fraction | None]]:
    """Yield each ratio, the share beyond it, and Greenwood's sum; exact, in a few lines."""
    beyond, greenwood = Fraction(1), Fraction(0)
    for ratio in sorted(set(whole)):
        at_risk = sum(one >= ratio for one in (*whole, *censored))
        ended = whole.count(ratio)
        beyond *= 1 - Fraction(ended, at_risk)
        greenwood += Fraction(ended, at_risk * (at_risk - ended)) if at_risk > ended else 0
        yield ratio, beyond, greenwood if beyond else None


def upper_end(share: Fraction, greenwood: Fraction | None) -> float | None:
    """Return the upper end of the log-log interval, 95% one-sided; none where nothing is left beyond."""
    if greenwood is None:
        return None
    width = statistics.NormalDist().inv_cdf(0.95) * math.sqrt(greenwood) / abs(math.log(share))
    return float(share) ** math.exp(-width)


def surely_enough(whole: Sequence[float], censored: int, limit: Fraction) -> float | None:
    """Return the ratio with so few beyond, the cut ones among them, that 5% of samples have as few."""
    n, chance, few = len(whole) + censored, Fraction(0), -1
    for count in range(n + 1):
        chance += math.comb(n, count) * limit**count * (1 - limit) ** (n - count)
        if chance > Fraction(1, 20):
            break
        few = count
    allowed = few - censored
    if allowed < 0:
        return None
    return next((one for one in sorted(set(whole)) if sum(other > one for other in whole) <= allowed), None)


RATIOS = st.lists(st.sampled_from((0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 8.0, 1e9)), max_size=40)
LIMITS = st.sampled_from((Fraction(1, 2), Fraction(2, 5), Fraction(1, 5), Fraction(1, 10), Fraction(1, 20)))


@settings(max_examples=200)
@given(RATIOS, RATIOS, LIMITS)
def test_budget_is_where_kaplan_and_meier_fall_to_the_limit(
    whole: list[float], censored: list[float], limit: Fraction
) -> None:
    """The budget and the safe one agree with a few exact lines of our own, ties and cut answers and all."""
    found = budget_factor(whole, censored, float(limit))
    steps = list(kaplan_meier(whole, censored))
    enough = len(whole) + len(censored) >= 1 / limit
    factor = next((ratio for ratio, share, _ in steps if share <= limit), None)
    ends = [(ratio, upper_end(share, greenwood)) for ratio, share, greenwood in steps]
    safe = surely_enough(whole, len(censored), limit)
    if safe is None and censored:
        safe = next((ratio for ratio, end in ends if end is not None and end <= float(limit) + 1e-9), None)
    assert (found.factor, found.safe_factor) == ((factor, safe) if enough else (None, None))
    assert (found.n, found.censored) == (len(whole) + len(censored), len(censored))
    assert found.largest == max(whole, default=None)
    assert found.why


@settings(max_examples=200)
@given(RATIOS, RATIOS, LIMITS)
def test_budgets_are_ordered_and_what_is_lacking_is_told(
    whole: list[float], censored: list[float], limit: Fraction
) -> None:
    """The safe one >= the budget, both are whole answers; what is missing says how many more it takes."""
    found = budget_factor(whole, censored, float(limit))
    assert found.factor is None or found.factor in whole
    if found.safe_factor is not None:
        assert found.factor is not None
        assert found.factor <= found.safe_factor
        assert found.samples_needed is None
        assert "95% sure" in found.why
    else:
        assert found.samples_needed is not None
        assert found.samples_needed > 0
        assert "takes" in found.why


@settings(max_examples=150)
@given(st.lists(st.floats(0.01, 100), min_size=20, max_size=40), st.data())
def test_a_higher_ceiling_never_lowers_the_budget(whole: list[float], data: st.DataObject) -> None:
    """Cut answers push the budget up, never down; left out, they would make it look safer than it is."""
    censored = data.draw(st.lists(st.floats(0.01, 100), max_size=10))
    without, found = budget_factor(whole, [], 0.05), budget_factor(whole, censored, 0.05)
    assert without.factor is not None
    assert found.factor is None or found.factor >= without.factor


@pytest.mark.parametrize(
    ("limit", "estimate", "sureness"),
    [
        (0.02, 50, 149),
        (0.01, 100, 299),
        (0.05, 20, 59),
        (0.5, 2, 5),
        (0.03, 34, 99),
        (0.0001, 10_000, 29_956),
    ],
)
def test_samples_that_it_takes(limit: float, estimate: int, sureness: int) -> None:
    """One of 1 / limit answers stands for the limit; so many without one beyond leave 5% of doubt."""
    assert (samples_for_estimate(limit), samples_for_sureness(limit)) == (estimate, sureness)
    assert (1 - limit) ** sureness <= 0.05 < (1 - limit) ** (sureness - 1)


@pytest.mark.parametrize(
    ("whole", "censored", "factor", "safe", "needed", "said"),
    [
        (0, 0, False, False, 50, "it takes 50 answers before one stands for 2% of them"),
        (49, 0, False, False, 1, "it takes 50 answers before one stands for 2% of them"),
        (50, 0, True, False, 99, "an estimate: to be 95% sure it takes 149 answers"),
        (0, 60, False, False, 50, "the largest answers were cut: it takes whole ones with higher ceilings"),
        (60, 60, False, False, 50, "(median 9.00 x predicted)"),
        (400, 0, True, True, None, "95% sure with the safe budget"),
    ],
)
def test_where_the_data_cannot_tell_it_says_what_it_takes(
    whole: int, censored: int, factor: bool, safe: bool, needed: int | None, said: str
) -> None:
    """Too few answers, all cut, the largest cut: no number, but how many more, and of which kind."""
    found = budget_factor([1 + number / 1000 for number in range(whole)], [9.0] * censored, 0.02)
    assert (found.factor is not None, found.safe_factor is not None) == (factor, safe)
    assert found.samples_needed == needed
    assert said in found.why


MU, SIGMA = 0.1, 0.6
TRUE = math.exp(MU + SIGMA * statistics.NormalDist().inv_cdf(0.98))


def simulated(seed: int, count: int) -> tuple[list[float], list[float]]:
    """Return lognormal ratios, cut at ceilings that are drawn apart from them: whole ones, and bounds."""
    chance = random.Random(seed)
    whole, censored = [], []
    for _ in range(count):
        needed = chance.lognormvariate(MU, SIGMA)
        ceiling = chance.lognormvariate(math.log(TRUE * 1.2), 0.7)
        (whole if needed <= ceiling else censored).append(min(needed, ceiling))
    return whole, censored


def test_budget_finds_the_truth_behind_the_ceilings() -> None:
    """In 60 simulations the true quantile is near the budget, and below the safe one in almost all.

    Without the cut answers, about 6% of them, the budget would be too low every time, and by far.
    """
    found, safe, naive = [], 0, []
    for seed in range(60):
        whole, censored = simulated(seed, 1500)
        budget, left_out = budget_factor(whole, censored, 0.02), budget_factor(whole, [], 0.02)
        assert budget.factor is not None
        assert budget.safe_factor is not None
        assert left_out.factor is not None
        assert left_out.factor < budget.factor
        found.append(budget.factor / TRUE)
        naive.append(left_out.factor / TRUE)
        safe += budget.safe_factor >= TRUE
    assert statistics.fmean(found) == pytest.approx(1, abs=0.03)
    assert min(found) > 0.85
    assert max(found) < 1.2
    assert safe >= 54
    assert statistics.fmean(naive) < 0.9
    assert sum(one < 1 for one in naive) == 60


# Factors, against plain Python


OUTCOMES = st.sampled_from(
    ((1, 0), (1, 0), (1, 0), (0, 0), (None, 0), (1, 1), (0, 1), (1, None), (None, None))
)
ONE_CASE = st.tuples(
    st.sampled_from((100, 200, 300, 1000, 0)),
    st.sampled_from((60, 100, 150, 200, 300, 999, 0)),
    st.sampled_from((0, 100, 400)),
    OUTCOMES,
)
CASES = st.sampled_from((0, 10, 10, 10)).flatmap(
    lambda least: st.lists(ONE_CASE, min_size=least, max_size=24)
)
Case = tuple[int, int, int, tuple[int | None, int | None]]


def smape(predicted: float, actual: float) -> float:
    """Return SMAPE as its definition has it."""
    return 200 * abs(predicted - actual) / (predicted + actual)


@settings(max_examples=40)
@given(CASES, st.integers(2, 6))
def test_factor_and_errors_are_what_plain_python_computes(
    empty: Database, cases: list[Case], min_samples: int
) -> None:
    """Median ratios, cut answers at their lower bound, and each error with the factor of all the others."""
    events = [
        event_row(
            predicted_output_tokens=predicted,
            actual_output_tokens=actual,
            selected_budget=ceiling,
            success=outcome[0],
            truncated=outcome[1],
        )
        for predicted, actual, ceiling, outcome in cases
    ]
    with holding(empty, events):
        overall, (*strata,) = calibrate(empty, Selection(min_actual=0), Strata(), min_samples)
    assert [one.key for one in strata] == ([("docs", "low")] if cases else [])
    for one in (overall, *strata):
        check(one, [case for case in cases if case[0] and case[1]], min_samples)


def check(found: Calibrated, cases: list[Case], min_samples: int) -> None:
    """Hold a stratum against a slow and plain computation."""
    clean = [(p, a) for p, a, _, outcome in cases if outcome == (1, 0)]
    bounds = [max(a, ceiling) / p for p, a, ceiling, (_, truncated) in cases if truncated == 1]
    known = [a / p for p, a in clean] + bounds
    assert (found.n, found.truncated) == (len(clean), len(bounds))
    assert found.factor == (statistics.median(known) if known else None)
    assert found.factor_is_lower_bound == any(bound <= (found.factor or 0) for bound in bounds)
    assert found.mean_actual == (statistics.fmean(a for _, a in clean) if clean else None)
    assert found.ratio_median == (statistics.median(a / p for p, a in clean) if clean else None)
    assert found.budget.n == sum(outcome[1] is not None for *_, outcome in cases)
    assert found.budget.censored == len(bounds)
    if len(clean) < min_samples:
        assert (found.error_before, found.error_after, found.factor_interval) == (None, None, None)
        assert found.why == f"{len(clean)} of {min_samples} clean samples"
    else:
        without = [known[:place] + known[place + 1 :] for place in range(len(clean))]
        after = [smape(p * statistics.median(rest), a) for (p, a), rest in zip(clean, without, strict=True)]
        assert found.error_before == pytest.approx(statistics.fmean(smape(p, a) for p, a in clean))
        assert found.error_after == pytest.approx(statistics.fmean(after))
        assert found.factor_interval is not None
        assert found.factor is not None
        assert min(known) <= found.factor_interval.low <= found.factor <= found.factor_interval.high
    if found.proposed_factor is None:
        assert "would have lessened" not in found.why
    else:
        assert found.proposed_factor == found.factor
        assert found.error_before is not None
        assert found.error_after is not None
        assert found.error_after < found.error_before
        assert found.factor_interval is not None
        assert not found.factor_interval.low <= 1 <= found.factor_interval.high


def one_stratum(db: Database, events: list[Row]) -> Calibrated:
    """Return the calibration of events that are all in one stratum."""
    with holding(db, events):
        overall, (one,) = calibrate(db, Selection(), Strata())
    assert overall.factor == one.factor
    assert overall.proposed_factor == one.proposed_factor
    return one


def test_a_factor_that_is_certain_is_proposed(empty: Database) -> None:
    """If everything needs about twice what was predicted, the factor is about 2, with its gain."""
    chance = random.Random(1)
    found = one_stratum(empty, [ratio_row(chance.uniform(1.8, 2.2)) for _ in range(40)])
    assert found.proposed_factor == pytest.approx(2, abs=0.1)
    assert found.factor_interval is not None
    assert 1.8 < found.factor_interval.low <= 2 <= found.factor_interval.high < 2.2
    assert found.error_before is not None
    assert found.error_after is not None
    gain = found.error_before - found.error_after
    assert found.why == f"it would have lessened the error by {gain:.1f} points"


def test_four_samples_are_not_enough_and_five_are(empty: Database) -> None:
    """Below five clean events nothing is proposed, however clear it looks."""
    assert one_stratum(empty, [ratio_row(2) for _ in range(4)]).why == "4 of 5 clean samples"
    assert one_stratum(empty, [ratio_row(2) for _ in range(5)]).proposed_factor == 2


def test_a_factor_of_noise_is_not_proposed(empty: Database) -> None:
    """Estimates that are right on the whole get no factor: its interval includes 1."""
    chance = random.Random(2)
    found = one_stratum(empty, [ratio_row(chance.lognormvariate(0, 0.5)) for _ in range(60)])
    assert (found.proposed_factor, found.why) == (None, "the interval includes 1")


def test_a_factor_that_would_not_have_helped_is_not_proposed(empty: Database) -> None:
    """Cut answers move the median far above what clean events needed: those would be predicted worse."""
    events = [ratio_row(1.0) for _ in range(6)]
    events += [ratio_row(5, truncated=1, success=0, selected_budget=5000) for _ in range(60)]
    found = one_stratum(empty, events)
    assert found.factor == 5
    assert found.factor_is_lower_bound
    assert (found.proposed_factor, found.why) == (None, "it would not have helped")


def test_cut_answers_needed_at_least_their_ceiling(empty: Database) -> None:
    """A truncated answer counts with its ceiling, the final one before the selected budget, or its actual."""
    events = [
        ratio_row(1, truncated=1, selected_budget=4000, actual_max_tokens=8000),
        ratio_row(1, truncated=1, selected_budget=4000),
        ratio_row(6, truncated=1, selected_budget=4000),
        ratio_row(7, truncated=1, selected_budget=0),
    ]
    found = one_stratum(empty, events)
    assert (found.factor, found.factor_is_lower_bound, found.n, found.truncated) == (6.5, True, 0, 4)


def test_answers_that_were_not_parsed_count_for_budgets_only(empty: Database) -> None:
    """They say nothing of what a good answer needs, but a budget must hold them as well."""
    events = [ratio_row(1) for _ in range(45)] + [ratio_row(9, success=0) for _ in range(55)]
    found = one_stratum(empty, events)
    assert (found.n, found.factor, found.budget.n, found.budget.factor) == (45, 1, 100, 9)


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
    for one, name, median in zip(found["strata"], ("docs", "tests"), (0.4, 2.5), strict=True):
        assert (one["category"], one["complexity"]) == (name, "low")
        assert one["n"] + one["truncated"] == 400
        assert one["proposed_factor"] == pytest.approx(median, rel=0.1)
        assert one["factor_low"] <= median <= one["factor_high"]
        assert one["error_after"] < one["error_before"]
        assert one["budget"]["factor"] == pytest.approx(median * beyond, rel=0.25)
        assert one["budget"]["safe_factor"] > median * beyond
    assert found["overall"]["n"] == sum(one["n"] for one in found["strata"])
    shown = called("calibrate", "--max-truncation", "10").stdout
    assert "Factors: multiply the predictions by" in shown
    assert "Budgets that truncate at most 10%, as multiples of the prediction" in shown
    assert shown.count("it would have lessened the error by") >= 2
    assert shown.count("95% sure with the safe budget") == 3


def run(database: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Run the command within this process, as text and as JSON; return both results."""
    where = ["--db", str(database), "--min-actual", "0", *arguments]
    shown = CliRunner().invoke(calibrate_command, where, standalone_mode=False, catch_exceptions=False)
    told = CliRunner().invoke(
        calibrate_command, [*where, "--json"], standalone_mode=False, catch_exceptions=False
    )
    assert (shown.return_value, shown.stderr, told.return_value, told.stderr) == (0, "", 0, "")
    return shown.stdout, strict(told.stdout)


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
    assert sum(one["n"] for one in found["strata"]) == found["overall"]["n"]
    for one in (found["overall"], *found["strata"]):
        assert isinstance(one["why"], str)
        numbers = [
            value for key, value in one.items() if key.startswith(("factor_l", "error", "mean", "ratio"))
        ]
        assert all(value is None or isinstance(value, (int, float)) for value in numbers)
        if one["proposed_factor"] is None:
            assert "lessened" not in one["why"]
    if name in {"zeros", "one-zero", "all-truncated", "nobody-knows", "not-parsed"}:
        assert (found["overall"]["n"], found["overall"]["proposed_factor"]) == (0, None)
    if name in {"zeros", "one-zero", "nobody-knows"}:
        assert (found["overall"]["factor"], found["overall"]["budget"]["n"]) == (None, 0)


@pytest.mark.parametrize("by", ["", "model", "bucket,model", "model,bucket,complexity,category"])
def test_strata_are_by_any_dimensions_and_unite_to_the_whole(tmp_path: Path, by: str) -> None:
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
    assert all(list(one)[: len(dimensions)] == dimensions for one in found["strata"])
    assert sum(one["n"] for one in found["strata"]) == found["overall"]["n"] == 16
    assert found["overall"]["factor"] == pytest.approx(statistics.median((500, 502, 505, 540)) / 1000)
    assert shown.splitlines()[3].split()[: len(dimensions)] == dimensions


def test_nothing_to_calibrate_is_said(called: Tokentail, tmp_path: Path) -> None:
    """An empty database: no strata, no numbers, exit 0."""
    (tmp_path / "run.log").write_text("")
    called("ingest", "run.log")
    shown, found = run(tmp_path / "telemetry.db")
    assert "There is nothing to calibrate: no event is left." in shown
    assert (found["strata"], found["overall"]["n"], found["overall"]["factor"]) == ([], 0, None)
    assert found["overall"]["budget"]["samples_needed"] == 50


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ["--min-samples", "1"],
            ["--min-samples", "x"],
            ["--max-truncation", "0"],
            ["--max-truncation", "51"],
        ),
        *(["--max-truncation", "nan"], ["--by", "run"], ["--apply"]),
    ],
    ids=" ".join,
)
def test_nonsense_is_wrong_use(arguments: list[str]) -> None:
    """What can't be meant exits with 2; and there is no option that applies a proposal."""
    done = CliRunner().invoke(calibrate_command, arguments)
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("missing", ["scipy", "numpy"])
def test_without_the_extra_it_is_named(tokentail: Tokentail, tmp_path: Path, missing: str) -> None:
    """Exit 1, nothing on standard output, and one line that says what to install."""
    stub = tmp_path / "stub" / missing
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text('raise ImportError("not here")\n')
    stored(tmp_path / "telemetry.db", [event_row() for _ in range(60)])
    told = {"PYTHONPATH": os.pathsep.join((str(tmp_path / "stub"), str(ROOT)))}
    done = tokentail("calibrate", "--json", **told)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tokentail: this needs scipy, which is not installed (not here)")
    assert 'install the extra "stats": ' in done.stderr
    assert "install 'scipy>=1.13'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert tokentail("coverage", **told).returncode == 0
