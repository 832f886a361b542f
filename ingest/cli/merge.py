"""`tokentail merge`: many databases, one."""

from __future__ import annotations

from dataclasses import asdict

import click

from ingest.cli import options
from ingest.cli.output import complain, remark, say, say_json
from ingest.merging import Merged, merge
from reports.terminal import counted


@click.command("merge")
@click.argument("others", nargs=-1, required=True, metavar="OTHER.db...")
@options.db_option
@options.wait_option
@options.json_option
def merge_command(others: tuple[str, ...], db: str | None, wait_seconds: float, as_json: bool) -> int:
    """Take each OTHER.db into the database, as if one ingest had read all of their logs.

    Events are made one by the rules of an ingest, so the order of the databases
    doesn't matter, and merging twice is merging once. A log that several of them have read is one
    source, as far as it was read furthest. The others are only read. One of an older version is brought
    up to date in a temporary copy; one of a newer version is refused.

    \b
    Examples:
      tokentail merge --db fleet.db executor-1.db executor-2.db

    \b
    Executors that share no file system, each with a copy of one moment (never
    copy a database with cp or scp: its newest rows may stand in another file):
      ssh executor-1 tokentail backup --force --db telemetry.db /data/copy.db
      scp executor-1:/data/copy.db executor-1.db
      tokentail merge --db fleet.db executor-1.db

    Exit codes: 0 done, 1 a database can't be used, or is the one of --db (named; the others are merged),
    2 wrong use, 75 another ingest holds the database.
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    done = merge(others, database, wait_seconds)
    for problem in done.problems:
        complain(problem)
    for note in done.notes:
        remark(note)
    if as_json:
        say_json({"database": database, **asdict(done)})
    else:
        _show(database, done)
    return 1 if done.problems else 0


def _show(database: str, done: Merged) -> None:
    for one in done.databases:
        say(
            f"{one.database}: {counted(one.events, 'event')}, {one.events_new:,} new, "
            f"{one.events_updated:,} completed; {counted(one.sources, 'source')}, {one.sources_new:,} new, "
            f"{one.sources_further:,} read further"
        )
    if done.databases:
        say(f"{counted(len(done.databases), 'database')} merged; database {database}")
    else:
        say("no database merged: nothing was changed")
