"""`tokentail explain FILE:LINE`: what a line is read as, where it stops matching, what is stored of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click

from commandline import options
from commandline.output import complain, remark, say, say_json
from ingest.commands.ingest import prefix_named, prefix_option, tz_option
from ingest.errors import DatabaseUnusable, LogVanished, TokentailError, UsageMistake
from ingest.files.logfile import LogFile
from ingest.files.paths import STANDARD_INPUT
from ingest.reading.clock import NO_SUCH_TIME
from ingest.reading.lines import Line
from ingest.reading.unread import reading_with
from ingest.reading.zone import machine_zone, zone_named
from ingest.storing.database import open_for_reading
from ingest.tracing import ReadWith, TracedLine, trace
from parsers.line import template_for
from parsers.records import Escalation, EstimationEvent, Malformed, Noted
from reports.terminal import shortened

MAX_WRAPPED = 16
"""Physical lines that a line of a wrapped capture may have, and be found by any of them."""

_READ_WITH = (
    "SELECT timezone, prefix FROM log_sources WHERE ? IN (path, real_path) ORDER BY source_id DESC LIMIT 1"
)
_AT = """
SELECT sighting.event_id FROM event_sightings AS sighting JOIN log_sources AS source USING (source_id)
WHERE ? IN (source.path, source.real_path) AND sighting.line_number = ? AND source.state <> 'replaced'
"""


@click.command("explain")
@click.argument("places", nargs=-1, required=True, metavar="FILE:LINE...|-", type=options.any_path)
@tz_option
@prefix_option
@options.db_option
@options.json_option
def explain_command(
    places: tuple[str, ...], tz: str | None, prefix: str | None, db: str | None, as_json: bool
) -> int:
    """Explain lines of logs: what each is taken for, and what is stored of it.

    \b
      tokentail explain run.log:5122
      pbpaste | tokentail explain -

    Of each line: its prefix and time; its family (the kind of line), or the character at which it stops
    matching, and what should stand there; of an event its run, phase and paths, each with the line that
    told it; and what would be stored. Of other lines: which events they tell something of.

    The log is read from its start to its end, as an ingest reads it. Nothing is stored, and no database
    is needed. `-` explains every line of standard input. For whole logs: tokentail ingest --dry-run.

    Exit codes: 0 done, 1 a log can't be read or has no such line, 2 wrong use.
    """  # noqa: D301 - Click's mark must be the character itself
    found, code = [], 0
    for place in places:
        path, number = _parted(place)
        try:
            read_with = _read_with(path, tz, prefix_named(prefix) if prefix else None, db)
            lines = list(_lines(path, number, read_with))
        except LogVanished:
            complain(f"{path}: no such file: give the path of a log, as FILE:LINE")
            code = 1
            continue
        except TokentailError as error:
            if isinstance(error, UsageMistake):
                raise
            complain(str(error))
            code = 1
            continue
        if not lines:
            complain(f"{place}: there is no such line" if number else "standard input: there is no line")
            code = 1
        found += [(path, read_with.zone, line, _stored_as(path, line, db)) for line in lines]
    if as_json:
        say_json({"lines": [_record(*line) for line in found]})
    else:
        _show(found)
    return code


def _parted(place: str) -> tuple[str, int]:
    """Cut a place into its file and its line; 0 stands for every line of standard input."""
    if place == STANDARD_INPUT:
        return place, 0
    path, _, number = place.rpartition(":")
    if path and number.isascii() and number.isdigit() and int(number[:18]) > 0:
        return path, int(number[:18])
    raise UsageMistake(
        f"{place}: which line? Write FILE:LINE, counted from 1; for a whole log: "
        "`tokentail ingest --dry-run FILE`"
    )


def _read_with(path: str, tz: str | None, prefix: str | None, db: str | None) -> ReadWith:
    """Return the zone and the prefix with which an ingest reads a log, or has read it."""
    zone, known = None, None
    with suppress(DatabaseUnusable), open_for_reading(options.chosen_database(db), remark) as opened:
        known = opened.conn.execute(_READ_WITH, [LogFile(path).stored_path]).fetchone()
    if known is not None:
        zone = None if options.is_typed("tz") else known[0]
        prefix = prefix if options.is_typed("prefix") else known[1]
    return ReadWith(zone or _zone(path, tz), prefix)


def _zone(path: str, tz: str | None) -> str:
    if tz is not None and options.is_typed("tz"):
        return zone_named(tz).name
    if folders := options.chosen_folders():
        from ingest.files.folders import zone_for  # noqa: PLC0415 - most have no folders of their own

        if (zone := zone_for(folders, LogFile(path).stored_path)) is not None:
            return zone
    return (machine_zone() if tz is None else zone_named(tz)).name


def _lines(path: str, number: int, read_with: ReadWith) -> Iterator[TracedLine]:
    last = 0

    def is_wanted(line: Line) -> bool:
        nonlocal last
        last = line.number
        return not number or number - MAX_WRAPPED < line.number <= number

    traced = trace(LogFile(path), read_with, is_wanted)
    if not number:
        yield from traced
    elif traced and last >= number:  # that very line, or the one that was wrapped there
        yield traced[-1]


def _stored_as(path: str, traced: TracedLine, db: str | None) -> int | None:
    """Return the id of the event that the database has of a line."""
    if traced.row is None or path == STANDARD_INPUT:
        return None
    with suppress(DatabaseUnusable), open_for_reading(options.chosen_database(db), remark) as opened:
        for (event_id,) in opened.conn.execute(_AT, [LogFile(path).stored_path, traced.line.number]):
            return int(event_id)
    return None


# For programs


def _record(path: str, zone: str, traced: TracedLine, event_id: int | None) -> dict[str, Any]:
    explained, line = traced.explanation, traced.line
    stop, record = explained.stop, explained.record
    return {
        "path": path,
        "line_number": line.number,
        "byte_offset": line.offset,
        "line": line.data.decode("utf-8", "replace"),
        "prefix": explained.prefix,
        "timestamp_text": explained.stamp.text if explained.stamp else None,
        "timestamp": traced.timestamp,
        "timezone": zone,
        "family": explained.family,
        "says": record._asdict() if isinstance(record, tuple) else {},
        "stopped_at": None if stop is None else explained.prefix_length + stop.reached + 1,
        "expected": None if stop is None else stop.expected,
        "found": None if stop is None else stop.found,
        "why_not": explained.why,
        "facts": [fact._asdict() | {"source": fact.source} for fact in traced.facts.values()],
        "tells": [{"line_number": number, "what": what} for number, what in traced.tells],
        "tells_events": traced.event_count,
        "stored": _kind(traced),
        "reason": record.reason if isinstance(record, Malformed) else None,
        "event": traced.row,
        "event_id": event_id,
    }


def _kind(traced: TracedLine) -> str | None:
    match traced.explanation.record:
        case EstimationEvent():
            return "event"
        case Malformed():
            return "reject"
        case Escalation():
            return "escalation"
        case Noted():
            return "count"
    return None


# For people


def _show(found: list[tuple[str, str, TracedLine, int | None]]) -> None:
    for index, (path, zone, traced, event_id) in enumerate(found):
        if index:
            say("")
        say(f"{path}:{traced.line.number}, from byte {traced.line.offset:,}")
        say(f"  {shortened(traced.line.data.decode('utf-8', 'replace'))}", as_is=True)
        for name, text in _described(path, zone, traced):
            say(f"{name:<22}  {text}")
        if event_id is not None:
            say(f"{'database':<22}  event {event_id}: see `tokentail events {event_id}`")


def _described(path: str, zone: str, traced: TracedLine) -> Iterator[tuple[str, str]]:
    explained = traced.explanation
    yield "prefix", explained.prefix + _time(zone, traced)
    yield "family", explained.family or f"none: {explained.why}"
    if explained.stop is not None:
        yield "matches", _stopped(traced)
    elif explained.family is not None and explained.why is not None:
        yield "but", explained.why
    if explained.family is None and (shape := template_for(traced.line.data)) is not None:
        yield "would be read by", reading_with(shape, "LOGS" if path == STANDARD_INPUT else path)
    for fact in traced.facts.values():
        yield fact.what, fact.value_text() + fact.said_by(path)
    if traced.row is not None:
        for name in ("run", "phase"):
            if name not in traced.facts:
                yield name, "unknown: no line tells it beyond doubt"
    if traced.tells:
        yield "tells", _tells(traced)
    yield "stored", _stored(traced)


def _time(zone: str, traced: TracedLine) -> str:
    if traced.explanation.stamp is None:
        return "; no time"
    moment = NO_SUCH_TIME if traced.timestamp is None else f"{traced.timestamp[:19]} UTC"
    return f"; {traced.explanation.stamp.text}, read as {zone}: {moment}"


def _stopped(traced: TracedLine) -> str:
    stop, length = traced.explanation.stop, traced.explanation.prefix_length
    assert stop is not None  # noqa: S101 - the caller asked
    where = "line" if length or not traced.line.data.startswith(b"{") else "message"
    there = f"where it goes on with `{stop.found}`" if stop.found else f"where the {where} ends"
    return (
        f"up to character {length + stop.reached} of the {where}; from character "
        f"{length + stop.reached + 1} on, {there}, it should be {stop.expected}"
    )


def _tells(traced: TracedLine) -> str:
    named = "; ".join(f"of the event in line {number}: {what}" for number, what in traced.tells)
    more = traced.event_count - len(traced.tells)
    return named + (f"; and of {more:,} more" if more > 0 else "")


def _stored(traced: TracedLine) -> str:
    record = traced.explanation.record
    match record:
        case EstimationEvent():
            actual = "total of input and output" if record.actual_is_total else "actual"
            return (
                f"an event: {record.category}, {record.complexity}, predicted "
                f"{record.predicted_output_tokens:,}, {actual} {record.actual_output_tokens:,}"
            )
        case Malformed():
            return f"a reject: {record.reason}"
        case Escalation():
            return f"an escalation to {record.retry_max_tokens:,} tokens"
        case Noted():
            return f"nothing; counted as {record.kind.replace('_', ' ')}"
    if record is not None:
        return "nothing of its own; it may tell something of events"
    return "nothing"
