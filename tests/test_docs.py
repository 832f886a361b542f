"""The documentation is true: commands, options, exit codes, files and outputs in it exist."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import pytest

from conftest import ROOT, Tokentail
from ingest.cli import COMMANDS, cli
from ingest.files.logfile import TAIL_BYTES
from ingest.memory import MAX_BATCH_BYTES, MAX_BATCH_RECORDS
from ingest.pipeline import GROUP_LOGS, GROUP_ROWS
from ingest.reading.checkpoint import HEAD_BYTES
from reference import DOCUMENT, EXIT_CODES, commands, exit_codes, reference

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples/README.md",
    *(ROOT / "docs").glob("*.md"),
]


def test_every_command_is_in_the_readme() -> None:
    """A person finds each command in the README."""
    for name in commands():
        assert f"`tokentail {name}" in README, name


def test_reference_is_what_the_program_says() -> None:
    """docs/cli.md has every command with its help as it is now; else `make reference` writes it anew."""
    assert DOCUMENT.read_text(encoding="utf-8").split() == reference().split()
    assert set(EXIT_CODES) == exit_codes()


def test_help_of_every_command_has_an_example() -> None:
    """A person sees in `--help` what to type."""
    for name, command in commands().items():
        examples = re.findall(rf"^ +.*\btokentail {name}\b(.*)", command.help or "", re.MULTILINE)
        assert examples, name
        has = {option for parameter in command.params for option in parameter.opts}
        used = {option for example in examples for option in re.findall(r"(?<![\w-])--[a-z-]+", example)}
        assert used <= has, (name, used - has)


@pytest.mark.parametrize("name", ["", *commands()])
def test_help_fits_a_screen_and_begins_with_an_example(called: Tokentail, name: str) -> None:
    """At 80 columns `--help` has at most 50 lines, and an example right after the first sentence."""
    lines = called(*name.split(), "--help", COLUMNS="80").stdout.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    paragraphs = "\n".join(lines).split("\n\n")
    assert "tokentail" in paragraphs[2]


def test_every_command_in_the_documents_exists() -> None:
    """What the documents tell people to type is a command with options that it has."""
    known = commands()
    for document in DOCUMENTS:
        for words in re.findall(
            r"(?:^    |[`/])tokentail ((?:[a-z]+ ?)+)([^`\n]*)", document.read_text("utf-8"), re.MULTILINE
        ):
            name = next((name for name in known if f"{words[0]}{words[1]}".startswith(name)), None)
            group = words[0].split()[0] in {name.split()[0] for name in known}
            assert name is not None or group, (document.name, words)
            options = re.findall(r"(?<![\w-])--[a-z-]+", re.split(r"\||&&| -- ", words[1])[0])
            if name is not None:
                has = {option for parameter in known[name].params for option in parameter.opts} | {"--help"}
                assert set(options) <= has, (document.name, words)


def pasted(command: str, text: str = README) -> str:
    """Return the output of a command as a document has it."""
    return text.partition(f"<!-- output: {command} -->\n```\n")[2].partition("```")[0]


def test_output_in_the_documents_is_what_the_examples_print(called: Tokentail, tmp_path: Path) -> None:
    """The pasted outputs of the first ingest and of the report are real; README has how that begins."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    done = called("ingest", "examples/logs", "--tz", "UTC")
    assert done.stdout == pasted("ingest", (ROOT / "docs/ingest.md").read_text(encoding="utf-8"))
    report = called("report").stdout
    assert report == pasted("report", (ROOT / "docs/reports.md").read_text(encoding="utf-8"))
    assert len(pasted("report").splitlines()) > 5
    assert report.startswith(pasted("report"))
    assert called("verify").returncode == 0
    imported = called("deliverables", "import", "examples/deliverables.ndjson")
    assert "0 phases without an event here" in imported.stdout


@pytest.mark.parametrize("number", range(3))
def test_each_query_in_the_readme_gives_rows(called: Tokentail, tmp_path: Path, number: int) -> None:
    """The three queries of the README run as they are and find something in the examples."""
    called("ingest", ROOT / "examples/logs", "--tz", "UTC")
    queries = re.findall(
        r'^    sqlite-utils telemetry.db "\n(.*?)" --table', README, re.MULTILINE | re.DOTALL
    )
    with sqlite3.connect(tmp_path / "telemetry.db") as connection:
        rows = connection.execute(queries[number]).fetchall()
    connection.close()
    assert rows


def keys_in(record: object) -> set[str]:
    """Return all keys of a record, and of those within it."""
    if isinstance(record, dict):
        return set(record).union(*map(keys_in, record.values()))
    return set[str]().union(*map(keys_in, record)) if isinstance(record, list) else set()


@pytest.mark.parametrize(
    "arguments",
    [
        "report --against 60d --until 2026-02-01",
        "coverage",
        "calibrate --cost-of-waste 1",
        "replay --predictions predictions.ndjson",
    ],
)
def test_keys_of_the_reports_are_those_of_the_document(
    called: Tokentail, tmp_path: Path, arguments: str
) -> None:
    """Whatever key a report's JSON has, docs/reports.md names it."""
    called("ingest", ROOT / "examples/logs", "--tz", "UTC")
    called("export", "--full", "-o", tmp_path / "predictions.ndjson")
    text = (ROOT / "docs/reports.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", text))
    begins = tuple(re.findall(r"`(\w+_)\*`", text))
    keys = keys_in(json.loads(called(*arguments.split(), "--json").stdout))
    assert len(keys) > 20
    assert {key for key in keys - named if not key.startswith(begins)} == set()


def test_files_named_in_the_documents_exist() -> None:
    """A file or folder that a document names by its path is there."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for name in re.findall(
            r"`((?:ingest|parsers|reports|faults|bench|tests|docs|examples)/[\w./-]+)`", text
        ):
            assert (ROOT / name).exists(), (document.name, name)
        for name in re.findall(r"`(?!src/)([\w./-]+\.py)`", text):
            assert (ROOT / name).is_file(), (document.name, name)
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (document.parent / link).exists(), (document.name, link)


def test_columns_named_in_the_documents_exist() -> None:
    """A column that a document names with its table is one of the schema's."""
    schema = (ROOT / "ingest/schema.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        columns = {
            f"{table}.{column}"
            for (table,) in tables
            for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", [table])
        }
    names = "|".join(table for (table,) in tables)
    for document in DOCUMENTS:
        for name in re.findall(rf"`((?:{names})\.\w+)", document.read_text(encoding="utf-8")):
            assert name in columns, (document.name, name)


def test_figures_of_identity_are_those_of_the_code() -> None:
    """What one transaction takes, and how many bytes identify a file, docs/identity.md says as it is."""
    text = (ROOT / "docs/identity.md").read_text(encoding="utf-8")
    for said in (
        f"of about {MAX_BATCH_RECORDS:,} rows or {MAX_BATCH_BYTES >> 20} MiB of log at most",
        f"up to {GROUP_LOGS} of them or {GROUP_ROWS:,} rows",
        f"hash of the first bytes, as many as there are up to {HEAD_BYTES:,}.",
        f"hash of the {TAIL_BYTES} bytes before the checkpoint",
    ):
        assert said in text


def test_make_targets_in_the_readme_exist() -> None:
    """Each `make` target that the README names is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^    |`)make ([a-z]+)", README + contributing, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_lazy_help_lines_are_those_of_the_commands() -> None:
    """The list of commands, written without importing them, says what each command's own help begins with."""
    for name, (_, line) in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert line[0].isupper()
        assert line.endswith(".")
        assert command.help
