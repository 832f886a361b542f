"""Two contexts of one event are merged, in any order and however often."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.linking.context import (
    DELIVERABLES_SOURCES,
    MAX_PATH_LENGTH,
    MAX_PATHS,
    NO_CONTEXT,
    PHASE_SOURCES,
    RUN_SOURCES,
    Attributed,
    Context,
    Deliverables,
    deliverables,
    merged,
)

FIELDS = list(Context._fields)


def attributed(sources):
    """Build a name from one of these kinds of lines, or none."""
    return st.none() | st.builds(Attributed, st.sampled_from("abc"), st.sampled_from(sources))


numbers = st.none() | st.integers(min_value=0, max_value=3)
CONTEXTS = st.builds(
    Context,
    run=attributed(RUN_SOURCES),
    phase=attributed(PHASE_SOURCES),
    actual_max_tokens=numbers,
    input_tokens=numbers,
    total_tokens=numbers,
    confidence=st.none() | st.sampled_from([0.0, 0.5, 0.8]),
    attempt_index=numbers,
    estimated_deliverable_count=numbers,
    phase_outcome=st.none() | st.sampled_from(["COMPLETE", "FAILED"]),
    deliverables=st.none()
    | st.builds(
        Deliverables,
        st.sampled_from(DELIVERABLES_SOURCES),
        st.lists(st.sampled_from(["a.py", "b.py", "c.py"]), max_size=3).map(tuple),
        st.booleans(),
    ),
)


@settings(deadline=None)
@given(CONTEXTS, CONTEXTS)
def test_either_order_gives_the_same(first, second):
    """Merging is commutative."""
    assert merged(first, second) == merged(second, first)


@settings(deadline=None)
@given(CONTEXTS, CONTEXTS, CONTEXTS)
def test_any_grouping_gives_the_same(first, second, third):
    """Merging is associative."""
    assert merged(merged(first, second), third) == merged(first, merged(second, third))


@settings(deadline=None)
@given(CONTEXTS, CONTEXTS)
def test_merging_again_changes_nothing(first, second):
    """Merging is idempotent."""
    assert merged(first, first) == first
    assert merged(merged(first, second), second) == merged(first, second)


@settings(deadline=None)
@given(CONTEXTS, CONTEXTS)
def test_known_is_never_made_unknown(first, second):
    """What either context knows is known afterwards, and nothing else is."""
    result = merged(first, second)
    for name in FIELDS:
        either = [value for value in (getattr(first, name), getattr(second, name)) if value is not None]
        assert getattr(result, name) in (either or [None])


@settings(deadline=None)
@given(CONTEXTS)
def test_empty_context_changes_nothing(context):
    """An empty context is the neutral element."""
    assert merged(context, NO_CONTEXT) == context
    assert merged(NO_CONTEXT, context) == context


@pytest.mark.parametrize(
    ("field", "sources"), [("run", RUN_SOURCES), ("phase", PHASE_SOURCES)], ids=["run", "phase"]
)
def test_better_source_wins(field, sources):
    """Where two contexts disagree, the better kind of line is believed, then the smaller name."""
    for better, worse in pairwise(sources):
        trusted, other = (
            Context(**{field: Attributed("z", better)}),
            Context(**{field: Attributed("a", worse)}),
        )
        assert getattr(merged(trusted, other), field) == Attributed("z", better)
        same = Context(**{field: Attributed("b", better)})
        assert getattr(merged(trusted, same), field) == Attributed("b", better)


def test_complete_deliverables_win_then_the_better_source():
    """A complete list beats a partial one; among equals the better kind of line is believed."""
    partial = Deliverables("applied", ("a.py",), complete=False)
    whole = Deliverables("scope", ("b.py",), complete=True)
    better = Deliverables("required", ("c.py",), complete=True)
    assert merged(Context(deliverables=partial), Context(deliverables=whole)).deliverables == whole
    assert merged(Context(deliverables=whole), Context(deliverables=better)).deliverables == better
    imported = Deliverables("imported", ("d.py",), complete=True)
    assert merged(Context(deliverables=imported), Context(deliverables=better)).deliverables == imported


def test_longer_partial_list_wins():
    """Of two partial lists from one kind of line the longer one is kept."""
    short, longer = Deliverables("missing", ("a",), False), Deliverables("missing", ("b", "c"), False)
    assert merged(Context(deliverables=short), Context(deliverables=longer)).deliverables == longer


@pytest.mark.parametrize("count", [0, 1, MAX_PATHS, MAX_PATHS + 1, 500])
def test_number_of_paths_is_limited(count):
    """At most twenty paths are kept; a longer list is no longer complete."""
    paths = tuple(f"{number}.py" for number in range(count))
    kept = deliverables("applied", paths, complete=True)
    assert kept.paths == paths[:20]
    assert kept.complete is (count <= 20)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(199, "x" * 199), (200, "x" * 200), (201, "x" * 197 + "..."), (5000, "x" * 197 + "...")],
)
def test_length_of_a_path_is_limited(length, expected):
    """A path longer than 200 characters is cut to 197 and three dots."""
    assert MAX_PATH_LENGTH == 200
    assert deliverables("applied", ("x" * length,), complete=True).paths == (expected,)


def test_incomplete_stays_incomplete():
    """A list that is known to be partial stays so, however short."""
    assert deliverables("required", ("a",), complete=False).complete is False


def test_paths_are_stored_as_a_json_array():
    """Paths become JSON that any reader gets back as they were, in letters of any script."""
    paths = ("a b.py", 'quo"te.md', "back\\slash", "✓ é.md")
    text = deliverables("applied", paths, complete=True).as_json()
    assert json.loads(text) == list(paths)
    assert "✓ é" in text


def test_half_a_character_in_a_path_stays_its_escape() -> None:
    """A list may name half a surrogate pair, which no database can hold as a character."""
    found = deliverables("applied", ("a\ud800.py", "\U0001f600.py"), complete=True)
    assert found.paths == ("a\\ud800.py", "\U0001f600.py")
