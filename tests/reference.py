"""Writes docs/cli.md: every command with its help, and the exit codes. `make reference` runs it."""

from __future__ import annotations

from pathlib import Path

import click

import commandline
from ingest.cli import COMMANDS, cli

DOCUMENT = Path(__file__).parent.parent / "docs/cli.md"

EXIT_CODES = {
    0: "done. Rejects are reported and are no failure, unless `--fail-on-reject`",
    1: "something could not be read or written (named; the rest is done), whoever read the output has gone "
    "(`| head`), a gate or `--fail-under` was missed, `verify` found a difference, no ingest went well for "
    "`--max-age`, `prune` would have left no event, or there was a reject and `--fail-on-reject`",
    2: "wrong use",
    75: "another ingest, or another program, holds the database",
    130: "interrupted (Ctrl-C, SIGHUP). Nothing is lost",
    143: "ended by SIGTERM. Nothing is lost. `follow`, which is meant to be ended so, leaves with 0",
}

_HEAD = """# Commands

Written by `make reference` from the program's own `--help`.
A file that is named is read whatever its name; a folder is searched for logs; `-` is standard input;
a URL is an object, or all that is below a prefix.
Reports are `report`, `coverage`, `replay`, `calibrate` and `dashboard`.
Results go to standard output, everything else to standard error.
Control characters in text from logs are shown as escapes, never obeyed.
"""


def commands() -> dict[str, click.Command]:
    """Return every command by the words that call it."""
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": subcommand for sub, subcommand in command.commands.items()}
        else:
            found[name] = command
    return found


def exit_codes() -> set[int]:
    """Return every code that the program can end with."""
    return {value for name, value in vars(commandline).items() if name.startswith("EXIT_")} | {0}


def reference() -> str:
    """Return the document."""
    parts = [_HEAD, "\n## Exit codes\n\n| code | meaning |\n|---|---|\n"]
    parts += [f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items()]
    for name, command in commands().items():
        settings = {**cli.context_settings, "terminal_width": 100, "max_content_width": 100}
        context = click.Context(command, info_name=f"tokentail {name}", **settings)
        parts.append(f"\n## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "".join(line.rstrip() + "\n" for line in "".join(parts).splitlines())


if __name__ == "__main__":
    DOCUMENT.write_text(reference(), encoding="utf-8")
