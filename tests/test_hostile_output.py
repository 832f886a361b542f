"""A log full of hostile values goes through every command: kept byte for byte, and obeyed by nothing.

What single commands make of single values is tested where the commands are; here stands the whole way,
from the log to what reaches a terminal, a browser or a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import anchor_message, event_message, json_line, logged
from faults.tables import check_invariants, events
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions

ESCAPES = "\x1b[31mred\x1b]52;c;cm0gLXJm\x07\x9b2J\x7f"
SHOWN = "red\x9b2J\x7f"
"""What is left of that where escapes are taken away: a single character beyond ASCII may be any text's."""
BIDI = "abc\u202e\u2066txt.exe\u061c\u200f"
SQL = "'; DROP TABLE token_estimation_v2_events; --"
MARKUP = "</script><script>alert(1)</script><!--<b>&\"'"
IMAGE = f"{MARKUP}<img src=x onerror=alert(1)>"
FORMULAS = ("@SUM(A1)", "+1", "-1", "\tx", "-2+3|cmd", "x;@SUM(A1);y")
VALUES = (
    ESCAPES,
    BIDI,
    SQL,
    MARKUP,
    *FORMULAS,
    'quo"te',
    "back\\slash",
    "%s{0}$x`id`",
    "漢😀",
    "a\u2028\u2029\x85b",
)
PATHS = (IMAGE, ESCAPES, "../../etc/passwd", "=cmd|'/C calc'!A0", "a\nb\x00c", BIDI)
RUN = f"=cmd|'/C calc'!A0 {IMAGE} {SQL}"
DATABASE = "t\x1b[31m<b>\u202e'.db"
NAMES = (b"new\nline.log", b"esc\x1b[31m.log", b"bad\xff.log", b'<b>&".log', b"=1;x.log", b"-rf.log")


def at(number: int) -> str:
    """Return the time of the event of this number."""
    return f"2026-01-14 09:{number // 60:02}:{number % 60:02}"


def lines() -> Iterator[str]:
    """Yield a log in which every value of every kind was chosen by an enemy."""
    yield logged(f"Initialized autonomous executor for run: {RUN}", at(0))
    for number, value in enumerate(VALUES, 1):
        output = 1000 + number
        yield logged(anchor_message(f"{value}=x", output), at(number))
        yield logged(
            event_message(category=value, complexity=value, model=value, actual_output=output), at(number)
        )
        yield logged(f"[TokenEstimationV2] {value} is not an event", at(number))
    yield json_line(f"{event_message(category='json')}\n{logged(event_message(category='forged'))}", at(58))
    yield logged(f"[{VALUES[-1]}=x] Applied files: {[PATHS[0]]}", at(59))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Ingest the log, copies of it with hostile names, and return the database."""
    folder = tmp_path / "logs"
    folder.mkdir()
    data = "".join(f"{line}\n" for line in lines()).encode()
    (folder / "executor.log").write_bytes(data)
    for name in NAMES:
        try:
            (folder / os.fsdecode(name)).write_bytes(data[:300])
        except OSError:  # not every file system has such names
            continue
    (folder / "damaged\x1b[31m.log.gz").write_bytes(b"\x1f\x8b\x08 this is no deflate")
    os.symlink("/dev/null", folder / "device\x1b[31m.log")
    ingest([str(folder)], tmp_path / DATABASE, IngestOptions("ingest", zone_named("UTC")))
    return tmp_path / DATABASE


COMMANDS = {
    "ingest": "ingest logs",
    "ingest json": "ingest logs --json",
    "backfill": "backfill logs nothing\x1b[31m.log",
    "status": "status",
    "status json": "status --json",
    "rejects": "rejects",
    "rejects json": "rejects --json",
    "report": "report --by category,model",
    "report filtered": f"report --category {ESCAPES}",
    "report json": "report --json",
    "coverage": "coverage",
    "coverage json": "coverage --json",
    "verify": "verify",
    "verify json": "verify --json",
    "ndjson": "export",
    "otel": "export --format otel",
    "full": "export --full",
    "import": "import enemy.ndjson",
    "deliverables": "deliverables import enemy.ndjson",
    "replay": "replay --predictions predictions.ndjson --rows --by category",
    "replay json": "replay --predictions predictions.ndjson --json",
    "replay broken": "replay --predictions enemy.ndjson",
}
if find_spec("scipy"):
    COMMANDS |= {"calibrate": "calibrate --by category --min-phases 1", "calibrate json": "calibrate --json"}
DATA = ("ndjson", "otel", "full")


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_that_a_terminal_obeys_or_hides_is_printed(
    called: Tokentail, tmp_path: Path, database: Path, command: str
) -> None:
    """No control character but the newline, nothing invisible, no bidirectional trick; no traceback."""
    (tmp_path / "enemy.ndjson").write_text(json.dumps({"run_id": ESCAPES, ESCAPES: BIDI}) + "\n{\x1b[31m\n")
    with closing(sqlite3.connect(database)) as connection:
        keys = connection.execute("SELECT event_key FROM token_estimation_v2_events").fetchall()
    predictions = [{"event_key": key, "prediction": 700} for (key,) in keys] + [
        {"event_key": BIDI, "prediction": 1}
    ]
    (tmp_path / "predictions.ndjson").write_text(
        "".join(json.dumps(prediction) + "\n" for prediction in predictions)
    )
    done = called(*COMMANDS[command].split(" "), DATABASE_URL=f"sqlite:///{DATABASE}")
    for text in (done.stdout, done.stderr):
        assert "Traceback" not in text
        if command in DATA and text is done.stdout:  # for programs: JSON's own rule is enough
            assert not re.search(r"[\0-\x09\x0b-\x1f]", text)
        else:
            assert {character for character in text if _is_harmful(character)} == set()
    if "json" in command or command in DATA:
        for line in [done.stdout] if "--json" in COMMANDS[command] else done.stdout.split("\n")[:-1]:
            json.loads(line)


def _is_harmful(character: str) -> bool:
    return character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_values_are_kept_byte_for_byte_and_the_tables_are_there(database: Path) -> None:
    """Values hold what the log says, without escapes; rejects all of it; a forged second line is no event."""
    check_invariants(database)
    rows = {row["actual_output_tokens"]: row for row in events(database)}
    assert len(rows) == len(VALUES) + 1
    for number, value in enumerate(VALUES, 1):
        row = rows[1000 + number]
        shown = SHOWN if value == ESCAPES else value
        assert [row[name] for name in ("category", "complexity", "model")] == [shown] * 3
        assert (row["phase_id"], row["run_id"]) == (f"{shown}=x", RUN)
    assert rows[1157]["category"] == "json"
    with closing(sqlite3.connect(database)) as connection:
        rejected = connection.execute("SELECT line FROM rejected_lines").fetchall()
    assert {line.split("] INFO: ")[1] for (line,) in rejected} == {
        f"[TokenEstimationV2] {value} is not an event" for value in VALUES
    }


@pytest.mark.parametrize("path", PATHS, ids=repr)
def test_hostile_paths_are_kept_as_they_are(tmp_path: Path, path: str) -> None:
    """A path is data whatever it holds; it is decoded once and stored as JSON."""
    log = tmp_path / "run.log"
    steps = (anchor_message("p1"), event_message(), f"[p1] Applied files: {[path]}")
    log.write_text("".join(f"{logged(step)}\n" for step in steps), encoding="utf-8")
    ingest([str(log)], tmp_path / "t.db", IngestOptions("ingest", zone_named("UTC")))
    (row,) = events(tmp_path / "t.db")
    assert json.loads(row["deliverables_json"]) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
@pytest.mark.parametrize("full", [(), ("--full",)], ids=["plain", "full"])
def test_no_cell_is_a_formula(called: Tokentail, database: Path, full: tuple[str, ...]) -> None:
    """Every cell that is not a number is a text to a spreadsheet, wherever it ends cells."""
    done = called("export", "--format", "csv", "-o", "out.csv", *full, "--db", database)
    assert done.returncode == 0, done.stderr
    text = (database.parent / "out.csv").read_bytes().decode()
    number = re.compile(r"-?[0-9.]+(e-?[0-9]+)?")
    for delimiter in ",;":
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            for cell in row if delimiter == "," else row[1:]:
                assert number.fullmatch(cell) or not cell.startswith(("=", "+", "-", "@", "\t", "\r")), row
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    models = {row["model"].removeprefix("'") for row in rows}
    assert models >= {SHOWN, *(value for value in VALUES if ";" not in value and value != ESCAPES)}


class _Elements(HTMLParser):
    """The elements of a page, and the attributes that could run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.found += [name for name, _ in attrs if name.startswith("on")]


@pytest.mark.skipif(find_spec("vl_convert") is None, reason="no charts here")
@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_page_has_no_element_of_the_logs(called: Tokentail, database: Path, tmp_path: Path) -> None:
    """The page has the kinds of elements, and scripts, that it has without such names: logs made none."""
    pages = []
    for name in (database, tmp_path / "empty.db"):
        if name != database:
            ingest([], name, IngestOptions("ingest", zone_named("UTC")))
        done = called("dashboard", "--html", "page.html", "--db", name)
        assert done.returncode == 0, done.stderr
        parser = _Elements()
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        parser.feed(text)
        pages.append(parser.found)
        own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)  # the library's own characters
        assert {element for element in own if _is_harmful(element)} == set()
        assert "<script>alert" not in own
        assert "<img" not in own
    full, empty = pages
    assert full.count("script") == empty.count("script")
    assert not [found for found in full if found == "img" or found.startswith("on")]
