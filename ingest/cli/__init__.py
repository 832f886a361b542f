"""The command line: the one part that talks to Click, to the environment and to a person.

Commands are thin. What they print is in `ingest.cli.output`, what they ask for in
`ingest.cli.options`; how an error becomes a message and an exit code is here.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import UnsupportedOperation
from types import FrameType
from typing import TYPE_CHECKING

import click

from ingest.cli.every_command import completed
from ingest.cli.output import complain, page_width, show_escapes
from ingest.errors import DatabaseBusy, NoDatabase, OutputLost, TokentailError, UsageMistake
from ingest.room import what_makes_room
from ingest.storing.library import import_library
from ingest.version import program_version
from reports.terminal import fit_to

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

EXIT_TROUBLE = 1
EXIT_USAGE = 2
EXIT_BUSY = 75
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

COMMANDS = {
    "init": ("ingest.cli.init", "Write tokentail.toml: settings with comments, which every command reads."),
    "ingest": ("ingest.cli.ingest", "Read what is new in the logs into the database."),
    "backfill": (
        "ingest.cli.ingest",
        "Read old, finished logs: their last line counts even without a newline.",
    ),
    "follow": ("ingest.cli.follow", "Keep reading the logs as they grow, into the database."),
    "verify": ("ingest.cli.verify", "Prove the database against the logs, line by line."),
    "status": (
        "ingest.cli.status",
        "Show what was read of every log, how far behind that is, and the last ingests.",
    ),
    "explain": (
        "ingest.cli.explain",
        "Explain lines of logs: what each is taken for, and what is stored of it.",
    ),
    "events": ("ingest.cli.events", "List the events, newest or worst first, or show one in full."),
    "rejects": ("ingest.cli.rejects", "List the marker lines that could not become events, and why."),
    "report": ("ingest.cli.report", "Show how far the estimates are off: risk, cost and error."),
    "coverage": (
        "ingest.cli.coverage",
        "Show of which work there are too few events, and which to collect.",
    ),
    "replay": ("ingest.cli.replay", "Run another estimator over the stored events: old against new."),
    "calibrate": ("ingest.cli.calibrate", "Propose factors and budgets from what the data can tell."),
    "export": (
        "ingest.cli.export",
        "Write the events as NDJSON, CSV, Parquet or OpenTelemetry attributes, newest first.",
    ),
    "import": (
        "ingest.cli.imports",
        "Take in the events of a full export, or of an executor's own database.",
    ),
    "dashboard": (
        "ingest.cli.dashboard",
        "Draw the report as one page that works offline, or a chart as a picture.",
    ),
    "merge": ("ingest.cli.merge", "Unite databases: as if one ingest had read all their logs."),
    "backup": ("ingest.cli.backup", "Copy the database, consistently, also while it is written."),
    "upgrade": ("ingest.cli.upgrade", "Make a database of an older version one of this version."),
    "prune": ("ingest.cli.prune", "Take old events out for good."),
    "sources": ("ingest.cli.sources", "List the logs that were read, or forget some."),
    "deliverables": ("ingest.cli.deliverables", "Complete events with deliverable paths known elsewhere."),
}
"""Every command: its module, which is imported when it is used, and its line in the help."""


_LIGHT = ("ingest.cli.ingest", "ingest.cli.follow")
"""They import the library where they find anything new."""


_WITH_TABLES = ("status", "events", "report", "coverage", "replay", "calibrate", "sources")
"""They show tables that may be wider than a terminal."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for, so that each start is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the commands in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        if COMMANDS[cmd_name][0] not in _LIGHT:
            import_library()
        command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), f"{cmd_name}_command")
        if not isinstance(command, click.Command):
            return None
        return completed(command, has_tables=cmd_name in _WITH_TABLES)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is asked for; of one that there is none of, say which may be meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            if error.command_name == "adopt":
                from ingest.cli.ingest import no_adoption  # noqa: PLC0415 - of a script for version 0.1.0 alone

                raise click.UsageError(no_adoption("`adopt`", "FILE"), ctx) from None
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Complete the name of a command without importing any."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - a shell alone asks for it

        named = [
            CompletionItem(name, help=line)
            for name, (_, line) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        click.echo(f"tokentail {program_version()}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@click.pass_context
def cli(context: click.Context) -> int:
    """Turn the logs that an executor already writes into a SQLite database that can be trusted.

    \b
    How it is:    tokentail
    Start with:   tokentail ingest LOGS --tz ZONE
    or for good:  tokentail init LOGS --tz ZONE
    then look:    tokentail report
    and query:    sqlite-utils rows DB token_estimation_v2_events

    It holds every token-estimation event exactly once, with its run, its phase and its deliverable
    paths.
    """  # noqa: D301 - Click's mark must be the character itself
    fit_to(page_width())
    if context.invoked_subcommand is not None:
        return 0
    import_library()
    from ingest.cli.first_screen import show_first_screen  # noqa: PLC0415 - of no other command
    from ingest.cli.options import take_settings  # noqa: PLC0415

    take_settings(context, None)
    return show_first_screen()


class Terminated(BaseException):
    """The process was asked to end (SIGTERM); raised so that everything is closed on the way."""


def main() -> None:
    """Run the command line and exit; the entry point of the console script."""
    with _signals():
        code = _run()
    sys.exit(code)


def _run() -> int:
    show_escapes()
    try:
        result = cli.main(prog_name="tokentail", standalone_mode=False)
        _flush()
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        if context is not None and context.obj is not None and (mistake := context.obj.mistake(error)):
            complain(mistake)
        else:
            error.show()
        return error.exit_code
    except TokentailError as error:
        if isinstance(error, OutputLost):
            _discard_output()
        _complain_of(error)
        return exit_code_of(error)
    except (KeyboardInterrupt, click.Abort, Terminated) as error:
        return _ended(error)
    except RuntimeError as error:  # Python 3.11 makes one of what a signal raises while a class is made
        if not isinstance(error.__cause__, KeyboardInterrupt | Terminated):
            raise
        return _ended(error.__cause__)
    except BrokenPipeError:  # `| head` has seen enough
        _discard_output()
        return EXIT_TROUBLE
    except OSError as error:
        _discard_output()
        complain(_trouble(error))
        return EXIT_TROUBLE
    return result if isinstance(result, int) else 0


def _complain_of(error: TokentailError) -> None:
    complain(str(error))
    if isinstance(error, NoDatabase):
        from ingest.cli.places import other_database  # noqa: PLC0415 - of no other error

        if other := other_database():
            complain(other)


def _ended(asked: BaseException) -> int:
    """Return the code for an end that a signal asked for; a person is told."""
    if isinstance(asked, Terminated):
        return EXIT_TERMINATED
    click.echo("tokentail: interrupted; nothing is lost, the next run goes on from here", err=True)
    return EXIT_INTERRUPTED


def _trouble(error: OSError) -> str:
    """Say what the operating system refused, of which file, and what to do."""
    try:
        os.getcwd()
    except OSError:
        return "the folder in which this was started is gone: change to another one"
    reason = error.strerror or type(error).__name__
    what = f"{os.fsdecode(error.filename)}: {reason}" if error.filename else reason
    if (advice := what_makes_room(error)) is not None:
        return f"{what}: {advice}, and run the command again"
    if error.filename is None and "temporary" in reason:
        return f"{what}: set TMPDIR to a folder that may be written"
    return f"{what}: mend that, and run the command again"


def _flush() -> None:
    if sys.stdout is not None:  # closed by whoever started us
        sys.stdout.flush()


def _discard_output() -> None:
    """Keep Python from trying again, and complaining, when it ends."""
    if sys.stdout is not None:
        with suppress(UnsupportedOperation):  # it is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code_of(error: BaseException) -> int:
    """Return what the program leaves with after an error."""
    match error:
        case click.ClickException():
            return error.exit_code
        case UsageMistake():
            return EXIT_USAGE
        case DatabaseBusy():
            return EXIT_BUSY
        case KeyboardInterrupt() | click.Abort():
            return EXIT_INTERRUPTED
        case Terminated():
            return EXIT_TERMINATED
    return EXIT_TROUBLE


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command as cleanly as Ctrl-C does."""

    def terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise Terminated

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, interrupt)
    yield
