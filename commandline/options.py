"""Options that several commands share, what the environment adds to them, and where data may live.

No database is made in a virtual environment unless a person names it there: whoever recreates one
(`python -m venv --clear`, an upgrade of pipx) deletes what is in it.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from commandline.output import name_database
from ingest.errors import UsageMistake
from ingest.files.urls import split_paths
from ingest.storing.database import DEFAULT_PATH, database_path

if TYPE_CHECKING:
    from commandline.settings import Settings
    from ingest.files.folders import Folder

Command = TypeVar("Command", bound=Callable[..., Any])

CONFIG_VARIABLE = "TOKENTAIL_CONFIG"
CONFIG_FILE = "tokentail.toml"
LOGS_VARIABLE = "TOKENTAIL_LOGS"
SWITCH_VARIABLE = "TELEMETRY_DB_ENABLED"
_OFF = frozenset({"0", "false", "no", "off"})

_MARKS = ("pyvenv.cfg", "conda-meta")
"""A folder that holds one of these is a virtual environment of Python's or conda's."""


def finite(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Refuse `nan`, which Click accepts in every range."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("not a number")
    return value


any_path = click.Path(readable=False)
"""The type of an argument that names a file: shells complete it. Its existence is checked when it is used."""


class _Logs(click.Path):
    """Paths and URLs; in the environment variable they are separated as in `PATH`."""

    def split_envvar_value(self, rv: str) -> list[str]:
        """Split the variable's value; the `:` within a URL separates nothing."""
        return split_paths(rv, os.pathsep)


paths_argument = click.argument(
    "paths", nargs=-1, metavar="[PATH]...", type=_Logs(readable=False), envvar=LOGS_VARIABLE
)


def _database_said(ctx: click.Context, _: click.Parameter, named: str | None) -> str | None:
    if named is not None and is_typed("db", ctx):
        name_database({"--db": named})
    return named


_database_option = click.option(
    "--db",
    type=any_path,
    metavar="PATH",
    callback=_database_said,
    help="The database. Default: that of DATABASE_URL, of the settings, or telemetry.db.",
)


def _apply_settings(ctx: click.Context, _: click.Parameter, named: str | None) -> None:
    if named is not None:
        name_database({"--config": named})
    apply_settings(ctx, named)


def apply_settings(ctx: click.Context, named: str | None) -> None:
    """Make the settings a command's defaults: the file `named`, else TOKENTAIL_CONFIG, else tokentail.toml.

    Raises:
        UsageMistake: the file can't be read or holds a mistake.
    """
    file = named or os.environ.get(CONFIG_VARIABLE) or (CONFIG_FILE if os.path.lexists(CONFIG_FILE) else None)
    if file is None or ctx.resilient_parsing:  # a shell completes a word
        return
    from commandline.settings import read_settings  # noqa: PLC0415 - most have none

    ctx.obj = read_settings(file)
    ctx.default_map = ctx.obj.defaults


_settings_option = click.option(
    "--config",
    type=any_path,
    metavar="FILE",
    is_eager=True,  # before the options whose defaults it sets
    expose_value=False,
    callback=_apply_settings,
    help="The settings. Default: those of TOKENTAIL_CONFIG, or tokentail.toml here.",
)


def db_option(command: Command) -> Command:
    """Give a command `--db`, and `--config`, since settings may name the database."""
    return _database_option(_settings_option(command))


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print only trouble.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
glob_option = click.option(
    "--glob",
    "globs",
    multiple=True,
    metavar="PATTERN",
    help="Names of logs in a folder, instead of *.log and others. May be repeated.",
)
wait_option = click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0),
    callback=finite,
    default=0.0,
    metavar="SECONDS",
    help="How long to wait for another ingest of this database.",
)


def chosen_database(option: str | None) -> str:
    """Return the path of this command's database; `option` is that of `--db`, typed or from the settings.

    What was typed comes first, then `DATABASE_URL`, the settings, `telemetry.db`. A `--db` of `sources` that
    stands before its subcommand `forget` counts as well.

    Raises:
        UsageMistake: `--db` or `DATABASE_URL` names no SQLite file, or neither names any and `telemetry.db`
            would be made in a virtual environment.
    """
    context = click.get_current_context()
    contexts = [given for given in (context, context.parent) if given is not None and is_typed("db", given)]
    typed = contexts[0].params["db"] if contexts else None
    if not (typed or option or os.environ.get("DATABASE_URL")):
        return default_database()
    return database_path(typed, os.environ, option)


def data_folder() -> str:
    """Return the folder in which this system keeps a user's data of this program; it may not exist."""
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or os.path.join("~", "AppData", "Local")
    elif sys.platform == "darwin":
        base = os.path.join("~", "Library", "Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME", "")
        base = base if os.path.isabs(base) else os.path.join("~", ".local", "share")
    return os.path.join(os.path.expanduser(base), "tokentail")


def data_database() -> str:
    """Return the path of a database in `data_folder`; it may not exist."""
    return os.path.join(data_folder(), DEFAULT_PATH)


def other_database() -> str:
    """Return a hint that there is a database in `data_folder`, for where another is missing; else nothing."""
    place = data_database()
    if not os.path.exists(place):
        return ""
    return f"there is one at {place}: name it with --db, or go where its tokentail.toml is"


def environment_around(path: str) -> str | None:
    """Return the virtual environment that a path lies in, or `None`."""
    folder = os.path.dirname(os.path.realpath(path))
    while True:
        if any(os.path.exists(os.path.join(folder, mark)) for mark in _MARKS):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def default_database() -> str:
    """Return the path of the database if nobody names one: `telemetry.db` in the current folder.

    Raises:
        UsageMistake: it isn't there and would be made in a virtual environment.
    """
    environment = None if os.path.exists(DEFAULT_PATH) else environment_around(DEFAULT_PATH)
    if environment is None:
        return DEFAULT_PATH
    raise UsageMistake(
        f"the database, {DEFAULT_PATH}, would lie inside the virtual environment {environment}, and be "
        f"deleted with it: name another place with --db, such as {data_database()}, or go to another folder; "
        "`tokentail init` there writes settings that name a place"
    )


def is_typed(parameter: str, context: click.Context | None = None) -> bool:
    """Whether an option was typed, and not given by the environment, settings or defaults."""
    context = context or click.get_current_context()
    return context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def chosen_settings() -> Settings | None:
    """Return the settings of this command, or `None` if there is no file of them."""
    settings: Settings | None = click.get_current_context().obj
    return settings


def chosen_folders() -> tuple[Folder, ...]:
    """Return the folders of the settings; a zone that was typed (`--tz`) overrides theirs."""
    settings = chosen_settings()
    if settings is None:
        return ()
    if is_typed("tz"):
        return tuple(replace(folder, zone=None) for folder in settings.folders)
    return settings.folders


def required_paths(paths: tuple[str, ...]) -> list[str]:
    """Return the paths to read, as a list.

    Raises:
        UsageMistake: there are none.
    """
    if not paths:
        raise UsageMistake(
            f"no logs to read: name files or folders, set {LOGS_VARIABLE}, or name them in {CONFIG_FILE} "
            "(`tokentail init` writes one)"
        )
    return list(paths)


def is_switched_off() -> bool:
    """Whether the executor's own switch turns telemetry off; unset means on."""
    return os.environ.get(SWITCH_VARIABLE, "").strip().lower() in _OFF
