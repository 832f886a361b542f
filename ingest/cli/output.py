"""What commands print: results on standard output, all else on standard error, all of it harmless."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import click

from reports.terminal import printable, wrapped

_BEYOND_ASCII = re.compile(r"[^ -~\n]")
"""Characters that may be such as a terminal obeys or hides, or as UTF-8 can't hold."""

_QUIET = "tokentail.quiet"


def page_width() -> int | None:
    """Return how wide a page is: `COLUMNS` if it is set, else the terminal's width; `None` in a pipe."""
    told = os.environ.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and int(told[:6]) > 0:
        return int(told[:6])
    with suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    return None


def be_quiet(context: click.Context) -> None:
    """Print nothing but trouble in a command from now on."""
    context.meta[_QUIET] = True


def _is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET, False))


def say(text: str, as_is: bool = False) -> None:
    """Print a line of the result, unless only trouble is asked for; one to be copied is never cut."""
    if not _is_quiet():
        for line in [printable(text)] if as_is else wrapped(printable(text)):
            click.echo(line)


def say_lines(lines: Iterable[str]) -> None:
    """Print lines of the result that are made harmless already, likewise."""
    if not _is_quiet():
        for line in lines:
            for one in wrapped(line):
                click.echo(one)


def say_json(value: Any) -> None:
    """Print the result as one JSON object."""
    click.echo(_BEYOND_ASCII.sub(_harmless, _json_text(value, indent=2)))


def say_json_rows(about: dict[str, Any], name: str, rows: Iterable[Any]) -> None:
    """Print one JSON object whose last value is a list, a row at a time: there may be millions of them."""
    head = _json_text(about, indent=2).removesuffix("\n}")
    click.echo(_BEYOND_ASCII.sub(_harmless, f'{head},\n  "{name}": ['), nl=False)
    for index, row in enumerate(rows):
        text = _BEYOND_ASCII.sub(_harmless, _json_text(row))
        click.echo(f"{',' if index else ''}\n    {text}", nl=False)
    click.echo("\n  ]\n}")


def say_json_line(value: Any) -> None:
    """Print one JSON object of several, on a line of its own, at once."""
    click.echo(_BEYOND_ASCII.sub(_harmless, _json_text(value)))


def _json_text(value: Any, indent: int | None = None, ascii_only: bool = False) -> str:
    import json  # noqa: PLC0415 - an ingest that finds nothing new needs none

    return json.dumps(value, indent=indent, ensure_ascii=ascii_only)


def _harmless(found: re.Match[str]) -> str:
    """Write a character that is not to be obeyed as the escape that it has in JSON."""
    character = found[0]
    return character if printable(character) == character else _json_text(character, ascii_only=True)[1:-1]


def complain(text: str) -> None:
    """Name what is wrong."""
    click.echo(f"tokentail: {printable(text)}", err=True)


def remark(text: str) -> None:
    """Say what is worth knowing, beside the result, unless only trouble is asked for."""
    if not _is_quiet():
        click.echo(printable(text), err=True)
