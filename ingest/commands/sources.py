"""`tokentail sources`: the logs that were read, and forgetting some of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from commandline import options
from commandline.output import remark, say, say_json, say_lines
from ingest.forgetting import forget, listed_sources, preview
from ingest.storing.sources import IMPORTED
from reports.terminal import counted, table

_LEAST = ("pruned", "zone", "state", "rejects", "marker lines", "last read (UTC)")
_HEADER = (
    "id",
    "source",
    "state",
    "zone",
    "last read (UTC)",
    "marker lines",
    "rejects",
    "pruned",
    "only here",
)


@click.group("sources", invoke_without_command=True)
@options.db_option
@options.json_option
@click.pass_context
def sources_command(context: click.Context, db: str | None, as_json: bool) -> int:
    """List the logs that were read: their ids, paths, and how many events only they told.

    `tokentail sources forget` takes some out of the database.

    \b
    Examples:
      tokentail sources
      tokentail sources --json
    """  # noqa: D301 - Click's mark must be the character itself
    if context.invoked_subcommand is not None:
        return 0
    database = options.chosen_database(db)
    found = listed_sources(database, remark)
    if as_json:
        say_json({"database": database, "sources": found})
        return 0
    if found:
        say_lines(table(_HEADER, [_row(source) for source in found], text_columns=5, least=_LEAST))
    say(f"{counted(len(found), 'source')}; database {database}")
    return 0


def _row(source: dict[str, Any]) -> tuple[str, ...]:
    at = source["real_path"] or source["path"]
    return (
        str(source["source_id"]),
        f"{source['host']}:{at}" if source["host"] else at,
        source["state"],
        source["timezone"],
        source["last_seen"][:19],
        f"{source['marker_lines']:,}",
        f"{source['rejects']:,}",
        f"{source['pruned']:,}",
        f"{source['events_alone']:,}",
    )


@sources_command.command("forget")
@click.argument("names", nargs=-1, required=True, metavar="PATH|ID...")
@options.dry_run_option
@options.db_option
@options.wait_option
@options.json_option
def forget_command(
    names: tuple[str, ...], dry_run: bool, db: str | None, wait_seconds: float, as_json: bool
) -> int:
    """Take logs out of the database: their sightings, their rejects, and events that no other log told.

    A log is named by its path, by that of a folder above it, or by its id (`tokentail sources`); - is
    standard input, if only one pipe was read: of several each has its id. Events that another log told
    stay, with all that is known of them, and so do escalations, which know no log. A later ingest of the
    same log reads it anew.

    \b
    Examples:
      tokentail sources forget --dry-run old-logs/
      tokentail sources forget 17 /var/log/executor/test.log

    Exit codes: 0 done, 1 the database can't be used, 2 no such source (nothing was changed), 75 another
    ingest holds the database.
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    done = preview(names, database, remark) if dry_run else forget(names, database, wait_seconds)
    if as_json:
        say_json({"database": database, "dry_run": dry_run, **asdict(done)})
        return 0
    would = "would be forgotten" if dry_run else "forgotten"
    for source in done.sources:
        say(f"{source['source_id']}: {source['path']} {would}")
    say(
        f"{counted(len(done.sources), 'source')} {would}: {counted(done.events, 'event')} with "
        f"{'it' if len(done.sources) == 1 else 'them'}, {counted(done.sightings, 'sighting')}, "
        f"{counted(done.rejects, 'reject')}"
        + (f", imported paths of {counted(done.phases, 'phase')}" if done.phases else "")
        + f"; {counted(done.events_kept, 'event')} of others stay"
    )
    say(f"database {database}")
    states = {source["state"] for source in done.sources} if not dry_run else set()
    if states - {IMPORTED}:
        remark("if these logs are still among those that you ingest, the next run reads them anew")
    if IMPORTED in states:
        remark("what was imported comes back if it is imported again")
    return 0
