"""Datasette shows a database of ours: its canned queries, facets, units and SQL functions, over HTTP."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest

from conftest import ROOT
from event_lines import event_message, logged
from reports import metrics

if importlib.util.find_spec("datasette") is None:
    pytest.skip("datasette is not installed", allow_module_level=True)
if "tokentail" not in {point.name for point in importlib.metadata.entry_points(group="datasette")}:
    pytest.skip("tokentail is not installed, so Datasette doesn't know its plugin", allow_module_level=True)

READY_SECONDS = 60
"""A start takes about one second; a machine that tests many things at once may need many."""

SCRIPT = "<script>alert(1)</script>"
FACETS = {"category", "complexity", "model", "phase_outcome", "success", "truncated"}
EVENTS = "token_estimation_v2_events"

# The rows are those of the examples and of one event more, whose category is SCRIPT.
QUERIES: dict[str, tuple[dict[str, str], int]] = {
    "worst_estimates": ({"min_tokens": "50", "count": "3"}, 3),
    "truncated_answers": ({"min_tokens": "16384"}, 1),
    "strata": ({"min_tokens": "50"}, 9),
    "events_of_a_run": ({"run_id": "ledger-export-v2"}, 7),
    "waste_by_day": ({"category": "implementation"}, 5),
    "paths_by_tokens": ({"count": "4"}, 4),
    "sightings_of_an_event": ({"event_id": "1"}, 2),
    "rejects_by_reason": ({"reason": "cut off"}, 1),
}


def tokentail(folder: Path, *arguments: str) -> None:
    """Run the program in a folder, as a process of its own."""
    program = [sys.executable, "-c", "from ingest.cli import main; main()"]
    place = {"PYTHONPATH": str(ROOT), "DATABASE_URL": "sqlite:///telemetry.db"}
    subprocess.run([*program, *arguments], cwd=folder, env=os.environ | place, check=True, timeout=120)


def documented() -> list[str]:
    """Return the arguments that docs/queries.md gives for the installed version of Datasette."""
    major = importlib.metadata.version("datasette").partition(".")[0]
    text = (ROOT / "docs/queries.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (\d+)\.\d+.*?`datasette (.*?)` \|$", text, re.MULTILINE)
    return shlex.split(dict(table)[major])


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run a Datasette on a port that is free and yield its address; it ends with the block in any case."""
    log = folder / "datasette.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "datasette",
                *documented(),
                "--setting",
                "sql_time_limit_ms",
                "30000",
                "-p",
                "0",
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        try:
            until = time.monotonic() + READY_SECONDS
            while not (found := re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text("utf-8"))):
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < until, log.read_text("utf-8")
                time.sleep(0.05)
            yield found[1]
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with datasette.yaml and a database of the examples and an event with markup in it."""
    made = tmp_path_factory.mktemp("datasette")
    shutil.copy(ROOT / "datasette.yaml", made)
    line = logged(event_message(category=SCRIPT, predicted_output=700, actual_output=600))
    (made / "markup.log").write_text(line + "\n", encoding="utf-8")
    tokentail(made, "ingest", str(ROOT / "examples/logs"), "markup.log", "--tz", "UTC", "--quiet")
    return made


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Return the address of a Datasette that serves the folder's database."""
    with served(folder) as found:
        yield f"{found}/telemetry"


def fetched(url: str, **parameters: str) -> str:
    """Return what is at an address, asked without a proxy."""
    with build_opener(ProxyHandler({})).open(f"{url}?{urlencode(parameters)}", timeout=30) as answer:
        return str(answer.read().decode())


def rows(url: str, **parameters: str) -> list[dict[str, Any]]:
    """Return the rows of a query, as objects."""
    found = json.loads(fetched(f"{url}.json", **parameters, _shape="array"))
    assert isinstance(found, list), found
    return found


def configured() -> dict[str, Any]:
    """Return what datasette.yaml says of the database."""
    yaml = pytest.importorskip("yaml")
    return dict(yaml.safe_load((ROOT / "datasette.yaml").read_text("utf-8"))["databases"]["telemetry"])


def test_every_canned_query_is_tried_here() -> None:
    """No query of datasette.yaml is without a test, and each converts its parameters to a type."""
    queries = configured()["queries"]
    assert set(queries) == set(QUERIES)
    for name, query in queries.items():
        assert set(re.findall(r":(\w+)", query["sql"])) == set(QUERIES[name][0]), name
        assert all(f"cast(:{parameter} as " in query["sql"] for parameter in QUERIES[name][0]), name


@pytest.mark.parametrize("name", QUERIES)
def test_canned_query_gives_its_rows(address: str, name: str) -> None:
    """A canned query with parameters gives the rows that the examples have for it, as JSON and as a page."""
    parameters, count = QUERIES[name]
    found = rows(f"{address}/{name}", **parameters)
    assert len(found) == count
    page = fetched(f"{address}/{name}", **parameters)
    assert all(f">{column}<" in page for column in found[0])


@pytest.mark.parametrize("name", sorted(set(QUERIES) - {"events_of_a_run", "sightings_of_an_event"}))
def test_canned_query_without_parameters_gives_rows(address: str, name: str) -> None:
    """A form that is left empty shows something, where not one run or one event has to be named."""
    assert rows(f"{address}/{name}")


def test_text_where_a_number_belongs_does_no_harm(address: str) -> None:
    """A parameter that is no number is no error, and is never SQL."""
    assert len(rows(f"{address}/strata", min_tokens="1; drop table log_sources")) == 9
    assert rows(f"{address}/sightings_of_an_event", event_id="1 or 1=1") == rows(
        f"{address}/sightings_of_an_event", event_id="1"
    )
    assert rows(f"{address}/events_of_a_run", run_id="' or ''='") == []


def test_strata_have_the_medians_of_the_reports(address: str, folder: Path) -> None:
    """The query's medians and percentiles are `reports.metrics` over the same rows."""
    with closing(sqlite3.connect(folder / "telemetry.db")) as connection:
        query = f"SELECT smape_percent FROM {EVENTS} WHERE category = ? AND complexity = ?"
        numbers = [value for (value,) in connection.execute(query, ["implementation", "low"])]
    found = rows(f"{address}/strata", min_tokens="50")[0]
    assert (found["category"], found["complexity"]) == ("implementation", "low")
    assert found["events"] == len(numbers) == 8
    assert found["median_smape_percent"] == pytest.approx(metrics.median(numbers), abs=0.05)
    assert found["p90_smape_percent"] == pytest.approx(metrics.percentile(numbers, 90), abs=0.05)


def test_functions_work_in_any_query(address: str) -> None:
    """What a person types may use our functions, as aggregates and over windows."""
    query = f"""
        select median(actual_output_tokens) as middle, percentile(actual_output_tokens, 100) as most,
            smape(100, 300) as smape, waste_ratio(1, 2) as waste,
            count(*) filter (where m > 0) as events
        from (select *, median(smape_percent) over () as m from {EVENTS})
    """
    (found,) = rows(address, sql=query)
    assert found == {"middle": 3122, "most": 17911, "smape": 100.0, "waste": 0.5, "events": 27}


def test_wrong_use_of_a_function_is_the_askers_error(address: str) -> None:
    """A median of text is refused as a bad query (400), and the server goes on."""
    with pytest.raises(HTTPError) as refused:
        rows(address, sql="select median('a')")
    with refused.value:
        assert refused.value.code == 400
        assert "raised error" in refused.value.read().decode()
    assert rows(address, sql="select median(1) as one") == [{"one": 1}]


def test_facets_of_the_events_are_shown(address: str) -> None:
    """The table of events comes with the facets that datasette.yaml names, and with counts that are right."""
    found = json.loads(fetched(f"{address}/{EVENTS}.json", _size="0", _extra="facet_results"))[
        "facet_results"
    ]
    facets = found.get("results", found)
    assert set(facets) == FACETS == set(configured()["tables"][EVENTS]["facets"])
    assert {facet["value"]: facet["count"] for facet in facets["truncated"]["results"]} == {0: 25, 1: 1}


def test_columns_have_their_units_and_the_newest_event_is_first(address: str, folder: Path) -> None:
    """The page of the events says what its numbers are, and begins with the last event."""
    page = fetched(f"{address}/{EVENTS}")
    assert "percent from 0 to 200" in page
    with closing(sqlite3.connect(folder / "telemetry.db")) as connection:
        ((newest, oldest),) = connection.execute(f"SELECT max(timestamp), min(timestamp) FROM {EVENTS}")
    assert page.index(newest) < page.index(oldest)


def test_markup_from_a_log_is_text(address: str) -> None:
    """A category that is a script is shown, never run: in a table, a row, a facet and a query."""
    (event,) = rows(address, sql=f"select event_id from {EVENTS} where category like '%script%'")
    for path in (EVENTS, f"{EVENTS}/{event['event_id']}", "strata", "v_token_estimation_clean"):
        page = fetched(f"{address}/{path}")
        assert SCRIPT not in page, path
        assert "&lt;script&gt;alert(1)" in page, path


def test_what_is_configured_exists(folder: Path) -> None:
    """Every table, column and facet that datasette.yaml names is in the database."""
    with closing(sqlite3.connect(folder / "telemetry.db")) as connection:
        for name, table in configured()["tables"].items():
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            named = {*table.get("columns", ()), *table.get("facets", ())}
            named |= {table[key] for key in ("sort_desc", "label_column") if key in table}
            assert columns, name
            assert named <= columns, name


def test_rows_of_an_ingest_are_seen_while_it_goes_on(folder: Path, tmp_path: Path) -> None:
    """In WAL mode a server sees what is committed, while it is still in the file beside the database."""
    for name in ("telemetry.db", "datasette.yaml"):
        shutil.copy(folder / name, tmp_path)
    (tmp_path / "late.log").write_text(logged(event_message(category="late")) + "\n", encoding="utf-8")
    query = f"select count(*) as events from {EVENTS} where category = 'late'"
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as other, served(tmp_path) as address:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert rows(f"{address}/telemetry", sql=query) == [{"events": 0}]
        tokentail(tmp_path, "ingest", "late.log", "--quiet")
        assert (tmp_path / "telemetry.db-wal").stat().st_size
        assert rows(f"{address}/telemetry", sql=query) == [{"events": 1}]
