"""`tokentail` alone: how things stand, on one screen of 24 lines; in a new folder, how to begin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import wrap

from sqlite_utils import Database

from commandline import options
from commandline.moments import span_text
from commandline.options import environment_around, other_database
from commandline.output import complain, page_width, remark, say, say_lines
from ingest.errors import UsageMistake
from ingest.storing.database import open_for_reading
from ingest.version import program_version
from reports.answers import read_changes
from reports.changes import Change
from reports.commands.filters import shown
from reports.commands.status import rotated_unread
from reports.readiness import NOT_ENOUGH, readiness
from reports.selection import Selection
from reports.status import Status, moment_of, status
from reports.strata import Strata
from reports.terminal import bytes_text, counted, printable
from reports.validation import Validation, validate
from reports.verdict import verdict

WIDTH = 80
"""Characters of a line, at most."""

_NAME_WIDTH = 10
_REASONS = (
    "SELECT reason, COUNT(*) FROM rejected_lines GROUP BY reason ORDER BY COUNT(*) DESC, reason LIMIT 3"
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the screen is made of; `reasons` counts the rejects for the three most frequent reasons."""

    database: str
    validation: Validation
    changes: list[Change]
    status: Status
    reasons: dict[str, int]


def show_first_screen() -> int:
    """Print the screen; return the exit code."""
    settings = options.chosen_settings()
    try:
        database = options.chosen_database(settings.defaults.get("db") if settings else None)
    except UsageMistake as error:
        complain(str(error))
        _begin("", settings is not None)
        return 0
    if not os.path.exists(database):
        _begin(database, settings is not None)
        return 0
    with open_for_reading(database, remark) as opened:
        seen = _look(opened, database)
    say_lines(_screen(seen))
    return 0


def _look(opened: Database, database: str) -> _Seen:
    reasons = dict(opened.conn.execute(_REASONS).fetchall())
    validation = validate(opened, Selection(), Strata())
    changes = read_changes(opened, Selection(), Strata(), validation.overall.n)
    return _Seen(database, validation, changes, status(opened), reasons)


def _screen(seen: _Seen) -> list[str]:
    judged = verdict(seen.validation, seen.changes)
    paragraphs = [
        ("Verdict", judged.sentence, 4),
        ("How sure", judged.sureness, 4),
        ("To set", judged.to_set, 3),
        ("Not read", _not_read(seen), 3),
        ("Fresh", _fresh(seen), 2),
        ("Database", _database(seen), 2),
        ("Logs", _logs(seen), 3),
        ("Next", "; ".join(list(_next(seen))[:2]), 2),
    ]
    return [line for name, text, most in paragraphs for line in _paragraph(name, text, most)]


def _paragraph(name: str, text: str, most: int) -> list[str]:
    """Return the lines of a paragraph, `most` at most, with its name before the first."""
    room = min(WIDTH, page_width() or WIDTH) - _NAME_WIDTH
    text = printable(text)
    lines = wrap(text, max(20, room), break_on_hyphens=False, max_lines=most, placeholder=" ...")
    return [f"{name if not index else '':<{_NAME_WIDTH}}{line}" for index, line in enumerate(lines)]


def _not_read(seen: _Seen) -> str:
    parts = []
    if rejects := seen.status.totals["rejects"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in seen.reasons.items())
        parts.append(f"{counted(rejects, 'reject')} ({reasons})")
    if unread := seen.status.totals["unread_lines"]:
        parts.append(f"{counted(unread, 'marker line')} behind a prefix that isn't known")
    if lost := seen.status.totals["calls_without_telemetry"]:
        parts.append(f"{counted(lost, 'builder call')} without telemetry")
    if seen.status.problems:
        parts.append(f"{counted(len(seen.status.problems), 'log')} can't be read")
    return "; ".join(parts) or "nothing: every marker line is an event"


def _fresh(seen: _Seen) -> str:
    newest, success = seen.status.totals["last_event"], seen.status.last_success
    settings = options.chosen_settings()
    zone = settings.defaults.get("tz", "UTC") if settings else "UTC"
    event = f"newest event {_age(newest)} ago, {shown(newest, zone)} {zone}" if newest else "no event yet"
    if success is None:
        return f"{event}; no ingest {'went well ' if seen.status.ingest_runs else ''}yet"
    return f"{event}; last ingest that went well {span_text(success['age_seconds'])} ago"


def _age(text: str) -> str:
    return span_text(max(0, round((datetime.now(UTC) - moment_of(text)).total_seconds())))


def _database(seen: _Seen) -> str:
    settings = options.chosen_settings()
    size = bytes_text(os.path.getsize(seen.database))
    events = counted(seen.status.totals["events"], "event")
    return f"{seen.database}, {events}, {size}" + (f"; settings {settings.file}" if settings else "")


def _logs(seen: _Seen) -> str:
    sources = [source for source in seen.status.sources if source["on_disk"] != "-"]
    if not sources:
        return "none read yet"
    unread_bytes = sum(source["behind_bytes"] or 0 for source in sources)
    gone = sum(source["on_disk"] == "gone" for source in sources)
    newest = max(sources, key=lambda source: str(source["last_seen"]))
    parts = [f"{counted(len(sources), 'log')}, the newest {newest['real_path'] or newest['path']}"]
    parts += [f"{bytes_text(unread_bytes)} not read yet"] if unread_bytes else []
    parts += [f"{gone:,} gone since they were read"] if gone else []
    return ", ".join(parts)


def _next(seen: _Seen) -> Iterator[str]:
    """Yield what to do next, the most urgent first."""
    if environment_around(seen.database) is not None:
        yield "move the database out of the virtual environment that it lies in, and is deleted with"
    if rotated_unread(seen.status.sources):
        yield "`tokentail ingest`: a log was rotated before all of it was read"
    if seen.status.problems:
        yield "`tokentail status` names the logs that can't be read"
    if not seen.validation.overall.n:
        yield "`tokentail ingest --dry-run LOGS` says which lines are understood"
    if seen.status.totals["rejects"]:
        yield "`tokentail rejects` shows the rejects"
    if seen.status.totals["unread_lines"]:
        yield "`tokentail explain FILE:LINE` says what a line is taken for"
    if seen.validation.overall.n and readiness(seen.validation).status == NOT_ENOUGH:
        yield "`tokentail coverage` says which events to collect"
    if any(gate.passed is False for gate in seen.validation.gates):
        yield "`tokentail calibrate`, `tokentail events --worst`"
    yield "`tokentail report` has the numbers, `tokentail --help` the commands"


def _begin(database: str, has_settings: bool) -> None:
    """Print how to begin, where there is no database yet: in a new folder, or with settings."""
    say(f"tokentail {program_version()}: token-estimation telemetry from an executor's logs")
    say("")
    if database:
        say(f"No database yet: {database} is not there.")
    if other := other_database():
        say(f"{other[0].upper()}{other[1:]}.")
    begin = {"Begin": "tokentail ingest"}
    if not has_settings:
        begin = {
            "See what is understood": "tokentail ingest --dry-run LOGS",
            "Begin": "tokentail init LOGS --tz ZONE",
            "": "tokentail ingest",
        }
    lines = {
        **begin,
        "Look": "tokentail report",
        "One line of a log": "tokentail explain FILE:LINE",
        "All commands": "tokentail --help",
    }
    say("")
    say_lines(f"  {name:<24}{command}" for name, command in lines.items())
    if has_settings:
        return
    say("")
    say("LOGS are files or folders. ZONE is the time zone that the executor ran in, as")
    say("Australia/Sydney, since logs give local times. No log is ever written to.")
