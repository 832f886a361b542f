"""What a checkpoint remembers comes back exactly, or not at all.

Keeps the invariant that doubt costs work only: text that is no such state raises, and the source is
read again from its start.
"""

from __future__ import annotations

import json
from collections import deque

import pytest

from ingest.files.logfile import Sample
from ingest.linking.context import Attributed
from ingest.linking.state import Anchors, LinkerState, LiveRuns, Preparation, Unanchored
from ingest.linking.windows import DeclaredLists, OpenEvent, OpenList, PathList, Window, Windows
from ingest.reading.checkpoint import Counters, Provisional, Remembered, as_text, from_text
from ingest.reading.lines import Position
from ingest.reading.wrap import WrapWidth
from parsers.records import BudgetUse, BuilderModel, Ceiling, Estimate

OPEN_EVENT = OpenEvent(120, 3, None, 8192, 16384, 1157)


def full() -> Remembered:
    """Build a state in which everything is set."""
    return Remembered(
        position=Position(4096, 40, 38),
        width=WrapWidth(119, 121),
        linker=LinkerState(
            runs=LiveRuns(
                live={"zeta": Attributed("zeta", "initialized"), "alpha": Attributed("alpha", "lock")},
                anonymous=True,
                nameless_ends=1,
                drained="zeta",
            ),
            windows=Windows(
                by_phase={
                    "p2": Window(
                        run=Attributed("zeta", "initialized"),
                        generated=True,
                        ambiguous=True,
                        closed=True,
                        scope_is_deliverables=True,
                        scope=PathList(("a.py", 'b "quoted".py'), 2),
                        missing=PathList((), 7),
                        outcome="FAILED",
                        events=[OPEN_EVENT, OpenEvent(300, 0, 4, None, None, 0)],
                    ),
                    "p1 ✓ \\ 😀": Window(),
                },
                current="p1 ✓ \\ 😀",
                overlapping=True,
            ),
            anchors=Anchors(
                pending=deque(
                    [BudgetUse("p1", "low", 1, 2, 3, 4, "m"), BudgetUse("p2", "high", 5, 6, 7, 8, "m")]
                ),
                lost=2,
            ),
            preparation=Preparation(
                estimate=Estimate(5200, 8192, 1.0, 3),
                selection=Estimate(5200, 8192, 0.8, None),
                ceiling=Ceiling(16384, None),
                model=BuilderModel("m", 1, "docs"),
            ),
            unanchored=Unanchored(120, 9, None, OPEN_EVENT),
            declared=DeclaredLists(refused=("p1", 30), open_list=OpenList("p1", 33, PathList(("x.py",), 1))),
            calls_lost=4,
        ),
        counters=Counters(9, 8, 1, 2, 3, 4, 5, 6),
        provisional=Provisional(Sample(7, 3, "ab"), 10),
    )


@pytest.mark.parametrize("state", [Remembered(), full()], ids=["empty", "full"])
def test_state_comes_back_as_it_was(state):
    """Everything that is remembered is read back equal, with its types."""
    again = from_text(Remembered, as_text(state))
    assert again == state
    assert as_text(again) == as_text(state)
    assert isinstance(again.linker.anchors.pending, deque)


def test_what_an_older_version_remembered_beyond_this_one_is_left_out():
    """Version 0.1.0 kept the time of the last event as well."""
    stored = json.loads(as_text(full()))
    stored["linker"]["unanchored"].append(["2025-12-29 19:40:02.000000", "2025-12-29 19:40:02"])
    assert from_text(Remembered, json.dumps(stored)) == full()


def test_order_is_kept():
    """The order of runs and windows is part of the state."""
    again = from_text(Remembered, as_text(full()))
    assert list(again.linker.windows.by_phase) == ["p2", "p1 ✓ \\ 😀"]
    assert list(again.linker.runs.live) == ["zeta", "alpha"]


def test_keys_that_databases_have_are_kept():
    """A state that an earlier version stored is read; a field that was renamed keeps its first key."""
    stored = '{"runs":{"heard":1766997602.5},"windows":{"by_phase":{"p1":{"contested":true},"p2":{}}}}'
    state = from_text(LinkerState, stored)
    assert state.runs.last_line_at == 1766997602.5
    assert [window.ambiguous for window in state.windows.by_phase.values()] == [True, False]
    assert as_text(state) == stored


def test_quiet_state_is_short():
    """Fields at their default are left out."""
    assert as_text(Remembered()) == "{}"
    assert json.loads(as_text(Remembered(position=Position(7)))) == {"position": {"offset": 7}}


def test_copy_shares_nothing_with_its_original():
    """A state that was read back can be changed without changing the other."""
    original = full()
    again = from_text(Remembered, as_text(original))
    again.linker.windows.by_phase["p2"].events.clear()
    again.counters.sightings += 1
    assert original == full()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        '"text"',
        '{"unknown": 1}',
        '{"position": null}',
        '{"position": 5}',
        '{"position": []}',
        '{"position": {"offset": "5"}}',
        '{"position": {"offset": 5.5}}',
        '{"position": {"offset": null}}',
        '{"position": {"row": 5}}',
        '{"provisional": "yes"}',
        '{"provisional": 1}',
        '{"linker": {"runs": {"live": []}}}',
        '{"linker": {"runs": {"live": {"r": "r"}}}}',
        '{"linker": {"runs": {"live": {"r": {"name": "r"}}}}}',
        '{"linker": {"runs": {"drained": 7}}}',
        '{"linker": {"windows": {"by_phase": {"p": {"events": [{"offset": 1}]}}}}}',
        '{"linker": {"windows": {"by_phase": {"p": {"events": 7}}}}}',
        '{"linker": {"anchors": {"pending": "abc"}}}',
        '{"linker": {"anchors": {"pending": [1]}}}',
        '{"linker": {"declared": {"refused": ["p1"]}}}',
        '{"linker": {"declared": {"refused": ["p1", "30"]}}}',
        '{"linker": {"declared": {"refused": ["p1", 30, 31]}}}',
    ],
)
def test_text_that_is_no_such_state_raises(text):
    """Damaged text is never taken for a state: it raises what its reader expects."""
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_text(Remembered, text)
