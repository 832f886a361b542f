"""`tokentail status`: what was read of every source, and when."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ingest.cli import options
from ingest.cli.output import say, say_json, say_lines
from ingest.storing.database import open_for_reading
from reports.status import Status, status
from reports.terminal import bytes_text, counted, table

_HEADER = (
    "source",
    "state",
    "zone",
    "encoding",
    "read up to",
    "unread",
    "marker lines",
    "rejects",
    "last event (UTC)",
)


@click.command("status")
@options.db_option
@options.json_option
def status_command(db: str | None, as_json: bool) -> int:
    """Show what was read of every log, what came of it, and the last ingests.

    \b
    Examples:
      tokentail status
      tokentail status --json
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    with open_for_reading(database) as opened:
        found = status(opened)
    if as_json:
        say_json({"database": str(database), **asdict(found)})
    else:
        _show(str(database), found)
    return 0


def _show(database: str, found: Status) -> None:
    totals = found.totals
    say(f"database {database}")
    say(
        f"{counted(totals['events'], 'event')}: {totals['with_phase']:,} with their phase, "
        f"{totals['with_run']:,} with their run, {totals['with_deliverables']:,} with deliverables; "
        f"{counted(totals['sightings'], 'sighting')}, {counted(totals['rejects'], 'reject')}, "
        f"{counted(totals['calls_without_telemetry'], 'builder call')} without telemetry"
    )
    if totals["kept_from"] is not None:
        pruned = counted(totals["pruned"], "marker line")
        say(f"events from before {totals['kept_from'][:19]} UTC are not kept: {pruned} pruned")
    if found.sources:
        say("")
        _show_sources(found.sources)
    if found.ingest_runs:
        say("")
        say("last ingests (UTC):")
    for run in found.ingest_runs:
        ended = "not finished" if run["finished_at"] is None else f"exit {run['exit_code']}"
        say(
            f"  {run['started_at'][:19]}  {run['command']}  {ended}: {counted(run['files'], 'file')}, "
            f"{bytes_text(run['bytes_read'])} read, {counted(run['events_new'], 'event')} new, "
            f"{run['events_updated']:,} updated, {counted(run['rejects'], 'reject')}, "
            f"{counted(run['problems'], 'problem')}"
        )


def _show_sources(sources: list[dict[str, Any]]) -> None:
    header: tuple[str, ...] = _HEADER
    rows = [_source(source) for source in sources]
    labelled = any(source["label"] for source in sources)
    if labelled:
        header = ("label", *header)
        rows = [(source["label"] or "-", *row) for source, row in zip(sources, rows, strict=True)]
    say_lines(table(header, rows, text_columns=4 + labelled))


def _source(source: dict[str, Any]) -> tuple[str, ...]:
    compression = f" in {source['compression']}" if source["compression"] else ""
    return (
        source["real_path"] or source["path"],
        source["state"],
        source["timezone"],
        source["encoding"] + compression,
        bytes_text(source["byte_offset"]),
        bytes_text(source["unread_bytes"]),
        f"{source['marker_lines']:,}",
        f"{source['rejects']:,}",
        (source["last_event"] or "")[:19],
    )
