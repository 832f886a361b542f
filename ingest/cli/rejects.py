"""`tokentail rejects`: nothing is dropped in silence."""

from __future__ import annotations

from itertools import islice

import click

from ingest.cli import options
from ingest.cli.output import say, say_json
from ingest.storing.database import open_for_reading
from reports.rejects import rejects
from reports.terminal import counted

SHOWN_CHARACTERS = 200


@click.command("rejects")
@options.db_option
@click.option("--limit", type=click.IntRange(min=1, max=10**9), metavar="N", help="Show at most N.")
@options.json_option
def rejects_command(db: str | None, limit: int | None, as_json: bool) -> int:
    """List the marker lines that could not become events: file, line, reason, and the line itself.

    \b
    Examples:
      tokentail rejects --limit 20
      tokentail rejects --json
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    with open_for_reading(database) as opened:
        if as_json:
            say_json({"database": str(database), "rejects": list(islice(rejects(opened), limit))})
            return 0
        count = 0
        for reject in islice(rejects(opened), limit):
            count += 1
            line = reject["line"]
            shown = line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + "..."
            say(f"{reject['path']}:{reject['line_number']}: {reject['reason']}")
            say(f"    {shown}")
    say(f"{counted(count, 'reject')}; database {database}")
    return 0
