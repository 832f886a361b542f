"""Every occurrence of the marker is a sighting, a reject, a failed write, a quotation, or unread.

Keeps the invariant that a plain count in the text equals what the database has of it, however it was read.
"""

from __future__ import annotations

import codecs
import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conftest import Tokentail
from event_lines import docker, event_message, json_line, logged
from faults.tables import check_invariants, tables
from ingest.memory import MAX_LINE_BYTES
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary
from ingest.verify import verify

MARKER = "[TokenEstimationV2]"
EVENT = event_message()
START = logged("Initialized autonomous executor for run: run-B", at="2025-12-29 19:45:00")
LINES = (
    logged("Initialized autonomous executor for run: run-A"),
    logged(EVENT),
    logged(EVENT, at="2025-12-29 19:40:03")[:-6] + START,
    logged(event_message(actual_output=7), at="2025-12-29 19:46:00"),
    logged("[HTTP] respon", level="DEBUG") + logged(EVENT),
    logged(f"quoted: '{logged(EVENT)}' and {MARKER}"),
    logged(f"[worker-3] {EVENT}"),
    logged(f"[worker-4] {EVENT}"),
    logged(f"{MARKER} Failed to write DB telemetry: {MARKER}"),
    logged(EVENT[:60]),
    f"\x1b[32m{logged(event_message(actual_output=8), at='2025-12-29 19:47:00')}\x1b[0m",
    f"10%\r{logged(EVENT)}\rdone",
    f'{{"msg": "{EVENT}"}}',
    EVENT,
    "noise",
)
COUNTS = {"sightings": 4, "rejects": 3, "write_failures": 1, "quoted_lines": 4, "unread_lines": 3}


def read(database: Path, *paths: Path, command: str = "ingest", **options: Any) -> Summary:
    """Ingest some logs."""
    return ingest(
        [str(path) for path in paths], database, IngestOptions(command, zone_named("UTC"), **options)
    )


def encoded(text: str) -> bytes:
    """Write text as Windows PowerShell 5.1 does."""
    return codecs.BOM_UTF16_LE + text.encode("utf-16-le")


def counts(database: Path) -> dict[str, Any]:
    """Return what was counted in the only source."""
    with closing(sqlite3.connect(database)) as connection:
        (row,) = connection.execute(f"SELECT {', '.join(COUNTS)} FROM log_sources").fetchall()
    return dict(zip(COUNTS, row, strict=True))


def check(database: Path, text: str, expected: dict[str, int] = COUNTS) -> None:
    """Assert that a plain count equals the sum, and that `verify` finds it so."""
    check_invariants(database)
    assert counts(database) == expected
    assert text.count(MARKER) == sum(expected.values())
    result = verify([], database)
    assert (result.differences, result.problems) == ([], [])
    assert result.occurrences == sum(expected.values())


def values(database: Path) -> list[tuple[object, ...]]:
    """Return what events say, and whether their lines were cut."""
    query = (
        "SELECT run_id, timestamp_text, model, actual_output_tokens, line_cut, byte_offset "
        "FROM event_sightings JOIN token_estimation_v2_events USING (event_id) ORDER BY byte_offset"
    )
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def test_every_occurrence_is_accounted_for_and_no_value_holds_a_prefix(tmp_path: Path) -> None:
    """Torn, quoted, unknown, coloured, overwritten: each is counted once, and each value is right."""
    text = "".join(f"{line}\n" for line in LINES)
    (tmp_path / "run.log").write_text(text, newline="")
    summary = read(tmp_path / "t.db", tmp_path / "run.log")
    check(tmp_path / "t.db", text)
    assert (summary.quoted_lines, summary.unread_lines) == (4, 3)
    found = verify([str(tmp_path / "run.log")], tmp_path / "t.db")
    assert found.differences == []
    assert {name: getattr(found, name) for name in COUNTS} == COUNTS
    assert [value[:5] for value in values(tmp_path / "t.db")] == [
        ("run-A", "2025-12-29 19:40:02", "some-model-4", 1157, 0),
        ("run-A", "2025-12-29 19:40:03", "some-m", 1157, 1),
        ("unknown", "2025-12-29 19:46:00", "some-model-4", 7, 0),
        ("unknown", "2025-12-29 19:47:00", "some-model-4", 8, 0),
    ]
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection:
        rejects = connection.execute("SELECT reason, byte_offset, line FROM rejected_lines").fetchall()
    assert [reason for reason, _, _ in rejects] == ["behind other text", "cut off", "no timestamp"]
    for _, offset, line in rejects:
        assert text.encode()[offset:].decode().startswith(line)


@pytest.mark.parametrize("piece", [1, 7, 64, 1_000])
def test_log_that_grows_is_counted_as_in_one_pass(tmp_path: Path, piece: int) -> None:
    """Wherever an append ends, also within a torn line."""
    data = "".join(f"{line}\n" for line in LINES[: 4 if piece < 64 else None]).encode()
    log, grown, whole = tmp_path / "run.log", tmp_path / "grown.db", tmp_path / "whole.db"
    step = max(piece, len(data) // 40)
    for start in range(0, len(data), step):
        with log.open("ab") as file:
            file.write(data[start : start + step])
        read(grown, log, command="backfill", finished=True)
    read(whole, log)
    assert tables(grown) == tables(whole)


@pytest.mark.parametrize("form", ["gz", "crlf", "utf-16", "docker", "cri"])
def test_every_form_of_a_log_has_the_same_balance(tmp_path: Path, form: str) -> None:
    """Packed, with CRLF, in UTF-16, in a container: the counts are those of the plain log."""
    lines, expected = [line for line in LINES if "\r" not in line], COUNTS | {"quoted_lines": 3}
    text = "".join(f"{line}\n" for line in lines)
    path = tmp_path / "run.log"
    if form in ("docker", "cri"):
        put = docker if form == "docker" else "2025-12-29T08:40:02Z stderr F {}".format
        text = "".join(f"{put(line)}\n" for line in lines)
        expected |= {"quoted_lines": 4, "unread_lines": 2}  # an object within a known prefix
    data = {
        "gz": lambda: gzip.compress(text.encode()),
        "crlf": lambda: text.replace("\n", "\r\n").encode(),
        "utf-16": lambda: encoded(text.replace("\n", "\r\n")),
    }.get(form, text.encode)()
    path.write_bytes(data)
    read(tmp_path / "t.db", path)
    check(tmp_path / "t.db", text, expected)
    assert [value[4] for value in values(tmp_path / "t.db")] == [0, 1, 0, 0]
    if form == "utf-16":
        (offset,) = [value[5] for value in values(tmp_path / "t.db") if value[3] == 7]
        assert data[offset:].decode("utf-16-le").startswith("[2025-12-29 19:46:00]")


def test_part_of_a_wide_line_has_its_own_offset(tmp_path: Path) -> None:
    """Two bytes a character: what was appended to a torn line of a capture is where it is."""
    data = encoded(
        f"{logged(EVENT)[:-6]}{logged(event_message(actual_output=7), at='2025-12-29 19:46:00')}\r\nend\r\n"
    )
    (tmp_path / "run.txt").write_bytes(data)
    read(tmp_path / "t.db", tmp_path / "run.txt")
    assert [value[3] for value in values(tmp_path / "t.db")] == [1157, 7]
    for *_, offset in values(tmp_path / "t.db"):
        assert data[offset:].decode("utf-16-le").startswith("[2025-12-29 19:4")


@pytest.mark.parametrize("size", [MAX_LINE_BYTES - 9, MAX_LINE_BYTES, 3 * MAX_LINE_BYTES + 5])
@pytest.mark.parametrize("wide", [False, True], ids=["utf-8", "utf-16"])
def test_markers_beyond_the_limit_of_a_line_are_counted(tmp_path: Path, size: int, wide: bool) -> None:
    """Of what is not kept of a line, only the markers are known; one may stand on the limit itself."""
    if wide:
        size //= 2
    body = f"'{logged(EVENT)}' " + "x" * (size - 600) + "".join(f" {MARKER}" for _ in range(40))
    text = f"{logged(body)}\n{'y' * size} {EVENT}\n{logged(EVENT)}{'z' * 2 * size}{MARKER}\nend\n"
    log = tmp_path / "run.log"
    log.write_bytes(encoded(text.replace("\n", "\r\n")) if wide else text.encode())
    read(tmp_path / "t.db", log)
    expected = {"sightings": 0, "rejects": 1, "write_failures": 0, "quoted_lines": 42, "unread_lines": 1}
    check(tmp_path / "t.db", text, expected)


def test_long_line_that_quotes_a_log_gives_quotations_and_no_events(tmp_path: Path) -> None:
    """A whole log within one line, as real ones have it, forges nothing."""
    quoted = "\\n".join(logged(event_message(actual_output=number)) for number in range(1, 900))
    text = f"{logged(f'[Context] loaded: {quoted!r}', level='DEBUG')}\n{json_line('dump: ' + quoted)}\nend\n"
    assert len(text) > 319_000
    (tmp_path / "run.log").write_text(text)
    read(tmp_path / "t.db", tmp_path / "run.log")
    expected = dict.fromkeys(COUNTS, 0) | {"rejects": 1, "quoted_lines": 2 * 899 - 1}
    check(tmp_path / "t.db", text, expected)


def test_unread_lines_are_said_with_their_place_and_the_template_to_set(
    called: Tokentail, tmp_path: Path
) -> None:
    """By the summary, also when it is to be quiet, and by `status` and `verify`."""
    lines = ["noise", *(f"worker-{number} says> {logged(EVENT)}" for number in range(3)), f"?{logged(EVENT)}"]
    (tmp_path / "run.log").write_text("".join(f"{line}\n" for line in lines))
    said = "4 lines with [TokenEstimationV2] are not read, since what stands before it is not known: "
    shape = "--prefix '{word} {word}> '"
    for command in ("ingest --quiet run.log", "status", "verify"):
        done = called(*command.split(" "))
        text = done.stdout + done.stderr
        assert said in text
        assert "first is line 2" in text
        assert shape in text
    assert called("ingest", "--quiet", "run.log").stderr == ""


def test_unread_lines_of_no_shape_are_said_without_one(called: Tokentail, tmp_path: Path) -> None:
    """A guess would be worse than none."""
    (tmp_path / "run.log").write_text(f'noise\n{{"msg": "{EVENT}"}}\n')
    done = called("ingest", "run.log")
    assert "1 line with [TokenEstimationV2] is not read" in done.stderr
    assert "the first is line 2, at offset 6" in done.stderr
    assert "{word}" not in done.stderr


def test_sources_read_before_are_not_counted_until_they_are_read_anew(tmp_path: Path) -> None:
    """What nobody counted is NULL, and stays so when the log grows; `--full` knows it."""
    log, database = tmp_path / "run.log", tmp_path / "t.db"
    text = f"{logged(EVENT)}\n{logged(f'quoted: {EVENT!r}')}\n"
    log.write_text(text)
    read(database, log)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE log_sources SET quoted_lines = NULL, unread_lines = NULL")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'm006_unclaimed'")
        connection.execute(
            "UPDATE log_sources SET remembered = json_remove(remembered, '$.counters.quoted_lines')"
        )
    for _ in range(2):
        text += f"{logged(f'quoted: {EVENT!r}')}\n"
        log.write_text(text)
        read(database, log)
        assert counts(database) == COUNTS | {
            **dict.fromkeys(COUNTS, 0),
            "sightings": 1,
            "quoted_lines": None,
            "unread_lines": None,
        }
        result = verify([], database)
        assert result.differences == []
        assert any("was read before quotations" in note for note in result.notes)
    read(database, log, full=True)
    check(database, text, dict.fromkeys(COUNTS, 0) | {"sightings": 1, "quoted_lines": 3})


def test_verify_notices_an_occurrence_that_nobody_counted(tmp_path: Path) -> None:
    """The balance is held against a plain search, not against what was counted."""
    (tmp_path / "run.log").write_text(f"{logged(EVENT)}\n{logged(f'quoted: {EVENT!r}')}\n")
    read(tmp_path / "t.db", tmp_path / "run.log")
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection, connection:
        connection.execute("UPDATE log_sources SET quoted_lines = 0")
    (difference,) = verify([], tmp_path / "t.db").differences
    assert "the marker stands in it 2 times" in difference
