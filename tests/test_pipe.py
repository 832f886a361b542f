"""Standard input: what came is stored while nothing comes, and when the process is asked to end."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from conftest import ROOT, Tokentail
from event_lines import anchor_message, event_message, logged
from ingest.reading import resume

LINES = "".join(logged(event_message(predicted_output=number)) + "\n" for number in range(1, 31)).encode()


def started(tmp_path: Path, first: str = "") -> subprocess.Popen[bytes]:
    """Start an ingest of standard input; `first` is code to run before it."""
    return subprocess.Popen(
        [sys.executable, "-c", f"{first}from ingest.cli import main; main()", "ingest", "-", "--tz", "UTC"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def stored(tmp_path: Path) -> int:
    """Count the events that are stored by now."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection,
    ):
        (count,) = connection.execute("SELECT COUNT(*) FROM token_estimation_v2_events").fetchone()
        return int(count)
    return 0


def rows(tmp_path: Path) -> list[tuple[object, ...]]:
    """Return what is stored: events with their places, rejects, and how far the pipe was read."""
    queries = (
        "SELECT predicted_output_tokens, model, run_id, phase_id, phase_outcome, byte_offset, line_cut "
        "FROM token_estimation_v2_events JOIN event_sightings USING (event_id) ORDER BY byte_offset",
        "SELECT byte_offset, reason FROM rejected_lines ORDER BY byte_offset",
        "SELECT source_id, byte_offset, unread_bytes, marker_lines, state FROM log_sources",
    )
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        return [row for query in queries for row in connection.execute(query)]


def feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Write into a pipe that stays open."""
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def wait_for(tmp_path: Path, count: int) -> None:
    """Wait until so many events are stored."""
    deadline = time.monotonic() + 30
    while stored(tmp_path) < count:
        assert time.monotonic() < deadline, f"{stored(tmp_path)} of {count} events"
        time.sleep(0.05)


def test_events_of_an_open_pipe_are_stored_while_it_waits(tmp_path: Path) -> None:
    """Nobody has to close the pipe for what came through it to be seen."""
    with started(tmp_path) as process:
        feed(process, LINES)
        wait_for(tmp_path, 30)
        process.communicate(LINES[:10])
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 130)])
def test_signal_stores_what_came_before_it(tmp_path: Path, name: str, code: int) -> None:
    """What came through a pipe will not come again, so it is stored on the way out."""
    with started(tmp_path) as process:
        feed(process, LINES[: len(LINES) // 2])
        wait_for(tmp_path, 14)
        feed(process, LINES[len(LINES) // 2 :])
        time.sleep(0.3)
        process.send_signal(signal.Signals[name])
        process.communicate()
    assert process.returncode == code
    assert stored(tmp_path) == 30


WHOLE = logged(event_message(predicted_output=777))
LAST_LINES = {
    "whole event": WHOLE,
    "event with half a model": WHOLE[:-6],
    "event cut before it": WHOLE[: WHOLE.index("model=")],
    "half a marker": WHOLE[:40],
    "half an outcome": logged("Updated phase p1 status to COMPL"),
    "nothing": "",
    "whole line": WHOLE + "\n",
}


CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGHUP": 130}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_signal_is_the_end_of_a_pipe(
    tmp_path: Path, called: Tokentail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came, a last line without its newline too, is stored as at the pipe's end, whatever it is."""
    context = f"{logged(anchor_message('p1'))}\n{logged(event_message())}\n".encode()
    tried = [("SIGTERM", last) for last in LAST_LINES.values()] + [("SIGINT", WHOLE), ("SIGHUP", WHOLE)]
    folders = [tmp_path / str(number) for number in range(len(tried))]
    with ExitStack() as stack:
        processes = []
        for folder, (_, last) in zip(folders, tried, strict=True):
            folder.mkdir()
            processes.append(stack.enter_context(started(folder)))
            feed(processes[-1], context + last.encode())
        for folder, process, (name, _) in zip(folders, processes, tried, strict=True):
            wait_for(folder, 1)
            process.send_signal(signal.Signals[name])
        for process, (name, _) in zip(processes, tried, strict=True):
            process.communicate()
            assert process.returncode == CODES[name]
    for folder, (_, last) in zip(folders, tried, strict=True):
        ended = tmp_path / f"ended-{folder.name}"
        ended.mkdir()
        piped(called, monkeypatch, context + last.encode(), "--db", str(ended / "telemetry.db"))
        assert rows(folder) == rows(ended), last
        assert (stored(folder) == 2) is ("model=" in last)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_signal_leaves_nothing_in_the_pipe(tmp_path: Path) -> None:
    """What its writer had written when the signal came, and nobody had read, is read and stored."""
    with started(tmp_path) as process:
        feed(process, LINES[: len(LINES) // 2])
        wait_for(tmp_path, 14)
        process.send_signal(signal.SIGSTOP)
        feed(process, LINES[len(LINES) // 2 :] + WHOLE.encode())
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        process.wait(10)
    assert (process.returncode, stored(tmp_path)) == (143, 31)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_signal_ends_a_pipe_that_never_waits(tmp_path: Path) -> None:
    """Who writes without end is not read without end: what a pipe can hold, and no more."""
    with started(tmp_path) as process:
        feed(process, LINES)
        wait_for(tmp_path, 30)
        assert process.stdin is not None
        pipe, deadline = process.stdin.fileno(), time.monotonic() + 10
        process.send_signal(signal.SIGTERM)
        with suppress(BrokenPipeError):
            while time.monotonic() < deadline:
                os.write(pipe, b"x" * 60_000 + b"\n")
        assert time.monotonic() < deadline
        assert process.wait(10) == 143
    assert stored(tmp_path) == 30


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("last", [WHOLE, WHOLE[:-6]], ids=["whole", "half a model"])
def test_pipe_that_a_signal_ended_goes_on_when_it_comes_again(tmp_path: Path, last: str) -> None:
    """Its last line is read anew then, as it is then: one event, in one source."""
    with started(tmp_path) as process:
        feed(process, LINES + last.encode())
        wait_for(tmp_path, 30)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert stored(tmp_path) == 31
    with started(tmp_path) as process:
        process.communicate(LINES + WHOLE.encode() + b"\n" + LINES[:500])
    found = rows(tmp_path)
    assert (777, "some-model-4", "unknown", "unknown", None, len(LINES), 0) in found
    assert found[-1][0] == 1


# The same pipe again


def piped(
    called: Tokentail, monkeypatch: pytest.MonkeyPatch, data: bytes, *options: str
) -> dict[str, object]:
    """Ingest what comes through a pipe, and return what was said, as JSON."""
    read_end, write_end = os.pipe()
    writer = threading.Thread(target=write_all, args=(write_end, data))
    writer.start()
    with open(read_end) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        command = options if options[:1] == ("backfill",) else ("ingest", *options)
        done = called(*command, "-", "--json", *(() if "--tz" in options else ("--tz", "UTC")))
    writer.join()
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def write_all(descriptor: int, data: bytes) -> None:
    """Write into a pipe, as long as somebody reads it."""
    with suppress(BrokenPipeError), open(descriptor, "wb") as pipe:
        pipe.write(data)


def places(tmp_path: Path) -> dict[int, int]:
    """Return how many sightings each source has."""
    query = "SELECT source_id, (SELECT COUNT(*) FROM event_sightings AS s WHERE s.source_id = o.source_id) "
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        return dict(connection.execute(query + "FROM log_sources AS o").fetchall())


CUTS = {
    "grown": [10, 30],
    "grown again and again": [1, 2, 3, 10, 30],
    "the same": [30, 30, 30],
    "shorter once": [30, 10, 30, 10, 30],
}


@pytest.mark.parametrize("counts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("newline", [True, False], ids=["", "no newline"])
def test_pipe_that_begins_with_all_that_came_before_goes_on(
    tmp_path: Path, called: Tokentail, monkeypatch: pytest.MonkeyPatch, counts: list[int], newline: bool
) -> None:
    """As `journalctl | tokentail ingest -` by cron: no place is stored twice, no event missing."""
    lines = LINES.splitlines(keepends=True)
    for count in counts:
        data = b"".join(lines[:count])
        piped(called, monkeypatch, data if newline else data[:-1])
        highest = max(counts[: counts.index(count) + 1])
        assert stored(tmp_path) >= highest
    assert stored(tmp_path) == 30
    assert places(tmp_path) == ({1: 30, 2: 10} if 10 in counts and counts[0] == 30 else {1: 30})


def with_one_changed(data: bytes) -> bytes:
    return data.replace(b"predicted_output=15 ", b"predicted_output=99 ")


OTHERS = {
    "another beginning": (lambda data: data[data.index(b"\n") + 1 :], 30),
    "one call changed in the middle": (with_one_changed, 31),
    "one call changed, and grown": (lambda data: with_one_changed(data) + WHOLE.encode() + b"\n", 32),
    "cut within": (lambda data: data[: len(data) // 2], 30),
}


@pytest.mark.parametrize(("changed", "count"), OTHERS.values(), ids=OTHERS)
def test_pipe_of_which_any_byte_is_another_is_a_source_of_its_own(
    tmp_path: Path,
    called: Tokentail,
    monkeypatch: pytest.MonkeyPatch,
    changed: Callable[[bytes], bytes],
    count: int,
) -> None:
    """However similar head and tail are; and all of it is read, though it was compared first."""
    many = LINES * 40  # more than a pipe holds, and than its fingerprint covers
    piped(called, monkeypatch, many)
    before = places(tmp_path)
    piped(called, monkeypatch, changed(many))
    after = places(tmp_path)
    assert after[1] == before[1] == 1_200
    assert after[2] == changed(many).count(b" model=")
    assert stored(tmp_path) == count
    assert piped(called, monkeypatch, changed(many))["bytes_read"] == 0
    assert len(places(tmp_path)) == 2


def test_each_of_several_pipes_goes_on_as_itself(
    tmp_path: Path, called: Tokentail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest that all came before counts; the others stay as they are."""
    lines, other = LINES.splitlines(keepends=True), WHOLE.encode() + b"\n"
    first, second = b"".join(lines[:15]), b"".join([*lines[:10], other])
    for data in (first, second, first + LINES, second + LINES, first, second):
        piped(called, monkeypatch, data)
    sizes = {1: len(first + LINES), 2: len(second + LINES), 3: len(first), 4: len(second)}
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        assert dict(connection.execute("SELECT source_id, size_bytes FROM log_sources").fetchall()) == sizes


def test_pipe_that_comes_again_keeps_its_zone_until_it_is_read_in_full(
    tmp_path: Path, called: Tokentail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a log does; `backfill --full` reads it as another, and takes the old one away."""
    piped(called, monkeypatch, LINES, "--tz", "Australia/Sydney")
    (warning,) = piped(called, monkeypatch, LINES + WHOLE.encode(), "--tz", "UTC")["warnings"]  # type: ignore[misc]
    assert "standard input: times stay read as Australia/Sydney" in warning
    said = piped(called, monkeypatch, LINES + WHOLE.encode(), "backfill", "--full", "--tz", "UTC")
    assert said["timezone"] == "UTC"
    assert places(tmp_path) == {2: 31}
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        times = connection.execute("SELECT DISTINCT timestamp FROM token_estimation_v2_events").fetchall()
    assert times == [("2025-12-29 19:40:02.000000",)]


def test_pipe_that_is_slow_in_repeating_another_is_stored_all_the_same(
    tmp_path: Path, called: Tokentail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever follows a log that begins as a known one has not to wait until it is as long."""
    monkeypatch.setattr(resume, "_PATIENCE_SECONDS", 0.2)
    banner = b"the same banner\n" * 100
    piped(called, monkeypatch, banner + LINES)
    with started(tmp_path, "from ingest.reading import resume; resume._PATIENCE_SECONDS = 0.2; ") as process:
        feed(process, banner + WHOLE.encode() + b"\n")
        wait_for(tmp_path, 31)
        process.communicate()
    assert places(tmp_path) == {1: 30, 2: 1}


def test_forgetting_standard_input_is_refused_where_it_is_many(
    tmp_path: Path, called: Tokentail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their list, and nothing is changed; one alone may be named so, and each by its id."""
    piped(called, monkeypatch, LINES)
    piped(called, monkeypatch, WHOLE.encode() + b"\n")
    (tmp_path / "run.log").write_bytes(LINES[:200])
    called("ingest", "run.log", "--tz", "UTC")
    done = called("sources", "forget", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert "-: 2 pipes were read, so name by their ids those to forget: 1 (last read 20" in done.stderr
    assert ", 30 marker lines, " in done.stderr
    assert "; 2 (last read 20" in done.stderr
    assert (stored(tmp_path), len(places(tmp_path))) == (31, 3)
    assert called("sources", "forget", "run.log", "-").returncode == 2
    assert len(places(tmp_path)) == 3
    assert called("sources", "forget", "2").returncode == 0
    assert called("sources", "forget", "-").returncode == 0
    assert len(places(tmp_path)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_pipe_that_does_not_wait_is_waited_for(tmp_path: Path) -> None:
    """An empty pipe that was set not to block is not at its end."""
    with started(tmp_path, "import os; os.set_blocking(0, False); ") as process:
        for start in range(0, len(LINES), 2_000):
            feed(process, LINES[start : start + 2_000])
            time.sleep(0.05)
        process.communicate()
    assert (process.returncode, stored(tmp_path)) == (0, 30)


def test_event_that_is_stored_early_and_completed_later_is_new_only(tmp_path: Path) -> None:
    """What one run stored and then learned more of was not there before it, so it isn't updated."""
    with started(tmp_path) as process:
        feed(process, f"{logged(anchor_message('p1'))}\n{logged(event_message())}\n".encode())
        wait_for(tmp_path, 1)
        more = (logged("[p1] Applied files: ['a.py']"), logged("Updated phase p1 status to COMPLETE"))
        said, _ = process.communicate("".join(f"{line}\n" for line in more).encode())
    assert b"1 event new" in said
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        rows = connection.execute("SELECT phase_outcome FROM token_estimation_v2_events").fetchall()
    assert rows == [("COMPLETE",)]
