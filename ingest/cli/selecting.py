"""The filters that all reports share, as options; and what they left out, as a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar

import click

from ingest.cli.moments import FORMS, parse_since, parse_until
from ingest.cli.output import say
from reports.selection import MIN_ACTUAL, Population, Selection
from reports.strata import DEFAULT_BUCKETS, DIMENSIONS, Bucket, Strata, parse_buckets
from reports.terminal import counted

Command = TypeVar("Command", bound=Callable[..., Any])
_Moment = Callable[[str, datetime], datetime]


def moment(parse: _Moment) -> Callable[..., datetime | None]:
    """Return the callback of an option that is a time, as `parse` reads it."""

    def callback(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
        if text is None:
            return None
        try:
            return parse(text, datetime.now(UTC))
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


def _named(name: str, what: str) -> Callable[[Command], Command]:
    return click.option(
        f"--{name}", multiple=True, metavar=name.upper(), help=f"Only {what}. May be repeated."
    )


def filter_options(min_actual: int = MIN_ACTUAL) -> Callable[[Command], Command]:
    """Add the filters to a command, which gets them as the one argument `selection`."""

    def add(command: Command) -> Command:
        wrapped: Any = _with_selection(command)
        for option in reversed(_filters(min_actual)):
            wrapped = option(wrapped)
        return wrapped  # type: ignore[no-any-return]

    return add


def _filters(min_actual: int) -> list[Callable[[Any], Any]]:
    return [
        _named("run", "events of this run"),
        _named("phase", "events of this phase"),
        _named("category", "events of this category"),
        _named("complexity", "events of this complexity"),
        _named("model", "events of this model"),
        click.option(
            "--since",
            metavar="TIME",
            callback=moment(parse_since),
            help=f"Only events from then on, in UTC unless it has an offset: {FORMS}.",
        ),
        click.option(
            "--until",
            metavar="TIME",
            callback=moment(parse_until),
            help="Only events up to then; a day stands for the whole day.",
        ),
        click.option(
            "--success-only/--all",
            default=False,
            help="Only events whose answer was parsed, or all (the default). Truncated ones, which "
            "never are, stay in what is said of risk and budgets.",
        ),
        click.option(
            "--min-actual",
            type=click.IntRange(min=0, max=10**18),  # no answer is longer, and SQLite holds no more
            default=min_actual,
            show_default=True,
            metavar="TOKENS",
            help="Leave out shorter answers, which are refusals or errors.",
        ),
        click.option(
            "--normalize-categories",
            is_flag=True,
            help="Take documentation, doc_write and doc as docs, testing as tests, implement_feature as "
            "implementation, in any case.",
        ),
    ]


def _with_selection(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def call(**values: Any) -> Any:
        selection = Selection(
            runs=values.pop("run"),
            phases=values.pop("phase"),
            categories=values.pop("category"),
            complexities=values.pop("complexity"),
            models=values.pop("model"),
            since=values.pop("since"),
            until=values.pop("until"),
            success_only=values.pop("success_only"),
            min_actual=values.pop("min_actual"),
            normalize_categories=values.pop("normalize_categories"),
        )
        return command(selection=selection, **values)

    return call


def _buckets(_: click.Context, __: click.Parameter, text: str | None) -> tuple[Bucket, ...]:
    try:
        return parse_buckets(text) if text else DEFAULT_BUCKETS
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


buckets_option = click.option(
    "--buckets",
    callback=_buckets,
    metavar="RANGES",
    help="Buckets of the number of deliverables. Default: 1-3,4-7,8-15,16+.",
)


def _dimensions(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in names:
        if name not in DIMENSIONS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(DIMENSIONS)}")
    return tuple(dict.fromkeys(names)) or Strata().dimensions


by_option = click.option(
    "--by",
    "dimensions",
    multiple=True,
    callback=_dimensions,
    metavar="NAMES",
    help=f"Strata by any of {', '.join(DIMENSIONS)} joined by commas; bucket is that of the "
    "number of deliverables. Default: category,complexity.",
)


def nothing_left(found: Population, what: str) -> str:
    """Say why there is nothing to report, and what to do."""
    if found.events and found.left_out_filtered == found.events:
        return f"There is nothing to {what}: no event passes the filters."
    return f"There is nothing to {what}: no event is left. `tokentail status` shows what was read."


def say_cut_stay(selection: Selection) -> None:
    """Say what `--success-only` does not leave out."""
    if selection.success_only:
        say("Truncated answers stay, though none of them was parsed: they are the risk.")


def population_line(found: Population, database: str) -> str:
    """Say which events the numbers are about, and what was left out."""
    left_out = [
        (found.left_out_filtered, "not selected"),
        (found.left_out_totals, "whose actual is a total of input and output"),
        (found.left_out_short, f"with fewer than {found.min_actual} actual tokens"),
    ]
    said = [f"{count:,} {why}" for count, why in left_out if count]
    return f"{counted(found.selected, 'event')} of {found.events:,} in {database}" + (
        f"; left out: {', '.join(said)}" if said else "; none left out"
    )
