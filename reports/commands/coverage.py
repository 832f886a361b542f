"""`tokentail coverage`: of which kinds of work there are too few events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby

import click

from commandline import options
from commandline.output import complain, remark, say, say_json, say_lines
from ingest.storing.database import open_for_reading
from reports.commands.filters import buckets_option, filter_options, nothing_left, say_population
from reports.coverage import CELL_TARGET, TOTAL_TARGET, Cell, Coverage, coverage
from reports.selection import Selection
from reports.strata import Bucket, Strata
from reports.terminal import counted, heat, label, percent, table

_BAR = 5
"""Characters of the bar in a cell of the heat map."""


def _total(_: click.Context, __: click.Parameter, text: str) -> tuple[int, int]:
    least, dash, best = text.partition("-")
    parts = (least, best) if dash else (least, least)
    if not all(part.isascii() and part.isdigit() for part in parts) or int(parts[0]) > int(parts[1]):
        raise click.BadParameter(f"{text!r} is no range: write for example 30-50")
    return int(parts[0]), int(parts[1])


@click.command("coverage")
@options.db_option
@filter_options(rows_only=True)
@buckets_option
@click.option(
    "--target",
    type=click.IntRange(min=1),
    default=CELL_TARGET,
    show_default=True,
    metavar="N",
    help="Events that each cell needs.",
)
@click.option(
    "--total",
    default="-".join(map(str, TOTAL_TARGET)),
    show_default=True,
    callback=_total,
    metavar="MIN-BEST",
    help="Events in all cells together: the least number, and the best.",
)
@click.option(
    "--next",
    "next_count",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="How many of the cells to collect next are named.",
)
@click.option(
    "--fail-under",
    type=click.FloatRange(min=0, max=100),
    callback=options.finite,
    is_flag=False,
    flag_value=100.0,
    metavar="[PERCENT]",
    help="Exit with 1 if fewer than PERCENT of the cells (without a value: not all) have their target, or "
    "all together have less than the least total.",
)
@options.json_option
def coverage_command(
    db: str | None,
    selection: Selection,
    buckets: tuple[Bucket, ...],
    target: int,
    total: tuple[int, int],
    next_count: int,
    fail_under: float | None,
    as_json: bool,
) -> int:
    """Show how many events there are, and are needed, of each category, complexity and bucket.

    The cells are all combinations of the categories and complexities that occur with the buckets of
    the number of deliverables. What to collect next: cells that need much and are met often.

    \b
    Examples:
      tokentail coverage
      tokentail coverage --target 10 --next 5
      tokentail coverage --fail-under 80 --since 30d

    Exit codes: 0 done, 1 less is covered than --fail-under asks, or there is no such database, 2 wrong use.
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    with open_for_reading(database, remark) as opened:
        found = coverage(opened, selection, Strata(buckets=buckets), target, total)
    if as_json:
        say_json({"database": str(database), "filters": selection.record(), **_record(found, next_count)})
    else:
        _show(str(database), found, next_count)
    if fail_under is None:
        return 0
    missed = list(_missed(found, fail_under))
    for what in missed:
        complain(what)
    return 1 if missed else 0


def _record(found: Coverage, next_count: int) -> dict[str, object]:
    return {
        "population": asdict(found.population),
        "target": found.target,
        "total_target": list(found.total_target),
        "have": found.have,
        "total_need": found.total_need,
        "cells_covered": found.covered,
        "cells_total": len(found.cells),
        "covered_rate": found.covered_rate,
        "without_bucket": found.without_bucket,
        "rejects": found.rejects,
        "unread_lines": found.unread_lines,
        "cells": [asdict(cell) for cell in found.cells],
        "next": [asdict(cell) for cell in found.most_useful(next_count)],
    }


def _missed(found: Coverage, fail_under: float) -> Iterator[str]:
    covered = 100 * found.covered / max(1, len(found.cells))  # not 100 times a rate: 29 of 50 are exactly 58%
    if covered < fail_under:
        yield f"{found.covered} of {len(found.cells)} cells have their target, under {fail_under:g}%"
    if found.total_need:
        yield f"{found.have} events in all, {found.total_need} fewer than the {found.total_target[0]} needed"


def _show(database: str, found: Coverage, next_count: int) -> None:
    say_population(found.population, database)
    least, best = found.total_target
    lacking = f"{found.total_need:,} more needed" if found.total_need else "enough"
    wanted = f"{least:,}" if least == best else f"{least:,} to {best:,}"
    say(f"{counted(found.have, 'event')} in cells, {wanted} wanted: {lacking}")
    if not found.cells:
        say(nothing_left(found.population, "cover"))
        return
    say(
        f"{found.covered} of {len(found.cells)} cells ({percent(found.covered_rate)}) have their "
        f"{found.target} events"
    )
    say("")
    say_lines(_heat_map(found))
    if found.without_bucket:
        say(f"{counted(found.without_bucket, 'event')} without a number of deliverables, or in no bucket")
    if lines := list(_in_no_cell(found)):
        say(f"in no cell: {', '.join(lines)}")
    if useful := found.most_useful(next_count):
        say("")
        say("Most useful to collect next (much needed, and often met):")
        for place, cell in enumerate(useful, start=1):
            say(f"  {place}. {cell.need} x {_name(cell)} deliverables (have {cell.have})")


def _in_no_cell(found: Coverage) -> Iterator[str]:
    if found.rejects:
        yield f"{counted(found.rejects, 'reject')} (`tokentail rejects`)"
    if found.unread_lines:
        yield f"{counted(found.unread_lines, 'line')} with the marker not read (`tokentail status`)"


def _name(cell: Cell) -> str:
    return f"{label(cell.category)}, {label(cell.complexity)}, {cell.bucket}"


def _heat_map(found: Coverage) -> list[str]:
    """Return a table: a row for each category and complexity, a bar for each bucket with have / target."""
    rows = []
    for (category, complexity), cells in groupby(
        found.cells, key=lambda cell: (cell.category, cell.complexity)
    ):
        bars = [heat(cell.have, found.target, _BAR) for cell in cells]
        rows.append((label(category), label(complexity), *bars))
    buckets = (bucket.name for bucket in found.strata_by.buckets)
    return table(("category", "complexity", *buckets), rows, text_columns=2 + len(found.strata_by.buckets))
