"""`export`: what the database holds, in the forms of other programs, and nothing that could hurt them."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT, Tokentail
from event_lines import anchor_message, event_message, fallback_message, logged
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions
from reports.exporting.spreadsheet import _cell

KEYS = (
    "run_id, phase_id, timestamp, category, complexity, deliverable_count, deliverables, "
    "predicted_output_tokens, actual_output_tokens, selected_budget, success, truncated, stop_reason, model, "
    "smape_percent, waste_ratio, underestimated"
).split(", ")
FORMATS = ("ndjson", "csv", "parquet", "otel")
LINES = (
    logged("Initialized autonomous executor for run: run-1", "2025-12-29 19:40:00"),
    logged(anchor_message("p1"), "2025-12-29 19:40:01"),
    logged(event_message(), "2025-12-29 19:40:02"),
    logged("[p1] Applied files: ['src/a.py']", "2025-12-29 19:40:03"),
    logged(
        event_message(success="None", truncated="None", stop_reason="None", actual_output="30", model="None")
    ).replace("19:40:02", "19:41:00"),
    logged(fallback_message()).replace("19:40:02", "19:42:00"),
    f"2025-12-29 19:43:00,250 - executor - INFO - {event_message(predicted_output='900', category='docs')}",
)


def made(folder: Path, lines: Sequence[str] = LINES) -> Path:
    """Ingest lines as one log into `telemetry.db`, where the program looks for it."""
    (folder / "run.log").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    options = IngestOptions("ingest", zone_named("UTC"))
    assert ingest([str(folder / "run.log")], folder / "telemetry.db", options).problems == []
    return folder / "telemetry.db"


def changed(database: Path, query: str, *values: object) -> None:
    """Change rows as somebody might who writes past us."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(query, values)


def objects(called: Tokentail, *arguments: object) -> list[dict[str, Any]]:
    """Export as NDJSON and read it back."""
    done = called("export", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def test_plain_export_has_the_executors_keys_in_their_order(called: Tokentail, tmp_path: Path) -> None:
    """17 keys, times as `isoformat()` of naive UTC, truths as truths, paths as a list."""
    made(tmp_path)
    newest, total, bare, full = objects(called)
    for event in (newest, total, bare, full):
        assert list(event) == KEYS
    assert full == {
        "run_id": "run-1",
        "phase_id": "p1",
        "timestamp": "2025-12-29T19:40:02",
        "category": "implementation",
        "complexity": "low",
        "deliverable_count": 1,
        "deliverables": ["src/a.py"],
        "predicted_output_tokens": 5200,
        "actual_output_tokens": 1157,
        "selected_budget": 8192,
        "success": True,
        "truncated": False,
        "stop_reason": "end_turn",
        "model": "some-model-4",
        "smape_percent": 200 * (5200 - 1157) / (5200 + 1157),
        "waste_ratio": 5200 / 1157,
        "underestimated": False,
    }
    assert (bare["success"], bare["truncated"], bare["model"], bare["deliverables"]) == (None, None, None, [])
    assert total["actual_output_tokens"] == 5200
    assert (newest["timestamp"], newest["underestimated"]) == ("2025-12-29T19:43:00.250000", True)
    moment = datetime(2025, 12, 29, 19, 43, 0, 250_000, tzinfo=UTC)
    assert newest["timestamp"] == moment.replace(tzinfo=None).isoformat()


def test_events_are_newest_first_and_later_rows_before_earlier_ones(
    called: Tokentail, tmp_path: Path
) -> None:
    """Events of one time come in the order of their ids, the last one first."""
    made(tmp_path, [logged(event_message(predicted_output=str(number))) for number in range(60, 65)])
    assert [event["predicted_output_tokens"] for event in objects(called)] == [64, 63, 62, 61, 60]


def test_full_export_is_the_table(called: Tokentail, tmp_path: Path) -> None:
    """`--full` has every column by its name, with the value that the database holds."""
    database = made(tmp_path)
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute(
            "SELECT * FROM token_estimation_v2_events ORDER BY timestamp DESC"
        ).fetchall()
    exported = objects(called, "--full")
    assert exported == [dict(row) for row in rows]
    assert list(exported[0]) == rows[0].keys()
    assert exported[-1]["deliverables_json"] == '["src/a.py"]'
    assert exported[-1]["success"] == 1


def test_filters_choose_and_are_recorded(called: Tokentail, tmp_path: Path) -> None:
    """By default nothing is left out; what filters leave out is counted on standard error."""
    made(tmp_path)
    done = called("export")
    assert done.stderr == (
        "wrote ndjson to standard output: 4 events of 4 in telemetry.db; none left out\n"
        "1 of them logged only a total of input and output, given as actual_output_tokens\n"
    )
    assert [row["run_id"] for row in objects(called, "--phase", "p1", "--run", "run-1")] == ["run-1"]
    assert len(objects(called, "--since", "2025-12-29T19:42:00")) == 2
    done = called("export", "--category", "implementation", "--min-actual", 50)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == (
        "wrote ndjson to standard output: 1 event of 4 in telemetry.db; left out: 2 not selected, 1 with "
        "fewer than 50 actual tokens\n"
    )


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["-o", "e.csv"], "csv to e.csv"),
        (["-o", "e.json"], "ndjson to e.json"),
        (["-o", "-"], "ndjson to standard output"),
        (["-o", "folder", "--partition-by", "month"], "parquet to folder"),
    ],
    ids=str,
)
def test_form_and_place_are_said(
    called: Tokentail, tmp_path: Path, arguments: list[str], written: str
) -> None:
    """Whatever chose the form, the message names it, and where it went."""
    made(tmp_path)
    assert f"wrote {written}: 4 events of 4 in telemetry.db" in called("export", *arguments).stderr


def test_full_export_that_no_import_takes_says_so(called: Tokentail, tmp_path: Path) -> None:
    """`import` takes NDJSON alone: it is said when another form is written, and when that is imported."""
    made(tmp_path)
    for name in ("full.csv", "full.parquet"):
        assert "`import` takes NDJSON alone" in called("export", "--full", "-o", name).stderr
        done = called("import", name, "--db", "other.db")
        assert done.returncode == 1
        assert "take NDJSON, as `export --full -o events.ndjson` writes it" in done.stderr
    assert "import" not in called("export", "--full", "-o", "events.ndjson").stderr
    assert called("import", "events.ndjson", "--db", "other.db").returncode == 0


def test_categories_are_written_as_they_were_selected(called: Tokentail, tmp_path: Path) -> None:
    """`--normalize-categories` gives them one name; a full export keeps what the database holds."""
    made(tmp_path, [logged(event_message(category="Documentation"))])
    asked = ("--normalize-categories", "--category", "docs")
    assert [row["category"] for row in objects(called, *asked)] == ["docs"]
    assert [row["category"] for row in objects(called, *asked, "--full")] == ["Documentation"]


@pytest.mark.parametrize("form", FORMATS)
def test_empty_database_gives_an_empty_export(called: Tokentail, tmp_path: Path, form: str) -> None:
    """No events: no lines, or a header, or a Parquet file with columns and no rows."""
    made(tmp_path, ["nothing here"])
    done = called("export", "--format", form, "-o", "out")
    assert done.returncode == 0
    assert done.stderr == f"wrote {form} to out: 0 events of 0 in telemetry.db; none left out\n"
    if form == "parquet":
        table = pyarrow.parquet.read_table(tmp_path / "out")
        assert (table.num_rows, table.column_names) == (0, KEYS)
    else:
        assert (tmp_path / "out").read_text() == (",".join(KEYS) + "\n" if form == "csv" else "")


# CSV

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1", "-")


@pytest.mark.parametrize("text", FORMULAS, ids=repr)
def test_text_that_a_spreadsheet_would_obey_is_kept_a_text(text: str) -> None:
    """What begins as a formula, or with what a spreadsheet skips before one, gets an apostrophe."""
    ((cell,),) = csv.reader(io.StringIO(_cell(text), newline=""))
    assert cell == f"'{text}"


@given(st.text())
@settings(max_examples=200)
def test_any_text_is_one_cell(text: str) -> None:
    """Delimiters, quotes and newlines of any kind stay inside their cell, and nothing is lost."""
    rows = list(csv.reader(io.StringIO(f"1,{_cell(text)},2\n", newline="")))
    assert [row[0] for row in rows] == ["1"]
    assert rows[0][2:] == ["2"]
    assert _without_apostrophes(rows[0][1]) == _without_apostrophes(text)


def _without_apostrophes(text: str) -> str:
    return re.sub(r"(;\"*)'(?=[=+\-@＝＋－＠])", r"\1", text.removeprefix("'"))


@pytest.mark.parametrize("text", ["x;=1+1;y", "x;@SUM(A1)", 'x;"=1&"', 'x;""+1', "a,b;-1", "x;＝1"], ids=repr)
def test_text_is_no_formula_where_cells_end_at_semicolons(text: str) -> None:
    """A spreadsheet may cut the file at semicolons instead: no piece of a text is a formula then."""
    (row,) = csv.reader(io.StringIO(f"1,{_cell(text)},2\n", newline=""), delimiter=";")
    assert not any(cell.startswith(tuple("=+-@＝＋－＠")) for cell in row), row


def test_csv_is_safe_to_open_and_its_numbers_are_numbers(called: Tokentail, tmp_path: Path) -> None:
    """A formula from a log is a text; negative and fractional numbers, truths and paths are as they are."""
    database = made(tmp_path, [logged(event_message(category="-docs"))])
    changed(
        database,
        "UPDATE token_estimation_v2_events SET model = ?, smape_percent = -1.5, waste_ratio = 1e-9",
        "=cmd|'/c calc'!A0, \"x\"",
    )
    done = called("export", "--format", "csv")
    header, row = csv.reader(io.StringIO(done.stdout, newline=""))
    assert header == KEYS
    assert "\r" not in done.stdout
    found = dict(zip(header, row, strict=True))
    assert (found["model"], found["category"]) == ("'=cmd|'/c calc'!A0, \"x\"", "'-docs")
    assert (found["smape_percent"], found["waste_ratio"]) == ("-1.5", "1e-09")
    assert (found["success"], found["truncated"], found["deliverables"]) == ("true", "false", "[]")
    assert ",-1.5,1e-09," in done.stdout


def test_full_csv_has_all_columns_as_safe_cells(called: Tokentail, tmp_path: Path) -> None:
    """`--full` works with CSV: truths are 0 and 1 as stored, an unknown value is an empty cell."""
    made(tmp_path, [logged(event_message(model="@x", success="None"))])
    header, row = csv.reader(io.StringIO(called("export", "--full", "--format", "csv").stdout, newline=""))
    found = dict(zip(header, row, strict=True))
    assert (found["event_id"], found["model"], found["truncated"], found["success"]) == ("1", "'@x", "0", "")
    assert found["timestamp"] == "2025-12-29 19:40:02.000000"


def test_csv_has_one_form_of_time(called: Tokentail, tmp_path: Path) -> None:
    """One event with milliseconds beside others without makes no other column: pandas reads times."""
    later = logged(event_message(predicted_output=7), at="2025-12-29 19:40:03")
    with_ms = event_message(predicted_output=8)
    script = f"2025-12-29 19:40:04,427 - autopack.x - INFO - {with_ms}"
    made(tmp_path, [logged(event_message()), later, script])
    written = called("export", "--format", "csv").stdout
    times = [row["timestamp"] for row in csv.DictReader(io.StringIO(written, newline=""))]
    assert times == [
        "2025-12-29T19:40:04.427000",
        "2025-12-29T19:40:03.000000",
        "2025-12-29T19:40:02.000000",
    ]
    pandas = pytest.importorskip("pandas")
    column = pandas.read_csv(io.StringIO(written), parse_dates=["timestamp"])["timestamp"]
    assert pandas.api.types.is_datetime64_any_dtype(column)


def test_raw_csv_joins_with_what_was_logged(called: Tokentail, tmp_path: Path) -> None:
    """For a program a name is what it is; for a spreadsheet it is a text, unless that is asked for."""
    database = made(tmp_path, [logged(event_message(model="@cf/meta/llama"))])
    changed(database, "UPDATE token_estimation_v2_events SET category = 'a;=b'")
    for asked, model, category in (
        (("--raw-csv",), "@cf/meta/llama", "a;=b"),
        ((), "'@cf/meta/llama", "a;'=b"),
    ):
        done = called("export", "--format", "csv", *asked)
        (row,) = csv.DictReader(io.StringIO(done.stdout, newline=""))
        assert (row["model"], row["category"]) == (model, category)


@pytest.mark.parametrize("asked", [("--excel",), ("--excel", "--raw-csv")], ids=" ".join)
def test_csv_for_excel_begins_with_its_mark(
    called: Tokentail, tmp_path: Path, asked: tuple[str, ...]
) -> None:
    """Excel knows UTF-8 by it; without the option no program meets it."""
    made(tmp_path)
    for options, mark in ((asked, codecs.BOM_UTF8), ((), b"")):
        assert called("export", "--format", "csv", "-o", "e.csv", *options).returncode == 0
        assert (tmp_path / "e.csv").read_bytes().startswith(mark + b"run_id,")
    assert called("export", *asked).returncode == 2


# Parquet


def test_parquet_has_typed_columns(called: Tokentail, tmp_path: Path) -> None:
    """Times are UTC, truths are truths, paths are lists; what pyarrow reads is what NDJSON says."""
    made(tmp_path)
    assert called("export", "--format", "parquet", "-o", "e.parquet").returncode == 0
    table = pyarrow.parquet.read_table(tmp_path / "e.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert list(types) == KEYS
    assert types["timestamp"] == "timestamp[us, tz=UTC]"
    assert types["deliverables"].startswith("list<")
    assert (types["success"], types["deliverable_count"], types["waste_ratio"], types["model"]) == (
        "bool",
        "int64",
        "double",
        "string",
    )
    rows = table.to_pylist()
    for row in rows:
        row["timestamp"] = row["timestamp"].replace(tzinfo=None).isoformat()
    assert rows == objects(called)


def test_full_parquet_has_the_types_of_the_table(called: Tokentail, tmp_path: Path) -> None:
    """`--full` keeps names, types and values of the database's own columns."""
    made(tmp_path)
    assert called("export", "--full", "--format", "parquet", "-o", "e.parquet").returncode == 0
    table = pyarrow.parquet.read_table(tmp_path / "e.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["timestamp"], types["success"], types["confidence"]) == ("string", "int64", "double")
    assert table.to_pylist() == objects(called, "--full")


def test_parquet_can_be_piped(called: Tokentail, tmp_path: Path) -> None:
    """Standard output takes the same bytes as a file, in row groups of 10,000."""
    database = made(tmp_path)
    changed(database, _MANY, 25_000)
    with (tmp_path / "piped").open("wb") as piped:
        subprocess.run(
            _command("--format", "parquet"), cwd=tmp_path, stdout=piped, check=True, env=_environment()
        )
    assert called("export", "--format", "parquet", "-o", "named").returncode == 0
    assert (tmp_path / "piped").read_bytes() == (tmp_path / "named").read_bytes()
    file = pyarrow.parquet.ParquetFile(tmp_path / "named")
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == [10_000, 10_000, 5_004]


# OpenTelemetry


def test_otel_has_the_conventions_names(called: Tokentail, tmp_path: Path) -> None:
    """What OpenTelemetry has a name for has that name, the rest is ours, and the unknown is left out."""
    made(tmp_path)
    newest, _, bare, full = objects(called, "--format", "otel")
    key = full.pop("tokentail.event_key")
    assert full == {
        "timestamp": "2025-12-29T19:40:02Z",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "some-model-4",
        "gen_ai.request.max_tokens": 16384,
        "gen_ai.response.finish_reasons": ["end_turn"],
        "gen_ai.usage.input_tokens": 5056,
        "gen_ai.usage.output_tokens": 1157,
        "tokentail.run_id": "run-1",
        "tokentail.phase_id": "p1",
        "tokentail.category": "implementation",
        "tokentail.complexity": "low",
        "tokentail.deliverable_count": 1,
        "tokentail.deliverables": ["src/a.py"],
        "tokentail.predicted_output_tokens": 5200,
        "tokentail.selected_budget": 8192,
        "tokentail.success": True,
        "tokentail.truncated": False,
        "tokentail.smape_percent": 200 * (5200 - 1157) / (5200 + 1157),
        "tokentail.waste_ratio": 5200 / 1157,
        "tokentail.underestimated": False,
    }
    assert key.endswith(" p1")
    assert newest["timestamp"] == "2025-12-29T19:43:00.250000Z"
    assert "gen_ai.request.model" not in bare
    assert "tokentail.phase_id" not in bare
    assert None not in bare.values()


def test_otel_gives_no_total_as_output_tokens(called: Tokentail, tmp_path: Path) -> None:
    """A total of input and output has its own name, and no metric of an output."""
    made(tmp_path, [logged(fallback_message(selected_budget="None"))])
    (event,) = objects(called, "--format", "otel")
    assert event["tokentail.actual_total_tokens"] == 5200
    assert event.keys().isdisjoint(
        {
            "gen_ai.usage.output_tokens",
            "tokentail.smape_percent",
            "tokentail.waste_ratio",
            "tokentail.underestimated",
            "tokentail.selected_budget",
        }
    )
    assert "tokentail.actual_total_tokens" in called("export", "--format", "otel").stderr


def test_full_and_otel_are_not_asked_together(called: Tokentail, tmp_path: Path) -> None:
    """They name different things; the command says so and leaves with 2."""
    made(tmp_path)
    done = called("export", "--full", "--format", "otel")
    assert (done.returncode, done.stdout) == (2, "")
    assert "choose one" in done.stderr


# Untrusted text

HOSTILE = '=\x1b]0;owned\x07\x9b31m\u202e\u2028\x00,"\n漢'


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("full", [False, True], ids=["plain", "full"])
def test_hostile_text_is_carried_and_not_obeyed(
    called: Tokentail, tmp_path: Path, form: str, full: bool
) -> None:
    """Control characters, newlines and formulas come back as they were, one event a record."""
    if full and form == "otel":
        pytest.skip("refused, see above")
    database = made(tmp_path)
    changed(database, "UPDATE token_estimation_v2_events SET model = ?", HOSTILE)
    done = called("export", "--format", form, "-o", "out", *(["--full"] if full else []))
    assert done.returncode == 0, done.stderr
    data = (tmp_path / "out").read_bytes()
    if form == "parquet":
        found = pyarrow.parquet.read_table(tmp_path / "out")["model"].to_pylist()
    elif form == "csv":
        header, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
        found = [row[header.index("model")].removeprefix("'") for row in rows]
    else:
        name = "gen_ai.request.model" if form == "otel" else "model"
        found = [json.loads(line)[name] for line in data.split(b"\n")[:-1]]
    assert found == [HOSTILE] * 4


@pytest.mark.parametrize("form", FORMATS)
def test_half_a_character_is_an_escape(called: Tokentail, tmp_path: Path, form: str) -> None:
    """JSON can name a lone surrogate, UTF-8 can't hold one: it is written as its escape."""
    database = made(tmp_path, LINES[:4])
    changed(database, "UPDATE token_estimation_v2_events SET deliverables_json = ?", '["\\ud83d.py"]')
    done = called("export", "--format", form, "-o", "out")
    assert done.returncode == 0, done.stderr
    data = (tmp_path / "out").read_bytes()
    if form == "parquet":
        assert pyarrow.parquet.read_table(tmp_path / "out")["deliverables"].to_pylist() == [["\\ud83d.py"]]
    else:
        assert b"\\ud83d.py" in data
    if form in ("ndjson", "otel"):
        key = "deliverables" if form == "ndjson" else "tokentail.deliverables"
        assert json.loads(data)[key] == ["\ud83d.py"]


@pytest.mark.parametrize("form", FORMATS)
def test_text_that_is_no_text_does_not_end_an_export(called: Tokentail, tmp_path: Path, form: str) -> None:
    """Bytes that are no UTF-8 and paths that are no JSON, written past us, cost only themselves."""
    database = made(tmp_path, LINES[:4])
    changed(
        database,
        "UPDATE token_estimation_v2_events SET model = CAST(x'61ff62' AS TEXT), deliverables_json = '[oops'",
    )
    for extra in ([], ["--full"]) if form != "otel" else ([],):
        done = called("export", "--format", form, "-o", "out", *extra)
        assert done.returncode == 0
        assert done.stderr.startswith(f"wrote {form} to out: 1 event of 1 in telemetry.db; none left out\n")
    assert objects(called)[0]["model"] == "a\\xffb"
    assert objects(called)[0]["deliverables"] == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_terminal_is_shown_control_characters_and_no_parquet(tmp_path: Path) -> None:
    """What a terminal would obey is shown as an escape; binary data is refused with the way out."""
    database = made(tmp_path, LINES[:4])
    changed(database, "UPDATE token_estimation_v2_events SET model = ?", HOSTILE)
    for form in ("ndjson", "csv", "otel"):
        code, shown = _on_a_terminal(tmp_path, "--format", form)
        assert code == 0
        assert b"owned" in shown
        assert not {b"\x1b", b"\x07", "\x9b".encode(), "\u202e".encode()} & {
            character.encode() for character in shown.decode()
        }
    code, shown = _on_a_terminal(tmp_path, "--format", "parquet")
    assert code == 2
    assert b"name a file with --output" in shown


def _on_a_terminal(folder: Path, *arguments: str) -> tuple[int, bytes]:
    import pty  # noqa: PLC0415 - not on Windows

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        _command(*arguments), cwd=folder, env=_environment(), stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(ours)
    return process.wait(), shown


# Where it is written


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", "from ingest.cli import main; main()", "export", *arguments]


def _environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "TOKENTAIL_"))
    }
    return kept | {"PYTHONPATH": str(ROOT)}


_MANY = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)
INSERT INTO token_estimation_v2_events (run_id, phase_id, timestamp, deliverable_count, deliverables_json,
    predicted_output_tokens, actual_output_tokens, selected_budget, created_at, event_key, timestamp_text,
    actual_is_total, deliverables_complete, model, category)
SELECT 'run', 'phase', strftime('%Y-%m-%d %H:%M:%S.000000', 1700000000 + n * 7919 % 1000003, 'unixepoch'), 2,
    '["src/a.py", "src/b.py"]', n, n + 1, 8192, '2026-01-01 00:00:00.000000', 'key:' || n, 'then', 0, 1,
    'some-model-4', 'implementation'
FROM number
"""


def test_file_appears_when_it_is_whole(tokentail: Tokentail, tmp_path: Path) -> None:
    """An export that fails, or finds no database, leaves the file of the last one as it was."""
    out = tmp_path / "out.csv"
    out.write_text("the last one")
    out.chmod(0o640)
    assert tokentail("export", "--db", "typo.db", "-o", "out.csv").returncode == 1
    assert out.read_text() == "the last one"
    database = made(tmp_path)
    changed(database, "UPDATE token_estimation_v2_events SET timestamp = 'never' WHERE event_id = 1")
    assert tokentail("export", "--format", "parquet", "-o", "out.csv").returncode != 0
    assert out.read_text() == "the last one"
    assert tokentail("export", "--format", "csv", "-o", "out.csv").returncode == 0
    assert out.read_text().startswith("run_id,")
    assert sys.platform == "win32" or out.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize("form", FORMATS)
def test_standard_output_gets_what_a_file_gets(tmp_path: Path, called: Tokentail, form: str) -> None:
    """The same bytes, with the same line ends on every system, whether named `-` or not named at all."""
    made(tmp_path)
    assert called("export", "--format", form, "-o", "out").returncode == 0
    for arguments in (("--format", form), ("--format", form, "--output", "-")):
        done = subprocess.run(
            _command(*arguments), cwd=tmp_path, env=_environment(), capture_output=True, check=True
        )
        assert done.stdout == (tmp_path / "out").read_bytes()
        assert form == "parquet" or b"\r" not in done.stdout


def test_database_is_not_overwritten(called: Tokentail, tmp_path: Path) -> None:
    """A slip of the hand that names the database as the output is refused."""
    database = made(tmp_path)
    before = database.read_bytes()
    (tmp_path / "link.db").symlink_to(database)
    for name in ("telemetry.db", "./telemetry.db", "link.db", "telemetry.db-wal", tmp_path / "telemetry.db"):
        done = called("export", "-o", name)
        assert (done.returncode, done.stdout) == (2, "")
        assert "the database itself" in done.stderr
    assert database.read_bytes() == before


def test_place_that_can_not_be_written_is_named(called: Tokentail, tmp_path: Path) -> None:
    """A folder that isn't there can't be written to, which is said in one line."""
    made(tmp_path)
    done = called("export", "-o", "nowhere/out")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tokentail: nowhere/out: can't be written")


@pytest.mark.skipif(sys.platform == "win32", reason="no such device")
def test_device_is_written_and_not_replaced(called: Tokentail, tmp_path: Path) -> None:
    """A device or a pipe named as the output stays what it is."""
    made(tmp_path)
    assert called("export", "-o", "/dev/null").returncode == 0
    assert not Path("/dev/null").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
@pytest.mark.parametrize("form", FORMATS)
def test_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path, form: str) -> None:
    """`tokentail export | head -1` says nothing of the broken pipe."""
    database = made(tmp_path)
    changed(database, _MANY, 20_000)
    process = subprocess.Popen(
        _command("--format", form),
        cwd=tmp_path,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.read(3)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


# Memory

_MEASURED = """
import sys
from pathlib import Path
from ingest.cli import cli
import reports.commands.export, pyarrow.parquet
def peak(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
before = peak("VmRSS")
cli.main(["export", *sys.argv[1:]], standalone_mode=False)
print(peak("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measured as Linux counts")
@pytest.mark.parametrize("form", FORMATS)
def test_memory_does_not_grow_with_the_events(tmp_path: Path, form: str) -> None:
    """Four times the events take no more memory, but for what SQLite and Arrow hold at most."""
    database = made(tmp_path)
    grown = []
    for count in (10_000, 40_000):
        changed(database, "DELETE FROM token_estimation_v2_events")
        changed(database, _MANY, count)
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, "--format", form, "-o", "out"],
            cwd=tmp_path,
            env=_environment(),
            capture_output=True,
            check=True,
        )
        grown.append(int(done.stdout))
    few, many = grown
    assert many - few < 10_000, grown  # KB
    assert many < 80_000, grown
