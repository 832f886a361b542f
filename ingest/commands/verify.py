"""`tokentail verify`: the proof that nothing is lost, doubled or altered."""

from __future__ import annotations

from dataclasses import asdict

import click

from commandline import options
from commandline.output import complain, remark, say, say_json
from ingest.commands.progress import shown_progress
from ingest.compare import Verification
from ingest.verify import verify
from reports.terminal import counted


@click.command("verify")
@options.paths_argument
@options.db_option
@options.glob_option
@options.quiet_option
@options.json_option
def verify_command(
    paths: tuple[str, ...], db: str | None, globs: tuple[str, ...], quiet: bool, as_json: bool
) -> int:
    """Read the logs at each PATH again, slowly and plainly, and compare them with the database.

    Every marker line must be a sighting of an event that says the same, or a reject, and every
    escalation must be what its lines say; the database must hold nothing that the logs do not.
    Differences are named by file and line. Without a PATH, those of TOKENTAIL_LOGS or of the settings
    are checked, or else every log that was ingested and is still there. Sources of which an earlier
    version stored an escape or another line as a part of a value are named as well, with the command
    that reads them anew.

    Exit codes: 0 proven, 1 differences or unreadable files.

    \b
    Examples:
      tokentail verify
      tokentail verify /var/log/executor --db /data/telemetry.db
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    with shown_progress("verified", quiet) as report:
        result = verify(list(paths), database, globs, report)
    for problem in result.problems:
        complain(problem)
    if not quiet:
        for note in result.notes:
            remark(note)
    if as_json:
        say_json({"database": str(database), **asdict(result)})
    else:
        _show(str(database), result, quiet)
    return 1 if result.differences or result.problems else 0


def _show(database: str, result: Verification, quiet: bool) -> None:
    for difference in result.differences:
        say(difference)
    if quiet:
        return
    count = len(result.differences)
    none = "no difference in what could be read" if result.problems else "no difference"
    pruned = f"{result.pruned:,} of them pruned, " if result.pruned else ""
    say(
        f"{counted(result.files, 'file')} read again: {counted(result.marker_lines, 'marker line')} = "
        f"{counted(result.sightings, 'sighting')} + {counted(result.rejects, 'reject')}, {pruned}"
        f"{counted(count, 'difference') if count else none}"
    )
    if result.occurrences > result.marker_lines:
        others = {
            "failed write": result.write_failures,
            "quotation": result.quoted_lines,
            "unread line": result.unread_lines,
        }
        said = ", ".join(counted(count, noun) for noun, count in others.items() if count)
        say(f"the marker stands there {counted(result.occurrences, 'time')}: beside marker lines in {said}")
    if result.sources_without_log:
        left = counted(result.sources_without_log, "source")
        say(f"{left} not checked: imported, or a log that is gone or was not among these")
    if count:
        say(
            "`tokentail backfill --full LOGS` reads the logs anew, and mends most of it; "
            "for the rest restore a copy, or read the logs into a new database"
        )
    say(f"database {database}")
