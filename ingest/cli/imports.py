"""`tokentail import`: the events of a full export, or those that an executor stored itself."""

from __future__ import annotations

from dataclasses import asdict

import click

from ingest.cli import options
from ingest.cli.output import say, say_json
from ingest.importing import import_events
from reports.terminal import counted


@click.command("import")
@click.argument("file", type=options.any_path, metavar="FILE")
@options.db_option
@options.wait_option
@options.json_option
def import_command(file: str, db: str | None, wait_seconds: float, as_json: bool) -> int:
    """Take in the events of a full export (`tokentail export --full`), or of an executor's own database.

    FILE is NDJSON (`-` is standard input), or the database that the executor writes, which is only read.
    What its rows say of run and phase ranks first; import it again whenever it has grown. An event that
    the database has already, from a log or from another import, only gains what it lacks: importing twice
    is importing once, and the order of imports and ingests doesn't matter. If a line is broken, or its
    numbers, time or phase were changed, nothing is imported.

    \b
    Examples:
      tokentail import full.ndjson --db other.db
      zcat full.ndjson.gz | tokentail import -
      tokentail import autopack.db

    Exit codes: 0 done, 1 the file or the database can't be used, 2 wrong use, 75 an ingest holds the
    database.
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    done = import_events(file, database, wait_seconds)
    if as_json:
        say_json({"database": str(database), **asdict(done)})
        return 0
    known = done.events - done.events_new - done.events_updated - done.events_pruned
    say(
        f"{counted(done.events, 'event')} in {file}: {done.events_new:,} new, {done.events_updated:,} "
        f"completed, {known:,} known already"
    )
    if done.events_pruned:
        say(f"{counted(done.events_pruned, 'event')} older than what is kept (see `tokentail prune`)")
    say(f"database {database}")
    return 0
