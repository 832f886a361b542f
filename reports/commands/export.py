"""`tokentail export`: the events for other programs, newest first."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

import click
from sqlite_utils import Database

from commandline import options
from commandline.output import remark
from commandline.sink import STANDARD_OUTPUT, goes_to_terminal, opened_sink
from ingest.errors import Unwritable, UsageMistake
from ingest.storing.database import files_of, open_for_reading
from reports.commands.filters import filter_options, population_line
from reports.exporting.ndjson import ndjson_lines
from reports.exporting.otel import otel_lines
from reports.exporting.parquet import write_parquet
from reports.exporting.partitions import PERIODS, Partitions
from reports.exporting.spreadsheet import csv_lines
from reports.exporting.totals import count_totals
from reports.selection import Selection, population
from reports.terminal import counted, printable

FORMATS = ("ndjson", "csv", "parquet", "otel")
_FILE = "part-0.parquet"
"""The name of the one file of each partition."""

_ENDINGS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}


@click.command("export")
@options.db_option
@filter_options(min_actual=0, rows_only=True)
@click.option(
    "--full",
    is_flag=True,
    help="All columns; as NDJSON for `tokentail import`.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    metavar="FORMAT",
    help=f"{', '.join(FORMATS)}. Default: as the name of --output ends, else ndjson.",
)
@click.option(
    "--output",
    "-o",
    type=options.any_path,
    metavar="FILE",
    help="Where to write. Default: standard output.",
)
@click.option(
    "--raw-csv",
    is_flag=True,
    help="CSV for programs: text as it was logged, without the apostrophe that keeps a spreadsheet from "
    "taking it for a formula.",
)
@click.option("--excel", is_flag=True, help="CSV for Excel: begins with the mark by which it knows UTF-8.")
@click.option(
    "--partition-by",
    "period",
    type=click.Choice(list(PERIODS)),
    metavar="PERIOD",
    help="Parquet in a folder, with a file for each date, or month, in UTC.",
)
def export_command(
    db: str | None,
    selection: Selection,
    full: bool,
    form: str | None,
    output: str | None,
    raw_csv: bool,
    excel: bool,
    period: str | None,
) -> int:
    """Write the events as NDJSON, CSV, Parquet or OpenTelemetry attributes, newest first.

    Without --full each event has the 17 keys of the executor's own export. Nothing is left out unless
    a filter asks for it: events whose actual is a total of input and output are in it as well.

    `tokentail export --full -o events.ndjson` writes what `tokentail import` takes back. On a terminal
    control characters are shown as escapes.

    \b
    Examples:
      tokentail export --since 7d > events.ndjson
      tokentail export -o events.csv
      tokentail export -o events.parquet
      tokentail export --partition-by date -o events

    --partition-by is for DuckDB, Spark or a warehouse, as often as you like: --since and --until take the
    whole dates or months that they stand in, and what was written of other ones stays.
    """  # noqa: D301 - Click's mark must be the character itself
    form = form or _form_of(output, period)
    _check(full, form, output, period)
    if (raw_csv or excel) and form != "csv":
        raise UsageMistake("--raw-csv and --excel are for --format csv")
    database = options.chosen_database(db)
    selection = replace(selection, with_totals=True)
    if period is not None and output is not None:
        return _write_folder(database, Partitions(period, selection, full), output, full)
    with open_for_reading(database, remark) as opened:
        opened.conn.execute("BEGIN")  # one moment of the database, whatever is ingested meanwhile
        with opened_sink(output, files_of(database)) as sink:
            if form == "parquet":
                write_parquet(opened, selection, full, sink)
            else:
                if excel:
                    sink.write(BOM_UTF8)
                lines = (
                    csv_lines(opened, selection, full, guarded=not raw_csv)
                    if form == "csv"
                    else _json_lines(opened, selection, full, form)
                )
                _write_lines(lines, sink, goes_to_terminal(output))
        found, totals = population(opened, selection), count_totals(opened, selection)
    _remark_written(form, output, population_line(found, str(database)))
    _remark_use(totals, form, full)
    return 0


def _form_of(output: str | None, period: str | None) -> str:
    """Return the format by the end of a file's name; of partitions it is Parquet, else NDJSON."""
    ending = os.path.splitext(output or "")[1].lower()
    return "parquet" if period is not None else _ENDINGS.get(ending, FORMATS[0])


def _write_folder(database: str, partitions: Partitions, output: str, full: bool) -> int:
    """Write a file for each partition; files of ours whose partition has no events any more are removed."""
    with open_for_reading(database, remark) as opened:
        opened.conn.execute("BEGIN")  # one moment of the database, whatever is ingested meanwhile
        folder = Folder(output, partitions.is_ours)
        names = partitions.names(opened)
        folder.check(names)
        for name, write in partitions.writers(opened):
            folder.put(name, write)
        folder.remove([name for name in folder.names() if partitions.is_stale(name, names)])
        selection = partitions.selection
        found, totals = population(opened, selection), count_totals(opened, selection)
    _remark_written("parquet", output, population_line(found, str(database)))
    remark(f"{output}: {folder.done()}")
    _remark_use(totals, "parquet", full)
    return 0


def _remark_written(form: str, output: str | None, population: str) -> None:
    place = "standard output" if output in (None, STANDARD_OUTPUT) else output
    remark(f"wrote {form} to {place}: {population}")


def _remark_use(totals: int, form: str, full: bool) -> None:
    if full and form != "ndjson":
        remark(f"`import` takes NDJSON alone, not {form}")
    if totals:
        remark(
            f"{totals:,} of them logged only a total of input and output, given as "
            + ("tokentail.actual_total_tokens" if form == "otel" else "actual_output_tokens")
        )


def _check(full: bool, form: str, output: str | None, period: str | None) -> None:
    if period is not None and form != "parquet":
        raise UsageMistake("--partition-by is for --format parquet")
    if period is not None and output in (None, STANDARD_OUTPUT):
        raise UsageMistake("--partition-by writes a folder: name it with --output")
    if full and form == "otel":
        raise UsageMistake("--full gives our columns, --format otel OpenTelemetry's attributes: choose one")
    if form == "parquet" and goes_to_terminal(output):
        raise UsageMistake("Parquet is not for a terminal: name a file with --output, or use a pipe")


def _json_lines(opened: Database, selection: Selection, full: bool, form: str) -> Iterator[str]:
    return otel_lines(opened, selection) if form == "otel" else ndjson_lines(opened, selection, full)


def _write_lines(lines: Iterator[str], sink: IO[bytes], shown: bool) -> None:
    """Write lines as UTF-8, a lone surrogate as an escape.

    `shown`: on a terminal, where control characters are escaped too.
    """
    for line in lines:
        text = printable(line) if shown else line
        sink.write(f"{text}\n".encode("utf-8", "backslashreplace"))


class Folder:
    """Writes partitions below a folder, one file in each; it replaces only files that `is_ours` accepts."""

    def __init__(self, output: str, is_ours: Callable[[str], bool]) -> None:
        """Use a folder, which need not exist.

        Raises:
            UsageMistake: it is a file.
        """
        self._path = Path(output)
        self._is_ours = is_ours
        self._changed = self._same = self._removed = 0
        if self._path.exists() and not self._path.is_dir():
            raise UsageMistake(f"{output}: a file; --partition-by writes a folder: name another")

    def names(self) -> list[str]:
        """Return the names of the partitions that have a file of ours."""
        found = self._path.iterdir() if self._path.is_dir() else ()
        return sorted(
            folder.name for folder in found if self._may_replace(folder.name) and (folder / _FILE).exists()
        )

    def check(self, names: Iterable[str]) -> None:
        """Make sure that no partition would replace what isn't ours.

        Raises:
            Unwritable: one would; nothing was changed.
        """
        for name in sorted(names):
            if not self._may_replace(name):
                raise Unwritable(
                    f"{self._path / name / _FILE}: not written by this command, so not replaced; nothing was "
                    "changed: choose another folder with --output"
                )

    def _may_replace(self, name: str) -> bool:
        place = self._path / name
        file = place / _FILE
        if place.is_symlink() or (place.exists() and not place.is_dir()) or file.is_symlink():
            return False
        return not file.exists() or self._is_ours(str(file))

    def put(self, name: str, write: Callable[[IO[bytes]], None]) -> None:
        """Write a partition; the file appears when it is whole, and is left alone if it is the same.

        Raises:
            Unwritable: it can't be written.
        """
        file = self._path / name / _FILE
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            before = file.stat() if file.exists() else None
        except OSError as error:
            raise Unwritable(
                f"{file.parent}: can't be made ({error.strerror}): choose another folder with --output"
            ) from error
        with opened_sink(str(file), leave_same=True) as sink:
            write(sink)
        after = file.stat()
        same = before is not None and (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        self._same += same
        self._changed += not same

    def remove(self, names: Collection[str]) -> None:
        """Remove files of ours, and their folders where nothing else is in them.

        Raises:
            Unwritable: one can't be removed.
        """
        for name in names:
            file = self._path / name / _FILE
            try:
                file.unlink()
            except OSError as error:
                raise Unwritable(
                    f"{file}: can't be removed ({error.strerror}): choose another folder with --output"
                ) from error
            with suppress(OSError):  # somebody has put something there
                file.parent.rmdir()
            self._removed += 1

    def done(self) -> str:
        """Return a sentence: how many partitions were written, unchanged and removed."""
        total = counted(self._changed + self._same, "partition")
        return f"{total}: {self._changed:,} written, {self._same:,} as they were, {self._removed:,} removed"
