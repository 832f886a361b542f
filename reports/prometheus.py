"""Metrics in Prometheus' text format, as node_exporter's textfile collector reads them.

Totals (`_total`) only grow, as long as the database is the same; all else is as it is now. Times are seconds
since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlite_utils import Database

from reports.status import Row, last_success, moment_of, sources_now, sums_of

MAX_LOGS = 100
"""Logs that get series of their own at most: those that were read last. Other metrics are over all logs."""

_EVENTS = """
SELECT (SELECT COUNT(*) FROM token_estimation_v2_events) AS events,
    (SELECT MAX(timestamp) FROM token_estimation_v2_events) AS last_event
"""
_RUNS = """
SELECT COUNT(*) AS runs, TOTAL(bytes_read) AS bytes_read, TOTAL(marker_lines) AS marker_lines,
    TOTAL(events_new) AS events_new, TOTAL(rejects) AS rejects
FROM ingest_runs
"""
_PROBLEMS = "SELECT problems FROM ingest_runs ORDER BY ingest_run_id DESC LIMIT 1"


class Sample(NamedTuple):
    """One value of a metric."""

    value: float
    labels: dict[str, str]


class Metric(NamedTuple):
    """One metric, `name` without `tokentail_`; its kind is `gauge` or `counter`."""

    name: str
    kind: str
    help: str
    samples: list[Sample]


def rendered(metrics: Iterable[Metric]) -> str:
    """Return metrics as text; one without samples is left out."""
    return "".join(line + "\n" for metric in metrics if metric.samples for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    name = f"tokentail_{metric.name}"
    yield f"# HELP {name} {_escaped(metric.help)}"
    yield f"# TYPE {name} {metric.kind}"
    for value, labels in metric.samples:
        named = ",".join(f'{label}="{_quotable(text)}"' for label, text in labels.items())
        number = int(value) if value == int(value) else value
        yield f"{name}{{{named}}} {number}" if named else f"{name} {number}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quotable(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _one(name: str, kind: str, help_text: str, value: float | None, **labels: str) -> Metric:
    return Metric(name, kind, help_text, [] if value is None else [Sample(value, labels)])


def _seconds(text: str | None) -> float | None:
    return None if text is None else moment_of(text).timestamp()


def command_metrics(
    command: str, version: str, exit_code: int, written: float, readable: bool
) -> list[Metric]:
    """Return the metrics that are known even without a database; `written` is in seconds since 1970, UTC."""
    return [
        _one("build_info", "gauge", "The version of tokentail that wrote this file.", 1, version=version),
        _one("written_timestamp_seconds", "gauge", "When this file was written.", written),
        _one(
            "exit_code",
            "gauge",
            "Exit code of the command that wrote this file; of a running follow: 1 while a problem stands.",
            exit_code,
            command=command,
        ),
        _one("database_readable", "gauge", "1 if the database could be read for this file.", int(readable)),
    ]


def database_metrics(db: Database) -> list[Metric]:
    """Return the metrics of a database, and of its logs as they are on disk."""
    sources = sources_now(db)
    sums = sums_of(sources)
    ((events, last_event),) = (row.values() for row in db.query(_EVENTS))
    (runs,) = db.query(_RUNS)
    success = last_success(db)
    problems = next((row["problems"] for row in db.query(_PROBLEMS)), None)
    succeeded = _seconds(success["finished_at"]) if success else None
    return [
        _one(
            "last_success_timestamp_seconds",
            "gauge",
            "When an ingest last went well; of a running follow: when it was last well.",
            succeeded,
        ),
        _one("problems", "gauge", "Files that the newest ingest could not read, or not wholly.", problems),
        _one("ingest_runs_total", "counter", "Ingests, backfills and follows that were begun.", runs["runs"]),
        _one(
            "read_bytes_total", "counter", "Bytes of logs that were read, decompressed.", runs["bytes_read"]
        ),
        _one("marker_lines_total", "counter", "Lines that were read with our marker.", runs["marker_lines"]),
        _one("new_events_total", "counter", "Events that became rows.", runs["events_new"]),
        _one("rejected_lines_total", "counter", "Marker lines that became no event.", runs["rejects"]),
        _one("events", "gauge", "Events in the database.", events),
        _one("sightings", "gauge", "Places where events were seen.", sums["sightings"]),
        _one("rejects", "gauge", "Rejected lines in the database.", sums["rejects"]),
        _one(
            "calls_without_telemetry",
            "gauge",
            "Builder calls whose event line is not there.",
            sums["calls_without_telemetry"],
        ),
        _one("behind_bytes", "gauge", "Bytes on disk that were not read yet.", sums["behind_bytes"]),
        _one(
            "last_event_timestamp_seconds", "gauge", "When the newest event was logged.", _seconds(last_event)
        ),
        _states(sources),
        *_logs(sources),
    ]


def _states(sources: list[Row]) -> Metric:
    counts: dict[str, int] = {}
    for source in sources:
        counts[source["state"]] = counts.get(source["state"], 0) + 1
    samples = [Sample(count, {"state": state}) for state, count in sorted(counts.items())]
    return Metric("sources", "gauge", "Logs that were ever read, by how they were left.", samples)


_PER_LOG = (
    ("log_read_bytes", "byte_offset", "Bytes of this log that were read, decompressed."),
    ("log_behind_bytes", "behind_bytes", "Bytes of this log that were not read yet."),
    ("log_rejects", "rejects", "Marker lines of this log that became no event."),
    ("log_calls_without_telemetry", "calls_without_telemetry", "Builder calls without their event line."),
    ("log_last_event_timestamp_seconds", "last_event", "When the last event of this log was logged."),
    ("log_last_read_timestamp_seconds", "last_seen", "When bytes of this log were last read."),
)


def _logs(sources: list[Row]) -> Iterator[Metric]:
    """Yield the metrics that have a series for each log on disk; of logs at one path, the one read last."""
    there = [source for source in sources if source["on_disk"] not in ("-", "gone")]
    there.sort(key=lambda source: (source["last_seen"], source["source_id"]))
    newest = {source["real_path"] or source["path"]: source for source in there}
    shown = sorted(newest.items(), key=lambda item: item[1]["last_seen"])[-MAX_LOGS:]
    for name, column, help_text in _PER_LOG:
        samples = []
        for path, source in sorted(shown):
            value = source[column]
            number = _seconds(value) if isinstance(value, str) else value
            if number is not None:
                samples.append(Sample(number, {"path": path}))
        yield Metric(name, "gauge", help_text, samples)
