"""What a line says of events around it, and what it can't: two runs in one log, and lines too far below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conftest import Tokentail
from faults.tables import opened
from ingest.linking.context import Context
from test_linker import CALL, OPEN, PREPARED, RUN, linked, log_of

SECOND_RUN = RUN.replace("r1", "r2")


def contexts(text: str) -> list[Context]:
    """Return the contexts of a small log's events."""
    return linked(log_of(text)).contexts


def test_anchors_of_one_phase_that_differ_give_no_tokens() -> None:
    """The phase was opened before the second run came: it is known, and whose tokens these are is not."""
    (context,) = contexts(RUN + OPEN + SECOND_RUN + "ANCHOR p1 input=1\nANCHOR p1 input=2\nEVENT")
    assert context.phase is not None
    assert context.phase.name == "p1"
    assert (context.actual_max_tokens, context.input_tokens, context.total_tokens) == (None, None, None)


def test_equal_anchors_of_one_phase_give_the_tokens() -> None:
    """Where both say the same, it doesn't matter whose anchor it was."""
    (context,) = contexts(RUN + OPEN + SECOND_RUN + "ANCHOR p1 input=2\nANCHOR p1 input=2\nEVENT")
    assert (context.actual_max_tokens, context.input_tokens) == (16384, 2)


def test_builders_line_names_the_phase_of_an_event_three_lines_before_it() -> None:
    """Within three lines after its event, no further: by then it may be another call's."""
    for between, phase in ((2, "p1"), (3, None)):
        text = RUN + OPEN + "EVENT\n" + "something else\n" * between + "[p1] Builder succeeded (6213 tokens)"
        (context,) = contexts(text)
        assert (context.phase.name if context.phase else None) == phase


BUILT = "\n[p1] Builder succeeded (6213 tokens)"


def stored(called: Tokentail, folder: Path, text: str) -> list[dict[str, Any]]:
    """Return the rows of a small log's events, in the order of their lines, as the program reads it."""
    (folder / "run.log").write_text("".join(f"{line}\n" for line in log_of(text)), encoding="utf-8")
    called("ingest", "run.log", "--tz", "UTC")
    with opened(folder / "telemetry.db") as connection:
        rows = connection.execute(
            "SELECT event.* FROM event_sightings JOIN token_estimation_v2_events AS event USING (event_id) "
            "ORDER BY byte_offset"
        )
        return [dict(row) for row in rows]


def test_what_was_prepared_is_known_without_an_anchor(called: Tokentail, tmp_path: Path) -> None:
    """An estimate of the event's own numbers is its own, though no line names the phase."""
    (event,) = stored(called, tmp_path, RUN + OPEN + PREPARED + "EVENT")
    assert (event["phase_id"], event["confidence"], event["attempt_index"]) == ("unknown", 0.8, 2)


def test_event_directly_below_a_list_ends_it(called: Tokentail, tmp_path: Path) -> None:
    """The list counts for its phase, and the event below it for itself."""
    refused = "[p1] ❌ DELIVERABLES VALIDATION FAILED\n📋 REQUIRED DELIVERABLES:\n  ✓ a.py\n"
    listed, below = stored(
        called,
        tmp_path,
        RUN + OPEN + CALL + refused + "EVENT predicted_output=7\n[p1] Applied files: ['b.py']",
    )
    assert (listed["phase_id"], listed["deliverables_json"]) == ("p1", '["b.py"]')
    assert (below["phase_id"], below["deliverables_json"], below["run_id"]) == ("unknown", "[]", "r1")


def test_event_while_two_runs_write_gets_nothing_from_the_builder_of_the_run_that_stays(
    called: Tokentail, tmp_path: Path
) -> None:
    """Whose event it was is not known later either, when one of them has ended."""
    text = RUN + OPEN + SECOND_RUN + "EVENT\n[LOCK] Released executor lock for run_id=r2 (PID=2)" + BUILT
    (event,) = stored(called, tmp_path, text)
    assert (event["run_id"], event["phase_id"]) == ("unknown", "unknown")


def test_builders_line_of_a_call_says_nothing_of_the_call_before(called: Tokentail, tmp_path: Path) -> None:
    """After its end a phase may make another call, whose event its builder logs again."""
    text = RUN + OPEN + CALL + "EVENT predicted_output=7" + BUILT
    assert [event["phase_id"] for event in stored(called, tmp_path, text)] == ["p1", "p1"]


def test_call_that_ends_without_an_event_is_counted_after_others(called: Tokentail, tmp_path: Path) -> None:
    """Each call ends once: a further end of a builder is a call whose event is missing."""
    stored(called, tmp_path, RUN + OPEN + CALL + "[p1] Builder failed: no")
    with opened(tmp_path / "telemetry.db") as connection:
        ((lost,),) = map(tuple, connection.execute("SELECT calls_without_telemetry FROM log_sources"))
    assert lost == 1


def test_first_of_two_runs_to_end_may_be_either() -> None:
    """The end of a process doesn't say whose it is: while one goes on, what is prepared is nobody's."""
    finished = "Autonomous execution loop finished\n"
    (context,) = contexts(RUN + SECOND_RUN + finished + OPEN + PREPARED + "EVENT")
    assert (context.run, context.confidence, context.actual_max_tokens) == (None, None, None)
    (context,) = contexts(RUN + SECOND_RUN + finished * 2 + RUN + OPEN + PREPARED + "EVENT")
    assert (context.run is not None, context.confidence) == (True, 0.8)


OPEN_TWO = OPEN.replace("p1", "p2")
LIFE_OF_ONE = "ANCHOR p1 output=5\n"
ENDED = "Updated phase p1 status to COMPLETE\n"
LATER = {
    "side-by-side": (OPEN + OPEN_TWO + LIFE_OF_ONE, None),
    "one-has-ended": (OPEN + OPEN_TWO + LIFE_OF_ONE + ENDED + OPEN.replace("p1", "p3"), None),
    "both-have-ended": (
        OPEN + OPEN_TWO + LIFE_OF_ONE + ENDED + ENDED.replace("p1", "p2") + OPEN.replace("p1", "p3"),
        0.8,
    ),
    "the-later-one-had-ended": (OPEN + OPEN_TWO + ENDED.replace("p1", "p2") + LIFE_OF_ONE, 0.8),
    "the-earlier-one-was-only-named": (OPEN.splitlines()[0] + "\n" + OPEN_TWO + LIFE_OF_ONE, 0.8),
}


@pytest.mark.parametrize(("text", "confidence"), LATER.values(), ids=LATER)
def test_what_is_prepared_while_two_phases_run_side_by_side_is_nobodys(
    text: str, confidence: float | None
) -> None:
    """A sign of life of a phase after another was opened shows that both run, until both have ended."""
    (context,) = contexts(RUN + text + PREPARED + "EVENT")
    assert context.confidence == confidence


def test_run_whose_start_is_in_an_older_file_is_not_the_one_that_starts() -> None:
    """Somebody works here before a run starts: from then on they are two."""
    (context,) = contexts(OPEN + SECOND_RUN + PREPARED + "EVENT")
    assert (context.run, context.confidence) == (None, None)
