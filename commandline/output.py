"""What commands print: results on standard output, all else on standard error, without control characters.

Characters that the encoding of a stream lacks are shown as escapes; JSON is ASCII.

Sentences advise commands as `tokentail COMMAND ...`, in backquotes. Whoever writes them, be it in a worker
process, doesn't know how the database was named, so that is added here: each advised command is to be typed
as it is printed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from io import TextIOWrapper
from typing import Any

import click

from ingest.errors import OutputLost
from reports.terminal import counted, printable, wrapped


def show_escapes() -> None:
    """Let standard output and standard error write characters that their encoding lacks as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


_QUIET = "tokentail.quiet"

_ADVISED = r"`tokentail (?!init\b|upgrade\b)[a-z](?:'[^']*'|[^'`])*(?=`)"
"""An advised command that acts on a database which is no argument of it; what is quoted may hold anything."""

_PROSE = frozenset({"problems", "warnings", "notes", "differences", "mended"})
"""The keys of JSON whose values are lists of sentences."""

_database_options: dict[str, str] = {}
"""The options that were typed to name the database."""


def page_width() -> int | None:
    """Return the width of a page in characters: `COLUMNS`, else the terminal's width; `None` in a pipe."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:6]) > 0:
        return int(columns[:6])
    with suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    return None


def be_quiet(context: click.Context) -> None:
    """Let a command print no text but trouble from now on."""
    context.meta[_QUIET] = True


def _is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET, False))


def name_database(typed: dict[str, str]) -> None:
    """Repeat options that name the database in all commands that are advised from now on."""
    _database_options.update(typed)


def forget_database() -> None:
    """Repeat no option any more: another command begins."""
    _database_options.clear()


def _advising(text: str) -> str:
    """Return a sentence whose advised commands name the database as this command does."""
    if not _database_options or "`tokentail " not in text:
        return text
    import shlex  # noqa: PLC0415 - few commands advise any

    typed = "".join(f" {option} {shlex.quote(value)}" for option, value in _database_options.items())
    return re.sub(_ADVISED, lambda found: found[0] + ("" if " --db " in found[0] else typed), text)


def _advising_json(value: dict[str, Any]) -> dict[str, Any]:
    return {
        key: [_advising(text) if isinstance(text, str) else text for text in part] if key in _PROSE else part
        for key, part in value.items()
    }


def say(text: str, as_is: bool = False) -> None:
    """Print a line of the result, unless the command is quiet; `as_is`: unwrapped, to be copied."""
    if not _is_quiet():
        for line in [printable(text)] if as_is else wrapped(printable(_advising(text))):
            _print(line)


def say_lines(lines: Iterable[str]) -> None:
    """Print lines of the result, unless the command is quiet; the caller has removed control characters."""
    if not _is_quiet():
        for line in lines:
            for part in wrapped(line):
                _print(part)


def say_json(value: dict[str, Any]) -> None:
    """Print the result as one JSON object."""
    _print(_json_text(_advising_json(value), indent=2))


def say_json_rows(about: dict[str, Any], name: str, rows: Iterable[Any]) -> None:
    """Print `about` as one JSON object with a list `name` as its last value, written row by row.

    There may be millions of rows. `about` must not be empty.
    """
    _print(_json_text(about, indent=2).removesuffix("\n}") + f',\n  "{name}": [', ends_line=False)
    for index, row in enumerate(rows):
        _print(f"{',' if index else ''}\n    {_json_text(row)}", ends_line=False)
    _print("\n  ]\n}")


def say_json_line(value: dict[str, Any]) -> None:
    """Print one of several JSON objects, on a line of its own, at once."""
    _print(_json_text(_advising_json(value)))


def _print(text: str, ends_line: bool = True) -> None:
    try:
        click.echo(text, file=sys.stdout, nl=ends_line)
    except BrokenPipeError:  # `| head` has seen enough: no error of ours
        raise
    except OSError as error:
        raise lost_output(error) from error


def lost_output(error: OSError) -> OutputLost:
    """Return the error for a failure of standard output."""
    return OutputLost(f"standard output can't be written ({error.strerror}): look where it leads")


def _json_text(value: Any, indent: int | None = None) -> str:
    import json  # noqa: PLC0415 - an ingest that finds nothing new needs none

    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def say_unclaimed(quoted: int, unread: int) -> None:
    """Print how many markers are quoted in other text, and how many lines with it are not read, if any."""
    parts = [counted(quoted, "quotation")] if quoted else []
    parts += [f"{counted(unread, 'line')} not read"] if unread else []
    if parts:
        say(f"beside them the marker stands in {' and in '.join(parts)}")


def complain(text: str) -> None:
    """Print on standard error what is wrong, even if the command is quiet."""
    click.echo(f"tokentail: {printable(_advising(text))}", file=sys.stderr)


def remark(text: str) -> None:
    """Print on standard error what is worth knowing beside the result, unless the command is quiet."""
    if not _is_quiet():
        click.echo(printable(_advising(text)), file=sys.stderr)
