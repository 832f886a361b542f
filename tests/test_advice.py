"""Commands that messages advise act, as they are printed, on the database of the command that prints them."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from commandline.output import _advising, forget_database, name_database
from conftest import ROOT, Tokentail
from event_lines import event_message, logged
from ingest.cli import cli

FILES = [file for name in ("commandline", "ingest", "reports") for file in (ROOT / name).rglob("*.py")]

_ADVISED = re.compile(r"`(tokentail [a-z-][^`]*)`")
_ELSEWHERE = ("tokentail init", "tokentail upgrade", "tokentail --help")
"""Commands that act on no database, or on one that is their argument."""


def _sentences(tree: ast.Module) -> Iterator[str]:
    """Yield each text that is no docstring, with X for what stands there when it is printed."""
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
            skipped |= {id(part) for part in node.values}
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


ADVISED = sorted(
    {
        command
        for file in FILES
        for text in _sentences(ast.parse(file.read_text("utf-8")))
        for command in _ADVISED.findall(text)
    }
)


@pytest.fixture
def _named() -> Iterator[None]:
    """Let the database have been named with --db."""
    name_database({"--db": "a b.db"})
    yield
    forget_database()


def _database_of(words: list[str]) -> object:
    """Return the database that a command acts on, as Click reads it."""
    command, context = cli, click.Context(cli, **cli.context_settings)
    while isinstance(command, click.Group) and words[0] in command.list_commands(context):
        command = command.get_command(context, words.pop(0))
    return command.make_context("tokentail", words, context, resilient_parsing=True).params["db"]


@pytest.mark.usefixtures("_named")
@pytest.mark.parametrize("command", [*ADVISED, "tokentail backfill --prefix '`a' 'b `tokentail rejects` c'"])
def test_every_advised_command_names_the_database_that_was_named(command: str) -> None:
    """It is there, takes --db, and gets it once, quoted; one that names another database keeps that."""
    shown = _advising(f"do `{command}`, or not")
    if command.startswith(_ELSEWHERE):
        assert shown == f"do `{command}`, or not"
        return
    words = shlex.split(shown.removeprefix("do `").removesuffix("`, or not"))
    assert words.count("--db") == 1
    expected = "OTHER.db" if "OTHER.db" in command else "a b.db"
    assert _database_of(words[1:]) == expected


def test_there_is_advice_to_look_at() -> None:
    """The test above sees what it is meant to see."""
    assert {"tokentail sources forget X", "tokentail backfill --full --tz ZONE", "tokentail rejects"} <= set(
        ADVISED
    )
    assert len(ADVISED) > 30


def test_advice_of_an_ingest_is_typed_as_it_is_printed(called: Tokentail, tmp_path: Path) -> None:
    """In text and JSON, from this process and from workers, though settings name another database."""
    (tmp_path / "tokentail.toml").write_text('database = "main.db"\n')
    for number in (1, 2):
        lines = [f"worker-{number}> {event_message(predicted_output=index + 1)}" for index in range(5)]
        (tmp_path / f"{number}.log").write_text("\n".join([*lines, logged("[TokenEstimationV2] odd")]) + "\n")
    done = called("ingest", "1.log", "2.log", "--db", "a 2.db", "--tz", "UTC")
    advised = _ADVISED.findall(done.stdout + done.stderr)
    assert advised
    assert all(_database_of(shlex.split(command)[1:]) == "a 2.db" for command in advised)
    record = json.loads(called("verify", "--db", "a 2.db", "--json").stdout)
    noted = _ADVISED.findall(" ".join(record["notes"]))
    assert noted
    assert all("--db 'a 2.db'" in command for command in noted)


def test_advice_names_settings_that_were_named_and_nothing_by_default(
    called: Tokentail, tmp_path: Path
) -> None:
    """Those of a folder, and of the environment, are there for the next command too."""
    (tmp_path / "run.log").write_text(logged("[TokenEstimationV2] odd") + "\n")
    (tmp_path / "other.toml").write_text('database = "main.db"\n')
    named = called("ingest", "run.log", "--tz", "UTC", "--config", "other.toml")
    assert "`tokentail rejects --config other.toml`" in named.stdout
    again = called("backfill", "--full", "run.log", "--tz", "UTC", TOKENTAIL_CONFIG="other.toml")
    assert "`tokentail rejects`" in again.stdout


def test_advice_of_a_group_and_of_an_upgrade_names_their_database(called: Tokentail, tmp_path: Path) -> None:
    """Where `--db` stands before `forget`, and where the database is no option."""
    (tmp_path / "run.log").write_text(logged(event_message()) + "\n")
    called("ingest", "run.log", "--tz", "UTC", "--db", "a.db")
    assert "`tokentail sources --db a.db`" in called("sources", "--db", "a.db", "forget", "9").stderr
    (tmp_path / "b.db").touch()
    assert "`tokentail ingest LOGS --db b.db`" in called("upgrade", "b.db").stderr


def test_text_of_a_log_is_shown_as_it_is(called: Tokentail, tmp_path: Path) -> None:
    """What looks like advice in a reject is none."""
    odd = "[TokenEstimationV2] `tokentail rejects` odd"
    (tmp_path / "run.log").write_text(logged(odd) + "\n")
    called("ingest", "run.log", "--tz", "UTC", "--db", "a.db")
    assert odd in called("rejects", "--db", "a.db").stdout
    assert odd in json.loads(called("rejects", "--db", "a.db", "--json").stdout)["rejects"][0]["line"]


def test_upgrade_of_two_databases_is_wrong_use(called: Tokentail) -> None:
    """One of them would be left out without a word."""
    refused = called("upgrade", "m1.db", "--db", "m2.db")
    assert refused.returncode == 2
    assert "m1.db or m2.db" in refused.stderr


def test_path_as_database_url_is_shown_as_address(called: Tokentail) -> None:
    """A path of a file is what most mean who write one."""
    refused = called("status", DATABASE_URL="/data/t.db")
    assert refused.returncode == 2
    assert "write sqlite:////data/t.db" in refused.stderr
