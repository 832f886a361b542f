"""`tokentail import` and `deliverables import`: import what doesn't come from a log."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from commandline import options
from commandline.output import complain, remark, say, say_json
from ingest.deliverables import import_deliverables
from ingest.importing import import_events
from reports.terminal import counted

MAX_NAMED = 10
"""Odd phases that are named at most."""


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
        old = counted(done.events_pruned, "event")
        say(f"{old} older than what is kept (`tokentail prune --lift`, and the import again, takes them)")
    say(f"database {database}")
    return 0


@click.group("deliverables")
def deliverables_command() -> None:
    """Complete events with deliverable paths known elsewhere.

    \b
      tokentail deliverables import phases.ndjson
    """  # noqa: D301 - Click's mark must be the character itself


@deliverables_command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@options.db_option
@options.wait_option
@options.json_option
def import_deliverables_command(file: Path, db: str | None, wait_seconds: float, as_json: bool) -> int:
    """Give the events of each phase in FILE its deliverable paths.

    FILE is NDJSON or JSON of {"run_id": ..., "phase_id": ..., "deliverables": [...]}, or an
    executor's SQLite database, whose phases hold them in their scope; deliverables may be a list of
    paths, or of objects with a "path", or an object of such lists. FILE is read whole first: if it is
    broken, nothing changes. A phase that holds anything else is named, and the others count. Events that
    are ingested later get their paths too; importing FILE again replaces what it declared.

    \b
    Examples:
      tokentail deliverables import phases.ndjson
      tokentail deliverables import executor.db --wait 60

    Exit codes: 0 done, 1 the file or the database can't be used, or a phase of it (the rest is done),
    2 wrong use, 75 an ingest holds the database.
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    done = import_deliverables(file, database, wait_seconds)
    if as_json:
        say_json({"database": str(database), **asdict(done)})
        return 1 if done.odd else 0
    say(
        f"{counted(done.phases, 'phase')} in {file}: {counted(done.events_matched, 'event')} matched, "
        f"{done.events_updated:,} updated; {counted(done.phases_unmatched, 'phase')} without an event here"
    )
    say(f"database {database}")
    if done.counts_differing:
        remark(
            f"{counted(done.counts_differing, 'event')} logged another number of deliverables than {file} has"
        )
    for odd in done.odd[:MAX_NAMED]:
        complain(f"{file}{odd.where}: {odd.why}")
    if len(done.odd) > MAX_NAMED:
        complain(f"{file}: {len(done.odd) - MAX_NAMED:,} more of that kind; --json names them all")
    return 1 if done.odd else 0
