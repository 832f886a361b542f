"""The event lines: exact records for both forms, and a reason for every line that is none."""

from __future__ import annotations

import time

import pytest

from event_lines import FULL, PLAIN_EVENT, event_message, fallback_message, logged
from parsers.event import COLUMNS, MARKER, new_keys, read
from parsers.line import parse_line
from parsers.records import EstimationEvent, Malformed, Noted


def changed(**fields: object) -> EstimationEvent:
    """Return the plain event with these fields changed."""
    return PLAIN_EVENT._replace(**fields)


def test_full_form_is_read_field_by_field():
    """The full form gives every field its value and unit."""
    assert read(event_message()) == PLAIN_EVENT


def test_fallback_form_is_read_as_a_total():
    """The fallback form's actual is a total, and what it doesn't have is `None`."""
    assert read(fallback_message()) == EstimationEvent(
        predicted_output_tokens=900,
        actual_output_tokens=5200,
        actual_is_total=True,
        smape_percent=None,
        selected_budget=8192,
        category="docs",
        complexity="low",
        deliverable_count=3,
        success=True,
        stop_reason=None,
        truncated=None,
        model="some-model-4",
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"selected_budget": None}, {"selected_budget": None}),
        ({"success": None}, {"success": None}),
        ({"success": "False"}, {"success": False}),
        ({"stop_reason": None}, {"stop_reason": None}),
        ({"truncated": None}, {"truncated": None}),
        ({"truncated": "True"}, {"truncated": True}),
        ({"category": None}, {"category": None}),
        ({"complexity": None}, {"complexity": None}),
        ({"model": None}, {"model": None}),
        ({"deliverables": "0"}, {"deliverable_count": 0}),
        (
            {"predicted_output": "0", "actual_output": "0"},
            {"predicted_output_tokens": 0, "actual_output_tokens": 0},
        ),
        ({"smape": "nan%"}, {"smape_percent": None}),
        ({"smape": "0.0%"}, {"smape_percent": 0.0}),
        ({"smape": "200.0%"}, {"smape_percent": 200.0}),
        ({"category": "doc write and more"}, {"category": "doc write and more"}),
        ({"model": "some model of ours"}, {"model": "some model of ours"}),
        ({"category": "success"}, {"category": "success"}),
        ({"category": "Übung ✓"}, {"category": "Übung ✓"}),
        ({"category": ""}, {"category": ""}),
        ({"predicted_output": "9" * 18}, {"predicted_output_tokens": int("9" * 18)}),
        ({"predicted_output": "0005"}, {"predicted_output_tokens": 5}),
    ],
    ids=str,
)
def test_values_are_those_of_python(fields, expected):
    """`None`, `True`, `False`, zero, spaces and letters of any script are values."""
    assert read(event_message(**fields)) == changed(**expected)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"predicted_output": None}, "number missing: predicted_output"),
        ({"predicted_output": ""}, "number missing: predicted_output"),
        ({"predicted_output": "1" * 1000}, "number out of range: predicted_output"),
        ({"predicted_output": "1" * 19}, "number out of range: predicted_output"),
        ({"predicted_output": "-5"}, "number out of range: predicted_output"),
        ({"predicted_output": "+5"}, "number not understood: predicted_output"),
        ({"predicted_output": "1_000"}, "number not understood: predicted_output"),
        ({"predicted_output": "5.0"}, "number not understood: predicted_output"),
        ({"predicted_output": "1,000"}, "number not understood: predicted_output"),
        ({"predicted_output": "99999999999999999999"}, "number out of range: predicted_output"),
        ({"predicted_output": "1e3"}, "number not understood: predicted_output"),
        ({"predicted_output": "٣٤"}, "number not understood: predicted_output"),
        ({"predicted_output": "５"}, "number not understood: predicted_output"),
        ({"predicted_output": "²"}, "number not understood: predicted_output"),
        ({"actual_output": None}, "number missing: actual_output"),
        ({"actual_output": "many"}, "number not understood: actual_output"),
        ({"deliverables": None}, "number missing: deliverables"),
        ({"deliverables": "-1"}, "number out of range: deliverables"),
        ({"selected_budget": ""}, "number missing: selected_budget"),
        ({"selected_budget": "-8192"}, "number out of range: selected_budget"),
        ({"smape": "127.2"}, "number not understood: smape"),
        ({"smape": "-1.0%"}, "number out of range: smape"),
        ({"smape": "inf%"}, "number not understood: smape"),
        ({"smape": "1" * 1000 + "%"}, "number out of range: smape"),
        ({"smape": "None%"}, "number missing: smape"),
        ({"success": "true"}, "unknown shape: success is neither True, False nor None"),
        ({"success": ""}, "unknown shape: success is neither True, False nor None"),
        ({"truncated": "0"}, "unknown shape: truncated is neither True, False nor None"),
        ({"category": "a=1"}, "unknown shape: category holds another key"),
        ({"complexity": "low 2=2"}, "unknown shape: complexity holds another key"),
        ({"category": "a model=x"}, "unknown shape: model comes twice"),
        ({"model": "x seed=1 seed=2"}, "unknown shape: seed comes twice"),
        (
            {"model": "x" + "".join(f" k{n}={n}" for n in range(21))},
            "unknown shape: 21 keys that are not known",
        ),
        ({"stop_reason": "end =y"}, "unknown shape: stop_reason holds another key"),
        ({"model": "some-model 1x=1"}, "unknown shape: model holds another key"),
        ({"model": ""}, "cut off"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_value_that_is_none_is_a_reject_with_its_reason(fields, reason):
    """Each value that can't be one is named by the reject."""
    assert read(event_message(**fields)) == Malformed(reason)


def test_fallback_form_names_its_own_key():
    """A fallback line's bad number is named by the key that the line has."""
    assert read(fallback_message(actual_total=None)) == Malformed("number missing: actual_total")


@pytest.mark.parametrize(
    "text",
    [
        " something else entirely",
        " predicted=1 actual=2",
        " actual_output=1 predicted_output=2",
        " Written to the DB",
        "=1",
        " " + " ".join(f"{key}={value}" for key, value in reversed(FULL.items())),
        " " + " ".join(f"{key}={value}" for key, value in FULL.items() if key != "category"),
        " " + " ".join(f"{key}={value}" for key, value in FULL.items()).replace(" smape=", " SMAPE="),
        " " + " ".join(f"{key}: {value}" for key, value in FULL.items()),
    ],
    ids=range(9),
)
def test_unknown_shape_is_a_reject(text):
    """The marker before anything else is a reject, not nothing: nothing is silently dropped."""
    assert read(MARKER + text) == Malformed("unknown shape")


@pytest.mark.parametrize("key", FULL)
def test_duplicate_key_is_a_reject(key):
    """A key that comes twice is never guessed at, whichever it is."""
    message = event_message().replace(f" {key}={FULL[key]}", f" {key}={FULL[key]} {key}={FULL[key]}")
    record = read(message)
    assert isinstance(record, Malformed)
    assert record.reason.startswith(("number not understood", "unknown shape"))


@pytest.mark.parametrize("key", [*FULL, None])
def test_key_that_is_not_known_changes_nothing_and_is_named(key):
    """A newer executor may say more, anywhere: its lines are events, and no value holds what is new."""
    extra = "extra=1 seed=a b"
    message = (
        f"{event_message()} {extra}"
        if key is None
        else event_message().replace(f" {key}=", f" {extra} {key}=")
    )
    assert read(message) == PLAIN_EVENT
    assert new_keys(message) == ("extra", "seed")
    assert new_keys(event_message()) == ()
    parsed = parse_line(logged(message).encode())
    assert parsed is not None
    assert (parsed.record, parsed.new_keys) == (PLAIN_EVENT, ("extra", "seed"))


@pytest.mark.parametrize("key", FULL)
def test_missing_key_is_a_reject(key):
    """An event without one of its keys is never filled in."""
    record = read("[TokenEstimationV2] " + " ".join(f"{k}={v}" for k, v in FULL.items() if k != key))
    assert isinstance(record, Malformed)


@pytest.mark.parametrize(
    "message",
    [
        event_message(),
        event_message(category="doc write", model="some model"),
        event_message(selected_budget=None, stop_reason=None),
        fallback_message(),
    ],
    ids=["full", "spaces", "none", "fallback"],
)
def test_line_cut_at_any_length_is_an_event_only_within_its_last_value(message):
    """A line that was cut before its last value is a reject that says so; it is never half an event."""
    model_at = message.index(" model=") + len(" model=")
    whole = read(message)
    for end in range(len(MARKER), len(message)):
        record = read(message[:end])
        if end > model_at:
            shorter = message[model_at:end].strip()
            assert record == whole._replace(model=shorter), message[:end]
        else:
            assert record == Malformed("cut off"), message[:end]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("predicted_output=abc actual_output=1", "number not understood: predicted_output"),
        ("predicted_output=1 new=2 actual_output=None smape=3.0%", "number missing: actual_output"),
        ("predicted_output=x actual_total=1 selected_budget=2", "number not understood: predicted_output"),
        ("predicted_output=abc", "cut off"),
        ("predicted_output=1 new=2 actual_output=", "cut off"),
    ],
)
def test_value_before_the_end_of_a_short_line_is_named(text, reason):
    """A value that another key ends is whole: if it is none, that is the reason; else the line was cut."""
    assert read(f"{MARKER} {text}") == Malformed(reason)


def test_line_cut_within_its_marker_is_nothing():
    """A marker that is not whole is no marker."""
    for end in range(len(MARKER)):
        assert parse_line(logged(event_message()[:end]).encode()) is None


def test_ten_thousand_keys_are_refused_fast():
    """A line with absurdly many keys is a reject in linear time."""
    many = " ".join(f"key{number}=1" for number in range(10_000))
    repeated = " ".join(["predicted_output=1 actual_output=2"] * 10_000)
    started = time.perf_counter()
    for message in (f"{MARKER} {many}", f"{event_message()} {many}", f"{MARKER} {repeated}"):
        assert isinstance(read(message), Malformed)
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize("rest", ["", ": no such table: x", ": predicted_output=1 actual_output=2"])
def test_failed_write_of_the_executor_is_noted(rest):
    """The third line with the marker is no event and no reject: it is counted."""
    parsed = parse_line(logged(f"{MARKER} Failed to write DB telemetry{rest}", level="WARNING").encode())
    assert parsed is not None
    assert parsed.record == Noted("write_failure")


@pytest.mark.parametrize("ending", ["", " ", "\r", " \t\r"])
def test_white_space_at_the_end_is_no_part_of_the_model(ending):
    """What a capture leaves at the end of a line changes no value."""
    assert read(event_message() + ending) == PLAIN_EVENT


def test_table_of_fields_is_in_the_order_of_the_record() -> None:
    """Keys, columns and checks follow from one table; the record's fields have its types by name."""
    assert len(COLUMNS) == len(EstimationEvent._fields)
    for name, column in zip(EstimationEvent._fields, COLUMNS, strict=True):
        assert column == {"smape_percent": "logged_smape_percent"}.get(name, name)
