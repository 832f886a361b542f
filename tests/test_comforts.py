"""Small comforts: quiet everywhere, suggestions, forms chosen by file names, progress, an extra's command."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from conftest import EXAMPLES, ROOT, Tokentail
from event_lines import event_message, logged
from ingest import extras
from ingest.commands import progress
from ingest.commands.progress import progress_line
from test_docs import commands

# Quiet


def test_every_command_can_be_quiet() -> None:
    """`-q` is an option of each command, once."""
    for name, command in commands().items():
        assert [param.name for param in command.params].count("quiet") == 1, name


@pytest.mark.parametrize(
    "words",
    [
        "report",
        "coverage",
        "status",
        "events",
        "events 1",
        "rejects",
        "sources",
        "verify",
        "backup copy.db",
        "export -o out.ndjson",
        "prune --older-than 2020-01-01",
        "sources forget 1 --dry-run",
        "explain run.log:1",
        "ingest run.log",
        "ingest --dry-run run.log",
    ],
)
def test_quiet_prints_nothing_when_all_is_well(called: Tokentail, tmp_path: Path, words: str) -> None:
    """With -q a command that does what it is asked prints nothing at all."""
    (tmp_path / "run.log").write_text(logged(event_message()) + "\n", encoding="utf-8")
    called("ingest", "run.log", "--tz", "UTC")
    assert called(*words.split()).stdout or words.startswith("export")
    (tmp_path / "copy.db").unlink(missing_ok=True)
    done = called(*words.split(), "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_quiet_says_trouble_and_gives_json(called: Tokentail) -> None:
    """Trouble is printed all the same, and JSON that is asked for."""
    assert "no such database" in called("report", "-q").stderr
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    assert json.loads(called("report", "-q", "--json").stdout)["population"]


# Suggestions


@pytest.mark.parametrize(
    ("typed", "meant"), [("ingset", "ingest"), ("raport", "report"), ("event", "events")]
)
def test_misspelt_commands_get_a_suggestion(called: Tokentail, typed: str, meant: str) -> None:
    """A mistyped command is answered with the one that may be meant."""
    done = called(typed)
    assert done.returncode == 2
    assert f"'{meant}'" in done.stderr


@pytest.mark.parametrize("typed", [("--db", "x.db"), ("-v",)], ids="".join)
def test_an_option_before_its_command_is_told_its_place(called: Tokentail, typed: tuple[str, ...]) -> None:
    """The bare program has no options of its commands; the error shows where they stand."""
    done = called(*typed)
    assert done.returncode == 2
    assert f"No such option: {typed[0]}. " in done.stderr
    assert "stand behind it, as in `tokentail report --db OTHER.db`" in done.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Australia/Sidney", "Australia/Sydney"),
        ("sydney", "Australia/Sydney"),
        ("america/new york", "America/New_York"),
        ("Belrin", "Europe/Berlin"),
    ],
)
def test_misspelt_zones_get_a_suggestion(called: Tokentail, typed: str, meant: str) -> None:
    """A zone that is misspelt, or named by its city alone, is answered with its right name."""
    done = called("ingest", "x", "--tz", typed)
    assert done.returncode == 2
    assert f"did you mean {meant}?" in done.stderr


def test_what_is_like_no_zone_gets_none(called: Tokentail) -> None:
    """Nothing is suggested where nothing is near."""
    assert "did you mean" not in called("ingest", "x", "--tz", "qqqqqq").stderr


# Forms chosen by file names


@pytest.mark.parametrize(
    ("name", "begins"),
    [("x.csv", b"run_id,"), ("x.parquet", b"PAR1"), ("X.PARQUET", b"PAR1"), ("x.ndjson", b"{"), ("x", b"{")],
)
def test_an_export_takes_its_form_from_the_name(
    called: Tokentail, tmp_path: Path, name: str, begins: bytes
) -> None:
    """The ending says what is written, unless --format does."""
    if begins == b"PAR1":
        pytest.importorskip("pyarrow")
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    assert called("export", "-o", name).returncode == 0
    assert (tmp_path / name).read_bytes().startswith(begins)
    called("export", "-o", "other.csv", "--format", "ndjson")
    assert (tmp_path / "other.csv").read_bytes().startswith(b"{")


# An estimator in a file


def test_an_estimator_is_named_by_its_file(called: Tokentail, tmp_path: Path) -> None:
    """`est.py:Mine` is found from the current folder, with the modules beside it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/beside_est.py").write_text("TOKENS = 1234\n", encoding="utf-8")
    (tmp_path / "code/est.py").write_text(
        "from types import SimpleNamespace\nimport beside_est\n\n\nclass Mine:\n"
        "    def estimate(self, deliverables, category, complexity):\n"
        "        return SimpleNamespace(estimated_tokens=beside_est.TOKENS)\n",
        encoding="utf-8",
    )
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    done = called("replay", "--estimator", "code/est.py:Mine", "--json")
    assert done.returncode == 0, done.stderr
    assert {row["new_prediction"] for row in json.loads(done.stdout)["rows"]} == {1234}
    misspelt = called("replay", "--estimator", "code/est.py:Mein")
    assert (misspelt.returncode, "did you mean Mine?" in misspelt.stderr) == (1, True)
    assert "PYTHONPATH" not in misspelt.stderr
    gone = called("replay", "--estimator", "gone.py:Mine")
    assert (gone.returncode, "there is no file gone.py" in gone.stderr) == (2, True)
    (tmp_path / "other.py").write_text("class Mine:\n    def estimate(self, files):\n        return 1\n")
    misshapen = called("replay", "--estimator", "other.py:Mine")
    assert "its estimate(deliverables=[...], category=..., complexity=...) returns" in misshapen.stderr
    missing = called("replay", "--estimator", "no_such_module:Mine")
    assert "name its file: path/to/no_such_module.py:Class" in missing.stderr


# Progress


def test_progress_says_bytes_rate_and_time_left() -> None:
    """What is done of what there is, how fast that goes, and how long the rest takes at that rate."""
    line = progress_line("read", 250_000_000, 1_000_000_000, 50_000_000)
    assert line == "read 250.0 MB of 1.0 GB (25%), 50.0 MB/s, 15 s left"
    assert progress_line("read", 7, 5, 0) == "read 7 bytes of 7 bytes (100%)"


@pytest.mark.parametrize("command", ["ingest", "backfill", "verify"])
def test_progress_is_shown_within_one_large_log(
    called: Tokentail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """On a terminal, and not before the second second, it is said how far a log is; then the line goes."""
    log = tmp_path / "run.log"
    log.write_text("".join(logged(event_message(predicted_output=n)) + "\n" for n in range(1500)), "utf-8")
    if command == "verify":
        called("ingest", log)
    monkeypatch.setattr("ingest.memory.MAX_BATCH_RECORDS", 250)
    assert called(command, log).stderr == ""  # no terminal
    (tmp_path / "telemetry.db").unlink() if command != "verify" else None
    with monkeypatch.context() as patch:
        patch.setattr(type(sys.stderr), "isatty", lambda _: True)
        patch.setattr(progress, "FIRST_SECONDS", 3600)
        assert called(command, log).stderr == ""  # over before that
        (tmp_path / "telemetry.db").unlink() if command != "verify" else None
        patch.setattr(progress, "FIRST_SECONDS", 0)
        patch.setattr(progress, "EVERY_SECONDS", 0)
        shown = called(command, log).stderr
    said = [line.strip() for line in shown.split("\r") if line.strip()]
    shares = [int(line.partition("(")[2].partition("%")[0]) for line in said]
    assert shares[0] < 100
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert shown.endswith("\r")
    assert said[0].startswith("verified" if command == "verify" else "read")


# The command for an extra


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/home/me/.local/share/pipx/venvs/tokentail", "pipx inject tokentail 'altair>=5.5'"),
        ("/home/me/.local/share/uv/tools/tokentail", "uv pip install --python /e/python 'altair>=5.5'"),
        ("/home/me/env", "/e/python -m pip install 'altair>=5.5'"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="paths of other systems")
def test_a_missing_extra_is_named_with_the_command_for_this_installation(
    monkeypatch: pytest.MonkeyPatch, prefix: str, command: str
) -> None:
    """pipx, uv and an environment each have their own way, with the versions that are asked for."""
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(sys, "executable", "/e/python")
    monkeypatch.setattr(extras, "find_spec", lambda _: object())
    assert extras.extra_command("charts").startswith(command)
    assert "'vl-convert-python>=1.7'" in extras.extra_command("charts")
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    if "pipx" not in prefix:
        assert extras.extra_command("charts").startswith("uv pip install --python /e/python")


def test_every_extra_of_a_command_has_its_packages() -> None:
    """What the README lists as extras is known with its packages."""
    for extra in ("charts", "parquet", "fast", "distributed", "remote"):
        assert f"[{extra}]" not in extras.extra_command(extra)


def test_extra_of_a_checkout_is_installed_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody installed this program its name means nothing to pip, or another program."""

    def nobody_installed(_: str) -> list[str]:
        raise PackageNotFoundError

    monkeypatch.setattr(extras, "requires", nobody_installed)
    assert f"{ROOT}[charts]" in extras.extra_command("charts")
