"""`tokentail report`: how far the estimates are off."""

from __future__ import annotations

from dataclasses import asdict

import click

from ingest.cli import options
from ingest.cli.output import say, say_json, say_lines
from ingest.storing.database import open_for_reading
from reports.strata import MIN_ACTUAL, StrataReport, Stratum, strata_report
from reports.terminal import counted, table

_HEADER = (
    "category",
    "complexity",
    "n",
    "SMAPE mean",
    "SMAPE median",
    "waste median",
    "underestimated",
    "truncated",
)


@click.command("report")
@options.db_option
@click.option(
    "--min-actual",
    type=click.IntRange(min=0),
    default=MIN_ACTUAL,
    show_default=True,
    metavar="TOKENS",
    help="Leave out shorter answers, which are refusals or errors.",
)
@options.json_option
def report_command(db: str | None, min_actual: int, as_json: bool) -> int:
    """Show how far the estimates are off, by category and complexity.

    SMAPE is 200 |p-a| / (p+a) in percent, 0 to 200; waste is p / a, where p is the predicted and a
    the actual number of output tokens. An event is underestimated if a > p.
    """
    database = options.chosen_database(db)
    with open_for_reading(database) as opened:
        report = strata_report(opened, min_actual)
    if as_json:
        say_json({"database": str(database), **asdict(report)})
    else:
        _show(str(database), report)
    return 0


def _show(database: str, report: StrataReport) -> None:
    say_lines(table(_HEADER, [_line(one) for one in (*report.strata, report.overall)], text_columns=2))
    say("")
    say(
        f"n: every event with at least {report.min_actual} actual tokens; left out: "
        f"{counted(report.left_out_short, 'shorter event')}, {counted(report.left_out_totals, 'event')} "
        "whose actual is a total of input and output"
    )
    if report.overall.truncated:
        say(f"{counted(report.overall.truncated, 'answer')} truncated: the actual is a lower bound there")
    say(f"database {database}")


def _line(one: Stratum) -> tuple[str, ...]:
    return (
        one.category,
        one.complexity,
        f"{one.n:,}",
        _number(one.smape_mean, 1, "%"),
        _number(one.smape_median, 1, "%"),
        _number(one.waste_median, 2, "x"),
        _share(one.underestimated, one.underestimated_rate),
        _share(one.truncated, one.truncated_rate),
    )


def _number(value: float | None, digits: int, unit: str) -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def _share(count: int, rate: float | None) -> str:
    return "-" if rate is None else f"{count:,} ({rate:.0%})"
