"""`tokentail events`: the events themselves, and which lines what is known of one comes from."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import click

from commandline import options
from commandline.output import remark, say, say_json, say_json_rows, say_lines
from ingest.errors import LogUnreadable, TokentailError
from ingest.files.logfile import LogFile
from ingest.reading.lines import Line
from ingest.storing.database import open_for_reading
from ingest.tracing import KnownValue, ReadWith, TracedLine, trace
from reports.commands.filters import filter_options, nothing_left, population_line, shown
from reports.events import Row, event_named, listed_events, sightings_of
from reports.selection import Selection, population
from reports.terminal import counted, label, number, shortened, table

MOST_EVENTS = 20
"""Events that are shown unless all are asked for: a screen full."""

MAX_LOGS = 5
"""Logs that are read, at most, to find the lines of an event's context: most events are seen in one or
two."""

_FACTS = {
    "run": ("run_id", "run_source"),
    "phase": ("phase_id", "phase_source"),
    "outcome": ("phase_outcome", None),
    "deliverables": ("deliverables_json", "deliverables_source"),
    "max tokens": ("actual_max_tokens", None),
    "input tokens": ("input_tokens", None),
    "total tokens": ("total_tokens", None),
    "attempt": ("attempt_index", None),
    "confidence": ("confidence", None),
    "estimated deliverables": ("estimated_deliverable_count", None),
}
"""An event's context by name: the column that holds it, and the one with the kind of line that said it."""

_LEAST = ("complexity", "run", "category", "SMAPE %")
"""Columns that go first where the page is too narrow."""

_HEADER = (
    "event",
    "time ({zone})",
    "run",
    "phase",
    "category",
    "complexity",
    "predicted",
    "actual",
    "SMAPE %",
    "",
)


@click.command("events")
@click.argument("name", required=False, metavar="[EVENT]")
@options.db_option
@click.option("--worst", is_flag=True, help="The worst estimates first (by SMAPE), instead of the newest.")
@click.option("--all", "shows_all", is_flag=True, help=f"All events, not the first {MOST_EVENTS}.")
@click.option(
    "--around",
    type=click.IntRange(min=0, max=1000),
    default=3,
    show_default=True,
    metavar="N",
    help="With EVENT: show so many lines of the log before and after it.",
)
@filter_options(min_actual=0, with_all=False)
@options.json_option
def events_command(
    name: str | None,
    db: str | None,
    worst: bool,
    shows_all: bool,
    around: int,
    selection: Selection,
    as_json: bool,
) -> int:
    """List the events, newest first; or show one in full, with the lines that told of it.

    \b
      tokentail events
      tokentail events --worst --category docs --since 7d
      tokentail events 42

    EVENT is the number in the first column, or an event_key. Of one event are shown: all that is known,
    each value with the file and line that told it, found by reading its log again; every place where
    it was seen; and the lines around it in the log.

    With --json all events that pass the filters are given, with every column.

    Exit codes: 0 done, 1 there is no such event or database, 2 wrong use.
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    if name is not None:
        return _show_one(database, name, around, selection.zone, as_json)
    selection = replace(selection, with_totals=not worst)
    with open_for_reading(database, remark) as opened:
        if as_json:
            about = {"database": database, "filters": selection.record()}
            say_json_rows(about, "events", listed_events(opened, selection, worst, None))
            return 0
        rows = list(listed_events(opened, selection, worst, None if shows_all else MOST_EVENTS))
        found = population(opened, selection)
    if rows:
        say_lines(
            table(
                [name.format(zone=selection.zone) for name in _HEADER],
                [_listed(row, selection.zone) for row in rows],
                text_columns=6,
                last_text_columns=1,
                least=_LEAST,
            )
        )
        say_lines(_legend(rows))
    else:
        say(nothing_left(found, "list"))
    left = "" if len(rows) >= found.selected else f"; the first {len(rows)} are shown: --all shows all"
    say(population_line(found, database) + (left if rows else ""))
    return 0


def _listed(row: Row, zone: str) -> tuple[str, ...]:
    return (
        str(row["event_id"]),
        shown(row["timestamp"], zone),
        row["run_id"],
        row["phase_id"],
        label(row["category"]),
        label(row["complexity"]),
        f"{row['predicted_output_tokens']:,}",
        f"{row['actual_output_tokens']:,}",
        number(row["smape_percent"], 0),
        _marks(row),
    )


def _marks(row: Row) -> str:
    marks = {"+": row["truncated"], "!": row["success"] == 0, "t": row["actual_is_total"]}
    return "".join(mark for mark, holds in marks.items() if holds)


def _legend(rows: list[Row]) -> list[str]:
    said = {
        "+": "+ truncated: the actual is a lower bound",
        "!": "! the answer could not be parsed",
        "t": "t the actual is a total of input and output",
    }
    marks = "".join(map(_marks, rows))
    return [text for mark, text in said.items() if mark in marks]


def _show_one(database: str, name: str, around: int, zone: str, as_json: bool) -> int:
    with open_for_reading(database, remark) as opened:
        row = event_named(opened, name)
        if row is None:
            raise NoSuchEvent(f"{database} has no event {name!r}: `tokentail events` lists them")
        sightings = sightings_of(opened, row["event_id"])
    found = _Found(row, around)
    for sighting in sightings:
        found.look_at(sighting)
    if as_json:
        facts = [fact._asdict() | {"path": path} for fact, path in found.facts.values()]
        lines = [{"line_number": number, "line": line} for number, line in found.lines]
        around_it = {"path": found.path, "lines": lines} if found.path else None
        say_json({"event": row, "facts": facts, "sightings": sightings, "around": around_it})
        return 0
    _say_event(row, found, zone)
    _say_places(sightings, found)
    say(f"database {database}")
    return 0


class NoSuchEvent(TokentailError):
    """A database has no event with this id or key."""


class _Found:
    """What the logs say of an event.

    `facts` has each known value with the path of the log in which its line was found, empty if none was.
    `path`, `lines` (number and text) and `number` are the first log in which the event was found, the lines
    around it, and its own number.
    """

    def __init__(self, row: Row, around: int) -> None:
        self._row = row
        self._around = around
        self._logs = 0
        self.path = ""
        self.lines: list[tuple[int, str]] = []
        self.number = 0
        self.troubles: list[str] = []
        self.facts = {what: (fact, "") for what in _FACTS if (fact := _stored_fact(row, what)) is not None}

    @property
    def _missing(self) -> set[str]:
        return {what for what, (fact, _) in self.facts.items() if fact.line is None}

    def look_at(self, sighting: Row) -> None:
        """Read the log of a sighting, if any fact or the lines around the event are still missing."""
        path = _place(sighting)
        nowhere = sighting["path"] == "-" or sighting["host"] or sighting["state"] in ("imported", "replaced")
        if nowhere or self._logs >= MAX_LOGS or (self.path and not self._missing):
            return
        self._logs += 1
        traced = None
        with suppress(LogUnreadable):
            traced = self._traced(path, sighting)
        if traced is None:
            self.troubles.append(f"{path}: not there any more, or another log: what it told can't be shown")
            return
        if not self.path:
            self.path, self.lines, self.number = path, traced.around, traced.line.number
        for what in self._missing:
            fact, stored = traced.facts.get(what), self.facts[what][0]
            if fact is not None and _is_same(fact, stored):
                self.facts[what] = (fact, path)

    def _traced(self, path: str, sighting: Row) -> TracedLine | None:
        """Return the line of a sighting, traced; `None` where another event is there now.

        Raises:
            LogUnreadable: the log can't be read.
        """
        offset: int = sighting["byte_offset"]

        def is_wanted(line: Line) -> bool:
            return line.offset == offset

        def is_enough(found: list[TracedLine]) -> bool:
            return any(
                len(candidate.around) > self._around and self._missing <= candidate.facts.keys()
                for candidate in found
            )

        read_with = ReadWith(sighting["timezone"], sighting["prefix"])
        traced = trace(LogFile(path), read_with, is_wanted, self._around, is_enough)
        row = traced[0].row if traced else None
        same = ("predicted_output_tokens", "actual_output_tokens", "category", "complexity")
        return traced[0] if row and all(row[name] == self._row[name] for name in same) else None


def _stored_fact(row: Row, what: str) -> KnownValue | None:
    column, source = _FACTS[what]
    value = row[column]
    if source is not None and row[source] is None:
        return None
    if what == "deliverables":
        value = tuple(json.loads(value))
    return None if value is None else KnownValue(what, value, source and row[source], None)


def _is_same(fact: KnownValue, stored: KnownValue) -> bool:
    return bool(fact.value == stored.value and stored.source in (None, fact.source))


def _place(sighting: Row) -> str:
    return str(sighting["real_path"] or sighting["path"])


def _say_event(row: Row, found: _Found, zone: str) -> None:
    at = f"{shown(row['timestamp'], zone, 'seconds')} {zone}"
    say(f"event {row['event_id']}, {at} (logged as {row['timestamp_text']})")
    for name, text in _own_line(row):
        say(f"{name:<22}  {text}")
    for what, (fact, path) in found.facts.items():
        by = fact.said_by(path) if fact.source is not None else ""
        say(f"{what:<22}  {fact.value_text()}{by}")
    for what in ("run", "phase"):
        if what not in found.facts:
            say(f"{what:<22}  unknown: no line tells it beyond doubt")
    say(f"{'key':<22}  {row['event_key']}")


def _own_line(row: Row) -> list[tuple[str, str]]:
    actual = "total of input and output" if row["actual_is_total"] else "actual"
    truth = {None: "not told", 0: "no", 1: "yes"}
    lines = [
        (
            "estimate",
            f"predicted {row['predicted_output_tokens']:,}, {actual} {row['actual_output_tokens']:,}",
        ),
        ("error", f"SMAPE {number(row['smape_percent'], 1, '%')}{_off_by(row)}"),
        ("selected budget", f"{row['selected_budget']:,}" if row["selected_budget"] else "not told"),
        ("category, complexity", f"{label(row['category'])}, {label(row['complexity'])}"),
        ("model", label(row["model"])),
        ("answer parsed", truth[row["success"]]),
        ("truncated", truth[row["truncated"]] + (f" ({row['stop_reason']})" if row["stop_reason"] else "")),
    ]
    return lines if not row["actual_is_total"] else [line for line in lines if line[0] != "error"]


def _off_by(row: Row) -> str:
    ratio = row["waste_ratio"]
    if not ratio or ratio == 1:
        return ""
    return f", {ratio:,.1f} x overestimated" if ratio > 1 else f", {1 / ratio:,.1f} x underestimated"


def _say_places(sightings: list[Row], found: _Found) -> None:
    say("")
    say(f"{counted(len(sightings), 'sighting')}:")
    for sighting in sightings:
        host = f"{sighting['host']}:" if sighting["host"] else ""
        alone = "" if sighting["phase_known"] else ", without its surroundings"
        say(f"  {host}{_place(sighting)}:{sighting['line_number']}{alone}")
    for trouble in found.troubles:
        remark(trouble)
    if found.lines:
        say("")
        say(f"around it in {found.path}:")
        for number_, line in found.lines:
            say(f"{'>' if number_ == found.number else ' '} {number_:>6}  {shortened(line)}", as_is=True)
        say("")
