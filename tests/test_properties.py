"""The invariants, on generated logs: what is read does not depend on how, and it is true.

The logs of `executor_log` know their events, so truth is compared with what was played, not with
another reading of the same bytes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from captures import COMPRESSIONS, capture
from executor_log import (
    STYLES,
    ZONE,
    Event,
    Log,
    Shape,
    executor_run,
    interleaved,
    one_after_another,
    phase_names,
)
from faults.tables import check_invariants, escalations, events, rows_as_stored, tables
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary
from ingest.verify import verify

_FACTOR = float(os.environ.get("TOKENTAIL_EXAMPLES_FACTOR", "1"))
"""How many times the usual number of examples; for a long search by hand."""


def examples(count: int) -> settings:
    """Return settings for a property that is tried so often."""
    return settings(
        max_examples=max(1, int(count * _FACTOR)),
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


CONTAINERS = ("docker", "cri", "journal")

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.builds(
    Shape,
    phases=st.integers(1, 4),
    soft_cap_names=st.booleans(),
    noise=st.booleans(),
    dumps=st.booleans(),
    retries=st.booleans(),
    anchorless=st.booleans(),
    lost_calls=st.booleans(),
    total_lines=st.booleans(),
)
ANY_SHAPES = st.builds(
    replace,
    SHAPES,
    named=st.booleans(),
    killed=st.booleans(),
    payloads=st.sampled_from((1, 3, 5_000)),
    burst=st.booleans(),
    uniform=st.booleans(),
)


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder of its own to every example."""
    with tempfile.TemporaryDirectory(prefix="tokentail-") as name:
        yield Path(name)


def read(database: Path, *paths: Path, finished: bool = False, prefix: str | None = None) -> Summary:
    """Ingest some logs, whose times are the executor's."""
    options = IngestOptions(command="ingest", zone=zone_named(ZONE), finished=finished, prefix=prefix)
    summary = ingest([str(path) for path in paths], database, options)
    assert summary.problems == []
    return summary


def played(seed: int, shape: Shape, runs: int = 1, mix: str = "alone", same_names: bool = False) -> Log:
    """Play some runs into one log."""
    rng = Random(seed)
    names = phase_names(shape.phases) if same_names else ()
    logs = [executor_run(rng, f"run-{letter}", shape, names) for letter in "abcd"[:runs]]
    if mix == "alone" or runs == 1:
        return one_after_another(logs)
    return interleaved(rng, logs, by_time=mix == "by time")


def as_payload(row: dict[str, Any]) -> tuple[object, ...]:
    """Return what the event line itself says, from its row."""
    names = (
        "predicted_output_tokens, actual_output_tokens, actual_is_total, selected_budget, category, "
        "complexity, deliverable_count, success, stop_reason, truncated, model"
    )
    return tuple(row[name] for name in names.split(", "))


def identity(row: dict[str, Any]) -> tuple[object, ...]:
    """Return what makes a row one event where its phase is known."""
    return (row["timestamp"].partition(".")[0], *as_payload(row), row["phase_id"])


# Cuts


def pieces_of(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """Cut bytes at some places, given in any order and modulo the length."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        yield data[start:end]


def check_cuts(data: bytes, cuts: Sequence[int], finished: bool = False) -> None:
    """Assert that bytes read in pieces give the tables that they give in one."""
    with folder() as place:
        whole, grown, log = place / "whole.db", place / "grown.db", place / "executor.log"
        for piece in pieces_of(data, cuts):
            with log.open("ab") as file:
                file.write(piece)
            read(grown, log, finished=finished)
            check_invariants(grown)
        read(whole, log, finished=finished)
        check_invariants(whole)
        assert tables(grown) == tables(whole)


@given(
    SEEDS,
    ANY_SHAPES,
    st.integers(1, 3),
    st.sampled_from(("alone", "by time", "any")),
    st.booleans(),
    st.sampled_from(STYLES),
    st.lists(st.integers(0, 1 << 20), max_size=5),
    st.booleans(),
    st.booleans(),
)
@examples(60)
def test_log_that_grows_gives_what_it_gives_in_one_pass(
    seed: int,
    shape: Shape,
    runs: int,
    mix: str,
    same_names: bool,
    style: str,
    cuts: list[int],
    finished: bool,
    terminated: bool,
) -> None:
    """Appends cut anywhere, in a line or in a character, change nothing: events, context, counters."""
    data = played(seed, shape, runs, mix, same_names).text(style).encode()
    check_cuts(data if terminated else data[:-1], cuts, finished)


@given(
    SEEDS,
    ANY_SHAPES,
    st.integers(1, 2),
    st.sampled_from((79, 119, 200)),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(0, 1 << 20), max_size=5),
    st.booleans(),
)
@examples(40)
def test_wrapped_capture_that_grows_gives_what_it_gives_in_one_pass(
    seed: int,
    shape: Shape,
    runs: int,
    width: int,
    words: bool,
    big_endian: bool,
    cuts: list[int],
    finished: bool,
) -> None:
    """The same of UTF-16 captures, cut between the halves of a character or the pieces of a line."""
    data = capture(played(seed, shape, runs, "by time"), width, words, big_endian)
    check_cuts(data, cuts, finished)


@given(SEEDS, st.sampled_from(("utf-8-sig", "utf-16-le", "utf-16-be")), st.integers(1, 40), st.booleans())
@examples(25)
def test_cut_inside_the_first_bytes_changes_nothing(seed: int, codec: str, cut: int, finished: bool) -> None:
    """A file may be read when only a part of its byte order mark, or of its first line, is there."""
    log = played(seed, Shape(phases=1))
    data = capture(log, 119, big_endian=codec == "utf-16-be", opening=False)
    check_cuts(log.text().encode(codec) if codec == "utf-8-sig" else data, [cut], finished)


@given(SEEDS, SHAPES, st.integers(1, 400))
@examples(10)
def test_every_small_piece_of_a_log_may_be_a_run_of_its_own(seed: int, shape: Shape, first: int) -> None:
    """One ingest for each line, or part of a line, gives what one ingest gives."""
    log = played(seed, replace(shape, phases=1), 2, "any")
    data = log.text().encode()
    check_cuts(data, range(first, len(data), 997))


# Orders


@dataclass(frozen=True)
class Files:
    """Files that show the same events: whole, early, late, grepped, in other clothes, compressed."""

    names: tuple[str, ...]
    seed: int
    shape: Shape
    runs: int
    mix: str
    same_names: bool
    half: float
    kinds: tuple[str, ...]
    container: str
    width: int

    def made(self) -> dict[str, bytes]:
        """Return the content of each file by its name."""
        log = played(self.seed, self.shape, self.runs, self.mix, self.same_names)
        half = int(self.half * len(log.lines))
        plain = log.text().encode()
        late = b"[2025-12-29 23:59:00] INFO: Initialized autonomous executor for run: run-z\n"
        files = {
            "whole.log": plain,
            "copy.log": plain,
            "early.log": log.cut(0, half).text().encode(),
            "late.log": log.cut(half).text().encode(),
            "after-another.log": late + plain,
            "events.txt": log.excerpt().text().encode(),
            "grepped.txt": log.excerpt(*self.kinds).text().encode(),
            "grepped-ms.txt": log.excerpt(*self.kinds[:1]).text("script").encode(),
            "script.log": log.text("script").encode(),
            "container.log": log.text(self.container).encode(),
            "capture.txt": capture(log, self.width),
        } | {f"whole.log.{ending}": pack(plain) for ending, pack in COMPRESSIONS.items()}
        return {name: files[name] for name in self.names if files[name]}


_NAMES = (
    "whole.log, copy.log, early.log, late.log, after-another.log, events.txt, grepped.txt, grepped-ms.txt, "
    "script.log, container.log, capture.txt, whole.log.gz, whole.log.bz2, whole.log.xz"
).split(", ")
KINDS = ("run", "anchor", "builder", "paths", "outcome", "phase", "estimate")
FILES = st.builds(
    Files,
    names=st.lists(st.sampled_from(_NAMES), unique=True, min_size=2, max_size=5).map(tuple),
    seed=SEEDS,
    shape=ANY_SHAPES,
    runs=st.integers(1, 3),
    mix=st.sampled_from(("alone", "by time", "any")),
    same_names=st.booleans(),
    half=st.floats(0, 1),
    kinds=st.lists(st.sampled_from(KINDS), unique=True, max_size=3).map(tuple),
    container=st.sampled_from(("docker", "cri", "journal", "json")),
    width=st.sampled_from((79, 119, 200)),
)


def in_some_orders(chosen: Files, seed: int, finished: bool) -> Iterator[Path]:
    """Ingest files together, then one by one in two orders, each into a database of its own."""
    files, rng = chosen.made(), Random(seed)
    assume(files)
    with folder() as place:
        for name, data in files.items():
            (place / name).write_bytes(data)
        names = sorted(files)
        for number in range(3):
            database = place / f"{number}.db"
            for batch in [names] if number == 0 else [[name] for name in names]:
                read(database, *(place / name for name in batch), finished=finished)
            check_invariants(database)
            yield database
            rng.shuffle(names)


@given(FILES, SEEDS, st.booleans())
@examples(60)
def test_files_in_any_order_give_the_same_events(chosen: Files, seed: int, finished: bool) -> None:
    """Copies, excerpts, halves and renderings of some runs give the same events in every order."""
    together, *one_by_one = [events(database) for database in in_some_orders(chosen, seed, finished)]
    for other in one_by_one:
        assert other == together


@given(FILES, SEEDS, st.booleans())
@examples(30)
def test_files_in_any_order_give_the_same_escalations(chosen: Files, seed: int, finished: bool) -> None:
    """An escalation that several files hold is the same row whichever of them comes first."""
    chosen = replace(chosen, shape=replace(chosen.shape, retries=True))
    together, *one_by_one = [escalations(database) for database in in_some_orders(chosen, seed, finished)]
    for other in one_by_one:
        assert other == together


@given(FILES, st.lists(st.integers(16, 1 << 20), max_size=3), SEEDS, st.booleans())
@examples(30)
def test_files_that_grow_side_by_side_give_the_events_of_whole_ones(
    chosen: Files, cuts: list[int], seed: int, finished: bool
) -> None:
    """Cut and order together: files, compressed ones too, grow in pieces, with ingests in between."""
    made = {name: data for name, data in chosen.made().items() if len(data) > 16}
    files = {
        name: list(pieces_of(data, [16 + cut % (len(data) - 16) for cut in cuts]))
        for name, data in made.items()
    }
    with folder() as place:
        steps = [name for name, pieces in files.items() for _ in pieces]
        Random(seed).shuffle(steps)
        waiting = {name: iter(pieces) for name, pieces in files.items()}
        for name in steps:
            with (place / name).open("ab") as file:
                file.write(next(waiting[name]))
            read(place / "grown.db", place / name, finished=finished)
        read(place / "whole.db", *(place / name for name in sorted(files)), finished=finished)
        check_invariants(place / "grown.db")
        assert events(place / "grown.db") == events(place / "whole.db")


@given(FILES, st.booleans())
@examples(25)
def test_second_run_changes_no_row(chosen: Files, finished: bool) -> None:
    """Running twice is a no-op, down to the ids and the times of storing."""
    files = chosen.made()
    with folder() as place:
        for name, data in files.items():
            (place / name).write_bytes(data)
        paths = [place / name for name in sorted(files)]
        read(place / "t.db", *paths, finished=finished)
        before = rows_as_stored(place / "t.db")
        again = read(place / "t.db", *paths, finished=finished)
        assert rows_as_stored(place / "t.db") == before
        assert (again.events_new, again.events_updated, again.rejects) == (0, 0, 0)


@given(FILES, st.booleans())
@examples(25)
def test_files_touched_or_copied_over_change_no_event(chosen: Files, finished: bool) -> None:
    """A file with a new inode and a new time, but the same bytes, is read again for nothing at most."""
    files = chosen.made()
    with folder() as place:
        paths = [place / name for name in sorted(files)]
        found = []
        for _ in range(2):
            for path in paths:
                path.unlink(missing_ok=True)
                path.write_bytes(files[path.name])
            read(place / "t.db", *paths, finished=finished)
            check_invariants(place / "t.db")
            found.append(events(place / "t.db"))
        assert found[0] == found[1]


# Truth


def check_row(row: dict[str, Any], event: Event) -> None:
    """Assert that a row of a single run's log says all that is true of its event."""
    assert row["run_id"] == event.run
    assert row["phase_id"] == event.phase
    assert row["timestamp"].startswith(event.second)
    assert (row["input_tokens"], row["total_tokens"]) == (event.input_tokens, event.total_tokens)
    assert event.max_tokens is None or row["actual_max_tokens"] == event.max_tokens
    assert row["attempt_index"] == event.attempt_index
    assert (row["confidence"], row["estimated_deliverable_count"]) == (0.8, len(event.paths))
    assert event.outcome is None or row["phase_outcome"] == event.outcome
    paths = stored_paths(row)
    assert set(paths) <= set(event.paths)
    if event.applied:
        assert (row["deliverables_source"], paths) == ("applied", event.paths[:20])
    if event.applied or event.refused or row["deliverables_complete"]:
        assert paths == event.paths[:20]
        assert bool(row["deliverables_complete"]) == (len(event.paths) <= 20)


def stored_paths(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row's deliverables."""
    return tuple(json.loads(row["deliverables_json"]))


def expected_by_identity(log: Log) -> dict[tuple[object, ...], list[Event]]:
    """Return the events of a log by what makes them one."""
    expected: dict[tuple[object, ...], list[Event]] = {}
    for event in log.seen():
        expected.setdefault(event.identity, []).append(event)
    return expected


def rows_of(data: bytes, finished: bool = True, prefix: str | None = None) -> list[dict[str, Any]]:
    """Ingest one file and return its events; `verify` finds no difference."""
    with folder() as place:
        (place / "executor.log").write_bytes(data)
        read(place / "t.db", place / "executor.log", finished=finished, prefix=prefix)
        assert verify([], place / "t.db").differences == []
        check_invariants(place / "t.db")
        return events(place / "t.db")


def check_alone(log: Log, rows: list[dict[str, Any]]) -> None:
    """Assert that the rows of logs whose runs never overlap are exactly the events."""
    expected = expected_by_identity(log)
    assert {identity(row) for row in rows} == set(expected)
    assert len(rows) == len(expected)
    for row in rows:
        if len(expected[identity(row)]) == 1:
            check_row(row, expected[identity(row)][0])


@given(SEEDS, SHAPES, st.integers(1, 3), st.sampled_from(STYLES), st.booleans())
@examples(60)
def test_runs_one_after_another_give_every_event_with_all_that_is_true_of_it(
    seed: int, shape: Shape, runs: int, style: str, same_names: bool
) -> None:
    """Runs that each end before the next begins: run, phase, tokens, attempt, outcome, paths are right."""
    log = played(seed, without_dumps_in(style, shape), runs, "alone", same_names)
    check_alone(log, rows_of(log.text(style).encode()))


def without_dumps_in(style: str, shape: Shape) -> Shape:
    """Leave dumps out where a container prefixes them too; they have a test of their own."""
    return replace(shape, dumps=shape.dumps and style not in CONTAINERS)


@given(SEEDS, SHAPES, st.sampled_from(CONTAINERS))
@examples(20)
def test_dump_in_a_container_is_still_a_dump(seed: int, shape: Shape, style: str) -> None:
    """What the executor printed without its prefix says nothing, though a container prefixes every line."""
    log = played(seed, replace(shape, dumps=True))
    check_alone(log, rows_of(log.text(style).encode()))


def check_never_anothers(log: Log, rows: list[dict[str, Any]], exact_phase: bool = False) -> None:
    """Assert that all events are there, each with what is true of it, or with what is not known."""
    expected: dict[tuple[object, ...], list[Event]] = {}
    for event in log.seen():
        expected.setdefault(event.identity[:-1], []).append(event)
    assert {identity(row)[:-1] for row in rows} == set(expected)
    for row in rows:
        candidates = expected[identity(row)[:-1]]
        assert any(agrees(row, event) for event in candidates), (row, candidates)
        assert not exact_phase or row["phase_id"] != "unknown"


def agrees(row: dict[str, Any], event: Event) -> bool:
    """Whether a row says nothing that is not true of an event."""
    paths = stored_paths(row)
    return (
        row["run_id"] in (event.run, "unknown")
        and row["phase_id"] in (event.phase, "unknown")
        and set(paths) <= set(event.paths)
        and (not row["deliverables_complete"] or paths == event.paths[:20])
        and (event.outcome is None or row["phase_outcome"] in (event.outcome, None))
        and row["input_tokens"] in (event.input_tokens, None)
        and row["total_tokens"] in (event.total_tokens, None)
        and row["attempt_index"] in (event.attempt_index, None)
        and row["estimated_deliverable_count"] in (len(event.paths), None)
    )


MIXED_SHAPES = st.builds(
    replace,
    SHAPES,
    killed=st.booleans(),
    burst=st.booleans(),
    requested=st.booleans(),
    payloads=st.sampled_from((1, 3, 5_000)),
    anchorless=st.just(False),
)


@given(
    SEEDS,
    MIXED_SHAPES,
    st.integers(2, 4),
    st.sampled_from(("by time", "any")),
    st.booleans(),
    st.sampled_from(STYLES),
)
@examples(120)
def test_interleaved_runs_never_take_each_others_context(
    seed: int, shape: Shape, runs: int, mix: str, same_names: bool, style: str
) -> None:
    """Lines of parallel runs in one file: what is known of an event is right, or unknown."""
    log = played(seed, without_dumps_in(style, shape), runs, mix, same_names)
    check_never_anothers(log, rows_of(log.text(style).encode()))


@given(SEEDS, MIXED_SHAPES, st.integers(2, 4), st.sampled_from(("alone", "by time")), st.booleans())
@examples(60)
def test_killed_runs_leave_no_context_to_the_next(
    seed: int, shape: Shape, runs: int, mix: str, same_names: bool
) -> None:
    """A run that was killed says nothing of its end; what follows is right, or unknown."""
    log = played(seed, replace(shape, killed=True), runs, mix, same_names)
    check_never_anothers(log, rows_of(log.text().encode()))


@given(SEEDS, MIXED_SHAPES, st.integers(2, 3), st.floats(0, 1))
@examples(40)
def test_interleaved_runs_whose_start_was_rotated_away_keep_their_phases(
    seed: int, shape: Shape, runs: int, part: float
) -> None:
    """A file that begins in the middle of parallel runs: phase and paths are right, or unknown.

    Run and attempt are not asserted: before a second run shows itself, one is all there is.
    """
    log = played(seed, replace(shape, payloads=5_000), runs, "by time")
    log = log.cut(int(part * len(log.lines)))
    rows = [{**row, "run_id": "unknown", "attempt_index": None} for row in rows_of(log.text().encode())]
    check_never_anothers(log, rows)


@given(SEEDS, MIXED_SHAPES, st.integers(1, 3), st.sampled_from(("run", "anchor", "paths", "outcome")))
@examples(60)
def test_grepped_lines_say_nothing_wrong(seed: int, shape: Shape, runs: int, kind: str) -> None:
    """Event lines with one kind of the lines around them: right, or unknown."""
    log = played(seed, shape, runs, "by time").excerpt(kind)
    check_never_anothers(log, rows_of(log.text().encode()))


# Captures


@pytest.mark.parametrize("width", [79, 119, 200])
@pytest.mark.parametrize("words", [True, False], ids=["words", "hard"])
@pytest.mark.parametrize("big_endian", [False, True], ids=["le", "be"])
def test_wrapped_capture_of_25_events_gives_all_of_them(width: int, words: bool, big_endian: bool) -> None:
    """Every event of a hard-wrapped UTF-16 capture is found, with its run and its phase."""
    shape = Shape(phases=25, dumps=False, retries=False, lost_calls=False, anchorless=False)
    log = executor_run(Random(25), "run-a", shape)
    assert len(log.events) == 25
    rows = rows_of(capture(log, width, words, big_endian))
    assert Counter((row["run_id"], row["phase_id"]) for row in rows) == Counter(
        (event.run, event.phase) for event in log.events
    )
    check_alone(log, rows)


@given(
    SEEDS, SHAPES, st.integers(1, 2), st.sampled_from((60, 79, 119, 120, 200)), st.booleans(), st.booleans()
)
@examples(40)
def test_wrapped_capture_gives_every_event_with_all_that_is_true_of_it(
    seed: int, shape: Shape, runs: int, width: int, words: bool, opening: bool
) -> None:
    """A wrapped capture that shows the console's width says as much as the log would have."""
    log = played(seed, replace(shape, dumps=False), runs)
    check_alone(log, rows_of(capture(log, width, words, opening=opening, shows_width=True)))


# Lines that are not what they seem


def coloured(rng: Random, log: Log) -> str:
    """Put escapes anywhere into lines, and progress before them."""
    lines = []
    for line in log.text().splitlines():
        places = [0, *sorted(rng.randrange(len(line) + 1) for _ in range(rng.randrange(3))), len(line)]
        texts = [line[start:end] + rng.choice(_ESCAPES) for start, end in pairwise(places)]
        lines.append("10%\r" * (rng.random() < 0.1) + "".join(texts))
    return "".join(f"{line}\n" for line in lines)


_ESCAPES = ("", "\x1b[0m", "\x1b[1;3m", "\x1b[K", "\x1b]8;;u\x07")


def in_pieces(rng: Random, log: Log, style: str, noise: float = 0.2) -> str:
    """Cut the lines of a container into pieces, with those of another stream between them."""
    lines = []
    for line in log.text().splitlines():
        places = sorted({0, len(line), *(rng.randrange(len(line) + 1) for _ in range(rng.randrange(3)))})
        for start, end in pairwise(places if line else (0, 0)):
            is_last = end == len(line)
            lines.append(piece(style, "stderr", line[start:end], is_last))
            if rng.random() < noise:
                lines.append(piece(style, "stdout", "noise", rng.random() < 0.7))
    lines.append(piece(style, "stdout", "end", True))
    return "".join(f"{line}\n" for line in lines)


def piece(style: str, stream: str, text: str, is_last: bool) -> str:
    """Write one piece of a line as CRI's runtimes or Docker do."""
    time = "2026-01-05T08:40:02.123456789Z"
    if style == "cri":
        return f"{time} {stream} {'F' if is_last else 'P'} {text}"
    return json.dumps({"log": text + "\n" * is_last, "stream": stream, "time": time}, ensure_ascii=False)


PRINTED = (
    "Traceback (most recent call last):\n",
    "[PROBE] ========== VERDICT ==========\n",
    "=" * 80 + "\n",
    "\u2713 Completed - success=False, tokens=0\n",
    "2026-01-05T08:40:02.123456789Z stdout F hello\n",
)


def torn(rng: Random, log: Log) -> str:
    """Leave out newlines, and the ends of lines that are no events: the next writer appended, or printed.

    The last line stays whole: cut, and with a newline, it would be as good as a shorter one.
    """
    text = ""
    for line in log.lines:
        rendered, is_glued = line.rendered(), rng.random() < 0.1 and line is not log.lines[-1]
        if is_glued and line.event is None:
            rendered = rendered[: rng.randrange(len(rendered) + 1)]
        printed = rng.choice(("", *PRINTED)) if is_glued and line.level is not None else ""
        text += rendered + printed if is_glued else f"{rendered}\n"
    return f"{text}\n"


def without_newlines(log: Log) -> Log:
    """Leave out printed lines, which could be the end of any."""
    return Log([line for line in log.lines if line.level is not None], log.events)


@given(SEEDS, SHAPES, st.integers(1, 2), st.sampled_from(("colours", "cri", "docker", "own")))
@examples(40)
def test_disguised_log_gives_every_event_with_all_that_is_true_of_it(
    seed: int, shape: Shape, runs: int, disguise: str
) -> None:
    """Colours, pieces and a prefix of one's own that is named take nothing away, and add nothing."""
    log, rng = played(seed, replace(shape, dumps=False), runs), Random(seed)
    if disguise == "own":
        text = "".join(f"w{number % 7} says> {line}\n" for number, line in enumerate(log.text().splitlines()))
        check_alone(log, rows_of(text.encode(), prefix="{word} says> "))
        return
    text = coloured(rng, log) if disguise == "colours" else in_pieces(rng, log, disguise, noise=0)
    check_alone(log, rows_of(text.encode()))


@given(SEEDS, MIXED_SHAPES, st.integers(1, 3), st.booleans())
@examples(40)
def test_torn_log_gives_no_event_what_is_another_ones(
    seed: int, shape: Shape, runs: int, finished: bool
) -> None:
    """A line that was cut says what its whole values say, or nothing; the next one is a line of its own."""
    log = without_newlines(played(seed, replace(shape, dumps=False, noise=False), runs, "alone"))
    rows = rows_of(torn(Random(seed), log).encode(), finished)
    expected = {event.identity[:-1] for event in log.seen()}
    assert {identity(row)[:-1] for row in rows} <= expected
    for row in rows:
        candidates = [event for event in log.seen() if event.identity[:-1] == identity(row)[:-1]]
        assert any(agrees(row, event) for event in candidates), row


@given(
    SEEDS,
    ANY_SHAPES,
    st.sampled_from(("colours", "cri", "docker", "torn", "own")),
    st.lists(st.integers(0, 1 << 20), max_size=4),
    st.booleans(),
)
@examples(40)
def test_disguised_log_that_grows_gives_what_it_gives_in_one_pass(
    seed: int, shape: Shape, disguise: str, cuts: list[int], finished: bool
) -> None:
    """Cut anywhere, within a piece, an escape or a torn line; every occurrence of the marker is counted."""
    log, rng = played(seed, shape, 2, "by time"), Random(seed)
    text = {
        "colours": lambda: coloured(rng, log),
        "torn": lambda: torn(rng, log),
        "own": lambda: "".join(f"w says> {line}\n" for line in log.text().splitlines()),
    }.get(disguise, lambda: in_pieces(rng, log, disguise))()
    check_cuts(text.encode(), cuts, finished)


# Rotations


class Rotations:
    """A log that is written and rotated, and its folder ingested, step by step."""

    def __init__(self, place: Path, lines: list[bytes], rng: Random) -> None:
        self.place, self.lines, self.rng = place, lines, rng
        self.path, self.database = place / "logs" / "executor.log", place / "t.db"
        self.path.parent.mkdir()
        self.generation = 0

    def step(self, step: str) -> None:
        """Do one thing that may happen to a log."""
        older = self.path.with_name(f"executor.log.{self.generation + 1}")
        if step == "write":
            count = self.rng.randrange(1, 40)
            with self.path.open("ab") as file:
                file.write(b"".join(self.lines[:count]))
            del self.lines[:count]
        elif step == "ingest":
            read(self.database, self.path.parent)
            check_invariants(self.database)
        elif not self.path.exists():
            return
        elif step == "rename":
            self.path.rename(older)
            self.generation += 1
        elif step == "copytruncate":
            older.write_bytes(self.path.read_bytes())
            os.truncate(self.path, 0)
            self.generation += 1
        elif step == "compress":
            self.compress()

    def compress(self) -> None:
        """Compress one of the rotated files, as a later run of the rotation does."""
        rotated = [path for path in self.path.parent.glob("executor.log.*") if path.suffix[1:].isdigit()]
        if rotated:
            path = self.rng.choice(sorted(rotated))
            ending = self.rng.choice(sorted(COMPRESSIONS))
            path.with_name(f"{path.name}.{ending}").write_bytes(COMPRESSIONS[ending](path.read_bytes()))
            path.unlink()


STEPS = st.lists(
    st.sampled_from(("write", "write", "ingest", "ingest", "rename", "copytruncate", "compress")), max_size=14
)


@given(SEEDS, MIXED_SHAPES, STEPS)
@examples(60)
def test_rotated_log_gives_each_event_once(seed: int, shape: Shape, steps: list[str]) -> None:
    """Renamed, copied and truncated, compressed, read in between or not: each event is one row."""
    log = played(seed, shape)
    lines = [line.encode() + b"\n" for line in log.text().splitlines()]
    with folder() as place:
        rotations = Rotations(place, lines, Random(seed))
        for step in steps:
            rotations.step(step)
        rotations.path.parent.joinpath("last.log").write_bytes(b"".join(rotations.lines))
        rotations.step("ingest")
        rows = events(rotations.database)
        expected = Counter(event.identity[:-1] for event in log.seen())
        assert Counter(identity(row)[:-1] for row in rows) == dict.fromkeys(expected, 1)
        check_never_anothers(log, rows)
