"""`tokentail rejects`: marker lines that could not become events, listed or read again."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice

import click

from commandline import options
from commandline.output import remark, say, say_json
from ingest.storing.database import open_for_reading
from reports.rejects import rejects
from reports.terminal import counted

SHOWN_CHARACTERS = 200
"""Characters of a line that are shown, at most."""


@click.command("rejects")
@options.db_option
@click.option("--limit", type=click.IntRange(min=1, max=10**9), metavar="N", help="Show at most N.")
@click.option("--retry", is_flag=True, help="Read them again, after an upgrade that understands more.")
@options.wait_option
@options.json_option
def rejects_command(
    db: str | None, limit: int | None, retry: bool, wait_seconds: float, as_json: bool
) -> int:
    """List the marker lines that could not become events: file, line, reason, and the line itself.

    With --retry they are read again. Those that are understood now become events, as if they had been
    the first time: a log that is still there is read from its start, so that the lines around them
    tell their run, phase and paths; where it is gone, the stored line is read alone. Each log is one
    transaction; nothing doubles, however often it is done.

    \b
    Examples:
      tokentail rejects
      tokentail rejects --json
      tokentail rejects --retry

    Exit codes: 0 done, 1 the database can't be used, 2 wrong use, 75 another ingest holds it (--retry).
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    if retry:
        return _retry(database, wait_seconds, as_json)
    with open_for_reading(database, remark) as opened:
        if as_json:
            say_json({"database": str(database), "rejects": list(islice(rejects(opened), limit))})
            return 0
        count = 0
        for reject in islice(rejects(opened), limit):
            count += 1
            line = reject["line"]
            shown = line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + "..."
            say(f"{reject['path']}:{reject['line_number']}: {reject['reason']}")
            say(f"    {shown}", as_is=True)
    say(f"{counted(count, 'reject')}; database {database}")
    return 0


def _retry(database: str, wait_seconds: float, as_json: bool) -> int:
    from ingest.retrying import retry_rejects  # noqa: PLC0415 - a list of rejects reads no log

    done = retry_rejects(database, wait_seconds)
    if as_json:
        say_json({"database": database, **asdict(done)})
        return 0
    for note in done.notes:
        remark(note)
    still = done.rejects - done.whole - done.alone
    say(
        f"{counted(done.rejects, 'reject')} read again: {done.whole:,} understood with the log around them, "
        f"{done.alone:,} alone, {still:,} still not; {counted(done.events_new, 'event')} new"
    )
    say(f"database {database}")
    return 0
