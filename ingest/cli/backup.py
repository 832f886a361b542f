"""`tokentail backup`: a copy that can be trusted."""

from __future__ import annotations

from dataclasses import asdict

import click

from ingest.backup import back_up
from ingest.cli import options
from ingest.cli.output import say, say_json
from reports.terminal import bytes_text, counted


@click.command("backup")
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@options.db_option
@options.json_option
def backup_command(file: str, force: bool, db: str | None, as_json: bool) -> int:
    """Copy the database to FILE, consistently, also while an ingest writes to it.

    \b
    Every night, from cron:
      tokentail backup --db /data/telemetry.db /backup/telemetry-$(date +\\%F).db

    The copy is of one moment, is checked before it gets its name, and is a single file: to restore it,
    copy it back while no ingest runs, and take away telemetry.db-wal and telemetry.db-shm, if they are
    there. A database of an older version, and the executor's own, can be copied too.

    Exit codes: 0 done, 1 the database can't be read or FILE not written, 2 wrong use.
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    done = back_up(database, file, force)
    if as_json:
        say_json({"database": database, **asdict(done)})
        return 0
    events = "no table of events" if done.events is None else counted(done.events, "event")
    say(f"{events}, {bytes_text(done.size_bytes)}, checked: copied to {done.file}")
    say(f"database {database}")
    return 0
