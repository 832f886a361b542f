"""`tokentail adopt`: the executor's own database, as one that logs can be read into."""

from __future__ import annotations

from dataclasses import asdict

import click

from ingest.adopting import adopt, preview
from ingest.cli import options
from ingest.cli.output import remark, say, say_json
from reports.terminal import counted


@click.command("adopt")
@options.dry_run_option
@options.db_option
@options.wait_option
@options.json_option
def adopt_command(dry_run: bool, db: str | None, wait_seconds: float, as_json: bool) -> int:
    """Make the executor's own database one that logs can be read into, so that each event is one row.

    Its table of events gains the columns that it lacks, and our other tables are made. None of its rows
    is altered but for filling what they lack: when a log is ingested, an event that has a row of the same
    second, phase, predicted and actual tokens is that row. The executor goes on writing as before; what
    it writes later is matched by the next ingest.

    \b
    First see what would be done, and keep a copy:
      tokentail adopt --db autopack.db --dry-run
      tokentail backup --db autopack.db before.db
      tokentail adopt --db autopack.db
      tokentail ingest --db autopack.db LOGS     (`ingest --adopt` does both)

    Exit codes: 0 done, 1 it can't be adopted (nothing was changed), 2 wrong use, 75 somebody else holds it.
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    done = preview(database) if dry_run else adopt(database, wait_seconds)
    if as_json:
        say_json({"database": database, "dry_run": dry_run, **asdict(done)})
        return 0
    if not done.steps:
        say(f"tokentail's already; database {database}")
        return 0
    for step in done.steps:
        say(step)
    would = "would be adopted; nothing was changed" if dry_run else "adopted"
    say(f"{counted(done.rows, 'row')} of the executor's, all as they are: {would}; database {database}")
    if dry_run:
        remark(f"keep a copy before you do it: `tokentail backup --db {database} COPY.db`")
    return 0
