"""What commands print: results on standard output, all else on standard error, all of it harmless."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import click

from reports.terminal import printable

_BEYOND_ASCII = re.compile(r"[^ -~\n]")
"""Characters that may be such as a terminal obeys or hides, or as UTF-8 can't hold."""


def say(text: str) -> None:
    """Print a line of the result."""
    click.echo(printable(text))


def say_lines(lines: Iterable[str]) -> None:
    """Print lines of the result that are made harmless already."""
    for line in lines:
        click.echo(line)


def say_json(value: Any) -> None:
    """Print the result as one JSON object."""
    import json  # noqa: PLC0415 - an ingest that finds nothing new needs none

    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo(_BEYOND_ASCII.sub(_harmless, text))


def say_json_line(value: Any) -> None:
    """Print one JSON object of several, on a line of its own, at once."""
    import json  # noqa: PLC0415 - as above

    click.echo(_BEYOND_ASCII.sub(_harmless, json.dumps(value, ensure_ascii=False)))


def _harmless(found: re.Match[str]) -> str:
    """Write a character that is not to be obeyed as the escape that it has in JSON."""
    import json  # noqa: PLC0415 - as above

    character = found[0]
    return character if printable(character) == character else json.dumps(character)[1:-1]


def complain(text: str) -> None:
    """Name what is wrong."""
    click.echo(f"tokentail: {printable(text)}", err=True)


def remark(text: str) -> None:
    """Say what is worth knowing, beside the result."""
    click.echo(printable(text), err=True)
