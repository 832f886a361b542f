"""Output in whatever encoding a terminal or a pipe has: what it can't say is an escape; JSON is ASCII."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from event_lines import anchor_message, event_message, logged
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions

NAMES = "größer \N{CJK UNIFIED IDEOGRAPH-4E2D} \N{GRINNING FACE}"
COMMANDS = (
    *(("report", "--by", "category,model"), ("coverage",), ("calibrate",), ("rejects",), ("sources",)),
    *(("status",), ("ingest", "größer.log")),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database, in which nearly every name is beyond ASCII."""
    made = tmp_path_factory.mktemp("made")
    lines = [logged(message) for message in (anchor_message("p"), event_message(category=NAMES, model=NAMES))]
    lines.append(logged(f"[TokenEstimationV2] predicted_output={NAMES}"))
    (made / "größer.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    ingest([str(made / "größer.log")], made / "t.db", IngestOptions("ingest", zone_named("UTC")))
    return made


def run(folder: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program where the streams have another encoding."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))
    }
    return subprocess.run(
        [sys.executable, "-c", "from ingest.cli import main; main()", *command],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "DATABASE_URL": "sqlite:///t.db", **environment},
        capture_output=True,
        check=False,
    )


C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_tables_are_written_in_ascii(folder: Path, command: tuple[str, ...]) -> None:
    """Where the locale is C, each name is shown by its escapes, and nothing is a traceback."""
    done = run(folder, C, *command)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert (done.stdout + done.stderr).isascii()


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp437", "ascii"])
def test_what_an_encoding_can_say_it_says(folder: Path, encoding: str) -> None:
    """Of a name what can be said stands as it is, the rest as escapes."""
    done = run(folder, {"PYTHONIOENCODING": encoding}, "report", "--by", "category")
    assert done.returncode == 0, done.stderr
    assert NAMES.encode(encoding, "backslashreplace") in done.stdout


@pytest.mark.parametrize(
    "command", [("report",), ("sources",), ("status",), ("rejects",)], ids=lambda command: command[0]
)
def test_json_is_ascii_and_says_the_same_everywhere(folder: Path, command: tuple[str, ...]) -> None:
    """Any program reads it, whatever the streams' encoding is."""
    outputs = [
        run(folder, environment, *command, "--json")
        for environment in ({"PYTHONUTF8": "1"}, {"PYTHONIOENCODING": "cp1252"}, C)
    ]
    for done in outputs:
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
        json.loads(done.stdout)
    if command[0] != "status":  # which shows ages
        assert len({done.stdout for done in outputs}) == 1
