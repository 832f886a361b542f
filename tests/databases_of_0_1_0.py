"""The databases that version 0.1.0 left, unpacked where a test can go on with them.

`fixtures/databases/make.py` made them, with the old program; its docstring says what is in each. Only
here is anything known of columns that are not public, and only of 0.1.0's, which stay what they were:
an unpacked database must lead to the test's own logs, as one leads to those of its machine.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import lzma
import os
import platform
import shutil
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

FIXTURES = Path(__file__).resolve().parent / "fixtures" / "databases"
NAMES = tuple(sorted(path.stem for path in FIXTURES.glob("*.json")))
ZONE = "Australia/Sydney"
PLACE, HOST = PurePosixPath("/srv/executor"), "kiln"
Row = dict[str, Any]

EVENT_COLUMNS = (
    "run_id phase_id timestamp category complexity deliverable_count deliverables_json "
    "predicted_output_tokens actual_output_tokens selected_budget actual_max_tokens success truncated "
    "stop_reason model smape_percent waste_ratio underestimated is_truncated_output "
    "api_reference_required examples_required research_required usage_guide_required context_quality "
    "is_sot_file sot_file_name sot_entry_count_hint timestamp_text actual_is_total logged_smape_percent "
    "input_tokens total_tokens confidence attempt_index estimated_deliverable_count phase_outcome "
    "deliverables_source deliverables_complete run_source phase_source"
).split()
"""The public columns of an event in 0.1.0, without its id, its key and when its row was made."""

ESCALATION_COLUMNS = (
    "run_id phase_id timestamp attempt_index reason was_truncated output_utilization escalation_factor "
    "base_value base_source retry_max_tokens selected_budget actual_max_tokens tokens_used timestamp_text"
).split()
_IDENTITY = "SUBSTR(timestamp, 1, 19), phase_id, predicted_output_tokens, actual_output_tokens, model"
_UNKNOWN = {None, "unknown", "[]"}


@dataclass(frozen=True)
class Kept:
    """One database as it is kept: its files by their path in the archive, and what is right later."""

    name: str
    files: dict[str, bytes]
    how: Row
    events: list[Row]
    escalations: list[list[Any]]

    def logs(self, stage: str) -> dict[str, bytes]:
        """Return the logs `then`, `later`, or those that are `gone`, by their names."""
        start = f"{stage}/"
        return {name.removeprefix(start): data for name, data in self.files.items() if name.startswith(start)}


@cache
def kept(name: str) -> Kept:
    """Unpack a database by its name."""
    expected = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    plain = io.BytesIO(lzma.decompress((FIXTURES / f"{name}.tar.xz").read_bytes()))
    with tarfile.open(fileobj=plain) as archive:
        opened = {entry.name: archive.extractfile(entry) for entry in archive}
        files = {path: file.read() for path, file in opened.items() if file is not None}
    return Kept(name, files, expected["how"], expected["events"], expected["escalations"])


def as_text(name: str, data: bytes) -> str:
    """Return what a log says, whatever it is packed or encoded in."""
    if name.endswith(".gz"):
        data = gzip.decompress(data)
    return data.decode("utf-16" if data.startswith(codecs.BOM_UTF16_LE) else "utf-8")


@dataclass(frozen=True)
class Unpacked:
    """A kept database in a folder, with its logs."""

    kept: Kept
    folder: Path

    @property
    def database(self) -> Path:
        """Return the database."""
        return self.folder / "telemetry.db"

    @property
    def logs(self) -> Path:
        """Return the folder of its logs."""
        return self.folder / "logs"

    def go_on(self) -> None:
        """Let time pass: logs are renamed, packed, removed, grown, and new ones begin."""
        for old, new in reversed(self.kept.how.get("renamed", {}).items()):
            (self.logs / old).rename(self.logs / new)
        later = self.kept.logs("later")
        for path in list(self.logs.iterdir()):
            if path.name not in later:
                path.unlink()
        for name, data in later.items():
            path = self.logs / name
            had = path.read_bytes() if path.exists() else b""
            if had != data:
                grows = data.startswith(had)
                with path.open("ab" if grows else "wb") as log:
                    log.write(data[len(had) :] if grows else data)

    def delete_logs(self) -> None:
        """Take all logs away."""
        shutil.rmtree(self.logs)


def unpacked(name: str, folder: Path, where: str = "here") -> Unpacked:
    """Unpack a database and the logs that it was written from.

    `here`: on the machine that wrote it, nothing happened meanwhile. `restored`: from a backup, so that
    its logs are other files, just written. `moved`: to another machine, with its logs, at another path.
    """
    made = Unpacked(kept(name), folder)
    made.logs.mkdir()
    made.database.write_bytes(made.kept.files["telemetry.db"])
    for log, data in made.kept.logs("then").items():
        (made.logs / log).write_bytes(data)
    if where != "moved":
        _lead_to_logs(made, same_files=where == "here")
    return made


def _lead_to_logs(made: Unpacked, same_files: bool) -> None:
    with closing(sqlite3.connect(made.database)) as connection:
        connection.execute("UPDATE ingest_runs SET host = ? WHERE host = ?", [platform.node(), HOST])
        query = "SELECT source_id, path, real_path, host IS NULL AND state <> 'replaced', modified_ns "
        for source_id, *paths, stands, modified_ns in connection.execute(
            f"{query} FROM log_sources"
        ).fetchall():
            if paths[0] == "-":
                continue
            path, real_path = (None if one is None else _path_here(made, one) for one in paths)
            statement = "UPDATE log_sources SET path = ?, real_path = ? WHERE source_id = ?"
            connection.execute(statement, [str(path), real_path and os.path.realpath(real_path), source_id])
            if same_files and stands and path is not None and path.exists():
                os.utime(path, ns=(modified_ns, modified_ns))
                found = path.stat()
                statement = (
                    "UPDATE log_sources SET device = ?, inode = ?, modified_ns = ? WHERE source_id = ?"
                )
                largest = 2**63 - 1
                values = [found.st_dev & largest, found.st_ino & largest, found.st_mtime_ns, source_id]
                connection.execute(statement, values)
        connection.commit()


def _path_here(made: Unpacked, path: str) -> Path:
    return made.folder.joinpath(PurePosixPath(path).relative_to(PLACE))


# Content


def _rows(connection: sqlite3.Connection, query: str, *values: object) -> list[Row]:
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def event_rows(database: Path) -> dict[int, Row]:
    """Return the events by their ids, with the public columns of 0.1.0."""
    with closing(sqlite3.connect(database)) as connection:
        query = (
            f"SELECT event_id, {', '.join(EVENT_COLUMNS)} FROM token_estimation_v2_events ORDER BY event_id"
        )
        return {row.pop("event_id"): row for row in _rows(connection, query)}


def places(database: Path, standing: bool = False) -> dict[str, list[tuple[Any, ...]]]:
    """Return sightings, with the event that was seen, and rejects; by the name of their log.

    Of `standing` logs alone: those of this machine that are still what was read.
    """
    which = " WHERE state <> 'imported'" + (" AND state <> 'replaced' AND host IS NULL" if standing else "")
    queries = {
        "sightings": "SELECT path, s.byte_offset, line_number, line_cut, " + _IDENTITY + " FROM log_sources "
        "JOIN event_sightings AS s USING (source_id) JOIN token_estimation_v2_events USING (event_id)",
        "rejects": "SELECT path, r.byte_offset, line_number, reason, line "
        "FROM log_sources JOIN rejected_lines AS r USING (source_id)",
    }
    with closing(sqlite3.connect(database)) as connection:
        return {
            table: sorted(
                (PureWindowsPath(path).name, *rest) for path, *rest in connection.execute(query + which)
            )
            for table, query in queries.items()
        }


def escalation_rows(database: Path) -> list[Row]:
    """Return the escalations, with the public columns of 0.1.0."""
    with closing(sqlite3.connect(database)) as connection:
        query = f"SELECT {', '.join(ESCALATION_COLUMNS)} FROM token_budget_escalation_events"
        return sorted(_rows(connection, query), key=repr)


def content(database: Path, names: set[str]) -> dict[str, list[Any]]:
    """Return all that two databases of the same logs have in common; places are those of logs of some names.

    A place that two sources have counts once: a log's reading on another machine may be one of its own.
    """
    found: dict[str, list[Any]] = {"events": sorted(event_rows(database).values(), key=repr)}
    found["escalations"] = escalation_rows(database)
    return found | {
        table: sorted({place for place in rows if place[0] in names})
        for table, rows in places(database, standing=True).items()
    }


def source_rows(database: Path) -> list[tuple[Any, ...]]:
    """Return what stays of a source, whatever is read of it: its zone, its label, the machine of another.

    What came from elsewhere than a log is a source of its own since.
    """
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT timezone, label, host, first_seen FROM log_sources WHERE state <> 'imported'"
        return sorted(connection.execute(query), key=repr)


def stored(database: Path) -> dict[str, Any]:
    """Return what a run that finds nothing new may not change: all of it, ids included."""
    found: dict[str, Any] = {"events": event_rows(database), "sources": source_rows(database)}
    return found | {"escalations": escalation_rows(database)} | places(database)


def known_values(row: Row) -> Row:
    """Return what is known of an event."""
    return {name: value for name, value in row.items() if value not in _UNKNOWN}


def check_expected(logs: Kept, database: Path, cutoff: str = "") -> None:
    """Assert that the rows are those that the logs were written from, each once, and no others.

    Nothing from before the `cutoff` (UTC) is kept.
    """
    rows = list(event_rows(database).values())
    right = [row for row in logs.events if row["timestamp"] >= cutoff]
    assert len(rows) == len(right)
    for expected in right:
        fits = [row for row in rows if all(_says(row, name, value) for name, value in expected.items())]
        assert len(fits) == 1, (expected, [row for row in rows if row["phase_id"] == expected["phase_id"]])
    names = ("phase_id", "attempt_index", "base_value", "retry_max_tokens")
    escalations = [
        [row["timestamp"][:19], *(row[name] for name in names)] for row in escalation_rows(database)
    ]
    assert sorted(escalations) == [row for row in logs.escalations if row[0] >= cutoff]


def _says(row: Row, name: str, value: Any) -> bool:
    if name == "timestamp":
        return bool(row[name][:19] == value)
    if name == "deliverables_json":
        return bool(json.loads(row[name]) == value)
    return bool(row[name] == value)
