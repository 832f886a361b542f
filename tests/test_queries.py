"""The cookbook is true: each command of docs/queries.md runs as it stands there, and finds something."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import ROOT

DOCUMENT = (ROOT / "docs/queries.md").read_text(encoding="utf-8")
OUR_FUNCTIONS = re.compile(r"\b(median|percentile|smape|waste_ratio)\(")
MAY_BE_EMPTY = "<!-- may be empty -->"


class Command(NamedTuple):
    """A command of the document, with the sentence before it and the output pasted after it."""

    sentence: str
    may_be_empty: bool
    line: str
    output: str | None


def commands(program: str) -> list[Command]:
    """Return the commands that call a program, in their order."""
    found = []
    for match in re.finditer(rf"^    {program} .*(?:\n      .*)*", DOCUMENT, re.MULTILINE):
        before = DOCUMENT[: match.start()].rstrip()
        sentence = (
            re.sub(r"(\n    .*)+$", "", before.removesuffix(MAY_BE_EMPTY).rstrip())
            .rstrip()
            .rpartition("\n")[2]
        )
        pasted = re.match(r"\n\n<!-- output -->\n```\n(.*?)```", DOCUMENT[match.end() :], re.DOTALL)
        line = re.sub("^    ", "", match[0], flags=re.MULTILINE)
        found.append(Command(sentence, before.endswith(MAY_BE_EMPTY), line, pasted and pasted[1]))
    return found


QUERIES = commands("sqlite-utils")
PASTED = [query for query in QUERIES if query.output is not None]
RECIPES = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


def ran(words: list[str], folder: Path, stdin: str = "") -> str:
    """Run a program in a folder, with the programs of this environment first, and return what it prints."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "TOKENTAIL_"))
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if words[0] == "tokentail":
        words = [sys.executable, "-c", "from ingest.cli import main; main()", *words[1:]]
    done = subprocess.run(
        [shutil.which(words[0], path=path) or words[0], *words[1:]],
        cwd=folder,
        env=kept | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        input=stdin.encode(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the document's own `tokentail` commands have been run, in their order."""
    made = tmp_path_factory.mktemp("cookbook")
    shutil.copytree(ROOT / "examples", made / "examples")
    for command in commands("tokentail"):
        ran(shlex.split(command.line), made)
    return made


# The program sqlite-utils, many times in one process: a start takes longer than a query.
SQLITE_UTILS = """
import json, sys
from click.testing import CliRunner
from sqlite_utils.cli import cli
done = [CliRunner().invoke(cli, words) for words in json.load(sys.stdin)]
print(json.dumps([[one.exit_code, one.output] for one in done]))
"""


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the exit code of each query, and what it prints."""
    words = json.dumps([shlex.split(query.line)[1:] for query in QUERIES])
    done = json.loads(ran([sys.executable, "-c", SQLITE_UTILS], folder, words))
    return {query.line: (code, output) for query, (code, output) in zip(QUERIES, done, strict=True)}


def skip_without_plugin(query: str) -> None:
    """Skip the test if the query needs our functions and tokentail is not installed here."""
    installed = {point.name for point in importlib.metadata.entry_points(group="sqlite_utils")}
    if OUR_FUNCTIONS.search(query) and "tokentail" not in installed:
        pytest.skip("tokentail is not installed, so sqlite-utils doesn't know its functions")


@pytest.mark.parametrize("query", QUERIES, ids=[query.sentence[:50] for query in QUERIES])
def test_each_query_of_the_cookbook_gives_rows(printed: dict[str, tuple[int, str]], query: Command) -> None:
    """A query runs as it is written, and gives a row unless it may have none."""
    skip_without_plugin(query.line)
    code, output = printed[query.line]
    lines = output.splitlines()
    assert code == 0, output
    assert len(lines) >= 3 or query.may_be_empty


@pytest.mark.parametrize("query", PASTED, ids=[query.sentence[:50] for query in PASTED])
def test_pasted_output_is_what_the_program_prints(folder: Path, query: Command) -> None:
    """Output in the document is real: the installed sqlite-utils prints it."""
    skip_without_plugin(query.line)
    lines = ran(shlex.split(query.line), folder).splitlines()
    assert [line.rstrip() for line in lines] == (query.output or "").splitlines()


def test_functions_come_with_the_installed_program(folder: Path) -> None:
    """The program sqlite-utils knows our functions, without an option, once tokentail is installed."""
    query = next(query for query in QUERIES if "smape(" in query.line)
    skip_without_plugin(query.line)
    assert ran(shlex.split(query.line), folder).split()[-2:] == ["26.9", "32.4"]


def test_each_query_is_introduced_and_means_the_same_in_every_shell() -> None:
    """A sentence leads to each query, which holds nothing that sh or PowerShell would change."""
    assert 15 <= len(QUERIES) <= 30
    for query in QUERIES:
        assert query.sentence.endswith((":", ".")), query.line
        assert query.sentence[0].isupper(), query.sentence
        assert query.line.count('"') == 2, query.line
        assert not set("$`\\!") & set(query.line), query.line


def test_copies_are_the_events_with_several_sightings(printed: dict[str, tuple[int, str]]) -> None:
    """The query about copies names the three events that the samples repeat, and no others."""
    (query,) = (query for query in QUERIES if "seen more than once" in query.sentence)
    events = [line.split()[:3] for line in printed[query.line][1].splitlines()[2:]]
    assert events == [
        ["1", "lex-p1-csv-writer", "2"],
        ["3", "lex-p3-tax-tables", "2"],
        ["5", "lex-p4-report-cli", "2"],
    ]


@pytest.mark.parametrize(
    ("library", "shown"),
    [("pandas", r"implementation +15\.0 "), ("duckdb", r"northwind-coder-2-mini +│ +4 │")],
    ids=["pandas", "duckdb"],
)
def test_recipes_for_notebooks_run(folder: Path, library: str, shown: str) -> None:
    """Three lines give numbers by pandas and by DuckDB, without a network."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    (recipe,) = (recipe for recipe in RECIPES if library in recipe)
    assert len([line for line in recipe.splitlines() if line]) == 3
    assert re.search(shown, ran([sys.executable, "-c", recipe], folder))


@pytest.mark.parametrize(
    ("library", "count"),
    [
        ("pandas", "len(pandas.read_parquet('events.parquet'))"),
        ("duckdb", "len(duckdb.read_parquet('events.parquet'))"),
    ],
    ids=["pandas", "duckdb"],
)
def test_export_as_parquet_is_read_by_both(folder: Path, library: str, count: str) -> None:
    """The Parquet export that the document recommends has every event for pandas and for DuckDB."""
    if any(importlib.util.find_spec(name) is None for name in ("pyarrow", library)):
        pytest.skip(f"pyarrow or {library} is not installed")
    (command,) = re.findall(r"`(tokentail export [^`]*parquet)`", DOCUMENT)
    ran(shlex.split(command), folder)
    assert ran([sys.executable, "-c", f"import {library}; print({count})"], folder) == f"26{os.linesep}"
