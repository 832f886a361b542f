"""When two lines are one event: the rules, and that no order, repetition or split changes what they give."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations_with_replacement, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_lines import PLAIN_EVENT
from ingest.identity import Event, Fact, events, group_of, stem_of, with_stem
from ingest.linking.context import Attributed, Context, Deliverables
from ingest.storing.rows import EXECUTORS_COLUMNS, Row, event_row, fact_of, fact_of_row, own_values

SECOND = "2025-12-29 08:40:02"
EVERY = int(os.environ.get("TOKENTAIL_EXAMPLES_FACTOR", "1")) > 1
"""Whether all small groups are tried, as `make properties` does, or each one of so many."""


def fact(
    phase: str | None = None,
    run: str | None = None,
    micros: int = 0,
    model: str | None = None,
    is_cut: bool = False,
    own: tuple[object, ...] | None = None,
    **more: object,
) -> Fact:
    """Build a fact of the plain event; one with a fraction was logged by a script."""
    source = "executor" if own is not None else None
    context = Context(
        Attributed(run, source or "initialized") if run else None,
        Attributed(phase, source or "budget") if phase else None,
        **more,  # type: ignore[arg-type]
    )
    payload = PLAIN_EVENT if model is None else PLAIN_EVENT._replace(model=model)
    text = f"2025-12-29 19:40:02{f',{micros // 1000:03d}' if micros else ''}"
    return Fact(payload, f"{SECOND}.{micros:06d}", text, context, is_cut, own=own)


OWN = (None,) * len(EXECUTORS_COLUMNS)

Shown = list[tuple[str, Row, list[Fact]]]


def shown(facts: Sequence[Fact], found: Iterable[Event]) -> Shown:
    """Return the rows of events and the different facts of each, in a fixed order."""
    return sorted(
        (
            (event.key, event_row(event), sorted({facts[number] for number in event.facts}, key=repr))
            for event in found
        ),
        key=lambda values: values[0],
    )


def computed(facts: Sequence[Fact]) -> Shown:
    """Compute the events of facts."""
    return shown(facts, events(facts))


def restored(facts: Sequence[Fact]) -> list[Fact]:
    """Return facts as they come back from the rows of their events and what each place says itself."""
    found: list[Fact] = []
    for event in events(facts):
        row = fact_of_row(event_row(event))
        found += [fact_of(row, own_values(facts[number], event)) for number in event.facts]
    return found


# Each rule by itself


def test_same_phase_second_and_payload_are_one_event() -> None:
    """Prefixes of different precision that logged one phase in one second saw one event."""
    (event,) = events([fact("p1"), fact("p1", micros=427_000), fact("p1")])
    assert (event.context.phase, event.facts) == (Attributed("p1", "budget"), [0, 1, 2])
    assert (event.timestamp, event.timestamp_text) == (f"{SECOND}.427000", "2025-12-29 19:40:02,427")


def test_without_a_phase_each_logged_time_is_one_event() -> None:
    """Grepped lines are one event only where their times agree as logged."""
    found = events([fact(), fact(micros=427_000), fact(), fact(micros=500_000)])
    assert [event.facts for event in found] == [[0, 2], [1], [3]]


def test_two_known_phases_are_two_events() -> None:
    """The same payload in the same second of two phases is two events."""
    assert sorted(event.key[-2:] for event in events([fact("p1"), fact("p2")])) == ["p1", "p2"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["context-first", "context-last"])
def test_place_without_context_joins_or_is_claimed(order: tuple[int, int]) -> None:
    """A line without its surroundings is the event of a line that has them, in either order."""
    facts = [fact("p1", "r1", actual_max_tokens=16384), fact()]
    (event,) = events([facts[number] for number in order])
    assert event.context == facts[0].context
    assert sorted(event.facts) == [0, 1]


def test_places_without_a_phase_belong_to_the_first_of_several_by_name() -> None:
    """Among several phases a fixed choice is made, and nothing is taken from an ambiguous place."""
    found = {event.key[-2:]: event for event in events([fact("p2"), fact(run="r9"), fact("p1")])}
    assert found["p1"].facts == [2, 1]
    assert found["p2"].facts == [0]
    assert [event.context.run for event in found.values()] == [None, None]


def test_what_a_place_without_a_phase_says_is_believed_while_one_phase_is_known() -> None:
    """Its run is that of the only event that it can have seen; its time is no event's."""
    (event,) = events([fact("p2"), fact(run="r9", micros=427_000)])
    assert event.context.run == Attributed("r9", "initialized")
    assert event.timestamp == f"{SECOND}.000000"


def test_cut_line_is_of_the_event_whose_model_goes_on_so() -> None:
    """Whichever comes first; of several the first by its model, of none it is an event of its own."""
    cut = fact(model="claude-sonn\ufffd", is_cut=True)
    for others in (
        [fact(model="claude-sonnet")],
        [fact(model="claude-sonnet-5"), fact(model="claude-sonnet")],
    ):
        for facts in ([cut, *others], [*others, cut]):
            home = next(event for event in events(facts) if facts.index(cut) in event.facts)
            assert home.payload.model == "claude-sonnet"
    (alone,) = events([cut])
    assert alone.payload.model == "claude-sonn\ufffd"
    assert len(events([cut, fact(model="gpt-5")])) == 2


def test_cut_line_of_another_phase_is_not_of_the_event() -> None:
    """A line whose phase is known is no other phase's."""
    found = events([fact("p1", model="claude-sonnet"), fact("p2", model="claude-s", is_cut=True)])
    assert sorted(str(event.payload.model) for event in found) == ["claude-s", "claude-sonnet"]


def test_shorter_cut_line_is_of_what_a_longer_one_began() -> None:
    """Two copies that were taken while one line was written."""
    (event,) = events([fact(model="cla", is_cut=True), fact(model="claude-s", is_cut=True)])
    assert event.payload.model == "claude-s"


def test_executors_row_ranks_first_and_is_of_the_event_of_its_phase() -> None:
    """Its run, phase and paths take precedence over what logs say; the line keeps its payload."""
    own = fact("p1", "own", micros=250_000, own=(1, *OWN[1:]), model="another", actual_max_tokens=7)
    logged = fact("p1", "r1", actual_max_tokens=16384, total_tokens=9)
    (event,) = events([logged, own])
    assert event.payload == PLAIN_EVENT
    assert event.context[:5] == (Attributed("own", "executor"), Attributed("p1", "executor"), 7, None, 9)
    assert (event.timestamp, event.timestamp_text) == (f"{SECOND}.250000", "2025-12-29 19:40:02")
    assert event_row(event)["api_reference_required"] == 1


def test_executors_row_claims_an_event_without_a_phase_that_agrees_most() -> None:
    """Of two payloads with the same numbers it is the one that says what the row says."""
    other = PLAIN_EVENT._replace(category="another")
    facts = [fact(), fact()._replace(payload=other), fact("p1", own=OWN)._replace(payload=other)]
    found = {event.payload: event for event in events(facts)}
    assert sorted(found[other].facts) == [1, 2]
    assert found[other].context.phase == Attributed("p1", "executor")
    assert found[PLAIN_EVENT].context.phase is None


def test_declared_paths_fill_events_that_know_less() -> None:
    """What a file says of a phase is true of its events, and a complete list from anywhere is kept."""
    declared = {("r1", "p1"): Deliverables("imported", ("a.py",), True)}
    (event,) = events([fact("p1", "r1")], declared)
    assert event.context.deliverables == Deliverables("imported", ("a.py",), True)
    assert events([fact("p2", "r1")], declared)[0].context.deliverables is None
    assert events([fact("p1", "r2")], declared)[0].context.deliverables is None


# Keys


@pytest.mark.parametrize("field", PLAIN_EVENT._fields, ids=lambda name: name)
def test_every_field_of_the_payload_distinguishes_events(field: str) -> None:
    """Events that differ in any field of the line are different events."""
    value = getattr(PLAIN_EVENT, field)
    other = value + "x" if isinstance(value, str) else not value if isinstance(value, bool) else value + 1
    changed = PLAIN_EVENT._replace(**{field: other})
    assert stem_of(changed, SECOND) != stem_of(PLAIN_EVENT, SECOND)


def test_budget_of_none_is_another_event_than_one_of_zero() -> None:
    """The column is 0 for both; the key distinguishes them, and the payload comes back as it was logged."""
    for budget in (0, None):
        payload = PLAIN_EVENT._replace(selected_budget=budget)
        (event,) = events([fact()._replace(payload=payload)])
        assert fact_of_row(event_row(event)).payload == payload


def test_key_can_be_read() -> None:
    """Second, predicted and actual tokens, a hash of the rest, and the phase or the microseconds."""
    (event,) = events([fact("p1")])
    day, time, predicted, actual, digest, phase = event.key.split(" ")
    assert (f"{day} {time}", int(predicted), int(actual)) == (SECOND, *PLAIN_EVENT[:2])
    assert (len(digest), phase) == (16, "p1")
    assert events([fact(micros=5)])[0].key == f"{event.stem} @000005"
    assert group_of(event.stem) == f"{SECOND} {predicted} {actual}"
    assert with_stem(fact()).stem == event.stem


# Every small group


def variants() -> list[Fact]:
    """Build each fact over three phases or none, two runs, two times, cut or whole."""
    names: Iterable[tuple[str | None, str, int, bool]] = product(
        (None, "p1", "p2", "p3"), ("r1", "r2"), (0, 427_000), (False, True)
    )
    return [
        fact(phase, run, micros, model="claude-s" if is_cut else "claude-sonnet", is_cut=is_cut)
        for phase, run, micros, is_cut in names
    ]


def small_groups() -> Iterator[tuple[Fact, ...]]:
    """Yield all groups of up to four facts, or a regular choice of them."""
    step = 1 if EVERY else 101
    for size in (1, 2, 3, 4):
        for number, group in enumerate(combinations_with_replacement(variants(), size)):
            if size < 3 or number % step == 0:
                yield group


def test_every_small_group_has_one_result_in_every_order_and_split() -> None:
    """All orders, all cuts into what was stored before and what is new; each fact is of one event."""
    count = 0
    for group in small_groups():
        right = computed(group)
        assert sorted(repr(fact) for *_, facts in right for fact in facts) == sorted(set(map(repr, group)))
        for order in permutations(group):
            assert computed(order) == right
        for place in range(1, len(group) + 1):
            assert computed([*restored(group[:place]), *group[place:]]) == right
        count += 1
    assert count > (50_000 if EVERY else 1_000)


# Larger ones


def facts_of(phases: Sequence[str | None]) -> st.SearchStrategy[list[Fact]]:
    """Build any facts of one group, with a phase among these or none, executor's rows among them."""
    logged = st.builds(
        fact,
        phase=st.sampled_from(phases),
        run=st.sampled_from([None, "r1", "r2"]),
        micros=st.sampled_from([0, 100_000, 427_000]),
        model=st.sampled_from(["claude-sonnet", "claude-sonnet-4", "gpt-5"]),
        actual_max_tokens=st.sampled_from([None, 8192, 16384]),
        deliverables=st.sampled_from([None, Deliverables("applied", ("a.py",), True)]),
    )
    cut = st.builds(
        fact,
        phase=st.sampled_from(phases),
        model=st.sampled_from(["claude", "claude-sonnet-", "g", "x"]),
        is_cut=st.just(True),
    )
    own = st.builds(
        fact,
        phase=st.sampled_from([phase for phase in phases if phase]),
        run=st.sampled_from(["r1", "r3"]),
        micros=st.sampled_from([250_000, 250_001]),
        model=st.sampled_from(["claude-sonnet", "gpt-5", "other"]),
        own=st.sampled_from([OWN, (1, *OWN[1:])]),
    )
    return st.lists(st.one_of(logged, logged, cut, own), min_size=1, max_size=8)


@settings(deadline=None)
@given(facts_of([None, "p1", "p2"]), st.randoms(use_true_random=False), st.integers(0, 8))
def test_no_order_repetition_or_split_changes_the_events(
    facts: list[Fact], random: object, place: int
) -> None:
    """What is stored of some facts, and all of them again in any order: the same events."""
    right = computed(facts)
    shuffled = random.sample(facts, len(facts))  # type: ignore[attr-defined]
    assert computed(shuffled) == right
    assert computed([*restored(shuffled[:place]), *shuffled[place:], *facts]) == right


@settings(deadline=None)
@given(facts_of([None, "p1", "p2"]))
def test_places_are_never_lost(facts: list[Fact]) -> None:
    """Every fact is of exactly one event."""
    assert sorted(number for event in events(facts) for number in event.facts) == list(range(len(facts)))


@settings(deadline=None)
@given(facts_of([None, "p1", "p2"]))
def test_what_a_place_says_comes_back_as_it_was(facts: list[Fact]) -> None:
    """From the row of its event and its own values, and in one form."""
    assert sorted(map(repr, restored(facts))) == sorted(map(repr, facts))
