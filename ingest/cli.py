"""The program: the commands of the ingest and those of the reports, assembled to one command line.

No command is imported at the start: each one is when it is used.
"""

from __future__ import annotations

import importlib
import sys
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import click

from commandline import raise_on_signals, run
from commandline.output import be_quiet, page_width
from ingest.storing.library import import_library
from ingest.version import program_version
from reports.terminal import fit_to

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "init": (
        "ingest.commands.init",
        "Write tokentail.toml: settings with comments, which every command reads.",
    ),
    "ingest": ("ingest.commands.ingest", "Read what is new in the logs into the database."),
    "backfill": (
        "ingest.commands.ingest",
        "Read old, finished logs: their last line counts even without a newline.",
    ),
    "follow": ("ingest.commands.follow", "Keep reading the logs as they grow, into the database."),
    "verify": ("ingest.commands.verify", "Prove the database against the logs, line by line."),
    "status": (
        "reports.commands.status",
        "Show what was read of every log, how far behind that is, and the last ingests.",
    ),
    "explain": (
        "ingest.commands.explain",
        "Explain lines of logs: what each is taken for, and what is stored of it.",
    ),
    "events": ("reports.commands.events", "List the events, newest or worst first, or show one in full."),
    "rejects": ("reports.commands.rejects", "List the marker lines that could not become events, and why."),
    "report": ("reports.commands.report", "Show how far the estimates are off: risk, cost and error."),
    "coverage": (
        "reports.commands.coverage",
        "Show of which work there are too few events, and which to collect.",
    ),
    "replay": ("reports.commands.replay", "Run another estimator over the stored events: old against new."),
    "calibrate": ("reports.commands.calibrate", "Propose factors and budgets from what the data can tell."),
    "export": (
        "reports.commands.export",
        "Write the events as NDJSON, CSV, Parquet or OpenTelemetry attributes, newest first.",
    ),
    "import": (
        "ingest.commands.imports",
        "Take in the events of a full export, or of an executor's own database.",
    ),
    "dashboard": (
        "reports.commands.dashboard",
        "Draw the report as one page that works offline, or a chart as a picture.",
    ),
    "merge": ("ingest.commands.databases", "Unite databases: as if one ingest had read all their logs."),
    "backup": ("ingest.commands.databases", "Copy the database, consistently, also while it is written."),
    "upgrade": ("ingest.commands.databases", "Make a database of an older version one of this version."),
    "prune": ("ingest.commands.prune", "Take old events out for good."),
    "sources": ("ingest.commands.sources", "List the logs that were read, or forget some."),
    "deliverables": ("ingest.commands.imports", "Complete events with deliverable paths known elsewhere."),
}
"""Every command: its module, which is imported when it is used, and its line in the help."""


_LIGHT = ("ingest.commands.ingest", "ingest.commands.follow")
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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before a command; of an option that belongs behind one, say so."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"No such option: {error.option_name}. Options of a command stand behind it, as in "
                "`tokentail report --db OTHER.db`.",
                ctx,
            ) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; if there is none of that name, say which may be meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            if error.command_name == "adopt":
                from ingest.commands.ingest import no_adoption  # noqa: PLC0415 - of a script for 0.1.0 alone

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
    from commandline.options import apply_settings  # noqa: PLC0415
    from reports.commands.first_screen import show_first_screen  # noqa: PLC0415 - of no other command

    apply_settings(context, None)
    return show_first_screen()


def main() -> None:
    """Run the command line and exit; the entry point of the console script."""
    raise_on_signals()
    sys.exit(run(cli))


_SHARED = ("db", "wait_seconds", "adopt", "metrics", "scheduler", "quiet", "as_json", "wide", "config")
"""Parameters of many commands, which are listed after a command's own."""

_HEADINGS = ("\b\nExample:\n", "\b\nExamples:\n")


def completed(command: click.Command, has_tables: bool) -> click.Command:
    """Add to a command, and to those below it, the options that every command has, if they are missing."""
    names = {parameter.name for parameter in command.params}
    if "quiet" not in names:
        command.params.append(click.Option(["--quiet", "-q"], **_QUIET))
    if has_tables and "wide" not in names:
        command.params.append(click.Option(["--wide"], **_WIDE))
    command.params.sort(key=_place)
    command.help = _with_example_first(command.help or "")
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        completed(below, has_tables=False)
    return command


def _place(parameter: click.Parameter) -> int:
    """Order a command's own options before shared ones."""
    return _SHARED.index(parameter.name) if parameter.name in _SHARED else -1


def _with_example_first(text: str) -> str:
    """Move the examples of a help text after its first paragraph."""
    paragraphs = cleandoc(text).split("\n\n")
    examples = [_without_heading(paragraph) for paragraph in paragraphs if paragraph.startswith("\b")]
    others = [paragraph for paragraph in paragraphs if not paragraph.startswith("\b")]
    return "\n\n".join([*others[:1], *examples, *others[1:]])


def _without_heading(example: str) -> str:
    for heading in _HEADINGS:
        if example.startswith(heading):
            return f"\b\n{example.removeprefix(heading)}"
    return example


def _quiet_said(context: click.Context, _: click.Parameter, is_quiet: bool) -> None:
    if is_quiet:
        be_quiet(context)


def _wide_said(_: click.Context, __: click.Parameter, is_wide: bool) -> None:
    if is_wide:
        fit_to(None)


_FLAG: dict[str, Any] = {"is_flag": True, "expose_value": False}
_QUIET = _FLAG | {"callback": _quiet_said, "help": "Print only trouble."}
_WIDE = _FLAG | {"callback": _wide_said, "help": "All columns, however wide the terminal is."}
