"""`tokentail calibrate`: factors and budgets that the data supports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from click.core import ParameterSource

from commandline import options
from commandline.output import remark, say, say_json, say_lines
from ingest.errors import UsageMistake
from ingest.memory import rare_garbage_collection
from ingest.storing.database import open_for_reading
from reports.advice import advice, change_record, change_sentence, stratum_text, worth_saying
from reports.calibration import (
    CENTER,
    MAX_TRUNCATION,
    MIN_PHASES,
    PURPOSES,
    Calibrated,
    Calibration,
    Wish,
    calibrate,
)
from reports.changes import ESTIMATES
from reports.commands.filters import (
    buckets_option,
    by_option,
    filter_options,
    know_days,
    nothing_left,
    say_cut_stay,
    say_population,
    shown,
)
from reports.costs import CALLS, Prices
from reports.futile import futile_line
from reports.metrics import Interval
from reports.selection import Selection, population
from reports.strata import Bucket, Strata
from reports.terminal import label, number, percent, printable, table
from reports.worth import read_worth, worth_line

MAX_SENTENCES = 8
"""Strata, at most, for which a sentence at the top says what to change; the tables have all."""

_price = click.FloatRange(min=0, max=1e9, min_open=True)


@click.command("calibrate")
@options.db_option
@filter_options()
@by_option
@buckets_option
@click.option(
    "--for",
    "purpose",
    type=click.Choice(PURPOSES),
    default=CENTER,
    show_default=True,
    metavar="PURPOSE",
    help="What predictions are for: center, gate or budget.",
)
@click.option(
    "--min-phases",
    type=click.IntRange(min=2),
    default=MIN_PHASES,
    show_default=True,
    metavar="N",
    help="For center: propose nothing from fewer phases.",
)
@click.option(
    "--max-truncation",
    type=click.FloatRange(min=0.01, max=50),
    callback=options.finite,
    default=MAX_TRUNCATION * 100,
    show_default=True,
    metavar="PERCENT",
    help="Answers that a budget may truncate.",
)
@click.option(
    "--cost-of-truncation",
    type=_price,
    callback=options.finite,
    metavar="COST",
    help="Cost of a token that is lacking: the cheapest budget is shown.",
)
@click.option(
    "--cost-of-waste",
    type=_price,
    callback=options.finite,
    metavar="COST",
    help="Cost of a token that is left over.",
)
@click.option("--all-time", is_flag=True, help="Use events from before a change, too.")
@options.json_option
@click.pass_context
def calibrate_command(
    context: click.Context,
    db: str | None,
    selection: Selection,
    dimensions: tuple[str, ...],
    buckets: tuple[Bucket, ...],
    purpose: str,
    min_phases: int,
    max_truncation: float,
    cost_of_truncation: float | None,
    cost_of_waste: float | None,
    all_time: bool,
    as_json: bool,
) -> int:
    """Propose by which factor estimates should change, and which budgets would hold.

    Phases are counted, since the tries of one are alike, and only answers since the estimates changed.
    The factor is the median of actual / predicted: proposed where its 95% interval excludes 1, and where
    it would have helped in later phases. The budget is the multiple of the prediction beyond which at
    most PERCENT of new answers go. Where the data can't tell, that is said. Nothing is applied.

    \b
    Examples:
      tokentail calibrate
      tokentail calibrate --for gate --by category,model
      tokentail calibrate --cost-of-truncation 20 --cost-of-waste 1
    """  # noqa: D301 - Click's mark must be the character itself
    prices = _prices(context, cost_of_truncation, cost_of_waste)
    wish = Wish(min_phases, max_truncation / 100, purpose, prices, all_time)
    database = options.chosen_database(db)
    strata = Strata(dimensions, buckets)
    with open_for_reading(database, remark) as opened, rare_garbage_collection():
        know_days(opened, selection)
        found = population(opened, selection)
        worth = read_worth(opened, selection, strata)
        calibration = calibrate(opened, selection, strata, wish)
    if as_json:
        head = {"database": str(database), "filters": selection.record(), "population": asdict(found)}
        say_json(
            head
            | _asked(wish)
            | {"worth": asdict(worth)}
            | _found(calibration, selection, dimensions, purpose)
        )
        return 0
    if line := worth_line(worth):
        say(line)
    say_population(found, str(database))
    say_cut_stay(selection)
    if not found.selected:
        say(nothing_left(found, "calibrate"))
        return 0
    total = ("all", *("" for _ in dimensions[1:]))
    named = [
        *((tuple(map(label, stratum.key)), stratum) for stratum in calibration.strata),
        (total, calibration.overall),
    ]
    sentences = map(printable, _sentences(calibration, wish, selection.zone))
    say_lines(["", *sentences, "", *_factors(dimensions, named), ""])
    say_lines([*_budgets(dimensions, named, wish), *_costs(dimensions, named, wish)])
    return 0


def _prices(context: click.Context, truncation: float | None, waste: float | None) -> Prices | None:
    """Return what tokens cost, `None` if neither price was given; if one was, the other is 1.

    Raises:
        UsageMistake: `--max-truncation` was typed as well.
    """
    if truncation is None and waste is None:
        return None
    if context.get_parameter_source("max_truncation") is ParameterSource.COMMANDLINE:
        raise UsageMistake(
            "costs say themselves how many answers may be truncated: leave out --max-truncation"
        )
    return Prices(truncation or 1.0, waste or 1.0)


def _asked(wish: Wish) -> dict[str, Any]:
    prices = wish.prices
    return {
        "for": wish.purpose,
        "min_phases": wish.min_phases,
        "max_truncation": wish.limit,
        "cost_of_truncation": prices.of_truncation if prices else None,
        "cost_of_waste": prices.of_waste if prices else None,
        "all_time": wish.all_time,
    }


def _found(
    calibration: Calibration, selection: Selection, dimensions: tuple[str, ...], purpose: str
) -> dict[str, Any]:
    return {
        "by": list(dimensions),
        "changes": [change_record(change, dimensions) for change in calibration.changes],
        "futile": asdict(calibration.futile),
        "overall": _record(calibration.overall, purpose, "all", selection.zone),
        "strata": [
            dict(zip(dimensions, stratum.key, strict=True))
            | _record(stratum, purpose, stratum_text(stratum.key), selection.zone)
            for stratum in calibration.strata
        ],
    }


def _record(stratum: Calibrated, purpose: str, name: str, zone: str) -> dict[str, Any]:
    record = asdict(stratum)
    del record["key"], record["smape"], record["factor_interval"]
    return record | {
        "advice": advice(stratum, purpose, name, _day(stratum, zone)),
        "smape_mean": stratum.smape.mean,
        "smape_median": stratum.smape.median,
        "smape_sd": stratum.smape.sd,
        "factor_low": stratum.factor_interval.low if stratum.factor_interval else None,
        "factor_high": stratum.factor_interval.high if stratum.factor_interval else None,
    }


_Named = list[tuple[tuple[str, ...], Calibrated]]
"""Strata with the names in their first columns."""


def _day(stratum: Calibrated, zone: str) -> str | None:
    """Return the day (`YYYY-MM-DD`) in a zone since which answers are used; `None`: all are used."""
    return stratum.since and shown(stratum.since, zone).partition(" ")[0]


def _sentences(calibration: Calibration, wish: Wish, zone: str) -> list[str]:
    """Return sentences: what to change in the strata with the most answers, and when estimates changed."""
    worth_showing = [stratum for stratum in calibration.strata if worth_saying(stratum)]
    worth_showing.sort(key=lambda stratum: -stratum.budget.n)
    said = [
        advice(stratum, wish.purpose, stratum_text(stratum.key), _day(stratum, zone))
        for stratum in worth_showing[:MAX_SENTENCES]
    ]
    if len(worth_showing) > MAX_SENTENCES:
        said.append(f"and {len(worth_showing) - MAX_SENTENCES:,} more strata: see below")
    if not worth_showing or len(calibration.strata) > 1:
        whole = calibration.overall
        said.append(advice(whole, wish.purpose, "all", _day(whole, zone)))
    if calibration.futile.answers:
        said.append(f"{futile_line(calibration.futile)}: left out of all numbers here")
    used = "used all the same (--all-time)" if wish.all_time else "what came before is not used"
    return said + [
        change_sentence(change, f"{shown(change.at, zone)} {zone}")
        + (f": {used}" if change.of == ESTIMATES else "")
        for change in calibration.changes
    ]


def _factors(dimensions: Sequence[str], named: _Named) -> list[str]:
    rows = [
        (
            *names,
            f"{stratum.n:,}",
            f"{stratum.phases:,}",
            number(stratum.mean_predicted, 0),
            number(stratum.mean_actual, 0),
            number(stratum.factor, 2),
            _interval(stratum.factor_interval),
            number(stratum.error_before, 1, "%"),
            number(stratum.error_after, 1, "%"),
            number(stratum.forward.error_before if stratum.forward else None, 1, "%"),
            number(stratum.forward.error_after if stratum.forward else None, 1, "%"),
            number(stratum.proposed_factor, 2),
            stratum.why,
        )
        for names, stratum in named
    ]
    header = (
        *dimensions,
        *("n", "phases", "predicted", "actual", "factor", "95% interval", "SMAPE", "fitted"),
        *("later", "tried", "proposal", "because"),
    )
    return [
        "Factors: multiply the predictions by",
        *table(header, rows, len(dimensions), last_text_columns=1),
        "n: clean events; phases: those of clean and truncated events; fitted: SMAPE of each phase with",
        "the factor of the others, no forecast; later, tried: SMAPE of the later half of the phases, as",
        "logged and with the factor of the earlier half",
        "A factor that centres leaves half of the answers longer than predicted: --for gate, --for budget.",
    ]


def _interval(interval: Interval | None) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}" if interval else "-"


def _budgets(dimensions: Sequence[str], named: _Named, wish: Wish) -> list[str]:
    rows = [
        (
            *names,
            f"{stratum.budget.n:,}",
            f"{stratum.budget.phases:,}",
            f"{stratum.budget.censored:,}",
            number(stratum.budget.largest, 2),
            number(stratum.budget.own_factor, 2),
            number(stratum.budget.pooled_factor, 2),
            number(stratum.budget.factor, 2),
            number(stratum.budget.safe_factor, 2),
            "-" if stratum.budget.phases_needed is None else f"{stratum.budget.phases_needed:,}",
            stratum.budget.why,
        )
        for names, stratum in named
    ]
    header = (
        *dimensions,
        *("n", "phases", "truncated", "largest", "own", "pooled", "budget", "safe budget", "more", "because"),
    )
    return [
        f"Budgets that truncate at most {wish.limit * 100:.3g}%, as multiples of the prediction",
        *table(header, rows, len(dimensions), last_text_columns=1),
        "n: whole and truncated answers, parsed or not; largest: what a whole answer needed at most;",
        "budget: the one that is advised, own or pooled; more: phases that one of its own takes",
    ]


def _costs(dimensions: Sequence[str], named: _Named, wish: Wish) -> list[str]:
    if wish.prices is None:
        return []
    rows = [
        (
            *names,
            f"{costs.n:,}",
            *(number(value, 0) for value in (costs.spare_before, costs.short_before, costs.cost_before)),
            *(number(value, 0) for value in (costs.spare_after, costs.short_after, costs.cost_after)),
            percent(costs.truncated_after / CALLS, 1),
            "at least" if costs.at_least else "",
        )
        for names, stratum in named
        if (costs := stratum.costs)
    ]
    if not rows:
        return ["", "What it costs is not told: no budget is known, or no ceiling that answers were given."]
    header = (
        *dimensions,
        "n",
        "spare",
        "lacking",
        "cost",
        "spare then",
        "lacking then",
        "cost then",
        "truncated",
        "",
    )
    return [
        "",
        f"Tokens per {CALLS:,} calls, and what they cost: with the ceilings as logged, then with the budget",
        *table(header, rows, len(dimensions), last_text_columns=1),
    ]
