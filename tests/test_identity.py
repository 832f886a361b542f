"""When two lines are one event: the rules, and that no order of reading changes what they give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_lines import PLAIN_EVENT
from ingest.linking.context import NOTHING_TOLD, Context, Told
from ingest.linking.identity import Event, Seen, event_key, group_key, group_of, settle
from ingest.linking.timestamps import time_text

AT = datetime(2025, 12, 29, 8, 40, 2, tzinfo=UTC)


def seen(phase=None, run=None, milliseconds=0, **more) -> Seen:
    """Build a sighting of the plain event; one with a fraction was logged by a script."""
    moment = AT + timedelta(milliseconds=milliseconds)
    text = "2025-12-29 19:40:02" + (f",{milliseconds:03d}" if milliseconds else "")
    context = Context(
        run=Told(run, "initialized") if run else None,
        phase=Told(phase, "budget") if phase else None,
        **more,
    )
    return Seen(PLAIN_EVENT, time_text(moment), text, context)


def event_of(one: Seen, number: int = 0) -> Event:
    """Make an event of a sighting, as the store does."""
    return Event(one.payload, one.moment, one.timestamp_text, one.context, sightings=[number])


def settled(*sightings: Seen) -> list[Event]:
    """Settle sightings of one group in one go."""
    return settle([event_of(one, number) for number, one in enumerate(sightings)])


def told(events: list[Event]) -> list[tuple[object, ...]]:
    """Return what rows would hold, in a fixed order."""
    return sorted(
        ((event.phase, event.moment, event.timestamp_text, event.known) for event in events), key=repr
    )


def in_runs(runs: list[list[Seen]]) -> list[Event]:
    """Settle run after run, each with what the runs before it stored."""
    stored: list[Event] = []
    next_id = 1
    for sightings in runs:
        stored = settle([*stored, *(event_of(one) for one in sightings)])
        for event in stored:
            if not event.stored_ids:
                event.stored_ids, next_id = [next_id], next_id + 1
            event.sightings = []
    return stored


def test_same_phase_second_and_payload_are_one_event():
    """Prefixes of different precision that logged one phase in one second saw one event."""
    (event,) = settled(seen("p1"), seen("p1", milliseconds=427), seen("p1"))
    assert (event.phase, event.sightings) == ("p1", [0, 1, 2])
    assert (event.moment, event.timestamp_text) == (
        AT + timedelta(milliseconds=427),
        "2025-12-29 19:40:02,427",
    )


def test_without_a_phase_each_logged_time_is_one_event():
    """Grepped lines are one event only where their times agree as logged."""
    events = settled(seen(), seen(milliseconds=427), seen(), seen(milliseconds=500))
    assert [event.sightings for event in events] == [[0, 2], [1], [3]]


def test_two_known_phases_are_two_events():
    """The same payload in the same second of two phases is two events."""
    assert [event.phase for event in settled(seen("p1"), seen("p2"))] == ["p1", "p2"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["context-first", "context-last"])
def test_sighting_without_context_joins_or_is_claimed(order):
    """A line without its surroundings is the event of a line that has them, in either order."""
    sightings = [seen("p1", run="r1", actual_max_tokens=16384), seen()]
    (event,) = settled(*(sightings[number] for number in order))
    assert event.context == sightings[0].context
    assert sorted(event.sightings) == [0, 1]
    (event,) = in_runs([[sightings[number]] for number in order])
    assert event.context == sightings[0].context
    assert event.stored_ids == [1]


def test_rows_that_turn_out_to_be_one_event_are_united():
    """Two rows without a phase become one as soon as a sighting with a phase claims both."""
    (event,) = in_runs([[seen()], [seen(milliseconds=427)], [seen("p1")]])
    assert event.stored_ids == [1, 2]
    assert event.phase == "p1"


def test_sightings_without_a_phase_belong_to_the_first_of_several_by_name():
    """Among several phases a fixed choice is made, and nothing is taken from an ambiguous sighting."""
    events = {event.phase: event for event in settled(seen("p2"), seen(run="r9"), seen("p1"))}
    assert events["p1"].sightings == [2, 1]
    assert events["p2"].sightings == [0]
    assert events["p1"].context.run is None


def test_settling_twice_changes_nothing():
    """Reading the same lines again learns nothing and changes no row."""
    first = in_runs([[seen("p1", run="r1"), seen(milliseconds=427)]])
    again = settle([*first, event_of(seen("p1", run="r1")), event_of(seen(milliseconds=427))])
    assert told(again) == told(first)


def test_what_strays_tell_is_believed_while_one_phase_is_known():
    """A sighting without a phase tells its run to the only event it can have seen, and takes it back else."""
    (event,) = in_runs([[seen("p2")], [seen(run="r9")]])
    assert event.known.run == Told("r9", "initialized")
    assert event.context.run is None
    events = in_runs([[seen("p2")], [seen(run="r9")], [seen("p1")]])
    assert [event.known.run for event in events] == [None, None]


@pytest.mark.parametrize("field", PLAIN_EVENT._fields, ids=lambda name: name)
def test_every_field_of_the_payload_tells_events_apart(field):
    """Events that differ in any field of the line are different events."""
    value = getattr(PLAIN_EVENT, field)
    other = value + "x" if isinstance(value, str) else not value if isinstance(value, bool) else value + 1
    changed = PLAIN_EVENT._replace(**{field: other})
    assert group_key(changed, AT) != group_key(PLAIN_EVENT, AT)


def test_same_payload_at_another_second_is_another_event():
    """The same payload at different times is always a different event."""
    assert group_key(PLAIN_EVENT, AT) == group_key(PLAIN_EVENT, AT + timedelta(milliseconds=999))
    assert group_key(PLAIN_EVENT, AT) != group_key(PLAIN_EVENT, AT + timedelta(seconds=1))


def test_key_names_the_group_and_its_member():
    """An event's key holds its group and, within it, its phase or else its time."""
    group = group_key(PLAIN_EVENT, AT)
    keys = {
        event_key(group, None, AT),
        event_key(group, None, AT + timedelta(milliseconds=1)),
        event_key(group, "p1", AT),
        event_key(group, "p2", AT),
    }
    assert len(keys) == 4
    assert {group_of(key) for key in keys} == {group}
    assert event_key(group, "p1", AT) == event_key(group, "p1", AT + timedelta(milliseconds=1))


def sightings_of(phases):
    """Build any sightings of one payload in one second, with a phase among these or none."""
    one = st.builds(
        seen,
        phase=st.sampled_from(phases),
        run=st.sampled_from([None, "r1", "r2"]),
        milliseconds=st.sampled_from([0, 100, 427]),
        actual_max_tokens=st.sampled_from([None, 8192, 16384]),
    )
    return st.lists(one, min_size=1, max_size=6)


def cut_into_runs(sightings: list[Seen], cuts: list[int]) -> list[list[Seen]]:
    """Cut a list of sightings into runs."""
    places = [0, *sorted(cut % (len(sightings) + 1) for cut in cuts), len(sightings)]
    return [sightings[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(min_value=0, max_value=10), max_size=5)


@settings(deadline=None)
@given(sightings_of([None, "p1", "p2"]), st.randoms(use_true_random=False))
def test_any_order_gives_the_same_events(sightings, random):
    """The order in which sightings are settled changes nothing."""
    shuffled = random.sample(sightings, len(sightings))
    assert told(settled(*shuffled)) == told(settled(*sightings))


@settings(deadline=None)
@given(sightings_of([None, "p1"]), CUTS, st.randoms(use_true_random=False))
def test_any_order_and_grouping_into_runs_gives_the_same_events(sightings, cuts, random):
    """With one phase at most, neither the order nor the runs that read them change the events."""
    shuffled = random.sample(sightings, len(sightings))
    assert told(in_runs(cut_into_runs(shuffled, cuts))) == told(settled(*sightings))


@settings(deadline=None)
@given(sightings_of(["p1", "p2", "p3"]), CUTS, st.randoms(use_true_random=False))
def test_any_order_and_grouping_of_known_phases_gives_the_same_events(sightings, cuts, random):
    """Where every sighting knows its phase, neither the order nor the runs change the events."""
    shuffled = random.sample(sightings, len(sightings))
    assert told(in_runs(cut_into_runs(shuffled, cuts))) == told(settled(*sightings))


@settings(deadline=None)
@given(sightings_of([None, "p1", "p2"]), CUTS, st.randoms(use_true_random=False))
def test_any_order_and_grouping_of_several_phases_gives_the_same_events(sightings, cuts, random):
    """A second phase that a later run brings changes nothing of what one reading would have told."""
    shuffled = random.sample(sightings, len(sightings))
    assert told(in_runs(cut_into_runs(shuffled, cuts))) == told(settled(*sightings))


@settings(deadline=None)
@given(sightings_of([None, "p1", "p2"]))
def test_sightings_are_never_lost(sightings):
    """Every sighting belongs to exactly one event."""
    numbers = sorted(number for event in settled(*sightings) for number in event.sightings)
    assert numbers == list(range(len(sightings)))


def test_sighting_without_anything_tells_nothing():
    """A sighting without context leaves an event's context as it is."""
    (event,) = settled(seen())
    assert event.context == NOTHING_TOLD
