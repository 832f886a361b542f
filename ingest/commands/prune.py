"""`tokentail prune`: events older than a moment go, and don't come back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import click

from commandline import EXIT_TROUBLE, options
from commandline.moments import FORMS, moment, parse_since
from commandline.output import complain, remark, say, say_json
from ingest.errors import UsageMistake
from ingest.pruning import Pruned, clear, leaves_nothing, preview, prune
from reports.terminal import bytes_text, counted


@click.command("prune")
@click.option(
    "--older-than",
    "moment",
    metavar="TIME",
    callback=moment(parse_since),
    help=f"Take away what was logged before then, in UTC unless it has an offset: 180d, or {FORMS}.",
)
@click.option(
    "--lift", "clears", is_flag=True, help="Take events of any time again; none comes back by itself."
)
@options.dry_run_option
@click.option("--force", is_flag=True, help="Prune though no event would be left.")
@click.option("--no-vacuum", is_flag=True, help="Leave the freed space in the file, for later events.")
@options.db_option
@options.wait_option
@options.json_option
def prune_command(
    moment: datetime | None,
    clears: bool,
    dry_run: bool,
    force: bool,
    no_vacuum: bool,
    db: str | None,
    wait_seconds: float,
    as_json: bool,
) -> int:
    """Take events older than a moment out of the database, with their sightings, rejects and escalations.

    \b
    What would go; and then, once a month, from cron, with a copy before:
      tokentail prune --older-than 180d --dry-run
      tokentail backup copy.db && tokentail prune --older-than 180d

    The moment is kept in the database. Whatever is older is left out from then on, and counted: a log
    that is read again (`backfill --full`), a copy, a rotation brings nothing of it back, and `verify`
    still proves every marker line. Logs are never touched.

    To give the space back, SQLite writes the database anew, which needs as much room again for a while;
    --no-vacuum leaves that out. A pruning that would leave no event at all needs --force, as
    does a first one of a database without any.

    Exit codes: 0 done, 1 the database can't be used or no event would be left, 2 wrong use,
    75 another ingest holds it.
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    if (moment is None) != clears or (clears and dry_run):
        raise UsageMistake("say --older-than TIME (with --dry-run to see what would go), or --lift alone")
    if moment is None:
        return _clear(database, wait_seconds, as_json)
    needs_force = not force and leaves_nothing(database, moment)
    if needs_force and not dry_run:
        complain(
            f"{database}: has no event from {moment:%Y-%m-%d %H:%M} UTC or later, so that none would be "
            "left; nothing was changed: --force prunes all the same"
        )
        return EXIT_TROUBLE
    if dry_run:
        done = preview(database, moment, remark)
    else:
        done = prune(database, moment, wait_seconds, vacuum=not no_vacuum)
    if done.trouble is not None:
        complain(f"what was to go is gone, but its space was not given back: {done.trouble}")
    if as_json:
        say_json({"database": database, "dry_run": dry_run, **asdict(done)})
    else:
        _show(database, done, dry_run, needs_force)
    return 0 if done.trouble is None else 1


def _clear(database: str, wait_seconds: float, as_json: bool) -> int:
    before = clear(database, wait_seconds)
    if as_json:
        say_json({"database": database, "kept_from": None, "kept_from_before": before})
    elif before is None:
        say(f"events of any time are kept already; database {database}")
    else:
        say(f"events from before {before[:19]} UTC are kept again; database {database}")
        remark("those that were pruned come back where their log is there: `tokentail backfill --full LOGS`")
    return 0


def _show(database: str, done: Pruned, dry_run: bool, needs_force: bool) -> None:
    would = "would be pruned" if dry_run else "pruned"
    all_of_them = ": all" if done.is_all else ""
    say(
        f"{done.events:,} of {counted(done.events_before, 'event')}{all_of_them}, from before "
        f"{done.kept_from[:19]} UTC, {would}, with {counted(done.sightings, 'sighting')}, "
        f"{counted(done.rejects, 'reject')} and {counted(done.escalations, 'escalation')}"
    )
    if needs_force:
        remark("no event would be left: without --dry-run this needs --force")
    freed = f"{bytes_text(done.freed_bytes)} smaller" if done.freed_bytes else ""
    say(f"database {database}" + (f", {freed}" if freed else ""))
