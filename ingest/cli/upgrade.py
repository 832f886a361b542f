"""`tokentail upgrade`: a database of an older version becomes one of this version."""

from __future__ import annotations

import click

from ingest.cli import options
from ingest.cli.output import remark, say, say_json
from ingest.storing.upgrading import upgrade


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
