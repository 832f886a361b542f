"""What commands print: results on standard output, all else on standard error, all of it harmless.

Whatever encoding the streams have, what it can't say is shown as an escape; JSON is ASCII.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from io import TextIOWrapper
from typing import Any

import click

from ingest.errors import OutputLost
from reports.terminal import counted, printable


def show_escapes() -> None:
    """Let both streams write what their encoding has no character for as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print a line of the result."""
    _print(printable(text))


def say_lines(lines: Iterable[str]) -> None:
    """Print lines of the result that are made harmless already."""
    for line in lines:
        _print(line)


def say_json(value: Any) -> None:
    """Print the result as one JSON object."""
    _print(_json_text(value, indent=2))


def say_json_line(value: Any) -> None:
    """Print one JSON object of several, on a line of its own, at once."""
    _print(_json_text(value))


def _print(text: str) -> None:
    try:
        click.echo(text, file=sys.stdout)
    except BrokenPipeError:  # whoever reads it has seen enough
        raise
    except OSError as error:
        raise lost_output(error) from error


def lost_output(error: OSError) -> OutputLost:
    """Return what a failure of standard output is."""
    return OutputLost(f"standard output can't be written ({error.strerror}): look where it leads")


def _json_text(value: Any, indent: int | None = None) -> str:
    import json  # noqa: PLC0415 - an ingest that finds nothing new needs none

    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def say_unclaimed(quoted: int, unread: int) -> None:
    """Print where the event's marker stands beside the marker lines, if it does."""
    parts = [counted(quoted, "quotation")] if quoted else []
    parts += [f"{counted(unread, 'line')} not read"] if unread else []
    if parts:
        say(f"beside them the marker stands in {' and in '.join(parts)}")


def complain(text: str) -> None:
    """Name what is wrong."""
    click.echo(f"tokentail: {printable(text)}", file=sys.stderr)


def remark(text: str) -> None:
    """Say what is worth knowing, beside the result."""
    click.echo(printable(text), file=sys.stderr)
