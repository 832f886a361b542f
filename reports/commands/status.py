"""`tokentail status`: what was read of every source, how much is not read yet, and the last ingests."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click

from commandline import EXIT_TROUBLE, options
from commandline.metrics import Metrics, metrics_option
from commandline.moments import span, span_text
from commandline.output import complain, remark, say, say_json, say_lines, say_unclaimed
from ingest.reading.unread import Unread, keys_text, unread_text
from ingest.storing.database import open_for_reading
from reports.status import Status, moment_of, status
from reports.terminal import bytes_text, counted, table

MOST_LOGS = 20
"""Logs that are shown unless all are asked for: a screen full."""


@click.command("status")
@options.db_option
@click.option(
    "--all", "shows_all", is_flag=True, help=f"Show every log, not the {MOST_LOGS} that matter most."
)
@click.option(
    "--max-age",
    metavar="SPAN",
    callback=span,
    help="Exit with 1 if no ingest went well for longer: 90s, 15m, 1h, 2d. Where all that ingests find are "
    "rejects, none of them went well. Beside a follow, which says every 15 seconds that it is well, less "
    "than a minute makes no sense.",
)
@metrics_option
@options.quiet_option
@options.json_option
def status_command(
    db: str | None,
    shows_all: bool,
    max_age: timedelta | None,
    metrics: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Show what was read of every log, how far behind that is, and the last ingests.

    Logs are looked up on disk, not opened. First come those that need a look: behind, damaged, with
    rejects; then those that were read last.

    \b
      For a person:   tokentail status
      For cron:       tokentail status --quiet --max-age 1h
      For a monitor:  tokentail status --quiet --metrics tokentail.prom

    Exit codes: 0 done, 1 the newest ingest that went well is older than --max-age, or the database or the
    metrics can't be read or written, 2 wrong use.
    """  # noqa: D301 - Click's mark must be the character itself

    def run() -> int:
        database = options.chosen_database(db)
        with open_for_reading(database, remark) as opened:
            found = status(opened)
        for source in rotated_unread(found.sources):
            if not quiet or _was_passed_by(source, found.last_success):
                complain(_rotated(source))
        if as_json:
            say_json({"database": str(database), **asdict(found)})
        elif not quiet:
            _show(str(database), found, shows_all)
        return _held_against(max_age, str(database), found.last_success)

    return Metrics(metrics, "status", db).around(run)


def _held_against(max_age: timedelta | None, database: str, success: dict[str, Any] | None) -> int:
    """Complain if the newest ingest that went well is older than `max_age`; return the exit code."""
    if max_age is None:
        return 0
    if success is None:
        complain(f"{database}: no ingest went well yet: run `tokentail ingest LOGS`, and see what it says")
        return EXIT_TROUBLE
    if success["age_seconds"] <= max_age.total_seconds():
        return 0
    complain(
        f"{database}: no ingest went well for {span_text(success['age_seconds'])}, since "
        f"{success['finished_at'][:19]} UTC; it should be at most {span_text(max_age.total_seconds())}: "
        "see `tokentail status`"
    )
    return EXIT_TROUBLE


def _show(database: str, found: Status, shows_all: bool) -> None:
    totals = found.totals
    say(f"{_verdict(found)}.")
    say(f"database {database}")
    say(
        f"{counted(totals['events'], 'event')}: {totals['with_phase']:,} with their phase, "
        f"{totals['with_run']:,} with their run, {totals['with_deliverables']:,} with deliverables; "
        f"{counted(totals['sightings'], 'sighting')}"
        + "".join(f", {text}" for text, count in _lost(totals).items() if count)
    )
    if totals["kept_from"] is not None:
        pruned = counted(totals["pruned"], "marker line")
        say(f"events from before {totals['kept_from'][:19]} UTC are not kept: {pruned} pruned")
    say_unclaimed(totals["quoted_lines"], totals["unread_lines"])
    for source in found.sources:
        if source["unread"]:
            say(unread_text(_place(source), source["unread_lines"], Unread(**source["unread"])))
        if source["new_keys"]:
            say(keys_text(_place(source), source["new_keys"]))
    if found.sources:
        _show_sources(found.sources, shows_all)
    if found.problems:
        say("")
        say("not readable, when it was tried last:")
    for problem in found.problems:
        say(f"  {problem['text']} (since {problem['first_seen'][:16]} UTC)")
    if found.ingest_runs:
        say("")
        success = found.last_success
        well = (
            f"the newest that went well {span_text(success['age_seconds'])} ago"
            if success
            else "none went well"
        )
        say(f"last ingests (UTC), {well}:")
    for run in found.ingest_runs:
        say(f"  {_run(run)}")


def _verdict(found: Status) -> str:
    """Return in a sentence whether all is stored that the logs hold, and if not, what to do."""
    totals = found.totals
    if not found.sources:
        return "Nothing was read yet: `tokentail ingest LOGS` does"
    wrong = [f"{counted(len(found.problems), 'log')} can't be read"] if found.problems else []
    if totals["unread_lines"]:
        wrong.append(f"{counted(totals['unread_lines'], 'line')} with the marker not read, as said below")
    if totals["rejects"]:
        wrong.append(f"{counted(totals['rejects'], 'reject')} (`tokentail rejects` says why)")
    last_lines = sum(source["behind_bytes"] for source in found.sources if _has_only_a_last_line(source))
    if behind := totals["behind_bytes"] - last_lines:
        wrong.append(f"{bytes_text(behind)} of logs not read yet (`tokentail ingest`)")
    if last_lines:
        wrong.append(
            f"{bytes_text(last_lines)} of last lines without a newline (`tokentail backfill` reads those of "
            "finished logs)"
        )
    if found.last_success is None and found.ingest_runs:
        wrong.append("no ingest went well yet")
    if wrong:
        return f"Not all is stored: {'; '.join(wrong)}"
    return "All that the logs held when they were read is stored (`tokentail verify` proves it)"


def _has_only_a_last_line(source: dict[str, Any]) -> bool:
    """Whether all that is left of a log is a last line that no newline ends."""
    return bool(source["state"] == "unterminated" and source["behind_bytes"] == source["unread_bytes"])


def _lost(totals: dict[str, Any]) -> dict[str, int]:
    """Return texts of what became no event, each with its count."""
    calls = totals["calls_without_telemetry"]
    return {
        counted(totals["rejects"], "reject"): totals["rejects"],
        f"{counted(calls, 'builder call')} without telemetry": calls,
    }


def rotated_unread(sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sources whose log was renamed by a rotation before all of it was read."""
    return [source for source in sources if source["on_disk"] == "rotated" and source["behind_bytes"]]


def _was_passed_by(source: dict[str, Any], success: dict[str, Any] | None) -> bool:
    """Whether an ingest that began after a rotated log was last written to went well and didn't read it.

    A follow began long ago: instead of its start, the time counts at which it was last well.
    """
    try:
        changed = os.path.getmtime(source["rotated_to"])
    except OSError:
        return False
    if success is None:
        return False
    moment = success["finished_at" if success["command"] == "follow" else "started_at"]
    return moment_of(moment).timestamp() > changed


def _rotated(source: dict[str, Any]) -> str:
    return (
        f"{_place(source)}: rotated to {source['rotated_to']}, of which {bytes_text(source['behind_bytes'])} "
        "are not read: the next ingest of its folder, or of the log by name, reads them, if it comes before "
        "they are deleted"
    )


def _run(run: dict[str, Any]) -> str:
    if run["exit_code"] is not None:
        ended = f"exit {run['exit_code']}"
    elif run["finished_at"] is None:
        ended = "not finished"
    else:
        ended = f"not ended, well at {run['finished_at'][:19]}"
    found = {
        f"{bytes_text(run['bytes_read'])} read": run["bytes_read"],
        f"{counted(run['events_new'], 'event')} new": run["events_new"],
        f"{run['events_updated']:,} updated": run["events_updated"],
        counted(run["rejects"], "reject"): run["rejects"],
        counted(run["problems"], "problem"): run["problems"],
    }
    said = "".join(f", {text}" for text, count in found.items() if count) or ", nothing new"
    return f"{run['started_at'][:19]}  {run['command']}  {ended}: {counted(run['files'], 'file')}{said}"


def _show_sources(sources: list[dict[str, Any]], shows_all: bool) -> None:
    say(_in_a_word(sources))
    same = [name for name in _DIFFERING if len({_cell(source, name) for source in sources}) == 1]
    if same:
        said = {"timezone": "times read as {}", "encoding": "encoding {}"}
        say(f"of all: {'; '.join(said[name].format(_cell(sources[0], name)) for name in same)}")
    ranked = sorted(sources, key=_rank, reverse=True)
    shown = ranked if shows_all else ranked[:MOST_LOGS]
    folder = _common_folder(shown)
    labelled = any(source["label"] for source in sources)
    columns = [name for name in _HEADERS if name not in same and (name != "label" or labelled)]
    rows = [[_cell(source, name, len(folder)) for name in columns] for source in shown]
    say("")
    say_lines(
        table(
            [_HEADERS[name] for name in columns],
            rows,
            3 + labelled,
            1 + len(_DIFFERING) - len(same),
            _LEAST,
        )
    )
    if folder:
        say(f"below {folder}")
    if len(shown) < len(ranked):
        rest = ranked[len(shown) :]
        remark = "" if any(map(_needs_a_look, rest)) else ", none of which needs a look"
        say(f"and {counted(len(rest), 'more log')}{remark}: --all shows them")


def _in_a_word(sources: list[dict[str, Any]]) -> str:
    unread = [source for source in sources if source["behind_bytes"]]
    there = [source for source in sources if source["on_disk"] not in ("gone", "-")]
    unknown = [source for source in there if source["behind_bytes"] is None]
    parts = [f"{len(there) - len(unread) - len(unknown):,} read to their end"]
    if unread:
        parts.append(
            f"{len(unread):,} behind by {bytes_text(sum(source['behind_bytes'] for source in unread))}"
        )
    if unknown:
        parts.append(f"{len(unknown):,} changed")
    gone = sum(source["on_disk"] == "gone" for source in sources)
    replaced = len(sources) - len(there) - gone
    parts += [f"{gone:,} gone since"] if gone else []
    parts += [f"{replaced:,} replaced, piped or imported"] if replaced else []
    return f"{counted(len(sources), 'log')}: {', '.join(parts)}"


def _needs_a_look(source: dict[str, Any]) -> bool:
    return bool(
        source["behind_bytes"] != 0
        or source["state"] in ("damaged", "unfinished")
        or source["rejects"]
        or source["unread_lines"]
    )


def _rank(source: dict[str, Any]) -> tuple[bool, bool, str]:
    there = source["on_disk"] not in ("gone", "-")
    return (there and _needs_a_look(source), there, source["last_seen"])


_HEADERS = {
    "label": "label",
    "name": "log",
    "on_disk": "on disk",
    "state": "state",
    "behind_bytes": "behind",
    "byte_offset": "read up to",
    "marker_lines": "marker lines",
    "rejects": "rejects",
    "calls_without_telemetry": "no telemetry",
    "last_event": "last event (UTC)",
    "timezone": "zone",
    "encoding": "encoding",
}
_LEAST = ("encoding", "zone", "no telemetry", "state", "read up to", "label", "marker lines", "on disk")
_DIFFERING = ("timezone", "encoding")
"""Columns that are shown only where logs differ in them."""


def _cell(source: dict[str, Any], name: str, folder_length: int = 0) -> str:
    value = source.get(name)
    match name:
        case "name":
            return _place(source)[folder_length:]
        case "behind_bytes":
            return "?" if value is None else bytes_text(value) if value else "-"
        case "byte_offset":
            return bytes_text(source["byte_offset"])
        case "label":
            return value or "-"
        case "last_event":
            return (source["last_event"] or "-")[:19]
        case "encoding" if source["compression"]:
            return f"{value} in {source['compression']}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _place(source: dict[str, Any]) -> str:
    return str(source["real_path"] or source["path"])


def _common_folder(sources: list[dict[str, Any]]) -> str:
    """Return the folder that all of the logs are below, with a separator at its end; empty: there is none."""
    folders = {os.path.dirname(_place(source)) for source in sources}
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # standard input, or other drives
        return ""
    return os.path.join(common, "") if len(common) > 1 else ""
