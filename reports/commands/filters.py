"""The filters that all reports share, as options; and what they left out, as a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, wraps
from typing import Any, TypeVar

import click
from sqlite_utils import Database

from commandline.moments import moment_in, parse_since, parse_until
from commandline.output import say
from ingest.errors import UsageMistake
from ingest.reading.zone import zone_named
from reports.selection import LOCAL_DAY, MIN_ACTUAL, Population, Selection
from reports.strata import DEFAULT_BUCKETS, DIMENSIONS, Bucket, Strata, parse_buckets
from reports.terminal import counted

Command = TypeVar("Command", bound=Callable[..., Any])


def _named(name: str, what: str) -> Callable[[Command], Command]:
    return click.option(f"--{name}", multiple=True, metavar="NAME", help=f"Only {what}. May be repeated.")


def filter_options(
    min_actual: int = MIN_ACTUAL, with_all: bool = True, rows_only: bool = False
) -> Callable[[Command], Command]:
    """Add the filters to a command, which gets them as the one argument `selection`.

    Without `with_all` there is no `--all` among them, since it means something else there. `rows_only`: the
    command computes no risk, so that `--success-only` leaves out truncated answers, too.
    """

    def add(command: Command) -> Command:
        wrapped: Any = _with_selection(command, rows_only)
        for option in reversed(_filters(min_actual, with_all, rows_only)):
            wrapped = option(wrapped)
        return wrapped  # type: ignore[no-any-return]

    return add


class _Tokens(click.IntRange):
    """A number of tokens; no answer is as long as the limit, and SQLite can still hold it."""

    def __init__(self) -> None:
        super().__init__(min=0, max=10**18)

    def _describe_range(self) -> str:
        """Leave these limits out of `--help`: nobody meets them."""
        return ""


def _filters(min_actual: int, with_all: bool, rows_only: bool) -> list[Callable[[Any], Any]]:
    return [
        _named("run", "events of this run"),
        _named("phase", "events of this phase"),
        _named("category", "events of this category"),
        _named("complexity", "events of this complexity"),
        _named("model", "events of this model"),
        click.option(
            "--tz",
            metavar="ZONE",
            help="Zone of times; else the settings', else UTC.",
        ),
        click.option(
            "--since",
            metavar="TIME",
            help="From then on: 2026-01-14T09:30, today, 7d.",
        ),
        click.option(
            "--until",
            metavar="TIME",
            help="Up to then; a day stands for the whole day.",
        ),
        click.option(
            "--success-only/--all" if with_all else "--success-only",
            is_flag=True,
            default=False,
            help="Only parsed answers." if rows_only else "Parsed answers; truncated ones stay as risk.",
        ),
        click.option(
            "--min-actual",
            type=_Tokens(),
            default=min_actual,
            metavar="TOKENS",
            help=f"Leave out shorter answers. Default: {min_actual}.",
        ),
        click.option(
            "--normalize-categories",
            is_flag=True,
            help="Count documentation as docs, and so on.",
        ),
    ]


def _with_selection(command: Callable[..., Any], rows_only: bool) -> Callable[..., Any]:
    @wraps(command)
    def call(**values: Any) -> Any:
        zone = zone_named(values.pop("tz") or "UTC")
        parameters = {param.name: param for param in click.get_current_context().command.params}
        selection = Selection(
            zone=zone.name,
            runs=values.pop("run"),
            phases=values.pop("phase"),
            categories=values.pop("category"),
            complexities=values.pop("complexity"),
            models=values.pop("model"),
            since=moment_in(zone, parse_since, parameters["since"], values.pop("since")),
            until=moment_in(zone, parse_until, parameters["until"], values.pop("until")),
            success_only=values.pop("success_only"),
            min_actual=values.pop("min_actual"),
            normalize_categories=values.pop("normalize_categories"),
            rows_only=rows_only,
        )
        return command(selection=selection, **values)

    return call


def _buckets(_: click.Context, __: click.Parameter, text: str | None) -> tuple[Bucket, ...]:
    try:
        return parse_buckets(text) if text else DEFAULT_BUCKETS
    except UsageMistake as error:
        raise click.BadParameter(str(error)) from error


buckets_option = click.option(
    "--buckets",
    callback=_buckets,
    metavar="RANGES",
    help="Of deliverables. Default: 1-3,4-7,8-15,16+.",
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
    help=f"Strata: any of {', '.join(DIMENSIONS)}.",
)


def know_days(database: Database, selection: Selection) -> None:
    """Give a database the SQL function `LOCAL_DAY`, for the zone of a selection.

    Days are cached by quarters of an hour, at which days begin in every zone: conversions of a million times
    would take long.
    """
    zone = zone_named(selection.zone)

    @lru_cache(maxsize=10_000)
    def day_of(hour: str, quarter: int) -> str:
        begin = datetime.fromisoformat(f"{hour}:{quarter * 15:02}:00+00:00")
        return zone.to_local(begin).date().isoformat()

    def local_day(timestamp: str) -> str | None:
        try:
            return day_of(timestamp[:13], int(timestamp[14:16]) // 15)
        except (TypeError, ValueError):  # a time that another program wrote
            return None

    database.conn.create_function(LOCAL_DAY, 1, local_day, deterministic=True)


def nothing_left(found: Population, what: str) -> str:
    """Return why there is nothing to report (`what`: the verb), and what to do."""
    if found.events and found.left_out_filtered == found.events:
        hints = "".join(f" {hint}" + ("" if hint.endswith("?") else ".") for hint in found.hints)
        return f"There is nothing to {what}: no event passes the filters.{hints}"
    return f"There is nothing to {what}: no event is left. `tokentail status` shows what was read."


def say_cut_stay(selection: Selection) -> None:
    """Print what `--success-only` does not leave out, if it was given."""
    if selection.success_only:
        say("Truncated answers stay, though none of them was parsed: they are the risk.")


def population_line(found: Population, database: str) -> str:
    """Return which events the numbers are about, and what was left out, as a sentence."""
    left_out = [
        (found.left_out_filtered, "not selected"),
        (found.left_out_totals, "whose actual is a total of input and output"),
        (found.left_out_short, f"with fewer than {found.min_actual} actual tokens"),
    ]
    said = [f"{count:,} {why}" for count, why in left_out if count]
    return f"{counted(found.selected, 'event')} of {found.events:,} in {database}" + (
        f"; left out: {', '.join(said)}" if said else "; none left out"
    )


def say_population(found: Population, database: str) -> None:
    """Print which events the numbers are about, what was left out, and from when to when they were logged."""
    say(population_line(found, database))
    if found.first is not None and found.last is not None:
        first, last = (shown(moment, found.zone) for moment in (found.first, found.last))
        say(f"logged from {first} to {last}, {found.zone}")
        if found.last > datetime.now(UTC).replace(tzinfo=None).isoformat(" "):
            say("the newest of them is in the future: a zone was wrong, or a clock (`tokentail sources`)")


def shown(moment: str, zone: str, precision: str = "minutes") -> str:
    """Return a stored time as a zone's clocks show it, to the minute; text that is no time as it is."""
    try:
        return zone_named(zone).to_local(datetime.fromisoformat(f"{moment}+00:00")).isoformat(" ", precision)
    except ValueError:
        return moment
