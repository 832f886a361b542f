"""`tokentail follow`: the turns of a follow, as lines that a person or a program reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from commandline import EXIT_INTERRUPTED, Terminated, options
from commandline.metrics import Metrics
from commandline.output import complain, remark, say, say_json_line
from ingest.commands.ingest import (
    Chosen,
    found_text,
    ingest_options,
    ingest_options_of,
    refuse_adoption,
    show,
    switched_off,
)
from ingest.errors import UsageMistake
from ingest.files.paths import STANDARD_INPUT
from ingest.files.urls import is_url
from ingest.follow import TurnReport, follow
from ingest.stopping import Stopping
from ingest.summary import Summary
from reports.terminal import bytes_text, counted

GRACE_SECONDS = 2.0
"""How long a turn may still take when a signal comes. Nothing is lost in any case."""

idle_option = click.option(
    "--until-idle",
    "idle_seconds",
    type=click.FloatRange(min=0),
    callback=options.finite,
    metavar="SECONDS",
    help="End when nothing was new for so long. Default: go on until asked to end.",
)


@click.command("follow")
@ingest_options
@idle_option
def follow_command(paths: tuple[str, ...], idle_seconds: float | None, **chosen: Any) -> int:
    """Keep reading the logs at each PATH as they grow, into the database.

    Each event is a row well within a second of its line. New logs, rotations and folders that come and
    go are noticed; what can't be read is told once, and once more when it can. It is ingest, again and
    again: it may be stopped at any time, by any means, and the next follow or ingest goes on from there.

    \b
    Until you press Ctrl-C:
      tokentail follow --tz UTC /var/log/executor
    While a run lasts, and ten minutes more:
      tokentail follow --tz UTC --until-idle 600 run.log
    One log that is piped needs no follow:
      executor 2>&1 | tee run.log | tokentail ingest -

    A line is printed for each round that found events or rejects; with --json, an object for each, and
    one for the whole at the end. It holds the database: another ingest of it leaves with 75 meanwhile.

    Exit codes: 0 nothing new for --until-idle, or ended by SIGTERM; 1 likewise for --until-idle, but
    something could not be read (named) or there was a reject and --fail-on-reject; 2 wrong use, 75 another
    ingest holds the database, 130 interrupted. Nothing is lost in any case.
    """  # noqa: D301 - Click's mark must be the character itself
    given = Chosen(**chosen)
    if switched_off(given.as_json):
        return 0
    metrics = Metrics(given.metrics, "follow", given.db)
    return metrics.around(lambda: _follow(paths, given, idle_seconds, metrics))


def _follow(paths: tuple[str, ...], given: Chosen, idle_seconds: float | None, metrics: Metrics) -> int:
    found = options.required_paths(paths)
    if STANDARD_INPUT in found:
        raise UsageMistake("standard input can't be followed: `tokentail ingest -` reads it until it ends")
    if any(map(is_url, found)):
        raise UsageMistake(
            "URLs can't be followed, only files: run `tokentail ingest` again and again, as cron does"
        )
    database = options.chosen_database(given.db)
    refuse_adoption(given, database)
    asked = ingest_options_of("follow", given)
    with Stopping(GRACE_SECONDS) as stopping:
        voice = _Voice(given, metrics, stopping)
        return _followed(voice, lambda: follow(found, database, asked, voice, idle_seconds))


def _followed(voice: _Voice, run: Callable[[], Summary]) -> int:
    try:
        total = run()
    except Terminated:  # a service is asked to end so; it did what it was asked
        voice.end(0)
        return 0
    except KeyboardInterrupt:
        voice.end(EXIT_INTERRUPTED)
        raise
    voice.end(total.exit_code)
    return total.exit_code


class _Voice:
    """Prints how a follow goes."""

    def __init__(self, chosen: Chosen, metrics: Metrics, stopping: Stopping) -> None:
        self._metrics = metrics
        self._stopping = stopping
        self._quiet = chosen.quiet
        self._as_json = chosen.as_json
        self._total: Summary | None = None

    def begun(self, total: Summary) -> None:
        """Say into which database."""
        self._total = total
        if not (self._quiet or self._as_json):
            made = "new database" if total.database_is_new else "database"
            say(f"following, times of new logs read as {total.timezone}; {made} {total.database}")

    def report(self, turn: TurnReport) -> None:
        """Print what a turn did."""
        found = turn.summary
        for trouble in (*found.problems, *found.warnings):
            complain(trouble)
        for text in (*(f"no longer: {text}" for text in turn.mended), *found.notes):
            if not self._quiet:
                remark(text)
        now = datetime.now(UTC)
        if self._as_json:
            say_json_line({"at": f"{now:%Y-%m-%dT%H:%M:%SZ}", **found.values(), "mended": turn.mended})
        elif not self._quiet and (found.marker_lines or found.events_updated):
            say(
                f"{now:%Y-%m-%d %H:%M:%S} UTC: {found_text(found)}; "
                f"{bytes_text(found.bytes_read)} read of {counted(found.files_read, 'file')}"
            )

    def beat(self, total: Summary) -> None:
        """Write the metrics."""
        self._metrics.write_seldom(total.exit_code)

    def waits(self) -> None:
        """End the follow if a signal came."""
        self._stopping.check()

    def end(self, exit_code: int) -> None:
        """Say what was done in all."""
        if self._total is None:
            return
        if self._as_json:
            say_json_line({"ended": True, **self._total.values(), "exit_code": exit_code})
        elif not self._quiet:
            show(self._total)
