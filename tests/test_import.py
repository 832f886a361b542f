"""Import of a full export: whole or not at all, once or twice, in any order with the logs."""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from conftest import EXAMPLES, Tokentail
from event_lines import anchor_message, event_message, fallback_message, logged
from faults.tables import check_invariants, events, rows_as_stored
from ingest.errors import UnusableImport
from ingest.importing import import_events
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing.facts_migration import key_of_0_1_0
from ingest.storing.rows import fact_of_row
from ingest.summary import IngestOptions
from ingest.verify import verify
from reports.exporting.ndjson import ndjson_lines
from reports.selection import Selection
from test_properties import FILES, SEEDS, Files, examples, folder, read

OPTIONS = IngestOptions("ingest", zone_named("UTC"))


def full_export(database: Path, file: Path) -> Path:
    """Write the full export of a database to a file."""
    with closing(sqlite3.connect(database)) as connection:
        db = Database(connection, execute_plugins=False)
        lines = list(ndjson_lines(db, Selection(min_actual=0, with_totals=True), True))
    file.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    return file


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Return the full export of the examples; their database is `a.db` beside it."""
    ingest([str(EXAMPLES / "logs")], tmp_path / "a.db", OPTIONS)
    return full_export(tmp_path / "a.db", tmp_path / "full.ndjson")


def test_export_of_an_import_is_the_same_to_the_byte(called: Tokentail, tmp_path: Path) -> None:
    """What one database exports another gives back unchanged, ids and times included."""
    called("ingest", EXAMPLES / "logs", "--tz", "UTC", "--db", "a.db")
    called("export", "--full", "--db", "a.db", "--output", "full.ndjson")
    done = called("import", "full.ndjson", "--db", "b.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "26 events in full.ndjson: 26 new, 0 completed, 0 known already",
        "database b.db",
    ]
    again = called("export", "--full", "--db", "b.db")
    assert again.stdout == (tmp_path / "full.ndjson").read_text(encoding="utf-8")
    check_invariants(tmp_path / "b.db")
    assert called("verify", "--db", "b.db").returncode == 0
    assert "imported" in called("status", "--db", "b.db").stdout


def test_an_import_that_fails_leaves_the_database_as_it_was(exported: Path, tmp_path: Path) -> None:
    """Of a file that is refused at its end, nothing was imported."""
    before = rows_as_stored(tmp_path / "a.db")
    exported.write_bytes(exported.read_bytes() + b"{}\n")
    with pytest.raises(UnusableImport, match="nothing was imported"):
        import_events(str(exported), tmp_path / "a.db")
    assert rows_as_stored(tmp_path / "a.db") == before


def test_importing_twice_is_importing_once(exported: Path, tmp_path: Path) -> None:
    """The second import, under another name too, finds everything known and changes no row."""
    import_events(str(exported), tmp_path / "b.db")
    before = rows_as_stored(tmp_path / "b.db")
    assert import_events(str(exported), tmp_path / "b.db").events_new == 0
    other = exported.rename(tmp_path / "renamed.ndjson")
    done = import_events(str(other), tmp_path / "b.db")
    assert (done.events, done.events_new, done.events_updated) == (26, 0, 0)
    assert rows_as_stored(tmp_path / "b.db") == before


def test_import_into_its_own_database_changes_no_event(exported: Path, tmp_path: Path) -> None:
    """Events that came from logs stay as they are; only a sighting of each is added."""
    before = events(tmp_path / "a.db")
    done = import_events(str(exported), tmp_path / "a.db")
    assert (done.events_new, done.events_updated) == (0, 0)
    assert events(tmp_path / "a.db") == before
    check_invariants(tmp_path / "a.db")


def test_import_before_or_after_the_logs_gives_the_same_events(exported: Path, tmp_path: Path) -> None:
    """The logs of imported events bring sightings and no events, and `verify` proves the whole."""
    import_events(str(exported), tmp_path / "b.db")
    summary = ingest([str(EXAMPLES / "logs")], tmp_path / "b.db", OPTIONS)
    assert (summary.events_new, summary.further_sightings) == (0, 29)
    assert events(tmp_path / "b.db") == events(tmp_path / "a.db")
    assert verify([str(EXAMPLES / "logs")], tmp_path / "b.db").differences == []
    check_invariants(tmp_path / "b.db")


def test_import_completes_events_that_know_less(exported: Path, tmp_path: Path) -> None:
    """An event that was only seen grepped gets its run, its phase and its paths from an import."""
    grepped = tmp_path / "grepped.log"
    source = (EXAMPLES / "logs/batch-drain.log").read_text(encoding="utf-8").splitlines(keepends=True)
    grepped.write_text("".join(line for line in source if "[TokenEstimationV2]" in line), encoding="utf-8")
    ingest([str(grepped)], tmp_path / "b.db", OPTIONS)
    assert {row["phase_id"] for row in events(tmp_path / "b.db")} == {"unknown"}
    done = import_events(str(exported), tmp_path / "b.db")
    assert (done.events_updated, done.events_new) == (9, 17)
    assert events(tmp_path / "b.db") == events(tmp_path / "a.db")
    check_invariants(tmp_path / "b.db")


def test_an_imported_event_outlives_an_unterminated_line_that_is_read_again(
    exported: Path, tmp_path: Path
) -> None:
    """When a log's last line is read again, only its own sighting is removed."""
    line = (EXAMPLES / "logs/collect.log").read_text(encoding="utf-8").splitlines()
    last = max(number for number, text in enumerate(line) if "[TokenEstimationV2]" in text)
    log = tmp_path / "collect.log"
    log.write_text("\n".join(line[: last + 1]), encoding="utf-8")  # no newline at its end
    import_events(str(exported), tmp_path / "b.db")
    ingest([str(log)], tmp_path / "b.db", IngestOptions("backfill", zone_named("UTC")))
    with log.open("a", encoding="utf-8") as more:
        more.write(" and more\n")
    ingest([str(log)], tmp_path / "b.db", OPTIONS)
    known = {row["event_key"] for row in events(tmp_path / "a.db")}
    assert known <= {row["event_key"] for row in events(tmp_path / "b.db")}
    check_invariants(tmp_path / "b.db")


def test_export_of_version_0_1_0_is_imported(exported: Path, tmp_path: Path) -> None:
    """Its keys were hashes, and a column held parts of the context; the events are the same."""
    old = tmp_path / "old.ndjson"
    with old.open("w", encoding="utf-8") as lines:
        for line in exported.read_text(encoding="utf-8").splitlines():
            fact = fact_of_row(json.loads(line))
            key = key_of_0_1_0(fact.payload, fact.timestamp, fact.phase)
            assert key.count(" ") == 0
            lines.write(changed(line, event_key=key, context_parts=None) + "\n")
    assert import_events(str(old), tmp_path / "b.db").events_new == 26
    assert events(tmp_path / "b.db") == events(tmp_path / "a.db")
    other = old.read_text(encoding="utf-8").replace(key, key[::-1])
    old.write_text(other, encoding="utf-8")
    with pytest.raises(UnusableImport, match="the event's key is not that of its content"):
        import_events(str(old), tmp_path / "c.db")


def test_an_export_is_never_taken_for_a_log(exported: Path, tmp_path: Path) -> None:
    """Named to `ingest`, the file of an import is another source, without any marker line."""
    import_events(str(exported), tmp_path / "b.db")
    summary = ingest([str(exported)], tmp_path / "b.db", OPTIONS)
    assert (summary.marker_lines, summary.events_new, summary.rejects) == (0, 0, 0)
    assert verify([], tmp_path / "b.db").differences == []
    check_invariants(tmp_path / "b.db")


def changed(line: str, **values: Any) -> str:
    return json.dumps(json.loads(line) | values)


SPOILT = {
    "cut": (lambda line: line[:-10], "not JSON"),
    "not an object": (lambda line: f"[{line}]", "not an event"),
    "plain export": (lambda _: json.dumps({"run_id": "a", "phase_id": "b"}), "export --full"),
    "another number": (lambda line: changed(line, actual_output_tokens=77), "changed since it was exported"),
    "another time": (
        lambda line: changed(line, timestamp="2020-01-01 00:00:00.000000"),
        "changed since it was exported",
    ),
    "another phase": (lambda line: changed(line, phase_id="forged"), "changed since it was exported"),
    "an unknown column": (lambda line: changed(line, colour="red"), "no column of ours"),
    "text for a number": (lambda line: changed(line, predicted_output_tokens="5"), "predicted_output_tokens"),
    "a truth for a number": (lambda line: changed(line, event_id=True), "event_id"),
    "a number that no database holds": (lambda line: changed(line, event_id=10**19), "event_id"),
    "not a number": (lambda line: changed(line, confidence=float("nan")), "confidence"),
    "an unknown source": (lambda line: changed(line, run_source="guessed"), "run_source"),
    "paths that are none": (lambda line: changed(line, deliverables_json="{}"), "deliverables_json"),
    "a number that no column holds": (lambda line: changed(line, input_tokens=10**30), "input_tokens"),
    "half a character": (lambda line: changed(line, run_id="\ud800"), "run_id"),
    "half a character in a path": (
        lambda line: changed(line, deliverables_json='["\\ud800"]', deliverables_source="applied"),
        "deliverables_json",
    ),
    "a metric that is none": (lambda line: changed(line, smape_percent=1.5), "smape_percent"),
    "another verdict": (lambda line: changed(line, is_truncated_output=1), "is_truncated_output"),
    "a run without a source line": (lambda line: changed(line, run_source=None), "run_id"),
    "a column that no log has": (lambda line: changed(line, is_sot_file=1), "is_sot_file"),
    "a time in another form": (lambda line: changed(line, created_at="yesterday"), "created_at"),
    "deep nesting": (lambda _: "[" * 100_000, "not JSON"),
}


@pytest.mark.parametrize(("spoil", "reason"), SPOILT.values(), ids=SPOILT.keys())
def test_a_broken_line_changes_nothing(exported: Path, tmp_path: Path, spoil: Any, reason: str) -> None:
    """The error names file and line, and neither that line nor those before it are imported: no database."""
    lines = exported.read_text(encoding="utf-8").splitlines()
    known = next(number for number, line in enumerate(lines) if '"phase_source": "budget"' in line)
    lines.append(spoil(lines[known]))
    exported.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(UnusableImport, match="nothing was imported") as raised:
        import_events(str(exported), tmp_path / "b.db")
    assert f"{exported}:{len(lines)}: " in str(raised.value)
    assert reason in str(raised.value)
    assert not (tmp_path / "b.db").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links are not for everybody there")
def test_a_link_to_a_database_that_is_to_be_made_stays(tmp_path: Path) -> None:
    """What an import in vain made is gone, and what was there is as it was."""
    (tmp_path / "link.db").symlink_to(tmp_path / "b.db")
    (tmp_path / "broken.ndjson").write_text("{}\n")
    with pytest.raises(UnusableImport):
        import_events(str(tmp_path / "broken.ndjson"), tmp_path / "link.db")
    assert (tmp_path / "link.db").is_symlink()
    assert not (tmp_path / "b.db").exists()


def test_unreadable_files_are_named(called: Tokentail, tmp_path: Path) -> None:
    """A file that is not there, is a folder, or is not UTF-8: exit 1 and its name."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", ".", "binary"):
        done = called("import", name)
        assert done.returncode == 1
        assert done.stderr.startswith(f"tokentail: {name}:")
        assert "Traceback" not in done.stderr


def test_compressed_export_is_read(exported: Path, tmp_path: Path) -> None:
    """An export may be packed, as logs may."""
    packed = tmp_path / "full.ndjson.gz"
    packed.write_bytes(gzip.compress(exported.read_bytes()))
    assert import_events(str(packed), tmp_path / "b.db").events_new == 26
    assert events(tmp_path / "b.db") == events(tmp_path / "a.db")
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(UnusableImport, match="ends before the end of its compressed data"):
        import_events(str(packed), tmp_path / "c.db")


def test_numbers_may_have_been_written_by_another_program(exported: Path, tmp_path: Path) -> None:
    """JavaScript writes 80.0 as 80: it is the same number, and the same event."""
    rows = [json.loads(line) for line in exported.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row |= {
            name: int(value) for name, value in row.items() if isinstance(value, float) and value.is_integer()
        }
    exported.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert import_events(str(exported), tmp_path / "b.db").events_new == 26
    assert events(tmp_path / "b.db") == events(tmp_path / "a.db")


def test_verify_counts_an_import_as_not_checked(exported: Path, tmp_path: Path) -> None:
    """An export can't be read again as a log, and the proof says what it leaves out."""
    import_events(str(exported), tmp_path / "b.db")
    result = verify([], tmp_path / "b.db")
    assert (result.sources_without_log, result.files, result.differences) == (1, 0, [])


def test_import_reads_standard_input(tokentail: Tokentail, exported: Path, tmp_path: Path) -> None:
    """An export may come through a pipe, with a byte order mark and empty lines."""
    stdin = b"\xef\xbb\xbf" + exported.read_bytes().replace(b"\n", b"\r\n\r\n")
    done = tokentail("import", "-", "--json", "--db", "b.db", stdin=stdin)
    assert json.loads(done.stdout)["events_new"] == 26
    assert events(tmp_path / "b.db") == events(tmp_path / "a.db")


SCRIPT_PREFIX = "2026-01-14 09:00:00,250 - a - INFO - "
PHASES = st.sampled_from([None, "alpha", "beta"])
MESSAGES = st.sampled_from(
    [
        event_message(),
        event_message(actual_output=900, truncated="True", success="None"),
        event_message(selected_budget="None", category="None"),
        fallback_message(),
    ]
)


@settings(max_examples=40)
@given(st.lists(st.tuples(PHASES, MESSAGES, st.booleans()), max_size=6), st.data())
def test_any_mixture_of_logs_and_exports_gives_the_events_of_all_logs(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str | None, str, bool]], data: Any
) -> None:
    """Some logs directly, others by way of a database and its export: the same events, in any order."""
    folder = tmp_path_factory.mktemp("mixture")
    logs = []
    for number, (phase, message, fraction) in enumerate(calls):
        at = "2026-01-14 09:00:00"
        text = [logged(message, at=at)]
        if phase:
            text = [logged(f"[BUILD-041] Next phase: {phase}", at=at)]
            text += [logged(anchor_message(phase, output=900 if "=900" in message else 1157), at=at)]
            text += [logged(message, at=at)]
        if fraction:
            text = [
                line.replace("[2026-01-14 09:00:00] INFO: ", "2026-01-14 09:00:00,250 - a - INFO - ")
                for line in text
            ]
        logs.append(folder / f"{number}.log")
        logs[-1].write_text(f"{number}\n" + "\n".join(text) + "\n", encoding="utf-8")
    ingest([str(log) for log in logs], folder / "all.db", OPTIONS)
    steps = data.draw(st.permutations(range(len(logs))))
    for number in steps:
        if data.draw(st.booleans()):
            ingest([str(logs[number])], folder / "mixed.db", OPTIONS)
        else:
            ingest([str(logs[number])], folder / f"{number}.db", OPTIONS)
            file = full_export(folder / f"{number}.db", folder / f"{number}.ndjson")
            import_events(str(file), folder / "mixed.db")
    if logs:
        assert events(folder / "mixed.db") == events(folder / "all.db")
        check_invariants(folder / "mixed.db")


@given(FILES, SEEDS)
@examples(25)
def test_whatever_logs_tell_comes_back_to_the_byte(chosen: Files, seed: int) -> None:
    """Every row that ingest makes passes the strict checks, and its second export is the first."""
    rng, files = Random(seed), chosen.made()
    assume(files)
    with folder() as here:
        for name, data in files.items():
            (here / name).write_bytes(data)
        read(here / "a.db", *(here / name for name in sorted(files)))
        whole = full_export(here / "a.db", here / "whole.ndjson")
        import_events(str(whole), here / "b.db")
        again = full_export(here / "b.db", here / "again.ndjson")
        assert again.read_bytes() == whole.read_bytes()
        check_invariants(here / "b.db")
        steps = [*sorted(files), "whole.ndjson"]
        rng.shuffle(steps)
        for name in steps:
            if name in files:
                read(here / "mixed.db", here / name)
            else:
                import_events(str(whole), here / "mixed.db")
        assert events(here / "mixed.db") == events(here / "a.db")
        check_invariants(here / "mixed.db")
        assert verify([], here / "mixed.db").differences == []


def test_an_import_of_many_batches_is_whole(tmp_path: Path) -> None:
    """Ten thousand events are imported in batches, in one transaction."""
    lines = [
        logged(event_message(predicted_output=number), at=f"2026-01-{1 + number // 1000:02} 09:00:00")
        for number in range(1, 10_001)
    ]
    (tmp_path / "many.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    ingest([str(tmp_path / "many.log")], tmp_path / "a.db", OPTIONS)
    file = full_export(tmp_path / "a.db", tmp_path / "full.ndjson")
    assert import_events(str(file), tmp_path / "b.db").events_new == 10_000
    assert events(tmp_path / "b.db") == events(tmp_path / "a.db")
