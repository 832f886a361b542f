"""Options that several commands share, and what the environment adds to them."""

from __future__ import annotations

import math
import os

import click

from ingest.errors import UsageMistake
from ingest.reading.urls import split_paths
from ingest.storing.database import database_path

LOGS_VARIABLE = "TOKENTAIL_LOGS"
SWITCH_VARIABLE = "TELEMETRY_DB_ENABLED"
_OFF = frozenset({"0", "false", "no", "off"})


def finite(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Refuse `nan`, which Click takes for a number within every range."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("not a number")
    return value


paths_argument = click.argument("paths", nargs=-1, metavar="[PATH]...")

db_option = click.option(
    "--db",
    metavar="PATH",
    help="The database. Default: the SQLite file that DATABASE_URL names, else telemetry.db.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print only trouble.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
glob_option = click.option(
    "--glob",
    "globs",
    multiple=True,
    metavar="PATTERN",
    help="Names of logs in a folder, instead of *.log, *.log.*, *.log-*, *.txt, *.out, *.err, *.jsonl and "
    "their compressed forms. May be repeated.",
)
wait_option = click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0),
    callback=finite,
    default=0.0,
    metavar="SECONDS",
    help="How long to wait for another ingest of this database before leaving with exit code 75.",
)


def chosen_database(option: str | None) -> str:
    """Return the path of the database that this command is about."""
    return database_path(option, os.environ)


def chosen_paths(arguments: tuple[str, ...]) -> list[str]:
    """Return the paths to read: the arguments, else those of `TOKENTAIL_LOGS`; there may be none."""
    if arguments:
        return list(arguments)
    return split_paths(os.environ.get(LOGS_VARIABLE, ""), os.pathsep)


def required_paths(arguments: tuple[str, ...]) -> list[str]:
    """Return the paths to read.

    Raises:
        UsageMistake: there are none.
    """
    paths = chosen_paths(arguments)
    if not paths:
        raise UsageMistake(f"no logs to read: name files or folders, or set {LOGS_VARIABLE}")
    return paths


def is_switched_off() -> bool:
    """Whether the executor's own switch turns telemetry off; unset means on."""
    return os.environ.get(SWITCH_VARIABLE, "").strip().lower() in _OFF
