"""A short slice of `make fuzz`, and what it has found, by name.

The target asserts what is true of any log: nothing raised, the tables balanced, the same events however
the bytes were cut, a second run that changes nothing, a verification without differences, and a row for
each valid line that was written.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_lines import event_message, logged
from faults import fuzz, target
from faults.fuzz import Search, mutated, saved, search_plainly
from faults.hostile import GARBAGE, Draws, garbage_line
from faults.linear import lines, read
from faults.tables import events
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions


@given(st.binary(max_size=400))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_hostile_log_keeps_every_promise(data: bytes) -> None:
    """Whatever the bytes make of themselves, nothing that must be true is not."""
    target.check(data)


@pytest.mark.parametrize("kind", [kind for kind in GARBAGE if kind != "overlong"])
def test_every_kind_of_hostile_line_is_tried(kind: str) -> None:
    """No kind of line is left out by the luck of the draw: each is read between two valid lines."""
    rng = random.Random(kind)
    made = [garbage_line(kind, Draws(rng.randbytes(40))) for _ in range(60)]
    log = target.Made(
        b"\n".join([target.START, *made, logged(event_message(predicted_output=10**12)).encode(), b""]),
        "plain",
        "whole",
        frozenset(),
        False,
        Counter(),
    )
    with target.folder() as folder:
        database = target.in_one_pass(folder / "whole", log)
        target.in_pieces(
            folder / "pieces", log, database, target.Growth((4_000, 70_000), (True, False), False)
        )
        assert sum(row["predicted_output_tokens"] == 10**12 for row in events(database)) == 1


def test_search_is_repeated_by_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed tries the same inputs in the same order."""
    tried: list[list[bytes]] = []
    for _ in range(2):
        inputs: list[bytes] = []

        def check(data: bytes, inputs: list[bytes] = inputs) -> Counter[str]:
            inputs.append(data)
            return Counter({f"kind {len(data) % 7}": 1})

        search = Search(check, 1e9, 5, "at random")
        monkeypatch.setattr(Search, "is_over", property(lambda _, inputs=inputs: len(inputs) >= 50))
        assert search_plainly(search, 5) == 0
        tried.append(inputs)
    assert tried[0] == tried[1]
    assert len(set(tried[0])) > 40


def test_failing_input_is_saved_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search ends at its first failure with exit 1, and the input is there to be tried again."""
    monkeypatch.setattr(fuzz, "FAILURES", tmp_path / "fuzz-failures")

    def check(_: bytes) -> Counter[str]:
        raise ZeroDivisionError

    assert search_plainly(Search(check, 60, 7, "at random"), 7) == 1
    (kept,) = (tmp_path / "fuzz-failures").iterdir()
    shown = capsys.readouterr()
    assert kept.name in shown.err
    assert "ZeroDivisionError" in shown.err
    assert "fuzz: FAILED in 1 inputs" in shown.out
    assert saved(kept.read_bytes()) == kept


def test_changed_inputs_stay_short() -> None:
    """An input never grows without end, however often it is changed."""
    rng, data = random.Random(1), b""
    for _ in range(2_000):
        data = mutated(rng, data)
        assert len(data) <= fuzz.MAX_INPUT_BYTES


def test_no_pathological_line_is_read_in_quadratic_time() -> None:
    """Lines at which a quadratic pattern would take minutes each are all read at once; nothing is timed."""
    for _, line in list(lines(400_000))[::9]:
        read(line)


# What was found


@pytest.mark.parametrize("named", [True, False], ids=["named", "in a folder"])
def test_answer_of_control_characters_does_not_hide_a_log(tmp_path: Path, named: bool) -> None:
    """A model's answer near a log's start made the file 'a binary file': its events were not read."""
    log = tmp_path / "run.log"
    answer = bytes(range(1, 10)) * 200
    log.write_bytes(b"\n".join([logged("start").encode(), answer, logged(event_message()).encode(), b""]))
    options = IngestOptions("ingest", zone_named("UTC"))
    summary = ingest([str(log if named else tmp_path)], tmp_path / "t.db", options)
    assert (summary.problems, summary.events_new) == ([], 1)


@pytest.mark.parametrize(("mark", "codec"), [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")])
def test_broken_character_in_a_line_appended_to_a_capture_is_no_traceback(
    tmp_path: Path, mark: bytes, codec: str
) -> None:
    """A UTF-8 line in a UTF-16 capture may hold bytes that are no UTF-8: the run ended with a traceback."""
    log = tmp_path / "run.log"
    wide = f"{logged('start')}\r\n".encode(codec)
    narrow = f"{logged(event_message())}\n{logged('the answer: ')}".encode() + b"\xff\xc3\n"
    log.write_bytes(mark + wide + narrow + wide)
    summary = ingest([str(log)], tmp_path / "t.db", IngestOptions("ingest", zone_named("UTC")))
    assert (summary.problems, summary.events_new) == ([], 1)


EVENT = logged(event_message())
UNTERMINATED = {
    "half a newline, little": (b"\xff\xfe", "utf-16-le", EVENT.encode("utf-16-le") + b"\n"),
    "half a newline, big": (b"\xfe\xff", "utf-16-be", EVENT.encode("utf-16-be") + b"\0"),
    "UTF-8 in a capture": (b"\xff\xfe", "utf-16-le", EVENT.encode()),
    "UTF-16 in a log": (b"", "utf-8", EVENT.encode("utf-16-le")),
}


@pytest.mark.parametrize(("mark", "codec", "last"), UNTERMINATED.values(), ids=UNTERMINATED.keys())
def test_last_line_without_its_newline_is_what_it_is_with_it(
    tmp_path: Path, mark: bytes, codec: str, last: bytes
) -> None:
    """A backfill lost an unterminated event in the other encoding, or put a broken character at its end."""
    log, database = tmp_path / "run.log", tmp_path / "t.db"
    log.write_bytes(mark + f"{logged('start')}\n".encode(codec) + last)
    options = IngestOptions("backfill", zone_named("UTC"), finished=True)
    assert ingest([str(log)], database, options).events_new == 1
    (before,) = events(database)
    assert before["model"] == "some-model-4"
    newline = "\n".encode(codec if "newline" in last.decode("latin-1") or mark else "utf-16-le")
    whole = {b"\n": b"\0", b"\0": b"\n"}.get(last[-1:], newline) if len(last) % 2 else newline
    with log.open("ab") as file:
        file.write(b"\n" if last == EVENT.encode() else whole)
    ingest([str(log)], database, options)
    assert events(database) == [before]
