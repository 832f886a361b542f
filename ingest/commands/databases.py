"""`tokentail merge`, `backup` and `upgrade`: commands for whole databases, without any log."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from commandline import options
from commandline.output import complain, name_database, remark, say, say_json
from ingest.backup import back_up
from ingest.errors import UsageMistake
from ingest.upgrading import upgrade
from reports.terminal import bytes_text, counted

if TYPE_CHECKING:
    from ingest.merging import Merged


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
    from ingest.merging import merge  # noqa: PLC0415 - the other commands don't need it

    database = options.chosen_database(db)
    done = merge(others, database, wait_seconds)
    for problem in done.problems:
        complain(problem)
    for note in done.notes:
        remark(note)
    if as_json:
        say_json({"database": database, **asdict(done)})
    else:
        _show_merged(database, done)
    return 1 if done.problems else 0


def _show_merged(database: str, done: Merged) -> None:
    for merged in done.databases:
        say(
            f"{merged.database}: {counted(merged.events, 'event')}, {merged.events_new:,} new, "
            f"{merged.events_updated:,} completed; {counted(merged.sources, 'source')}, "
            f"{merged.sources_new:,} new, {merged.sources_further:,} read further"
        )
    if done.databases:
        say(f"{counted(len(done.databases), 'database')} merged; database {database}")
    else:
        say("no database merged: nothing was changed")


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


@click.command("upgrade")
@click.argument("database", required=False, metavar="[DB]", type=options.any_path)
@options.db_option
@options.wait_option
@options.json_option
def upgrade_command(database: str | None, db: str | None, wait_seconds: float, as_json: bool) -> int:
    """Make a database of an older version one of this version, in one transaction, without any log.

    Every ingest does so by itself. Commands that only read make a temporary copy instead, each time: this
    is for a database whose logs are gone. Nothing that is known is lost; a program of the older version
    can't use the database any more.

    \b
    With a copy before:
      tokentail backup before.db && tokentail upgrade

    Exit codes: 0 done, or it was of this version already; 1 it can't be used, or holds nothing of
    tokentail; 2 wrong use; 75 another ingest holds it.
    """  # noqa: D301 - Click's mark must be the character itself
    if database and options.is_typed("db"):
        raise UsageMistake(f"upgrade which? Name {database} or {db}, as DB or with --db")
    if database:
        name_database({"--db": database})
    chosen = database or options.chosen_database(db)
    made = upgrade(chosen, wait_seconds, remark)
    if as_json:
        say_json({"database": chosen, "migrations": made})
    elif made:
        say(f"upgraded ({', '.join(made)}); database {chosen}")
        remark("programs of the older version can't use it any more")
    else:
        say(f"of this version already; database {chosen}")
    return 0
