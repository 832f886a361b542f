"""`tokentail ingest` and `tokentail backfill`, which differ in options; `follow` shares them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from commandline import options
from commandline.metrics import Metrics, metrics_option
from commandline.output import complain, remark, say, say_json, say_unclaimed
from ingest.commands.progress import shown_progress
from ingest.errors import UsageMistake
from ingest.files.paths import quoted
from ingest.pipeline import ingest
from ingest.reading.zone import machine_zone, zone_named
from ingest.storing.library import import_library
from ingest.summary import IngestOptions, Summary
from reports.terminal import bytes_text, counted

if TYPE_CHECKING:
    from ingest.preview import NotUnderstood, Preview

MOST_KINDS = 20
"""Kinds of lines that are not understood that are shown; `--json` has all."""

tz_option = click.option(
    "--tz",
    metavar="ZONE",
    help="The executor's zone, e.g. Australia/Sydney; else this machine's. A log keeps its own.",
)
prefix_option = click.option(
    "--prefix",
    metavar="TEMPLATE",
    help="What stands before the lines, if that is no known prefix: a template such as '{time} {word} | ', "
    "of {time}, {word}, {number}, {level}, {text}.",
)
reject_option = click.option("--fail-on-reject", is_flag=True, help="Exit with 1 if there was a reject.")


jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that read new logs. Default: as many as cores.",
)
adopt_option = click.option(
    "--adopt",
    is_flag=True,
    hidden=True,
    help="Of version 0.1.0: `tokentail import` reads the executor's own database now.",
)
dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be stored and which lines are understood; change nothing.",
)
full_option = click.option(
    "--full",
    is_flag=True,
    help="Read every log from its start, whatever was read of it before.",
)


scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help='Have new logs read by a Dask cluster (tcp://host:8786). Needs the extra "distributed".',
)


def ingest_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the arguments that all ingests share, in the order of the help."""
    for option in (
        options.json_option,
        options.quiet_option,
        reject_option,
        options.wait_option,
        metrics_option,
        options.glob_option,
        prefix_option,
        tz_option,
        jobs_option,
        adopt_option,
        options.db_option,
        options.paths_argument,
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Chosen:
    """The options of one call of an ingest."""

    db: str | None
    tz: str | None
    globs: tuple[str, ...]
    wait_seconds: float
    fail_on_reject: bool
    quiet: bool
    as_json: bool
    jobs: int | None
    metrics: str | None
    prefix: str | None = None
    adopt: bool = False
    full: bool = False
    scheduler: str | None = None
    dry_run: bool = False


@click.command("ingest")
@dry_run_option
@ingest_options
def ingest_command(paths: tuple[str, ...], **chosen: Any) -> int:
    """Read what is new in the logs at each PATH into the database.

    \b
      tokentail ingest /var/log/executor --tz Australia/Sydney
      tokentail ingest --dry-run /var/log/executor
      */5 * * * *  /path/to/tokentail ingest --quiet --config /path/tokentail.toml
      tokentail ingest --tz UTC s3://bucket/logs/ https://host/run.log.gz

    A file is read whatever its name; a folder is searched for logs; - is standard input; a URL is an
    object, or all logs below a prefix (extra "remote"). Without a PATH those of TOKENTAIL_LOGS are
    read, or of the settings. Each event is stored exactly once, however often it is seen. A last line
    without a newline waits for its newline. Rotations of logs are read on as far as they are new.

    Exit codes: 0 done, 1 something could not be read or written (named; the rest is done) or there was
    a reject and --fail-on-reject, 2 wrong use, 75 another ingest holds the database, 130 interrupted and
    143 ended by SIGTERM (nothing lost).
    """  # noqa: D301 - Click's mark must be the character itself
    return _ingest("ingest", paths, Chosen(**chosen))


@click.command("backfill")
@dry_run_option
@full_option
@scheduler_option
@ingest_options
def backfill_command(paths: tuple[str, ...], **chosen: Any) -> int:
    """Read old, finished logs at each PATH into the database.

    \b
      tokentail backfill --tz Australia/Sydney old-logs/ captures/*.txt
      tokentail backfill --full --tz UTC old-logs/
      tokentail backfill --tz UTC --scheduler tcp://host:8786 s3://bucket/logs/

    Like ingest, but for logs that nobody writes any more: an event in a last line without a newline
    counts. Should such a log go on after all, the next run takes that line back and reads it whole.

    With --full a log is read from its start: after an upgrade that understands more, to correct --tz,
    or to bring deleted events back. An event that is found again keeps its row; one that only this log
    told, and that it doesn't tell any more, is removed.

    Exit codes: 0 done, 1 something could not be read or written, or the cluster can't be used (named; the
    rest is done) or there was a reject and --fail-on-reject, 2 wrong use, 75 another ingest holds the
    database, 130 interrupted and 143 ended by SIGTERM (nothing lost: the next run goes on from there).
    """  # noqa: D301 - Click's mark must be the character itself
    return _ingest("backfill", paths, Chosen(**chosen))


def switched_off(as_json: bool) -> bool:
    """Whether the executor's switch turns telemetry off; if so, say it."""
    if not options.is_switched_off():
        return False
    remark(f"{options.SWITCH_VARIABLE} is off: nothing was read or written")
    if as_json:
        say_json({"enabled": False})
    return True


def ingest_options_of(
    command: str, chosen: Chosen, report: Callable[[int, int], None] | None = None
) -> IngestOptions:
    """Return the options of an ingest.

    Raises:
        UsageMistake: the time zone is not known, or the prefix is no template.
    """
    return IngestOptions(
        command=command,
        zone=machine_zone() if chosen.tz is None else zone_named(chosen.tz),
        zone_asked=chosen.tz is not None,
        finished=command == "backfill",
        full=chosen.full,
        globs=chosen.globs,
        wait_seconds=chosen.wait_seconds,
        fail_on_reject=chosen.fail_on_reject,
        jobs=chosen.jobs or cores(),
        scheduler=chosen.scheduler,
        report=report,
        folders=options.chosen_folders(),
        prefix=chosen.prefix and prefix_named(chosen.prefix),
    )


def prefix_named(text: str) -> str:
    """Return the template of a prefix, tried on a sample.

    Raises:
        UsageMistake: it is none.
    """
    from parsers.template import TemplateMistake, template  # noqa: PLC0415 - few logs need one

    try:
        return template(text).text
    except TemplateMistake as error:
        raise UsageMistake(f"--prefix: {error}") from error


def refuse_adoption(chosen: Chosen, database: str) -> None:
    """Refuse an option of version 0.1.0, and name its replacement.

    Raises:
        UsageMistake: it was given.
    """
    if chosen.adopt:
        raise UsageMistake(no_adoption("--adopt", database))


def no_adoption(asked: str, database: str) -> str:
    """Name the replacement of adopting an executor's own database, as version 0.1.0 did."""
    return (
        f"{asked} is no more: a database that was adopted is used without it; any other of an executor's "
        f"is read, and never written to: `tokentail import {quoted(database)} --db OTHER.db` takes its rows "
        "in, again whenever it is run"
    )


def _ingest(command: str, paths: tuple[str, ...], chosen: Chosen) -> int:
    if switched_off(chosen.as_json):
        return 0
    if chosen.dry_run:
        return _preview(command, paths, chosen)
    return Metrics(chosen.metrics, command, chosen.db).around(lambda: _read(command, paths, chosen))


def _read(command: str, paths: tuple[str, ...], chosen: Chosen) -> int:
    database = options.chosen_database(chosen.db)
    refuse_adoption(chosen, database)
    with shown_progress("read", chosen.quiet) as report:
        found = options.required_paths(paths)
        summary = ingest(found, database, ingest_options_of(command, chosen, report))
    for trouble in summary.troubles(only_new=chosen.quiet):
        complain(trouble)
    for note in summary.notes if not chosen.quiet else ():
        remark(note)
    if chosen.as_json:
        say_json(summary.values())
    elif not chosen.quiet:
        show(summary)
    return summary.exit_code


def cores() -> int:
    """Return how many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


LIFTED = "`tokentail prune --lift`, then `tokentail backfill --full LOGS`, brings back what is older"
"""What a person does who wants older events all the same."""


def found_text(summary: Summary) -> str:
    """Return what became of the marker lines, in words: new events, and the other counts that aren't 0."""
    more = {
        f"{summary.events_updated:,} updated": summary.events_updated,
        counted(summary.further_sightings, "further sighting"): summary.further_sightings,
        f"{counted(summary.rejects, 'reject')} (see `tokentail rejects`)": summary.rejects,
    }
    others = "".join(f", {text}" for text, count in more.items() if count)
    return f"{counted(summary.events_new, 'event')} new{others}"


def show(summary: Summary) -> None:
    """Print what an ingest did."""
    made = "new database" if summary.database_is_new else "database"
    settings = options.chosen_settings()
    where = f"{made} {summary.database}" + (f"; settings {settings.file}" if settings else "")
    if not summary.files and not os.path.exists(summary.database):
        say("nothing to read, and no database was made")
        return
    if not summary.files_read:
        say(f"nothing new in {counted(summary.files, 'file')}; {where}")
        return
    lost = max(0, summary.calls_without_telemetry)
    without = f", {counted(lost, 'builder call')} without telemetry" if lost else ""
    say(
        f"{counted(summary.files, 'file')}, {bytes_text(summary.bytes_read)} read: "
        f"{counted(summary.marker_lines, 'marker line')}, {found_text(summary)}{without}"
    )
    say_unclaimed(summary.quoted_lines, summary.unread_lines)
    if summary.pruned:
        say(f"{counted(summary.pruned, 'marker line')} older than what is kept ({LIFTED})")
    say(f"times read as {summary.timezone}; {where}")


def _preview(command: str, paths: tuple[str, ...], chosen: Chosen) -> int:
    """Show what an ingest would do, and return what it would exit with."""
    from ingest.preview import preview  # noqa: PLC0415 - an ingest needs none of it

    import_library()
    database = options.chosen_database(chosen.db)
    found = preview(options.required_paths(paths), database, ingest_options_of(command, chosen))
    for trouble in (*found.summary.problems, *found.summary.warnings):
        complain(trouble)
    for note in found.summary.notes if not chosen.quiet else ():
        remark(note)
    if chosen.as_json:
        say_json({"dry_run": True, **found.summary.values(), **_record(found)})
    elif not chosen.quiet:
        say("nothing is stored; an ingest would say:")
        show(found.summary)
        _show_preview(found)
    return found.summary.exit_code


def _record(found: Preview) -> dict[str, object]:
    return {
        "lines_by_family": dict(found.families.most_common()),
        "not_understood": [asdict(kind) | {"stopped_at": _stopped_at(kind)} for kind in found.not_understood],
        "new_events_told": found.known_by,
    }


def _stopped_at(kind: NotUnderstood) -> int | None:
    """Return the character, from 1, at which the first of them stops matching."""
    return None if kind.stop is None else kind.prefix_length + kind.stop.reached + 1


def _show_preview(found: Preview) -> None:
    summary = found.summary
    if summary.events_new:
        for what, counts in found.known_by.items():
            kinds = ", ".join(f"{source} {count:,}" for source, count in counts.items())
            known = sum(counts.values())
            say(f"  {what} known of {known:,} of {summary.events_new:,}" + (f": {kinds}" if kinds else ""))
    if found.families:
        kinds = ", ".join(f"{name} {count:,}" for name, count in found.families.most_common())
        say(f"lines understood: {kinds}")
    if found.not_understood:
        say("lines not understood:")
    for kind in found.not_understood[:MOST_KINDS]:
        say(f"  {_sentence(kind)}")
    if len(found.not_understood) > MOST_KINDS:
        say(f"  and {len(found.not_understood) - MOST_KINDS:,} more kinds")


def _sentence(kind: NotUnderstood) -> str:
    what = counted(kind.lines, "line")
    if kind.is_reject:
        what = f"{counted(kind.lines, 'reject')}, {kind.why}"
    like = f" like `{kind.family}`" if kind.family and not kind.is_reject else ""
    if kind.stop is None:
        return f"{what}{like}: {kind.why}; the first is {kind.first}"
    found = f"`{kind.stop.found}`" if kind.stop.found else "the line's end"
    return (
        f"{what}{like}: the first, {kind.first}, stops matching at character {_stopped_at(kind)} "
        f"({found}), where it should be {kind.stop.expected}"
    )
