"""What commands print: results on standard output, all else on standard error, all of it harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import click

from reports.terminal import printable

_UNSEEN = re.compile(r"[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Characters that a terminal obeys or hides, and those that UTF-8 can't hold: in JSON they are escapes."""


def say(text: str) -> None:
    """Print a line of the result."""
    click.echo(printable(text))


def say_lines(lines: Iterable[str]) -> None:
    """Print lines of the result that are made harmless already."""
    for line in lines:
        click.echo(line)


def say_json(value: Any) -> None:
    """Print the result as one JSON object."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo(_UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text))


def complain(text: str) -> None:
    """Name what is wrong."""
    click.echo(f"tokentail: {printable(text)}", err=True)


def remark(text: str) -> None:
    """Say what is worth knowing, beside the result."""
    click.echo(printable(text), err=True)
