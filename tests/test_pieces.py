"""Pieces of a container's lines are one line, however they are interleaved and wherever reading stops.

Keeps the invariant that a log in pieces gives the rows that it gives whole.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from event_lines import anchor_message, event_message, logged
from faults.tables import check_invariants, events, tables
from ingest.files.logfile import LogFile
from ingest.memory import MAX_LINE_BYTES
from ingest.pipeline import ingest
from ingest.reading import scan
from ingest.reading.pieces import pieces_in
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary
from ingest.verify import verify

TIME = "2025-12-29T08:40:02.123456789Z"
EVENT = logged(event_message())
START = logged("Initialized autonomous executor for run: run-A")


def cri(*texts: str, stream: str = "stderr", is_last: bool = True) -> list[str]:
    """Write the pieces of a line as a container runtime does."""
    tags = ["P"] * (len(texts) - 1) + ["F" if is_last else "P"]
    return [f"{TIME} {stream} {tag} {text}" for tag, text in zip(tags, texts, strict=True)]


def docker(*texts: str, stream: str = "stderr", is_last: bool = True) -> list[str]:
    """Write the pieces of a line as Docker does."""
    texts = (*texts[:-1], texts[-1] + "\n" * is_last)
    return [
        json.dumps({"log": text, "stream": stream, "time": TIME}, separators=(",", ":"), ensure_ascii=False)
        for text in texts
    ]


FORMS = pytest.mark.parametrize("form", [cri, docker], ids=["cri", "docker"])


def read(database: Path, log: Path, finished: bool = False) -> Summary:
    """Ingest a log."""
    options = IngestOptions("backfill" if finished else "ingest", zone_named("UTC"), finished=finished)
    summary = ingest([str(log)], database, options)
    check_invariants(database)
    assert verify([], database).differences == []
    return summary


def asked(database: Path, query: str) -> list[tuple[Any, ...]]:
    """Return rows."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


SEEN = (
    "SELECT model, run_id, byte_offset, line_number, line_cut FROM event_sightings "
    "JOIN token_estimation_v2_events USING (event_id) ORDER BY byte_offset"
)
REASONS = "SELECT reason, byte_offset FROM rejected_lines ORDER BY byte_offset"


@FORMS
@pytest.mark.parametrize("cut", [1, 15, 30, 40, 60, 200, len(EVENT) - 4, len(EVENT)])
@pytest.mark.parametrize("other", [cri, docker, None], ids=["cri", "docker", "none"])
def test_event_in_two_pieces_is_one_event_with_the_place_of_the_first(
    tmp_path: Path, form: Any, cut: int, other: Any
) -> None:
    """Cut in its prefix, its marker, a number or its model; another stream between changes nothing."""
    between = (other or form)("noise", stream="stdout") * (other is not None)
    before = [*form(START), *form("noise", stream="stdout")]
    first, second = form(EVENT[:cut], EVENT[cut:])
    log = tmp_path / "run.log"
    log.write_text("".join(f"{line}\n" for line in [*before, first, *between, second]))
    read(tmp_path / "t.db", log)
    offset = sum(len(line) + 1 for line in before)
    assert asked(tmp_path / "t.db", SEEN) == [("some-model-4", "run-A", offset, 3, 0)]


@FORMS
def test_piece_that_begins_with_quoted_text_forges_no_event(tmp_path: Path, form: Any) -> None:
    """It is the rest of a line: behind other text, or quoted."""
    lines = [
        *form(logged("dump: "), EVENT),
        *form(logged("dump: '"), EVENT),
        *form(logged("dump of a log: x"), f"\\n{EVENT}\\n", EVENT),
    ]
    (tmp_path / "run.log").write_text("".join(f"{line}\n" for line in lines))
    read(tmp_path / "t.db", tmp_path / "run.log")
    assert asked(tmp_path / "t.db", SEEN) == []
    assert asked(tmp_path / "t.db", REASONS) == [("behind other text", 0)]
    assert asked(tmp_path / "t.db", "SELECT quoted_lines, unread_lines FROM log_sources") == [(3, 0)]


@FORMS
def test_last_piece_without_its_end_waits_and_goes_on_in_the_next_run(tmp_path: Path, form: Any) -> None:
    """As a line without its newline does; `backfill` takes it as a line that is cut, and takes that back."""
    log, database = tmp_path / "run.log", tmp_path / "t.db"
    first, second = form(EVENT[:-4], EVENT[-4:])
    begin = "".join(f"{line}\n" for line in [*form(START), first, *form("noise", stream="stdout")])
    log.write_text(begin)
    summary = read(database, log)
    assert summary.marker_lines == 0
    ((unread, state),) = asked(database, "SELECT unread_bytes, state FROM log_sources")
    assert (unread, state) == (len(begin) - len(form(START)[0]) - 1, "unterminated")
    read(database, log, finished=True)
    assert [(model, cut) for model, _, _, _, cut in asked(database, SEEN)] == [("some-mod", 1)]
    log.write_text(f"{begin}{second}\n")
    read(database, log)
    assert [(model, run, cut) for model, run, _, _, cut in asked(database, SEEN)] == [
        ("some-model-4", "run-A", 0)
    ]


@FORMS
def test_writer_killed_between_pieces_is_a_torn_line(tmp_path: Path, form: Any) -> None:
    """The next process's first line goes on with the piece: it begins there all the same."""
    lines = [*form("x"), *form(EVENT[:-4], is_last=False), *form(START), *form(EVENT.replace("5200", "7"))]
    log = tmp_path / "run.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    read(tmp_path / "t.db", log)
    found = asked(tmp_path / "t.db", SEEN)
    assert [(model, cut) for model, _, _, _, cut in found] == [("some-mod", 1), ("some-model-4", 0)]
    assert found[1][1] == "run-A"


@FORMS
def test_pieces_beyond_the_limit_are_a_long_line_whose_markers_are_counted(tmp_path: Path, form: Any) -> None:
    """However long a line is in all, only as much of it is kept as of any other."""
    piece = "x" * 16_000
    lines = [
        *form(logged("y"), *[piece] * 150, f" {EVENT}"),
        *form(EVENT),
        *form(EVENT, *[piece] * 80, EVENT),
    ]
    (tmp_path / "run.log").write_text("".join(f"{line}\n" for line in lines))
    read(tmp_path / "t.db", tmp_path / "run.log")
    assert len(asked(tmp_path / "t.db", SEEN)) == 1
    ((reason, _),) = asked(tmp_path / "t.db", REASONS)
    assert reason.startswith("longer than the limit: ")
    counted = "SELECT quoted_lines, unread_lines, long_lines FROM log_sources"
    assert asked(tmp_path / "t.db", counted) == [(2, 0, 2)]


@FORMS
def test_line_that_others_wait_for_too_long_is_cut_and_that_is_said(tmp_path: Path, form: Any) -> None:
    """A megabyte of the other stream is waited through; what then comes of the line is behind other text."""
    other = form("z" * 10_000, stream="stdout") * (2 * MAX_LINE_BYTES // 10_000)
    lines = [
        *form("x"),
        *form(EVENT[:-4], is_last=False),
        *other,
        *form("4", f"'{EVENT}"),
        *form(EVENT.replace("5200", "7")),
    ]
    log = tmp_path / "run.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    summary = read(tmp_path / "t.db", log)
    assert [(model, cut) for model, *_, cut in asked(tmp_path / "t.db", SEEN)] == [
        ("some-mod", 1),
        ("some-model-4", 0),
    ]
    (note,) = summary.notes
    assert "has no end within 1 MiB of other lines: cut there" in note
    assert asked(tmp_path / "t.db", "SELECT quoted_lines FROM log_sources") == [(1,)]


@FORMS
def test_line_that_never_ends_keeps_memory_bounded_and_hides_no_line_of_the_executors(
    tmp_path: Path, form: Any
) -> None:
    """What then begins as one of the executor's own lines is a reject: nobody can know."""
    other = form("z" * 10_000, stream="stdout") * (2 * MAX_LINE_BYTES // 10_000)
    lines = [*form("x"), *form("lost ", is_last=False), *other, *form(EVENT), *form(EVENT)]
    log = tmp_path / "run.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    read(tmp_path / "t.db", log)
    assert [reason for reason, _ in asked(tmp_path / "t.db", REASONS)] == ["behind other text"]
    assert len(asked(tmp_path / "t.db", SEEN)) == 1


def test_objects_of_a_program_that_writes_no_newlines_are_lines(tmp_path: Path) -> None:
    """Only where a `log` ends in a newline now and then is one without it a piece."""
    texts = [START, EVENT, "printed", EVENT.replace("5200", "7"), "end"]
    lines = [json.dumps({"log": text, "time": TIME}) for text in texts]
    log = tmp_path / "run.log"
    log.write_text("".join(f"{line}\n" for line in lines) + f"{lines[0]}\n{lines[0]}\n")
    read(tmp_path / "t.db", log)
    assert [(model, run, cut) for model, run, _, _, cut in asked(tmp_path / "t.db", SEEN)] == [
        ("some-model-4", "run-A", 0),
        ("some-model-4", "run-A", 0),
    ]


def pieces_of(rng: Random, text: str) -> list[str]:
    """Cut a text anywhere, now and then."""
    if rng.random() < 0.5:
        return [text]
    places = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range(rng.randrange(1, 4)))})
    return [text[start:end] for start, end in pairwise(places)] or [text]


def interleaved(rng: Random, streams: list[list[str]]) -> Iterator[str]:
    """Mix streams, each in its own order."""
    streams = [list(reversed(stream)) for stream in streams if stream]
    while streams:
        stream = rng.choice(streams)
        yield stream.pop()
        streams = [stream for stream in streams if stream]


def log_in_pieces(rng: Random, form: Any) -> tuple[str, str]:
    """Return a log of two streams, whole and in pieces."""
    whole, streams = [], []
    for stream in ("stdout", "stderr"):
        phases = [f"{stream}-{number}" for number in range(3)]
        messages = [f"Initialized autonomous executor for run: run-{stream}"]
        for number, phase in enumerate(phases):
            messages += [f"[BUILD-041] Next phase: {phase}", anchor_message(phase, 1000 + number), "noise"]
            messages += [
                event_message(actual_output=1000 + number, category=stream),
                f"[{phase}] Builder failed: x",
            ]
        texts = [logged(message) for message in messages]
        whole.append([line for text in texts for line in form(text, stream=stream)])
        streams.append([line for text in texts for line in form(*pieces_of(rng, text), stream=stream)])
    return (
        "".join(f"{line}\n" for line in (*whole[0], *whole[1])),
        "".join(f"{line}\n" for line in interleaved(rng, streams)),
    )


@settings(deadline=None, max_examples=15, phases=[Phase.explicit, Phase.generate])
@given(
    st.integers(0, 1 << 32),
    st.sampled_from([cri, docker]),
    st.lists(st.integers(0, 1 << 20), max_size=4),
    st.sampled_from(["", "\0", "\0" * 64, "\ufeff"]),
)
def test_log_in_pieces_gives_what_it_gives_whole_wherever_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, seed: int, form: Any, cuts: list[int], head: str
) -> None:
    """The payloads are those of the whole log; grown, or read line by line, it gives the same tables.

    So it does after what a truncation under a writer, or a program that writes marks, leaves before it.
    """
    folder = tmp_path_factory.mktemp("pieces")
    whole, text = log_in_pieces(Random(seed), form)
    (folder / "whole.log").write_text(whole)
    log, data = folder / "run.log", f"noise\n{head}{text}".encode()
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    for start, end in pairwise(places):
        with log.open("ab") as file:
            file.write(data[start:end])
        read(folder / "grown.db", log)
    read(folder / "once.db", log)
    read(folder / "whole.db", folder / "whole.log")
    assert tables(folder / "grown.db") == tables(folder / "once.db")
    payloads = [
        sorted((row["category"], row["actual_output_tokens"], row["model"]) for row in events(folder / name))
        for name in ("once.db", "whole.db")
    ]
    assert payloads[0] == payloads[1]
    rows = []
    for plain in (True, False):
        batches = list(scan.scan(LogFile(str(log)), None, scan.ScanOptions("UTC", plain=plain)))
        found = [sighting for batch in batches for sighting in batch.rows.sightings]
        rows.append(
            (
                [
                    (sighting.offset, sighting.line_number, sighting.fact._replace(stem=""))
                    for sighting in found
                ],
                batches[-1].counters,
            )
        )
        rows[-1] += ([amendment for batch in batches for amendment in batch.rows.amendments],)
    assert rows[0] == rows[1]


@FORMS
@pytest.mark.parametrize("before", [0, 1_000, 1_037])
def test_few_pieces_are_seen_among_many_lines_of_another_program(form: Any, before: int) -> None:
    """Wherever they stand in a large block, as `cat app.log pod.log` puts them together."""
    plain = "[2025-12-29 19:40:02] INFO: working on a step, nothing to see"
    pieces = form("y", "z")
    lines = [*[plain] * before, *pieces, *[plain] * 3_000]
    data = "".join(f"{line}\n" for line in lines).encode()
    assert pieces_in(data) == ([data.index(pieces[0].encode())], form is docker)


def test_line_that_quotes_dockers_end_hides_no_piece() -> None:
    """However often the quoted text stands in it."""
    quoting = 'tail: {"log":"a\\n","stream":"stderr"} {"log":"b\\n","stream":"stderr"}'
    pieces = docker("y", "z")
    data = "".join(f"{line}\n" for line in [*docker("x"), quoting, *pieces, *docker("x")]).encode()
    assert pieces_in(data) == ([data.index(pieces[0].encode())], True)


@FORMS
def test_pieces_are_seen_in_large_blocks_too(form: Any) -> None:
    """Most logs were not written by a container, and are not searched."""
    lines = [line for number in range(2_000) for line in form(f"{number} " + "x" * 60)]
    piece = form("y", "z")[0]
    lines.insert(1_234, piece)
    data = "".join(f"{line}\n" for line in lines).encode()
    assert pieces_in(data) == ([data.index(piece.encode())], form is docker)
    assert pieces_in(b"[2025-12-29 19:40:02] INFO: a stderr P b\n" * 2_000) == ([], False)
