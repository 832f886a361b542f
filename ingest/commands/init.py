"""`tokentail init`: a commented file of settings that every command reads, and what to do next."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence

import click

from commandline import options
from commandline.options import data_database, environment_around
from commandline.output import remark, say
from commandline.sink import opened_sink
from ingest.errors import Unwritable, UsageMistake
from ingest.reading.zone import is_named, machine_zone, zone_named

_IS_WINDOWS = os.name == "nt"

_TEMPLATE = """\
# Settings of tokentail. Every command reads them; options and the environment override them.
# A relative path is one from this file's folder; ~ is your home. A Windows path stands in single quotes.

# The database.
database = {database}

# The logs: files, and folders that are searched for logs.
{logs}

# Which names are logs in a folder, instead of *.log, *.txt, *.jsonl and others.
# globs = ["*.log", "*.log.*"]

# The time zone that the executor ran in: logs give local times, without an offset.{zone_note}
# A log keeps the zone that it was first read with; `tokentail backfill --full` changes that.
{zone}

# How many processes read large logs; as many as there are cores, unless told.
# jobs = 2

# How many seconds to wait for another ingest of this database.
# wait = 60

# Where `ingest` and `status` write their figures for Prometheus' node exporter.
# metrics = "tokentail.prom"

# Where the logs of a folder have another zone, or shall bear a label (log_sources.label), say it here,
# below all else. The nearest folder decides.
# [[folder]]
# path = "/mnt/sydney/logs"
# zone = "Australia/Sydney"
# label = "sydney"
"""


@click.command("init")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=options.any_path)
@click.option(
    "--config",
    type=options.any_path,
    metavar="FILE",
    help="Where to write. Default: where every command looks.",
)
@click.option(
    "--db",
    type=options.any_path,
    metavar="PATH",
    help="The database. Default: the place where this system keeps a user's data, which is said.",
)
@click.option("--tz", metavar="ZONE", help="The time zone of the executor. Default: this machine's.")
@click.option("--force", is_flag=True, help="Replace settings that are there.")
def init_command(
    paths: tuple[str, ...], config: str | None, db: str | None, tz: str | None, force: bool
) -> int:
    """Write tokentail.toml: settings with comments, which every command reads.

    \b
      tokentail init /var/log/executor --tz Australia/Sydney
      tokentail ingest

    PATHs are the logs. What is not given stands in the file, to be changed by hand: this machine's
    zone, and a database where this system keeps a user's data (on Linux below ~/.local/share). Nothing
    is asked, and nothing that is there is replaced without --force.

    The settings are looked for where --config says, else where TOKENTAIL_CONFIG says, else in the
    current folder, and in no other. They are not written into a virtual environment unless --config says
    so: what is in there is deleted with it.

    Exit codes: 0 done, 1 the file could not be written, 2 there are settings already, or wrong use.
    """  # noqa: D301 - Click's mark must be the character itself
    file = config or os.environ.get(options.CONFIG_VARIABLE) or _default_file()
    database = _from(file, db) if db else _made_place()
    zone = zone_named(tz).name if tz else machine_zone().name
    has_name = is_named(zone)
    text = _TEMPLATE.format(
        database=_quoted(database),
        logs=_logs([_from(file, path) for path in paths]),
        zone=f"zone = {_quoted(zone)}" if has_name else '# zone = "Australia/Sydney"',
        zone_note="" if tz else " This is this machine's." if has_name else " This machine's has no name.",
    )
    _write(file, text, force)
    say(f"wrote {file}" + ("" if tz or not has_name else f" (times are read as {zone}, this machine's zone)"))
    if not db:
        there = ", which is there already" if os.path.exists(database) else ""
        say(f"database {database}{there} (--db names another)")
    for path in paths:
        if not os.path.exists(path):
            remark(f"{path}: not there (yet)")
    for line in _next(file, bool(paths)):
        say(line, as_is=True)
    return 0


def _default_file() -> str:
    """Return where settings are written unless somebody says where.

    Raises:
        UsageMistake: that is within a virtual environment.
    """
    environment = environment_around(options.CONFIG_FILE)
    if environment is None:
        return options.CONFIG_FILE
    raise UsageMistake(
        f"{options.CONFIG_FILE} would lie inside the virtual environment {environment}, and be deleted with "
        "it: go to another folder first, for example `mkdir -p ~/tokentail && cd ~/tokentail`, or name the "
        "file with --config"
    )


def _made_place() -> str:
    """Return the database where this system keeps a user's data; its folder is made.

    Raises:
        Unwritable: it can't be.
    """
    database = data_database()
    try:
        os.makedirs(os.path.dirname(database), mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unwritable(
            f"{os.path.dirname(database)}: can't be made ({(error.strerror or str(error)).lower()}): name a "
            "database with --db"
        ) from error
    return database


def _from(file: str, path: str) -> str:
    """Return a path that a person gave from the current folder as it is to stand in a file."""
    in_place = not os.path.dirname(os.path.relpath(file)) or os.path.isabs(path)
    return path if in_place else os.path.abspath(path)


def _logs(paths: Sequence[str]) -> str:
    if not paths:
        return '# logs = ["/var/log/executor"]'
    return "logs = [{}]".format(", ".join(map(_quoted, paths)))


def _quoted(text: str) -> str:
    if "'" not in text and text.isprintable():
        return f"'{text}'" if "\\" in text or '"' in text else f'"{text}"'
    escaped = re.sub(r'[\x00-\x1f\x7f"\\]', lambda found: f"\\u{ord(found[0]):04X}", text)
    return f'"{escaped}"'


def _write(file: str, text: str, force: bool) -> None:
    if os.path.lexists(file) and not force:
        raise UsageMistake(f"{file}: is there already: edit it, or replace it with --force")
    try:
        written = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageMistake(
            "a path that is no text can't stand in settings: give it to the commands"
        ) from error
    with opened_sink(file) as sink:
        sink.write(written)


def _next(file: str, has_logs: bool) -> list[str]:
    """Say what to do next, in lines that can be copied."""
    settings = "" if file == options.CONFIG_FILE else f" --config {_word(file)}"
    job = f"{_word(_program())} ingest --quiet --config {_word(os.path.abspath(file))}"
    first = [] if has_logs else [f"  name the logs in {file}, then"]
    if _IS_WINDOWS:
        every = f'  schtasks /Create /SC MINUTE /MO 5 /TN tokentail /TR "{job}"'
    else:
        every = "  */5 * * * *  {}".format(job.replace("%", "\\%"))  # to cron % is the end of the line
    return [
        "next:",
        *first,
        f"  {_typed()} ingest{settings}",
        f"  {_typed()} report{settings}",
        "from then on, every five minutes" + (":" if _IS_WINDOWS else ", by a line of `crontab -e`:"),
        every,
    ]


def _program() -> str:
    """Return the full path of this program, as a scheduler needs it."""
    name = sys.argv[0]
    return os.path.abspath(name) if os.path.basename(name).startswith("tokentail") else "tokentail"


def _typed() -> str:
    """Return what a person types to run this program: its name, where a shell finds it by that."""
    full = _program()
    found = shutil.which("tokentail")
    if full == "tokentail" or (found is not None and os.path.abspath(found) == full):
        return "tokentail"
    return f'& "{sys.argv[0]}"' if _IS_WINDOWS else shlex.quote(sys.argv[0])


def _word(text: str) -> str:
    if not _IS_WINDOWS:
        return shlex.quote(text)
    return f'\\"{text}\\"' if " " in text else text
