"""`tokentail report`: the validation of the estimator."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import click

from commandline import options
from commandline.moments import span
from commandline.output import complain, remark, say, say_json, say_lines
from ingest.storing.database import open_for_reading
from reports.advice import change_record, change_sentence
from reports.against import compared
from reports.answers import read_changes
from reports.changes import Change
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
from reports.futile import Futile, futile_line, read_futile
from reports.metrics import Spread
from reports.selection import Selection
from reports.strata import Bucket, Strata
from reports.sureness import Share
from reports.terminal import counted, label, number, percent, printable, table
from reports.validation import (
    MAX_STABLE_VARIATION,
    MIN_STABLE_N,
    Gate,
    Stratum,
    Validation,
    validate,
)
from reports.validation_record import validation_record
from reports.verdict import verdict
from reports.worth import worth_line


@click.command("report")
@options.db_option
@filter_options()
@by_option
@buckets_option
@click.option(
    "--under-multiplier",
    type=click.FloatRange(min=0, max=1e6, min_open=True),
    callback=options.finite,
    default=1.0,
    show_default=True,
    metavar="FACTOR",
    help="An event is underestimated if actual > predicted x FACTOR.",
)
@click.option(
    "--against",
    metavar="SPAN",
    callback=span,
    help="The last SPAN (7d, 12h) beside the one before, and why it differs.",
)
@click.option("--fail-on-gate", is_flag=True, help="Exit with 1 if a gate is not passed.")
@options.json_option
def report_command(
    db: str | None,
    selection: Selection,
    dimensions: tuple[str, ...],
    buckets: tuple[Bucket, ...],
    under_multiplier: float,
    against: timedelta | None,
    fail_on_gate: bool,
    as_json: bool,
) -> int:
    """Show how far the estimates are off: risk, cost and error, overall and by stratum.

    Risk, over every event whose actual is an output: the share underestimated (gate: 5%) and the
    share truncated (gate: 2%), each with its 95% interval by phase. Cost, over clean events (parsed, not
    truncated): predicted / actual (gate: P90 < 3) and ceiling / actual. Error: SMAPE, which is
    200 |p-a| / (p+a) in percent, 0 to 200. A truncated answer's actual is a lower bound. Where the
    estimates changed, it is said when, and from what to what.

    \b
    Examples:
      tokentail report
      tokentail report --by category,model --since 30d
      tokentail report --against 7d
      tokentail report --fail-on-gate --json

    Exit codes: 0 done, 1 a gate was missed and --fail-on-gate, or there is no such database, 2 wrong use.
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    strata = Strata(dimensions, buckets)
    selection, earlier = (selection, None) if against is None else _periods(selection, against)
    with open_for_reading(database, remark) as opened:
        know_days(opened, selection)
        validation = validate(opened, selection, strata, under_multiplier)
        changes = read_changes(opened, selection, strata, validation.overall.n)
        unhelped = read_futile(opened, selection, strata)
        before = validate(opened, earlier, strata, under_multiplier) if earlier is not None else None
    if as_json:
        record = {"database": str(database), "filters": selection.record(), **validation_record(validation)}
        record["changes"] = [change_record(change, dimensions) for change in changes]
        record["futile"] = asdict(unhelped)
        if earlier is not None and before is not None:
            comparison = asdict(compared(before, validation)) | {
                "change": compared(before, validation).change
            }
            record["against"] = {"filters": earlier.record(), **comparison, **validation_record(before)}
        say_json(record)
    else:
        _show(str(database), validation, selection, changes, unhelped)
        if before is not None and validation.overall.n:
            say_lines(["", *_against(before, validation)])
    missed = [gate.name for gate in validation.gates if not gate.passed]
    if fail_on_gate and missed:
        complain(f"not passed: {', '.join(missed)}")
        return 1
    return 0


def _periods(selection: Selection, length: timedelta) -> tuple[Selection, Selection]:
    """Return the selections of the last period of a length, and of the one before it.

    Raises:
        click.UsageError: `--since` was given.
    """
    if selection.since is not None:
        raise click.UsageError(
            "--against says how long a period is; it ends at --until, and --since is not given"
        )
    end = selection.until or datetime.now(UTC)
    middle = end - length
    return replace(selection, since=middle, until=end), replace(
        selection, since=middle - length, until=middle
    )


def _against(before: Validation, after: Validation) -> list[str]:
    """Return what changed since the period before, and what of it is another mix of work, as lines."""
    title = f"Against the period before, {before.overall.n:,} events"
    found = compared(before, after)
    if found.change is None or found.by_mix is None or found.within is None:
        return [f"{title}: nothing to compare"]
    rates = [
        f"{name} {percent(then.rate, 1)} -> {percent(now.rate, 1)}"
        for name, then, now in (
            ("underestimated", before.overall.underestimated, after.overall.underestimated),
            ("truncated", before.overall.truncated, after.overall.truncated),
        )
    ]
    return [
        f"{title}: {', '.join(rates)}",
        f"SMAPE mean {number(found.before, 1, '%')} -> {number(found.after, 1, '%')}: "
        f"{found.change:+.1f} points, {found.by_mix:+.1f} by another mix of strata, "
        f"{found.within:+.1f} within strata",
    ]


def _show(
    database: str, found: Validation, selection: Selection, changes: list[Change], unhelped: Futile
) -> None:
    judged = verdict(found, changes)
    say(f"{judged.sentence}.")
    say(f"How sure: {judged.sureness}.")
    say(f"What to set: {judged.to_set}.")
    if line := worth_line(found.worth):
        say(line)
    say_population(found.population, database)
    say_cut_stay(selection)
    overall = found.overall
    if not overall.n:
        say(nothing_left(found.population, "report"))
        return
    if changes:
        zone = selection.zone
        sentences = [change_sentence(change, f"{shown(change.at, zone)} {zone}") for change in changes]
        say_lines(["", *map(printable, sentences)])
    more = [futile_line(unhelped)] if unhelped.answers else []
    say_lines(["", *_risk(found), *more, "", *_cost(found), "", *_error(overall), "", *_ends(found), ""])
    say_lines(_strata(found))


def _risk(found: Validation) -> list[str]:
    under, truncated, _ = found.gates
    factor = found.under_multiplier
    name = "underestimated" if factor == 1 else f"underestimated (actual > {factor:g} x predicted)"
    rows = [_risk_line(name, found.overall.underestimated, under)]
    rows.append(_risk_line("truncated", found.overall.truncated, truncated))
    header = ("", "events", "rate", "95% interval", "gate", "verdict")
    title = f"Risk, over all {counted(found.overall.n, 'event')} of {counted(found.overall.phases, 'phase')}"
    return [title, *table(header, rows, last_text_columns=1)]


def _risk_line(name: str, share: Share, gate: Gate) -> tuple[str, ...]:
    interval = share.interval
    between = f"{percent(interval.low, 1)} to {percent(interval.high, 1)}" if interval else "-"
    return (
        name,
        f"{share.count:,} of {share.total:,}",
        percent(share.rate, 1),
        between,
        f"<= {percent(gate.limit)}",
        _verdict(gate),
    )


def _verdict(gate: Gate) -> str:
    if gate.passed is None:
        return "nothing to measure"
    return ("pass" if gate.passed else "FAIL") + (", not certain" if gate.certain is False else "")


def _cost(found: Validation) -> list[str]:
    clean, gate = found.overall.clean, found.gates[2]
    rows = [
        (*_ratios("predicted / actual", clean.waste), f"P90 < {gate.limit:g}", _verdict(gate)),
        (*_ratios("ceiling / actual", clean.ceiling_waste), "-", "-"),
    ]
    header = ("", "n", "median", "mean", "P90", "gate", "verdict")
    return [
        f"Cost, over the {clean.n:,} clean events (parsed, not truncated)",
        *table(header, rows, last_text_columns=1),
    ]


def _ratios(name: str, spread: Spread) -> tuple[str, ...]:
    ratios = (number(value, 2, "x") for value in (spread.median, spread.mean, spread.p90))
    return (name, f"{spread.n:,}", *ratios)


def _error(overall: Stratum) -> list[str]:
    named = {"all events": overall.smape, "clean events": overall.clean.smape}
    rows = [
        (
            name,
            f"{spread.n:,}",
            *(
                number(value, 1, "%")
                for value in (spread.mean, spread.median, spread.sd, spread.low, spread.high)
            ),
        )
        for name, spread in named.items()
    ]
    header = ("", "n", "mean", "median", "sd", "min", "max")
    title = "Error: SMAPE"
    if overall.truncated.count:
        title += f" (of {overall.truncated.count:,} truncated among all, the actual is a lower bound)"
    return [title, *table(header, rows, last_text_columns=1)]


def _ends(found: Validation) -> list[str]:
    overall = found.overall
    phases = ", ".join(f"{outcome or 'not told'} {count:,}" for outcome, count in found.outcomes)
    return [
        f"Builder success (the answer was parsed): {overall.parsed:,} of {overall.n:,}",
        *table((f"Phase outcome (what became of the work): {phases}",), [])[:1],
    ]


def _strata(found: Validation) -> list[str]:
    header = (
        *found.strata_by.dimensions,
        *("n", "phases", "clean", "underest.", "trunc.", "SMAPE mean", "median", "sd"),
        *("waste median", "P90", "predicted", "actual", ""),
    )
    lines = table(header, [_line(stratum) for stratum in found.strata], len(found.strata_by.dimensions))
    lines.append("n, underest., trunc., SMAPE and mean tokens are over all events; waste over the clean ones")
    if any(stratum.unstable for stratum in found.strata):
        lines.append(
            f"~ unstable: fewer than {MIN_STABLE_N} phases, or actual / predicted varies by more than "
            f"{MAX_STABLE_VARIATION:g} of its mean"
        )
    return lines


def _line(stratum: Stratum) -> tuple[str, ...]:
    return (
        *map(label, stratum.key),
        f"{stratum.n:,}",
        f"{stratum.phases:,}",
        f"{stratum.clean.n:,}",
        _share(stratum.underestimated),
        _share(stratum.truncated),
        *(number(value, 1, "%") for value in (stratum.smape.mean, stratum.smape.median, stratum.smape.sd)),
        number(stratum.clean.waste.median, 2, "x"),
        number(stratum.clean.waste.p90, 2, "x"),
        number(stratum.mean_predicted, 0),
        number(stratum.mean_actual, 0),
        "~" if stratum.unstable else "",
    )


def _share(share: Share) -> str:
    return f"{share.count:,} ({percent(share.rate)})"
