"""Most runs find nothing new: they open no log, and miss nothing. One that finds little has a short way."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import ROOT, Tokentail
from event_lines import event_message, logged
from ingest.files.listing import GLOBS, Listing, name_test
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary

PROGRAM = """
import sys
opened = []
def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".log"):
        opened.append(str(arguments[0]))
sys.addaudithook(watch)
from ingest.cli import main
try:
    main()
except SystemExit as end:
    print(end.code, *opened, sep="\\n")
"""

MOST_MODULES = 68
"""How many modules three lines may enter on their way to a row. Whoever must raise it says here why.

It was 60. Lines that are not what they seem brought pieces, escapes, torn lines, templates and unread
lines, a module each that every line passes; progress within one log, what every command has, and the look
for bookkeeping that was edited by hand brought one each; the question which source a file is has two now, the
answer and what it asks of files. All statements that write are in one module.
"""

ENTERED = """
import sys, threading
entered = set()
def note(frame, event, _):
    code = frame.f_code
    if event == "call" and not code.co_name.startswith("<"):  # a function, or the body of a class
        entered.add(f"{code.co_filename}:{code.co_firstlineno}")
threading.setprofile(note)
sys.setprofile(note)
try:
    from ingest.cli import main
    main()
finally:
    sys.setprofile(None)
    print(*entered, sep="\\n")
"""


def run(folder: Path, *arguments: str) -> tuple[str, list[str]]:
    """Run the program in a folder; return its exit code, and the logs it opened."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TZ": "UTC"},
        capture_output=True,
        check=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    code = lines.index("0")
    return lines[code], lines[code + 1 :]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Make a folder of logs that were written long ago, and read them."""
    (tmp_path / "logs" / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.log", "b.log", "deep/c.log")):
        log = tmp_path / "logs" / name
        log.write_text(logged(event_message(predicted_output=number + 1)) + "\n")
        os.utime(log, (1_000_000, 1_000_000))
    read(tmp_path / "logs")
    return tmp_path / "logs"


def read(*paths: Path | str, tz: str = "UTC", asked: bool = False, finished: bool = False) -> Summary:
    """Ingest paths into the database beside the first one."""
    options = IngestOptions("ingest", zone_named(tz), zone_asked=asked, finished=finished)
    return ingest([str(path) for path in paths], Path(paths[0]).parent / "telemetry.db", options)


@pytest.mark.parametrize(
    "arguments",
    [["ingest", "logs"], ["ingest", "logs/a.log", "--tz", "UTC"], ["backfill", "logs", "--quiet"]],
    ids=["folder", "file", "backfill"],
)
def test_nothing_new_opens_no_log(logs: Path, arguments: list[str]) -> None:
    """Unchanged files are looked up and not opened."""
    assert run(logs.parent, *arguments) == ("0", [])


def test_three_lines_enter_few_modules(tmp_path: Path) -> None:
    """Who follows a line from its log to its row opens few modules, each of which is one whole thing."""
    start = logged("Initialized autonomous executor for run: run-A")
    use = logged(
        "[TOKEN_BUDGET] phase=p1 complexity=low input=5056 output=1157/16384 total=6213 "
        "utilization=7.1% model=some-model-4"
    )
    (tmp_path / "run.log").write_text(f"{start}\n{use}\n{logged(event_message())}\n")
    done = subprocess.run(
        [sys.executable, "-c", ENTERED, "ingest", "run.log", "--db", "run.db", "--tz", "UTC"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert "1 event new" in done.stdout
    ours = tuple(f"{ROOT / folder}{os.sep}" for folder in ("commandline", "ingest", "parsers"))
    functions = [place for place in done.stdout.splitlines() if place.startswith(ours)]
    modules = sorted({os.path.relpath(place.rpartition(":")[0], ROOT) for place in functions})
    entered = f"{len(modules)} modules, {len(functions)} functions are entered: {' '.join(modules)}"
    assert len(modules) <= MOST_MODULES, entered
    assert {os.path.join("ingest", "pipeline.py"), os.path.join("parsers", "event.py")} <= set(modules), (
        entered
    )


def test_only_the_log_that_changed_is_opened(logs: Path) -> None:
    """One log that grew among others costs no look into those."""
    with (logs / "b.log").open("a") as log:
        log.write(logged(event_message(predicted_output=7)) + "\n")
    code, opened = run(logs.parent, "ingest", "logs")
    assert (code, set(opened)) == ("0", {"logs/b.log"})


def test_same_size_and_path_in_another_file_is_seen(logs: Path) -> None:
    """A file that took another's place is read, though its size and time are the same."""
    (logs / "new").write_text(logged(event_message(predicted_output=8)) + "\n")
    os.utime(logs / "new", (1_000_000, 1_000_000))
    (logs / "new").replace(logs / "b.log")
    assert read(logs).events_new == 1


def test_unchanged_log_of_another_zone_is_said(logs: Path) -> None:
    """A zone that is asked for and was not the one that a log was read in is no reason to be silent."""
    assert read(logs, asked=True).warnings == []
    assert read(logs, tz="Etc/UTC", asked=True).warnings == []
    (warning,) = read(logs, tz="Australia/Sydney", asked=True).warnings
    assert "and 2 more: times stay read as UTC" in warning


def test_unfinished_line_of_an_unchanged_log_counts_when_it_is_finished(logs: Path) -> None:
    """What an ingest left for the next run is nothing new to it, and is to a backfill."""
    log = logs / "a.log"
    log.write_text(logged(event_message(predicted_output=9)))
    os.utime(log, (1_000_000, 1_000_000))
    assert (read(logs).events_new, read(logs).files_read) == (0, 0)
    assert read(logs, finished=True).events_new == 1


def test_moved_log_keeps_its_source_and_is_quiet_again(logs: Path) -> None:
    """A rename is kept at once; the run after it finds nothing to do."""
    (logs / "a.log").rename(logs / "a.log.1")
    assert read(logs).files_read == 0
    assert run(logs.parent, "ingest", "logs") == ("0", [])


def test_empty_path_is_named_as_one(tokentail: Tokentail, logs: Path) -> None:
    """An unset variable in a command is named as what it is, and the other paths are read."""
    done = tokentail("ingest", "", logs)
    assert done.returncode == 1
    assert done.stderr == "tokentail: one of the paths is empty: is a variable unset where they are named?\n"
    assert done.stdout == "nothing new in 3 files; database telemetry.db\n"


def test_hard_link_is_another_file_and_a_symbolic_link_is_not(logs: Path) -> None:
    """Each is read once; a file is counted for each name of its own."""
    os.link(logs / "a.log", logs / "hard.log")
    (logs / "soft.log").symlink_to("a.log")
    listing = Listing([str(logs), str(logs / "deep"), str(logs / "hard.log")])
    assert [os.path.basename(path) for path, *_ in listing] == ["a.log", "b.log", "c.log"]
    assert listing.files == 4


NAMES = st.text("ab.log-txtgz1[]*\n", max_size=12)
PATTERNS = st.lists(st.text("ab.log-tx*?[]!", min_size=1, max_size=6) | st.sampled_from(GLOBS), max_size=4)


@given(NAMES, PATTERNS)
def test_names_are_those_that_the_globs_mean(name: str, globs: list[str]) -> None:
    """The quick test of a name says what the shell's rules say of each pattern."""
    assert name_test(globs)(name) == any(fnmatch.fnmatch(name, glob) for glob in globs)
    assert name_test(GLOBS)(name) == any(fnmatch.fnmatch(name, glob) for glob in GLOBS)
