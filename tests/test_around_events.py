"""What a line tells of events around it, and what it can't: two runs in one log, and lines too far behind."""

from __future__ import annotations

from ingest.linking.context import Context
from test_linker import OPEN, RUN, linked, log_of

SECOND_RUN = RUN.replace("r1", "r2")


def contexts(text: str) -> list[Context]:
    """Return the contexts of a small log's events."""
    return linked(log_of(text)).contexts


def test_of_two_anchors_of_one_phase_neither_tells_the_tokens() -> None:
    """The phase was opened before the second run came: it is known, and whose tokens these are is not."""
    (context,) = contexts(RUN + OPEN + SECOND_RUN + "ANCHOR p1 input=1\nANCHOR p1 input=2\nEVENT")
    assert context.phase is not None
    assert context.phase.name == "p1"
    assert (context.actual_max_tokens, context.input_tokens, context.total_tokens) == (None, None, None)


def test_equal_anchors_of_one_phase_tell_the_tokens() -> None:
    """Where both say the same, it doesn't matter whose anchor it was."""
    (context,) = contexts(RUN + OPEN + SECOND_RUN + "ANCHOR p1 input=2\nANCHOR p1 input=2\nEVENT")
    assert (context.actual_max_tokens, context.input_tokens) == (16384, 2)


def test_builders_line_tells_the_phase_of_an_event_three_lines_before_it() -> None:
    """Within three lines after its event, no further: by then it may be another call's."""
    for between, phase in ((2, "p1"), (3, None)):
        text = RUN + OPEN + "EVENT\n" + "something else\n" * between + "[p1] Builder succeeded (6213 tokens)"
        (context,) = contexts(text)
        assert (context.phase.name if context.phase else None) == phase
