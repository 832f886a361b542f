"""`--metrics FILE.prom`: metrics for a monitor, however the command ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import click

from commandline import exit_code_of, options
from commandline.output import complain
from ingest.errors import TokentailError, UsageMistake
from ingest.storing.database import files_of, open_for_reading
from ingest.storing.library import import_library
from ingest.version import program_version

ENDING = ".prom"
COST_FACTOR = 200
"""After a write a follow waits so many times the processor time that it took: metrics cost at most 0.5%."""


def _checked(_: click.Context, __: click.Parameter, file: str | None) -> str | None:
    if file is not None and not file.endswith(ENDING):
        raise click.BadParameter(f"must end in {ENDING}: node_exporter reads no other files")
    return file


metrics_option = click.option(
    "--metrics",
    type=options.any_path,
    metavar=f"FILE{ENDING}",
    callback=_checked,
    help="Write metrics for node_exporter's textfile collector.",
)


class Metrics:
    """The file in which one command leaves its metrics; without a file, every method does nothing."""

    def __init__(self, file: str | None, command: str, db: str | None) -> None:
        """Take the values of `--metrics` and `--db`, and the name of the command."""
        self._file = file
        self._command = command
        self._db = db
        self._due = 0.0
        self._complaint = ""

    def around(self, run: Callable[[], int]) -> int:
        """Run a command and write its metrics; return its exit code, but 1 for 0 if they can't be written."""
        try:
            code = run()
        except BaseException as error:
            self.write(exit_code_of(error))
            raise
        return code if self.write(code) else code or 1

    def write_seldom(self, exit_code: int) -> None:
        """Write, unless the last write is more recent than `COST_FACTOR` allows."""
        if time.monotonic() >= self._due:
            began = time.process_time()
            self.write(exit_code)
            self._due = time.monotonic() + COST_FACTOR * (time.process_time() - began)

    def write(self, exit_code: int) -> bool:
        """Write the file; return whether that succeeded. A failure that repeats is reported once."""
        if self._file is None:
            return True
        from commandline.sink import opened_sink  # noqa: PLC0415 - most write no metrics

        try:
            text = self._text(exit_code)
            with opened_sink(self._file, files_of(self._database() or "")) as sink:
                sink.write(text.encode())
        except TokentailError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                complain(str(error))
            return False
        self._complaint = ""
        return True

    def _database(self) -> str | None:
        with suppress(UsageMistake):
            return options.chosen_database(self._db)
        return None

    def _text(self, exit_code: int) -> str:
        import_library()  # first: `reports.prometheus` would import it with pandas and numpy
        from reports.prometheus import Metric, command_metrics, database_metrics, rendered  # noqa: PLC0415

        database = self._database()
        found: list[Metric] | None = None
        if database is not None:
            with suppress(TokentailError), open_for_reading(database) as opened:
                found = database_metrics(opened)
        known = command_metrics(
            self._command, program_version(), exit_code, time.time(), readable=found is not None
        )
        return rendered([*known, *(found or [])])
