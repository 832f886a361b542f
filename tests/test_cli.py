"""The command line as its users meet it: outputs, exit codes, switches, and clear words for trouble."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import ROOT, Tokentail
from event_lines import event_message
from ingest.cli import COMMANDS

PREFIX = "[2026-01-14 09:12:03] INFO: "
ANCHOR = (
    "[TOKEN_BUDGET] phase=p1 complexity=low input=5056 output=1157/16384 total=6213 utilization=7.1% "
    "model=some-model-4"
)


def write_log(path: Path, *messages: str) -> Path:
    path.write_text("".join(f"{PREFIX}{message}\n" for message in messages), encoding="utf-8")
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of one run with one event, its context, and one marker line that is cut off."""
    return write_log(
        tmp_path / "run.log",
        "Initialized autonomous executor for run: run-1",
        "[BUILD-041] Next phase: p1",
        ANCHOR,
        event_message(),
        "[p1] Builder succeeded (6213 tokens)",
        "[p1] Applied files: ['src/a.py']",
        "Updated phase p1 status to COMPLETE",
        "[TokenEstimationV2] predicted_output=5200 actual_out",
    )


@pytest.mark.parametrize("command", ["", *COMMANDS, "deliverables import"])
def test_every_command_has_help(called: Tokentail, command: str) -> None:
    """`--help` of every command explains it on standard output and exits 0."""
    done = called(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: tokentail" in done.stdout
    assert len(done.stdout.splitlines()) > 5


def test_version_is_printed(called: Tokentail) -> None:
    """`--version` names the program and its version."""
    done = called("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("tokentail ")


def test_ingest_says_what_it_did_in_two_lines(called: Tokentail, log: Path) -> None:
    """The summary has files, bytes, marker lines, events, sightings, rejects, calls, zone, database."""
    done = called("ingest", log, "--tz", "UTC")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    size = log.stat().st_size
    assert first == (
        f"1 file, {size} bytes read: 2 marker lines, 1 event new, 1 reject (see `tokentail rejects`)"
    )
    assert second == "times read as UTC; new database telemetry.db"


def test_ingest_as_json_is_one_object(called: Tokentail, log: Path) -> None:
    """`--json` prints the same facts for programs, and nothing else."""
    found = json.loads(called("ingest", log, "--tz", "UTC", "--json", "--db", "x.db").stdout)
    assert (found["events_new"], found["rejects"], found["database"], found["timezone"]) == (
        1,
        1,
        "x.db",
        "UTC",
    )
    assert (found["exit_code"], found["problems"]) == (0, [])


def test_quiet_prints_nothing_when_all_is_well(called: Tokentail, log: Path) -> None:
    """From cron a good run is silent."""
    done = called("ingest", log, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_rejects_fail_only_when_asked(called: Tokentail, log: Path) -> None:
    """Rejects are reported with exit 0; `--fail-on-reject` makes it 1."""
    assert called("ingest", log, "--db", "a.db").returncode == 0
    assert called("ingest", log, "--db", "b.db", "--fail-on-reject").returncode == 1


def test_rejects_names_file_line_and_reason(called: Tokentail, log: Path) -> None:
    """A rejected line is found again: file, line number, reason and the line itself."""
    called("ingest", log)
    lines = called("rejects").stdout.splitlines()
    assert lines[0] == f"{log}:8: cut off"
    assert lines[1].strip() == f"{PREFIX}[TokenEstimationV2] predicted_output=5200 actual_out"
    found = json.loads(called("rejects", "--json").stdout)["rejects"]
    assert [(reject["line_number"], reject["reason"]) for reject in found] == [(8, "cut off")]


def test_status_shows_sources_and_last_ingests(called: Tokentail, log: Path) -> None:
    """The status has a row for each source and one for each invocation, newest first."""
    called("ingest", log, "--tz", "Australia/Sydney")
    called("ingest", log, "--tz", "Australia/Sydney")
    shown = called("status").stdout
    assert "1 event: 1 with their phase, 1 with their run, 1 with deliverables" in shown
    found = json.loads(called("status", "--json").stdout)
    (source,) = found["sources"]
    assert (source["path"], source["marker_lines"], source["sightings"], source["rejects"]) == (
        str(log),
        2,
        1,
        1,
    )
    assert (source["timezone"], source["last_event"]) == ("Australia/Sydney", "2026-01-13 22:12:03.000000")
    assert [run["events_new"] for run in found["ingest_runs"]] == [0, 1]


def test_database_comes_from_option_then_environment_then_default(called: Tokentail, log: Path) -> None:
    """`--db` wins over `DATABASE_URL`, which wins over telemetry.db."""
    url = "sqlite:///from_url.db"
    assert "database option.db" in called("ingest", log, "--db", "option.db", DATABASE_URL=url).stdout
    assert "database from_url.db" in called("ingest", log, DATABASE_URL=url).stdout
    assert "database telemetry.db" in called("ingest", log).stdout


def test_absolute_database_url_has_four_slashes(called: Tokentail, log: Path, tmp_path: Path) -> None:
    """`sqlite:////absolute.db` is an absolute path."""
    target = tmp_path / "absolute.db"
    assert called("ingest", log, DATABASE_URL=f"sqlite:///{target}").returncode == 0
    assert target.is_file()


def test_paths_come_from_the_environment(called: Tokentail, log: Path, tmp_path: Path) -> None:
    """Without arguments the paths of TOKENTAIL_LOGS are read."""
    other = write_log(tmp_path / "other.log", event_message(predicted_output=7))
    done = called("ingest", TOKENTAIL_LOGS=os.pathsep.join([str(log), str(other)]))
    assert "2 files" in done.stdout


@pytest.mark.parametrize("value", ["0", "false", "No", "OFF"])
@pytest.mark.parametrize("command", ["ingest", "backfill"])
def test_the_executors_switch_turns_ingest_off(
    called: Tokentail, log: Path, tmp_path: Path, command: str, value: str
) -> None:
    """With TELEMETRY_DB_ENABLED off nothing is done, that is said, and the exit is 0."""
    done = called(command, log, TELEMETRY_DB_ENABLED=value)
    assert done.returncode == 0
    assert "TELEMETRY_DB_ENABLED is off" in done.stderr
    assert not (tmp_path / "telemetry.db").exists()


def test_standard_input_is_a_log(tokentail: Tokentail, log: Path) -> None:
    """`-` reads standard input to its very end; a later ingest of the file doubles nothing."""
    done = tokentail("ingest", "-", stdin=log.read_bytes().rstrip(b"\n"))
    assert "1 event new" in done.stdout
    assert "1 reject" in done.stdout
    assert "0 events new, 1 further sighting" in tokentail("ingest", log).stdout


def test_unterminated_last_line_waits_for_ingest_and_counts_for_backfill(
    called: Tokentail, tmp_path: Path
) -> None:
    """`ingest` leaves an unfinished line to the next run; `backfill` takes it; neither doubles it."""
    log = tmp_path / "run.log"
    log.write_text(PREFIX + event_message(), encoding="utf-8")
    assert "0 marker lines" in called("ingest", log).stdout
    assert "1 event new" in called("backfill", log).stdout
    assert "nothing new in 1 file; database" in called("backfill", log).stdout
    with log.open("a", encoding="utf-8") as grown:
        grown.write("\n")
    called("ingest", log)
    assert (
        "1 file read again: 1 marker line = 1 sighting + 0 rejects, no difference" in called("verify").stdout
    )


def test_backfilled_fragment_is_replaced_when_its_line_goes_on(called: Tokentail, tmp_path: Path) -> None:
    """If a finished log goes on after all, the event of the fragment gives way to that of the whole line."""
    log = tmp_path / "run.log"
    log.write_text(PREFIX + event_message()[:-2], encoding="utf-8")
    called("backfill", log)
    with log.open("a", encoding="utf-8") as grown:
        grown.write(event_message()[-2:] + "\n")
    called("backfill", log)
    with sqlite3.connect(tmp_path / "telemetry.db") as connection:
        models = connection.execute("SELECT model FROM token_estimation_v2_events").fetchall()
        counts = connection.execute("SELECT marker_lines, sightings FROM log_sources").fetchall()
    connection.close()
    assert (models, counts) == ([("some-model-4",)], [(1, 1)])


def test_backfilled_last_line_stays_when_its_file_is_read_again(called: Tokentail, tmp_path: Path) -> None:
    """A file that was only touched, or copied elsewhere, keeps the event of its unterminated line."""
    log = tmp_path / "run.log"
    log.write_text(PREFIX + event_message(), encoding="utf-8")
    called("backfill", log)
    os.utime(log, (1, 1))
    called("ingest", log)
    assert json.loads(called("status", "--json").stdout)["totals"]["events"] == 1
    log.rename(tmp_path / "moved.log")
    (tmp_path / "moved.log").write_bytes((tmp_path / "moved.log").read_bytes())
    called("ingest", "moved.log")
    assert json.loads(called("status", "--json").stdout)["totals"]["events"] == 1
    assert called("verify").returncode == 0


def test_times_keep_the_zone_they_were_first_read_in(called: Tokentail, log: Path) -> None:
    """Another `--tz` for a log that was read before is said, and changes and doubles nothing."""
    called("ingest", log, "--tz", "Australia/Sydney")
    with log.open("a", encoding="utf-8") as grown:
        grown.write(PREFIX + event_message(predicted_output=1) + "\n")
    done = called("ingest", log, "--tz", "UTC")
    assert "stay read as Australia/Sydney" in done.stderr
    events = json.loads(called("status", "--json").stdout)["totals"]
    assert (events["events"], events["last_event"]) == (2, "2026-01-13 22:12:03.000000")


TROUBLE = {
    "missing path": (["ingest", "nowhere.log"], {}, 1, "nowhere.log: no such file or folder"),
    "no paths": (["ingest"], {}, 2, "no logs to read"),
    "unknown zone": (["ingest", "run.log", "--tz", "Mars/Phobos"], {}, 2, "unknown time zone 'Mars/Phobos'"),
    "other scheme": (["ingest", "run.log"], {"DATABASE_URL": "postgresql://u:secret@h/d"}, 2, "'postgresql'"),
    "no database yet": (["report"], {}, 1, "telemetry.db: no such database"),
    "no folder for it": (["ingest", "run.log", "--db", "no/such.db"], {}, 1, "no/such.db"),
    "folder as database": (["ingest", "run.log", "--db", "."], {}, 1, "a folder, not a database"),
    "not a database": (
        ["ingest", "run.log", "--db", "run.log"],
        {},
        1,
        "run.log: it is not a SQLite database",
    ),
    "unknown command": (["frobnicate"], {}, 2, "No such command"),
    "unknown option": (["ingest", "--frobnicate"], {}, 2, "No such option"),
    "broken import": (["deliverables", "import", "run.log"], {}, 1, "run.log:1: not JSON"),
}


@pytest.mark.parametrize(("arguments", "environment", "code", "words"), TROUBLE.values(), ids=TROUBLE)
def test_trouble_is_named_and_changes_nothing(
    called: Tokentail,
    log: Path,
    arguments: list[str],
    environment: dict[str, str],
    code: int,
    words: str,
) -> None:
    """Each kind of bad input has its exit code and a message that names it; no traceback, no secret."""
    before = log.read_bytes()
    done = called(*arguments, **environment)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert log.read_bytes() == before


def test_one_bad_file_does_not_stop_the_others(called: Tokentail, log: Path, tmp_path: Path) -> None:
    """What can't be read is named and makes the exit 1; the rest is stored."""
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x01\x02\x03\x04\x05\x06\x07")
    done = called("ingest", "nowhere.log", "picture.png", log)
    assert done.returncode == 1
    assert "nowhere.log: no such file or folder" in done.stderr
    assert "picture.png: a binary file, not a log" in done.stderr
    assert "1 event new" in done.stdout


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_is_named_and_read_later(called: Tokentail, log: Path) -> None:
    """A file that may not be read is a problem now and complete once it may."""
    log.chmod(0)
    done = called("ingest", log)
    assert (done.returncode, "permission denied" in done.stderr) == (1, True)
    log.chmod(0o644)
    assert "1 event new" in called("ingest", log).stdout


def test_folder_without_logs_is_said(called: Tokentail, tmp_path: Path) -> None:
    """An empty folder is no error, but it is said what was looked for."""
    (tmp_path / "empty").mkdir()
    done = called("ingest", "empty")
    assert (done.returncode, "empty: no logs in this folder (looked for *.log" in done.stderr) == (0, True)


@pytest.mark.parametrize("marker", ["newer", "foreign"])
def test_databases_that_are_not_ours_are_refused_unchanged(
    called: Tokentail, log: Path, tmp_path: Path, marker: str
) -> None:
    """A newer database, and another program's with a table of our name, are refused and not touched."""
    database = tmp_path / "other.db"
    if marker == "newer":
        called("ingest", log, "--db", database)
    statement = {
        "newer": "INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('tokentail', 'm999')",
        "foreign": "CREATE TABLE token_estimation_v2_events (event_id INTEGER PRIMARY KEY)",
    }[marker]
    with sqlite3.connect(database) as connection:
        connection.execute(statement)
    connection.close()
    before = database.read_bytes()
    for command in (["ingest", log], ["report"], ["verify"]):
        done = called(*command, "--db", database)
        assert done.returncode == 1
        assert "newer version" in done.stderr or "did not make" in done.stderr
    assert database.read_bytes() == before


def test_corrupt_database_is_named_and_left(called: Tokentail, log: Path, tmp_path: Path) -> None:
    """A damaged database is an error with its name, and is never deleted."""
    database = tmp_path / "t.db"
    called("ingest", log, "--db", database)
    damaged = bytearray(database.read_bytes())
    damaged[4096:] = b"\xff" * (len(damaged) - 4096)
    database.write_bytes(damaged)
    done = called("ingest", log, "--db", database)
    assert (done.returncode, "t.db: it is damaged, and was not deleted" in done.stderr) == (1, True)
    assert database.read_bytes()[4096:8192] == b"\xff" * 4096


def test_another_ingest_is_named_by_its_pid(called: Tokentail, log: Path, tmp_path: Path) -> None:
    """While an ingest holds the database a second one leaves with 75 and names the holder, or waits."""
    with _ingest_from_a_pipe(tmp_path) as holder:
        done = called("ingest", log)
        assert done.returncode == 75
        assert f"(pid {holder.pid})" in done.stderr
        assert holder.stdin is not None
        holder.stdin.close()
        assert called("ingest", log, "--wait", 20).returncode == 0
        assert holder.wait(20) == 0


def test_other_programs_writing_is_waited_for(called: Tokentail, log: Path, tmp_path: Path) -> None:
    """A query tool that holds a write transaction for a while delays the ingest, and nothing more."""
    called("ingest", log)
    with log.open("a", encoding="utf-8") as grown:
        grown.write(PREFIX + event_message(predicted_output=1) + "\n")
    other = sqlite3.connect(tmp_path / "telemetry.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(3, lambda: other.execute("COMMIT")).start()
    started = time.monotonic()
    done = called("ingest", log)
    assert (done.returncode, time.monotonic() - started > 1) == (0, True)
    assert "1 event new" in done.stdout
    other.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 130)])
def test_signals_end_it_cleanly(called: Tokentail, log: Path, tmp_path: Path, number: str, code: int) -> None:
    """An interrupted ingest exits as documented, and the next run has everything."""
    with _ingest_from_a_pipe(tmp_path) as holder:
        holder.send_signal(getattr(signal, number))
        assert holder.wait(5) == code
    assert "1 event new" in called("ingest", log).stdout


@pytest.mark.parametrize(("asked", "code"), [("KeyboardInterrupt", 130), ("commandline.Terminated", 143)])
def test_signal_while_a_class_is_made_ends_it_cleanly_too(asked: str, code: int) -> None:
    """Python 3.11 wraps what is raised then, as in the import of a library, in another exception."""
    program = f"""
import commandline
from ingest import cli

class Field:
    def __set_name__(self, owner, name):
        raise {asked}

def making(**_):
    class Made:
        end = Field()

cli.cli.main = making
cli.main()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def _ingest_from_a_pipe(folder: Path) -> subprocess.Popen[bytes]:
    """Start an ingest of a pipe that nobody writes to, and wait until it holds the database."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from ingest.cli import main; main()", "ingest", "-"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    lock = folder / "telemetry.db.lock"
    deadline = time.monotonic() + 20
    while not (lock.exists() and lock.read_text(encoding="ascii").split()[:1] == [str(process.pid)]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_terminal_never_obeys_text_from_logs(called: Tokentail, tmp_path: Path) -> None:
    """Escape sequences in a log are no part of its values; in rejects they are shown, not sent."""
    write_log(
        tmp_path / "run.log",
        event_message(category="\x1b[31mred\x07"),
        "[TokenEstimationV2] \x1b]0;title\x07 predicted",
    )
    called("ingest", "run.log")
    shown = called("report").stdout + called("rejects").stdout + called("status").stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "red\\x07" in shown
    assert "\\x1b]0;title\\x07" in shown


def test_closed_pipe_is_no_traceback(log: Path, tmp_path: Path, called: Tokentail) -> None:
    """`| head` may stop reading; the program ends without a traceback."""
    called("ingest", log)
    program = f"{sys.executable} -c 'from ingest.cli import main; main()' status --json"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{program} | true"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_limit_on_the_size_of_files_is_said_and_nothing_is_lost_or_doubled(
    called: Tokentail, tmp_path: Path
) -> None:
    """When the database may not grow the exit is 1, what was committed stays, the next run is exact."""
    log = write_log(
        tmp_path / "run.log", *(event_message(predicted_output=number) for number in range(1, 1500))
    )
    program = (
        "import resource, ingest.memory as memory, ingest.files.logfile as logfile; "
        "memory.MAX_BATCH_RECORDS = 50; memory.MAX_BATCH_BYTES = 10_000; logfile.CHUNK_BYTES = 8_000; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, 800_000)); from ingest.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "ingest", str(log), "--db", "telemetry.db"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tokentail: telemetry.db: ")
    assert "would be larger than 800,000 bytes" in done.stderr
    assert "raise that limit (`ulimit -f`)" in done.stderr
    assert "disk" not in done.stderr
    assert "Traceback" not in done.stderr
    with sqlite3.connect(tmp_path / "telemetry.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (stored,) = connection.execute("SELECT COUNT(*) FROM token_estimation_v2_events").fetchone()
        (counted,) = connection.execute("SELECT COALESCE(SUM(marker_lines), 0) FROM log_sources").fetchone()
    connection.close()
    assert 0 < stored == counted < 1499
    assert f"{1499 - stored:,} events new" in called("ingest", log).stdout
    assert called("verify").returncode == 0


@pytest.mark.parametrize(
    "command", ["status", "rejects", "report", "coverage", "export", "verify", "dashboard --html page.html"]
)
def test_question_about_a_missing_database_makes_none(
    called: Tokentail, tmp_path: Path, command: str
) -> None:
    """A mistyped `--db` leaves nothing behind, and the message names it."""
    done = called(*command.split(), "--db", "telemtry.db")
    assert done.returncode == 1
    assert "telemtry.db: no such database" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_new_database_is_said_to_be_new(called: Tokentail, log: Path) -> None:
    """Whoever mistypes `--db` sees that a database was made; none is where there is nothing to read."""
    assert "new database telemtry.db" in called("ingest", log, "--db", "telemtry.db").stdout
    assert "; database telemtry.db" in called("ingest", log, "--db", "telemtry.db").stdout
    done = called("ingest", "no-such-folder", "--db", "other.db")
    assert done.returncode == 1
    assert "no-such-folder: no such file or folder" in done.stderr
    assert "no database was made" in done.stdout
