"""Blocks read at once say what their lines say one by one, in this process or in others.

Keeps the invariant that speed never costs truth: the quick way agrees with the plain one on every line.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from event_lines import event_message
from event_rows import refusing
from ingest.files.logfile import LogFile
from ingest.identity import stem_of
from ingest.linking.timestamps import time_text
from ingest.pipeline import ingest
from ingest.reading import scan
from ingest.reading.extractor import ExtractedEvent, Extractor, has_marker
from ingest.reading.resume import recall
from ingest.reading.zone import zone_named
from ingest.storing.database import open_for_writing
from ingest.storing.store import SourceBatch, Store
from ingest.summary import IngestOptions
from parsers.line import parse_line
from parsers.prefix import time_in
from parsers.records import EstimationEvent
from parsers.registry import FAMILIES, MARKERS

SYDNEY = zone_named("Australia/Sydney")
PREFIXES = (
    "[2025-12-29 19:40:02] INFO: ",
    "[2025-12-29 24:40:02] INFO: ",
    "[2025-02-30 19:40:02] WARNING: ",
    "[2025-12-29 19:40:60] INFO: ",
    "2025-12-29 19:40:02,427 - autopack.clients - INFO - ",
    "2025-12-29 19:40:02.5 - autopack.clients - INFO - ",
    "[0001-01-01 00:00:00] INFO: ",
    "[1850-01-01 00:00:01] INFO: ",
    "2025-12-29T08:40:02.123456789Z stderr F ",
    "python : [2025-12-29 19:40:02] INFO: ",
    "",
)
VALUES = st.sampled_from(
    ("0", "1", "007", "5200", "999999999999", "1000000000000", "999999999999999999", "-1", "1e3", "None")
)
WORDS = st.sampled_from(("None", "True", "False", "docs", "a b", "ü", "x=y", "", " ", "\x1b[1m", "\t", "\r"))


@st.composite
def event_texts(draw: st.DrawFn) -> str:
    """Event messages, usual ones and broken ones."""
    changed: dict[str, Any] = {}
    for key in draw(st.sets(st.sampled_from(("predicted_output", "actual_output", "deliverables")))):
        changed[key] = draw(VALUES)
    for key in draw(st.sets(st.sampled_from(("category", "success", "truncated", "stop_reason", "model")))):
        changed[key] = draw(WORDS)
    if draw(st.booleans()):
        changed["smape"] = draw(
            st.sampled_from(("0.0%", "127.2%", "127.25%", "1e3%", "nan%", "12%", "00.1%"))
        )
    return event_message(**changed) + draw(
        st.sampled_from(("", " ", "\r", "\r\r", " more", "\x1c", "\u2003"))
    )


@given(event_texts(), st.sampled_from(PREFIXES))
@example(event_message(), PREFIXES[0])
@example(event_message() + " ", PREFIXES[0])
@example(event_message() + " \r", PREFIXES[0])
@example(event_message(model=" "), PREFIXES[0])
def test_event_line_read_at_once_is_the_event_that_it_is_line_by_line(text: str, prefix: str) -> None:
    """Time, payload and key are the same; where they might not be, the line is left to the plain way."""
    data = f"{prefix}{text}\n".encode()
    extracted = list(Extractor(SYDNEY).extract(data))
    parsed = parse_line(data[:-1].rstrip(b"\r"))
    for _, _, event, _ in extracted:
        if not isinstance(event, ExtractedEvent):
            assert event == data[:-1].rstrip(b"\r")
            continue
        assert parsed is not None
        assert parsed.stamp is not None
        assert isinstance(parsed.record, EstimationEvent)
        moment = SYDNEY.to_utc(parsed.stamp.moment)
        assert event.payload == parsed.record
        assert list(map(type, event.payload)) == list(map(type, parsed.record))
        assert (event.timestamp, event.timestamp_text) == (time_text(moment), parsed.stamp.text)
        assert event.stem == stem_of(parsed.record, event.timestamp)
    if parsed is not None and has_marker(data[:-1]):
        assert extracted


def test_usual_event_lines_are_read_at_once() -> None:
    """Otherwise the property above would hold of nothing."""
    for prefix in (PREFIXES[0], PREFIXES[4]):
        ((_, _, event, _),) = Extractor(SYDNEY).extract(f"{prefix}{event_message()}\n".encode())
        assert isinstance(event, ExtractedEvent)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_sample_holds_a_marker_of_its_family_and_is_extracted(family: Any) -> None:
    """A line without a marker is never looked at, so each family's lines must have one."""
    for sample in family.samples:
        line = f"{PREFIXES[0]}{sample}".encode()
        if family.markers:
            assert any(marker in sample for marker in family.markers), sample
        ((_, _, record, prefix),) = Extractor(SYDNEY).extract(line + b"\n")
        parsed = parse_line(line)
        assert parsed is not None
        if not isinstance(record, bytes | ExtractedEvent):
            assert parsed.stamp is not None
            assert record == parsed.record
            assert time_in(prefix) == parsed.stamp.moment


TAGS = ("LOCK", "p1", "TOKEN_ESCALATION", "BUILD-128", "Scope", "MODEL-SELECT", "TELEMETRY", "TOKEN_BUDGET")
TAGGED = (
    "Applied files: ['a']",
    "Builder failed: x",
    "Builder succeeded (12 tokens)",
    "Step 1/4: Generating code with Builder",
    "   Missing 2 required deliverables:",
    "     - a",
    "❌ DELIVERABLES VALIDATION FAILED",
    "xx DELIVERABLES VALIDATION FAILED",
)
OTHERS = ("Existing Run 'other' verified in API database", "✅ Run 'other' verified in API database ")


@pytest.mark.parametrize(
    "message", [*(f"[{tag}] {rest}" for tag in TAGS for rest in TAGGED), *OTHERS], ids=lambda text: text[:40]
)
@pytest.mark.parametrize("prefix", [PREFIXES[0], PREFIXES[4]], ids=["executor", "script"])
def test_context_line_read_at_once_says_what_it_says_line_by_line(message: str, prefix: str) -> None:
    """Whichever family's marker it holds: the family that opens it first reads it, at the same time."""
    line = f"{prefix}{message}".encode()
    parsed = parse_line(line)
    for _, _, record, logged in Extractor(SYDNEY).extract(line + b"\n"):
        if not isinstance(record, bytes):
            assert parsed is not None
            assert parsed.stamp is not None
            assert record == parsed.record
            assert time_in(logged) == parsed.stamp.moment


@given(
    st.lists(
        st.tuples(
            st.sampled_from(PREFIXES), st.sampled_from(("[p1] Builder failed: x", "Next phase: p1", "x"))
        )
    )
)
def test_time_of_the_last_line_is_the_same_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str]]
) -> None:
    """A time that there isn't is no time, and the one before it stands; fractions come to the last bit."""
    log = LogFile(str(tmp_path_factory.mktemp("heard") / "run.log"))
    Path(log.path).write_text("".join(f"{prefix}{message}\n" for prefix, message in lines) + "end\n")
    last_lines = [
        recall(batch.checkpoint)[0].linker.runs.last_line_at
        for plain in (True, False)
        for batch in scan.scan(log, None, scan.ScanOptions("Australia/Sydney", plain=plain))
    ]
    assert len(last_lines) == 2
    assert last_lines[0] == last_lines[1]


AROUND = (
    "Initialized autonomous executor for run: one",
    "Initialized autonomous executor for run: two",
    "[LOCK] Released executor lock for run_id=one",
    "Autonomous execution loop finished",
    "Next phase: p1",
    "[BUILD-129:P4] Final max_tokens enforcement: 16384 (token_selected_budget=8192)",
    "[p1] Builder succeeded (6213 tokens)",
    "Updated phase p1 status to COMPLETE",
    "[Builder] DEBUG: attempted_file_paths=['a.py']",
    "Plan validation failed: Phase 'p1' validation failed: Protected paths in scope: a.py...",
    "noise",
)


@given(st.lists(st.one_of(st.integers(1, 3), st.sampled_from(AROUND)), max_size=30))
@example([AROUND[0], 1, 2, AROUND[6], 3])
@example([AROUND[0], AROUND[1], 1, AROUND[6], 2])
@example([1, AROUND[0], 2, AROUND[2], 3])
@example([1, AROUND[8]])
@example([1, "noise", "noise", "noise", AROUND[8]])
def test_what_is_known_of_events_is_the_same_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[int | str]
) -> None:
    """An event with no line before it still has its run, and a later line may name its phase."""
    log = LogFile(str(tmp_path_factory.mktemp("known") / "run.log"))
    messages = [line if isinstance(line, str) else event_message(predicted_output=line) for line in drawn]
    Path(log.path).write_text("".join(f"{PREFIXES[0]}{message}\n" for message in messages) + "end\n")
    seen = []
    for plain in (True, False):
        batches = list(scan.scan(log, None, scan.ScanOptions("Australia/Sydney", plain=plain)))
        rows = [
            (sighting.offset, sighting.line_number, sighting.fact._replace(stem=""))
            for sighting in batches[0].rows.sightings
        ]
        linker = recall(batches[-1].checkpoint)[0].linker
        seen.append((len(batches), rows, batches[0].rows.amendments, linker, batches[-1].counters))
    assert seen[0] == seen[1]


def _mixed_lines() -> list[str]:
    """Return lines of ours in the forms of several programs, also without the executor's own prefix."""
    messages = [
        event_message(),
        "[TOKEN_BUDGET] phase=p1 complexity=low input=5056 output=1157/16384 total=6213 utilization=7.1% "
        "model=some-model-4",
        "[p1] Applied files: ['a.py']",
        "Initialized autonomous executor for run: one",
    ]
    forms = [
        "executor-1  | [2025-12-29 19:40:02] INFO: {}",
        "[pod/executor-5d9c/app] [2025-12-29 19:40:02] INFO: {}",
        "Dec 29 19:40:02 host unit[7]: [2025-12-29 19:40:02] INFO: {}",
        "2025-12-29 19:40:02.123456789  [2025-12-29 19:40:02] INFO: {}",
        "run.log:12:2025-12-29T08:40:02Z stderr F [2025-12-29 19:40:02] INFO: {}",
        "[2025-12-29 19:40:02] INFO: {}",
        "2025-12-29 19:40:02,123 - x - INFO - {}",
    ]
    lines = [form.format(message) for form in forms for message in messages]
    for message in messages:
        lines += [
            json.dumps({"timestamp": "2025-12-29 19:40:02", "message": message}),
            json.dumps({"message": f"[2025-12-29 19:40:02] INFO: {message}", "timestamp": "x"}),
        ]
        for place in (len(message) // 3, len(message) - 1):
            torn = message[:place] + "\0" + message[place:]
            lines += [
                json.dumps({"timestamp": "2025-12-29 19:40:02", "message": torn}),
                json.dumps({"log": f"[2025-12-29 19:40:02] INFO: {torn}\n", "stream": "stderr"}),
            ]
    return lines


MIXED = _mixed_lines()


@given(st.lists(st.sampled_from(MIXED), max_size=8))
@example([MIXED[0], json.dumps({"timestamp": "2025-12-29 19:40:02", "message": event_message()})])
@example([MIXED[4], json.dumps({"timestamp": "2025-12-29 19:40:02", "message": event_message()})])
def test_lines_of_several_programs_say_the_same_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    """An own prefix in another ends the trust in an object's time; no value holds a NUL."""
    log = LogFile(str(tmp_path_factory.mktemp("mixed") / "run.log"))
    Path(log.path).write_text("".join(f"{line}\n" for line in lines) + "end\n")
    seen = []
    for plain in (True, False):
        batches = list(scan.scan(log, None, scan.ScanOptions("Australia/Sydney", plain=plain)))
        facts = [(sighting.offset, sighting.fact._replace(stem="")) for sighting in batches[0].rows.sightings]
        linker = recall(batches[-1].checkpoint)[0].linker
        seen.append(
            (facts, batches[0].rows.rejects, batches[0].rows.amendments, linker, batches[-1].counters)
        )
    assert seen[0] == seen[1]
    assert "\0" not in str(seen[0])


EVENT, STAMP = event_message().encode(), b"[2025-12-29 19:40:02] INFO: "
PIECES = st.sampled_from((*MARKERS, EVENT, STAMP, b"x", b"[p1] ", b" "))
LINES = st.one_of(
    st.sampled_from((STAMP + EVENT, STAMP + EVENT[:40], EVENT, b"", b"noise")),
    st.lists(PIECES, max_size=4).map(b"".join),
)


@given(st.lists(LINES, max_size=20))
@example([b"", b"noise", STAMP + EVENT, b"", b"", STAMP + EVENT[:40]])
def test_places_of_lines_are_the_same_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    """Whatever stands between markers: each event and each reject has its offset and its line number."""
    log = LogFile(str(tmp_path_factory.mktemp("places") / "run.log"))
    Path(log.path).write_bytes(b"first line\n" + b"".join(line + b"\n" for line in lines) + b"end\n")
    seen = []
    for plain in (True, False):
        (batch,) = scan.scan(log, None, scan.ScanOptions("Australia/Sydney", plain=plain))
        sightings = [
            (sighting.offset, sighting.line_number, sighting.fact.payload)
            for sighting in batch.rows.sightings
        ]
        seen.append((sightings, batch.rows.rejects, batch.counters))
    assert seen[0] == seen[1]


def test_line_numbers_are_right_though_lines_are_counted_late(tmp_path: Path) -> None:
    """Lines that hold nothing are counted when a later line's number is needed, from a rotation too."""
    log, database = tmp_path / "run.log", tmp_path / "t.db"
    options = IngestOptions("ingest", zone=SYDNEY)
    line = f"[2025-12-29 19:40:02] INFO: {event_message()}\n".encode()
    log.write_bytes(b"noise\n" * 1_000)
    ingest([str(log)], database, options)
    with log.open("ab") as file:
        file.write(b"more noise\n" * 500 + line + b"noise\n" * 300)
    ingest([str(log)], database, options)
    (tmp_path / "run.log.1.gz").write_bytes(gzip.compress(log.read_bytes() + b"noise\n" * 7 + line))
    log.unlink()
    summary = ingest([str(tmp_path)], database, options)
    assert (summary.files_read, summary.events_new) == (1, 0)
    with closing(sqlite3.connect(database)) as connection:
        numbers = connection.execute("SELECT line_number FROM event_sightings ORDER BY 1").fetchall()
    assert numbers == [(1_501,), (1_809,)]


def test_batch_that_failed_takes_nothing_from_the_next(tmp_path: Path) -> None:
    """What was staged for it is rolled back with it, and staged again when it is needed."""
    log, database = LogFile(str(tmp_path / "run.log")), tmp_path / "t.db"
    Path(log.path).write_bytes(f"[2025-12-29 19:40:02] INFO: {event_message()}\n".encode())
    (batch,) = scan.scan(log, None, scan.ScanOptions("UTC"))
    with open_for_writing(database) as db:
        store = Store(db.conn)
        with refusing(database, "TRUE"), pytest.raises(sqlite3.IntegrityError, match="refused"):
            store.commit([SourceBatch(batch, log)])
        assert store.commit([SourceBatch(batch, log)]).events_new == 1
        assert db.table("token_estimation_v2_events").count == 1


@pytest.mark.parametrize("between", [":", ": ", " : ", " :"])
def test_journals_message_of_bytes_is_found_however_it_is_spaced(tmp_path: Path, between: str) -> None:
    """No marker stands in such a line; it is looked at for its key."""
    message = list(f"[2025-12-29 19:40:02] INFO: {event_message()}".encode())
    (tmp_path / "journal.log").write_text(f'{{"MESSAGE"{between}{message}, "_PID"{between}"7"}}\n')
    summary = ingest([str(tmp_path)], tmp_path / "t.db", IngestOptions("ingest", zone_named("UTC")))
    assert (summary.marker_lines, summary.events_new) == (1, 1)
