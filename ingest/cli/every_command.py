"""What every command has, so that none has to say it: `--quiet`, `--wide`, and a help in one order."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Any

import click

from ingest.cli.output import be_quiet
from reports.terminal import fit_to

_SHARED = ("db", "wait_seconds", "adopt", "metrics", "scheduler", "quiet", "as_json", "wide", "config")
"""Parameters of many commands, which stand behind a command's own."""

_HEADING = re.compile(r"^\x08\nExamples?:\n")


def completed(command: click.Command, has_tables: bool) -> click.Command:
    """Give a command, and those below it, what every command has; doing it again changes nothing."""
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
    """Order a command's own options before those that all have."""
    return _SHARED.index(parameter.name) if parameter.name in _SHARED else -1


def _with_example_first(text: str) -> str:
    """Let a help go on with its examples after its first sentence."""
    paragraphs = cleandoc(text).split("\n\n")
    examples = [_HEADING.sub("\b\n", one) for one in paragraphs if one.startswith("\b")]
    others = [one for one in paragraphs if not one.startswith("\b")]
    return "\n\n".join([*others[:1], *examples, *others[1:]])


def _quiet_said(context: click.Context, _: click.Parameter, is_quiet: bool) -> None:
    if is_quiet:
        be_quiet(context)


def _wide_said(_: click.Context, __: click.Parameter, is_wide: bool) -> None:
    if is_wide:
        fit_to(None)


_FLAG: dict[str, Any] = {"is_flag": True, "expose_value": False}
_QUIET = _FLAG | {"callback": _quiet_said, "help": "Print only trouble."}
_WIDE = _FLAG | {"callback": _wide_said, "help": "All columns, however wide the terminal is."}
