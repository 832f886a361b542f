"""Events that differ only in their context: one payload, one second, or one phase's name.

Literal logs, small enough to read, of what parallel runs do to each other.
"""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from executor_log import ZONE
from faults.tables import check_invariants, escalations, events, tables
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions

EVENT = (
    "[TokenEstimationV2] predicted_output=5200 actual_output=1157 smape=127.2% selected_budget=8192 "
    "category=docs complexity=low deliverables=1 success=True stop_reason=end_turn truncated=False model=m-4"
)


def anchor(phase: str, input_tokens: int = 900, complexity: str = "low", model: str = "m-4") -> str:
    """Return the anchor of a call that returned what the event says."""
    return (
        f"[TOKEN_BUDGET] phase={phase} complexity={complexity} input={input_tokens} output=1157/16384 "
        f"total={input_tokens + 1157} utilization=7.1% model={model}"
    )


def initialized(run: str) -> str:
    """Return the line with which a run begins."""
    return f"Initialized autonomous executor for run: {run}"


def log_of(*messages: str, milliseconds: int | None = None) -> str:
    """Write messages that were all logged in one second."""
    if milliseconds is None:
        return "".join(f"[2025-12-29 19:40:02] INFO: {message}\n" for message in messages)
    return "".join(f"2025-12-29 19:40:02,{milliseconds:03d} - a.b - INFO - {text}\n" for text in messages)


def read(database: Path, *paths: Path) -> None:
    """Ingest logs, and check what must always hold."""
    ingest([str(path) for path in paths], database, IngestOptions(command="ingest", zone=zone_named(ZONE)))
    check_invariants(database)


def rows_of(here: Path, *messages: str) -> list[dict[str, Any]]:
    """Ingest one log and return its events."""
    (here / "a.log").write_text(log_of(*messages), encoding="utf-8")
    read(here / "t.db", here / "a.log")
    return events(here / "t.db")


@pytest.mark.parametrize(
    "phaseless",
    [log_of(initialized("run-x"), EVENT), log_of(EVENT, milliseconds=440)],
    ids=["with a run", "with milliseconds"],
)
def test_sighting_without_a_phase_adds_the_same_to_two_events_in_every_order(
    tmp_path: Path, phaseless: str
) -> None:
    """It may be of either event, so what it adds may not depend on which came first."""
    logs = {"x.txt": phaseless, "p1.log": log_of(anchor("p1"), EVENT), "p2.log": log_of(anchor("p2"), EVENT)}
    for name, text in logs.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = []
    for number, names in enumerate(permutations(logs)):
        for name in names:
            read(tmp_path / f"{number}.db", tmp_path / name)
        found.append(events(tmp_path / f"{number}.db"))
    assert [row["phase_id"] for row in found[0]] in (["p1", "p2"], ["p2", "p1"])
    assert all(other == found[0] for other in found[1:])


def test_phase_of_a_later_line_takes_nothing_from_another_event(tmp_path: Path) -> None:
    """Two phases of one second, one logged before its event and one after it: two events in every order."""
    logs = {
        "before.log": log_of(anchor("p1"), EVENT),
        "after.log": log_of(EVENT, "[p2] Builder succeeded (2057 tokens)"),
        "both.log": log_of(EVENT, "[p3] Builder succeeded (2057 tokens)", anchor("p1"), EVENT),
    }
    for name, text in logs.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = []
    for number, names in enumerate(permutations(logs)):
        for name in names:
            read(tmp_path / f"{number}.db", tmp_path / name)
        found.append(events(tmp_path / f"{number}.db"))
    assert sorted(row["phase_id"] for row in found[0]) == ["p1", "p2", "p3"]
    assert all(other == found[0] for other in found[1:])


def test_phases_of_later_lines_are_two_events_wherever_the_log_is_cut(tmp_path: Path) -> None:
    """Two calls without an anchor return the same in one second: two events, read at once or in parts."""
    lines = []
    for phase in ("p1", "p2"):
        lines += [
            f"[BUILD-041] Next phase: {phase}",
            f"[{phase}] Step 1/4: Generating code with Builder (via LlmService)...",
            EVENT,
            f"[{phase}] Builder succeeded (2057 tokens)",
            f"Updated phase {phase} status to COMPLETE",
        ]
    text = log_of(initialized("run-a"), *lines)
    whole = tmp_path / "whole.db"
    (tmp_path / "executor.log").write_text(text, encoding="utf-8")
    read(whole, tmp_path / "executor.log")
    assert {row["phase_id"] for row in events(whole)} == {"p1", "p2"}
    ends = [number for number, character in enumerate(text, 1) if character == "\n"]
    for end in ends:
        folder = tmp_path / str(end)
        folder.mkdir()
        for part in (text[:end], text):
            (folder / "executor.log").write_text(part, encoding="utf-8")
            read(folder / "t.db", folder / "executor.log")
        assert tables(folder / "t.db") == tables(whole), f"cut after line {ends.index(end) + 1}"


def test_escalation_keeps_its_most_precise_time_in_every_order(tmp_path: Path) -> None:
    """Logged with and without milliseconds, an escalation is one row, and the same one both ways."""
    text = "[TOKEN_ESCALATION] phase=p1 attempt=1 tokens=8192→12288 (truncation detected, auto-retrying)"
    (tmp_path / "seconds.log").write_text(log_of(text), encoding="utf-8")
    (tmp_path / "script.log").write_text(log_of(text, milliseconds=440), encoding="utf-8")
    names = ("seconds.log", "script.log")
    for number, order in enumerate((names, names[::-1])):
        for name in order:
            read(tmp_path / f"{number}.db", tmp_path / name)
    assert escalations(tmp_path / "0.db") == escalations(tmp_path / "1.db")


def test_escalation_has_the_run_that_is_known_of_any_of_its_places(tmp_path: Path) -> None:
    """Whether the copy without its run is read first or last."""
    text = "[TOKEN_ESCALATION] phase=p1 attempt=1 tokens=8192→12288 (truncation detected, auto-retrying)"
    (tmp_path / "whole.log").write_text(log_of(initialized("run-a"), text), encoding="utf-8")
    (tmp_path / "part.log").write_text(log_of(text), encoding="utf-8")
    names = ("whole.log", "part.log")
    for number, order in enumerate((names, names[::-1])):
        for name in order:
            read(tmp_path / f"{number}.db", tmp_path / name)
        assert [row["run_id"] for row in escalations(tmp_path / f"{number}.db")] == ["run-a"]


@pytest.mark.parametrize(
    "opening",
    [
        "[BUILD-041] Next phase: p1",
        "[BUILD-128] Phase 'p1' has deliverables - inferring scope from deliverables",
    ],
    ids=["requested", "scope inferred"],
)
def test_phase_opened_by_one_run_and_generated_by_another_is_not_the_firsts(
    tmp_path: Path, opening: str
) -> None:
    """Once a second run has started, a builder call for a phase of that name may be either's."""
    (row,) = rows_of(
        tmp_path,
        initialized("run-a"),
        opening,
        initialized("run-b"),
        "[p1] Step 1/4: Generating code with Builder (via LlmService)...",
        anchor("p1"),
        EVENT,
        "[p1] Builder succeeded (2057 tokens)",
    )
    assert (row["run_id"], row["phase_id"]) == ("unknown", "p1")


def test_two_anchors_of_one_name_leave_their_input_unknown(tmp_path: Path) -> None:
    """Two runs' calls for phases of one name returned as much: the phase is known, the input is not."""
    rows = rows_of(
        tmp_path,
        *(initialized("run-a"), "[BUILD-041] Next phase: p1"),
        *(initialized("run-b"), "[BUILD-041] Next phase: p1"),
        *(anchor("p1", 111), anchor("p1", 222)),
        EVENT,
    )
    assert [(row["phase_id"], row["input_tokens"]) for row in rows] == [("p1", None)]


@pytest.mark.parametrize("other", [{"complexity": "high"}, {"model": "m-5"}], ids=str)
def test_anchor_of_another_model_or_complexity_is_another_calls_where_runs_mix(
    tmp_path: Path, other: dict[str, str]
) -> None:
    """Where several runs write, an anchor must name the event's model and complexity, not only its tokens."""
    runs = (initialized("run-a"), initialized("run-b"))
    (row,) = rows_of(tmp_path, *runs, anchor("p1", **other), EVENT)  # type: ignore[arg-type]
    assert row["phase_id"] == "unknown"


@pytest.mark.parametrize(
    "inner", [EVENT, f"{anchor('forged')}\n{EVENT}"], ids=["an event", "an anchor and an event"]
)
def test_model_output_in_a_container_makes_no_event(tmp_path: Path, inner: str) -> None:
    """Where the lines of a container have the executor's own prefix, one without it is a dump."""
    before = "2025-12-29T08:40:02.123456789Z stderr F "
    lines = [*log_of(initialized("run-a"), "[Builder] raw output:").splitlines(), *inner.splitlines()]
    (tmp_path / "c.log").write_text("".join(f"{before}{line}\n" for line in lines), encoding="utf-8")
    read(tmp_path / "t.db", tmp_path / "c.log")
    assert events(tmp_path / "t.db") == []


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"], ids=["le", "be", "utf-8"])
def test_file_read_when_only_a_part_of_its_mark_was_there(tmp_path: Path, mark: bytes) -> None:
    """A byte order mark that comes in two pieces still sets the encoding of all that follows."""
    codec = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(mark, "utf-8")
    data = mark + log_of(initialized("run-a"), anchor("p1"), EVENT, "end").encode(codec)
    log = tmp_path / "a.log"
    for end in (1, len(data)):
        log.write_bytes(data[:end])
        read(tmp_path / "t.db", log)
    assert [(row["run_id"], row["phase_id"]) for row in events(tmp_path / "t.db")] == [("run-a", "p1")]
