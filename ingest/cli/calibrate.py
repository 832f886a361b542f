"""`tokentail calibrate`: factors and budgets, proposed from what the data can tell."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ingest.cli import options
from ingest.cli.output import say, say_json, say_lines
from ingest.cli.selecting import buckets_option, by_option, filter_options, nothing_left, population_line
from ingest.storing.database import open_for_reading
from reports.calibration import MAX_TRUNCATION, MIN_SAMPLES, Calibrated, calibrate
from reports.metrics import Interval
from reports.selection import Selection, population
from reports.strata import Bucket, Strata
from reports.terminal import label, number, table
from reports.worth import read_worth, worth_line


@click.command("calibrate")
@options.db_option
@filter_options()
@by_option
@buckets_option
@click.option(
    "--min-samples",
    type=click.IntRange(min=2),
    default=MIN_SAMPLES,
    show_default=True,
    metavar="N",
    help="Propose nothing for strata with fewer clean events.",
)
@click.option(
    "--max-truncation",
    type=click.FloatRange(min=0.01, max=50),
    callback=options.finite,
    default=MAX_TRUNCATION * 100,
    show_default=True,
    metavar="PERCENT",
    help="The share of answers that a budget may truncate.",
)
@options.json_option
def calibrate_command(
    db: str | None,
    selection: Selection,
    dimensions: tuple[str, ...],
    buckets: tuple[Bucket, ...],
    min_samples: int,
    max_truncation: float,
    as_json: bool,
) -> int:
    """Propose by which factor estimates should change, and which budgets would hold.

    The factor is the median of actual / predicted with its 95% interval (bootstrap). It is proposed
    only if the interval excludes 1 and if, each event left out in turn, it would have lessened the
    error. The budget is the multiple of the prediction beyond which at most PERCENT of the answers
    go; truncated answers count as what they are: more than their ceiling, nobody knows how much.
    Where the data can't tell, that is said. A proposal only: nothing is applied. Needs the extra
    "stats".

    \b
    Examples:
      tokentail calibrate --normalize-categories
      tokentail calibrate --by category,model --max-truncation 1
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    strata = Strata(dimensions, buckets)
    with open_for_reading(database) as opened:
        found = population(opened, selection)
        worth = read_worth(opened, selection, strata)
        overall, lines = calibrate(opened, selection, strata, min_samples, max_truncation / 100)
    if as_json:
        asked = {"min_samples": min_samples, "max_truncation": max_truncation / 100, "by": list(dimensions)}
        told = {"database": str(database), "filters": selection.record(), "population": asdict(found)}
        strata_records = [dict(zip(dimensions, one.key, strict=True)) | _record(one) for one in lines]
        say_json(
            told | asked | {"worth": asdict(worth), "overall": _record(overall), "strata": strata_records}
        )
        return 0
    if found.selected:
        say(worth_line(worth))
    say(population_line(found, str(database)))
    if not found.selected:
        say(nothing_left(found, "calibrate"))
        return 0
    total = ("all", *("" for _ in dimensions[1:]))
    named = [*((tuple(map(label, one.key)), one) for one in lines), (total, overall)]
    say_lines(["", *_factors(dimensions, named), "", *_budgets(dimensions, named, max_truncation)])
    return 0


def _record(one: Calibrated) -> dict[str, Any]:
    record = asdict(one)
    del record["key"], record["smape"], record["factor_interval"]
    return record | {
        "smape_mean": one.smape.mean,
        "smape_median": one.smape.median,
        "smape_sd": one.smape.sd,
        "factor_low": one.factor_interval.low if one.factor_interval else None,
        "factor_high": one.factor_interval.high if one.factor_interval else None,
    }


_Named = list[tuple[tuple[str, ...], Calibrated]]


def _factors(dimensions: tuple[str, ...], named: _Named) -> list[str]:
    rows = [
        (
            *names,
            f"{one.n:,}",
            number(one.mean_predicted, 0),
            number(one.mean_actual, 0),
            (">= " if one.factor_is_lower_bound else "") + number(one.factor, 2),
            _interval(one.factor_interval),
            number(one.error_before, 1, "%"),
            number(one.error_after, 1, "%"),
            number(one.proposed_factor, 2),
            one.why,
        )
        for names, one in named
    ]
    header = (
        *dimensions,
        *("n", "predicted", "actual", "factor", "95% interval", "SMAPE", "left out", "proposal", "because"),
    )
    return [
        "Factors: multiply the predictions by",
        *table(header, rows, len(dimensions), last_text_columns=1),
        "n: clean events; left out: SMAPE of each with the factor found from all the others",
        "A factor centres the predictions: about half of the answers will then be longer than predicted.",
    ]


def _interval(interval: Interval | None) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}" if interval else "-"


def _budgets(dimensions: tuple[str, ...], named: _Named, max_truncation: float) -> list[str]:
    rows = [
        (
            *names,
            f"{one.budget.n:,}",
            f"{one.budget.censored:,}",
            number(one.budget.largest, 2),
            number(one.budget.factor, 2),
            number(one.budget.safe_factor, 2),
            "-" if one.budget.samples_needed is None else f"{one.budget.samples_needed:,}",
            one.budget.why,
        )
        for names, one in named
    ]
    header = (*dimensions, "n", "truncated", "largest", "budget", "safe budget", "more needed", "because")
    return [
        f"Budgets that truncate at most {max_truncation:g}%, as multiples of the prediction",
        *table(header, rows, len(dimensions), last_text_columns=1),
        "n: whole and truncated answers, parsed or not; largest: what a whole answer needed at most",
    ]
