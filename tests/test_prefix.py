"""What stands before a message: every form of prefix, and what only looks like one.

Keeps the invariant that a marker counts only directly after the prefix.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_lines import EXECUTOR_TIME, PLAIN_EVENT, PREFIX_FORMS, docker, event_message, json_line, logged
from parsers.line import is_event_line, parse_line, parts_of, shows_both_prefixes
from parsers.prefix import OUTER_PREFIXES, Prefixed, split_prefix, starts_with_prefix
from parsers.records import Malformed, Stamp

FORMS = pytest.mark.parametrize(("put", "text"), PREFIX_FORMS.values(), ids=PREFIX_FORMS.keys())


@FORMS
def test_prefix_is_cut_off_and_its_time_kept_as_logged(put, text):
    """Each form of prefix leaves exactly the message, and the time's own text."""
    prefixed = split_prefix(put("Hello, world: [x]").encode())
    assert prefixed.message == b"Hello, world: [x]"
    assert prefixed.found
    assert prefixed.stamp is not None
    assert prefixed.stamp.text == text


@FORMS
def test_event_is_read_after_every_form(put, text):
    """An event line means the same after every prefix."""
    parsed = parse_line(put(event_message()).encode())
    assert parsed is not None
    assert parsed.record == PLAIN_EVENT
    assert parsed.stamp is not None
    assert parsed.stamp.text == text
    assert is_event_line(put(event_message()).encode())


@pytest.mark.parametrize("put", [put for put, _ in PREFIX_FORMS.values()], ids=PREFIX_FORMS.keys())
def test_every_form_begins_a_new_message(put):
    """A line with any prefix is never the rest of the line above."""
    assert starts_with_prefix(put("Hello").encode())


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        (logged("x"), datetime(2025, 12, 29, 19, 40, 2)),  # noqa: DTZ001
        ("2025-12-23 19:47:57,427 - a - INFO - x", datetime(2025, 12, 23, 19, 47, 57, 427_000)),  # noqa: DTZ001
        (docker("x"), datetime(2025, 12, 29, 8, 40, 2, 123_456, UTC)),
        ("2025-12-29T08:40:02Z stderr F x", datetime(2025, 12, 29, 8, 40, 2, tzinfo=UTC)),
        (
            "2025-12-29T19:40:02+1100 box unit[1]: x",
            datetime(2025, 12, 29, 19, 40, 2, tzinfo=timezone(timedelta(hours=11))),
        ),
        (
            "2025-12-29T19:40:02.250+11:00 box unit: x",
            datetime(2025, 12, 29, 19, 40, 2, 250_000, timezone(timedelta(hours=11))),
        ),
    ],
    ids=["executor", "milliseconds", "docker-nanoseconds", "cri", "journal", "journal-precise"],
)
def test_moment_is_naive_unless_the_prefix_has_an_offset(line, moment):
    """Local times stay naive; a container's and a journal's keep their offset."""
    stamp = split_prefix(line.encode()).stamp
    assert stamp is not None
    assert stamp.moment == moment
    assert stamp.moment.utcoffset() == moment.utcoffset()


def test_inner_prefix_wins_over_the_containers():
    """Where both are there, the executor's own time is the event's."""
    inner = logged("x", at="2025-01-02 03:04:05")
    for line in (
        docker(inner),
        f"2025-12-29T08:40:02Z stderr F {inner}",
        f"2025-12-29T19:40:02+1100 box unit[1]: {inner}",
        f"Dec 29 19:40:02 box unit[1]: {inner}",
    ):
        expected = Stamp("2025-01-02 03:04:05", datetime(2025, 1, 2, 3, 4, 5))  # noqa: DTZ001
        prefixed = split_prefix(line.encode())
        assert (prefixed.stamp, prefixed.message, prefixed.found) == (expected, b"x", True)


@pytest.mark.parametrize("message", ["x", "x\r", "x\r\n", "x\nsecond line"])
def test_json_message_is_its_first_line(message):
    """The text of a JSON object ends at its first newline."""
    entry = json.dumps({"log": message, "time": "2025-12-29T08:40:02Z"})
    assert split_prefix(entry.encode()).message == b"x"


def test_syslog_alone_gives_no_time():
    """A prefix without a year is a prefix, but gives no time, since a year would be a guess."""
    prefixed = split_prefix(b"Dec 29 19:40:02 box executor[77]: x")
    assert (prefixed.stamp, prefixed.message, prefixed.found) == (None, b"x", True)
    parsed = parse_line(f"Dec 29 19:40:02 box executor[77]: {event_message()}".encode())
    assert parsed is not None
    assert parsed.record == Malformed("no timestamp")


@pytest.mark.parametrize(
    "time",
    [
        "2025-02-30 19:40:02",
        "2025-13-01 19:40:02",
        "2025-12-29 25:40:02",
        "2025-12-29 19:60:02",
        "2025-12-29 19:40:61",
        "0000-12-29 19:40:02",
    ],
)
@pytest.mark.parametrize(
    "put",
    [
        lambda time, text: logged(text, at=time),
        lambda time, text: json_line(text, at=time),
        lambda time, text: docker(text, at=time.replace(" ", "T") + "Z"),
        lambda time, text: f"{time},000 - a - INFO - {text}",
        lambda time, text: f"{time.replace(' ', 'T')}Z stderr F {text}",
    ],
    ids=["executor", "json", "docker", "script", "cri"],
)
def test_time_that_does_not_exist_is_no_time(put, time):
    """A day or an hour that doesn't exist makes the event a reject, never a crash or a guess."""
    parsed = parse_line(put(time, event_message()).encode())
    assert parsed is not None
    assert parsed.stamp is None
    assert parsed.record == Malformed("no timestamp")


@pytest.mark.parametrize(
    ("line", "stands"),
    [
        (logged("DEBUG " + event_message()), "unread"),
        (logged(" " + event_message()), "unread"),
        (logged("[worker-3] " + event_message()), "unread"),
        (logged("[worker-3] " + event_message(success="maybe")), "quotation"),
        (logged("[worker-3] " + event_message(model="m" * 16_000)), "unread"),
        (logged("[worker-3] " + event_message(model="m" * 17_000)), "quotation"),
        (logged("the marker [TokenEstimationV2] and more"), "quotation"),
        (logged("'" + event_message()), "quotation"),
        (logged('"' + logged(event_message()) + '"'), "quotation"),
        (logged("`" + event_message()), "quotation"),
        (logged("\u201c" + event_message()), "quotation"),
        (logged("body=\\n" + logged(event_message()) + "\\n"), "quotation"),
        (logged(logged(event_message())), "behind other text"),
        (logged("[HTTP] respon" + logged(event_message()), level="DEBUG"), "behind other text"),
        (logged("see [TokenEstimationV2] " + logged(event_message())), "behind other text"),
        (docker(" " + logged(event_message())), "behind other text"),
        (json_line("quoted: " + event_message()), "unread"),
        (json_line("x\n" + event_message()), "quotation"),
        (" " + logged(event_message()), "unread"),
        ("INFO: " + event_message(), "unread"),
        ("> " + event_message(), "unread"),
        ('"' + logged(event_message()), "unread"),
        (json.dumps({"time": "2025-12-29T08:40:02Z", "text": logged(event_message())}), "unread"),
        (json.dumps([logged(event_message())]), "unread"),
        ('level=info msg="' + event_message() + '"', "unread"),
        ("python: " + logged(event_message()), "unread"),
        ("29 Dec 2025 19:40:02 box unit: " + event_message(), "unread"),
        (logged(event_message()) + "\rdone", "quotation"),
    ],
)
def test_marker_not_directly_after_the_prefix_is_no_event_and_is_counted(line, stands):
    """What stands before the marker decides whether it is a reject, a quotation, or not understood."""
    (part,) = parts_of(line.encode())
    assert not is_event_line(line.encode())
    assert part.occurrences == line.count("[TokenEstimationV2]")
    if stands == "behind other text":
        assert part.parsed is not None
        assert part.parsed.record == Malformed(stands)
        assert part.quoted == part.occurrences - 1
    else:
        assert (part.parsed, part.marker_role) == (None, stands)
        assert part.quoted == part.occurrences - (stands == "unread")


def test_event_marker_without_a_prefix_has_no_timestamp():
    """An event that was printed bare is a reject with its reason, not nothing."""
    parsed = parse_line(event_message().encode())
    assert parsed is not None
    assert parsed.stamp is None
    assert parsed.record == Malformed("no timestamp")


@pytest.mark.parametrize(
    "line",
    [
        b'{"log": ' + b"[" * 100_000,
        b'{"log": ' * 20_000,
        b'{"a": ' * 50_000 + b"1" + b"}" * 50_000,
        b'{"log": ["x"], "time": "2025-12-29T08:40:02Z"}',
        b'{"log": null}',
        b'{"log": {"message": "x"}}',
        b'{"message": 7, "timestamp": 8}',
        b'{"time": "2025-12-29T08:40:02Z"}',
        b"{}",
        b"{",
        b'{"',
        b'{"log": "x"} trailing',
        b'{"log": "x", "n": ' + b"9" * 10_000 + b"}",
        b"{\x00\x00\x00",
    ],
    ids=range(14),
)
def test_hostile_json_is_nothing(line):
    """JSON that is deep, broken or of another shape is an unprefixed line, in little time."""
    assert split_prefix(line) == Prefixed(None, line)
    assert parse_line(line) is None


@pytest.mark.parametrize("time", [None, 7, "", "yesterday", "2025-12-29", ["2025-12-29 19:40:02"], "10"])
def test_json_time_of_another_shape_is_no_time(time):
    """An event in a JSON object without a usable time is a reject."""
    line = json.dumps({"timestamp": time, "message": event_message()}).encode()
    parsed = parse_line(line)
    assert parsed is not None
    assert parsed.record == Malformed("no timestamp")


def test_json_without_a_time_is_a_prefix_without_one():
    """A missing time is said by the reject, not guessed from elsewhere."""
    parsed = parse_line(json.dumps({"message": event_message()}).encode())
    assert parsed is not None
    assert parsed.record == Malformed("no timestamp")


def test_lone_surrogate_in_json_is_replaced():
    """Half an emoji, escaped in JSON, is replaced and never fatal."""
    line = b'{"timestamp": "2025-12-29 19:40:02", "message": "a \\ud83d b"}'
    assert split_prefix(line).message == b"a ? b"


def test_invalid_bytes_in_json_are_replaced():
    """Invalid bytes are replaced inside a JSON object as they are everywhere else: nothing is lost."""
    line = json_line(event_message(model="some-model-X")).encode().replace(b"-X", b"-\xff")
    parsed = parse_line(line)
    assert parsed is not None
    assert getattr(parsed.record, "model", None) == "some-model-\ufffd"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_split_without_an_error(data):
    """No bytes whatever raise an error; what has no prefix is handed back whole."""
    prefixed = split_prefix(data)
    assert prefixed.found or data.rstrip(b"\r").endswith(prefixed.message) or b"\x1b" in data
    assert sum(part.occurrences for part in parts_of(data)) == data.count(b"[TokenEstimationV2]")


@pytest.mark.parametrize("around", OUTER_PREFIXES, ids=[around.name for around in OUTER_PREFIXES])
@pytest.mark.parametrize("own", ["[2025-12-29 19:40:02] INFO: ", "2025-12-29 19:40:02,427 - a.b - INFO - "])
def test_sample_of_a_prefix_is_cut_off_whatever_the_executors_own_is(around, own):
    """Whatever others put around a line, the executor's own time is the event's."""
    line = f"{around.sample}{own}{event_message()}".encode()
    prefixed = split_prefix(line)
    assert (prefixed.inner, prefixed.outer) == (True, True)
    assert prefixed.stamp is not None
    assert prefixed.stamp.moment.replace(microsecond=0) == datetime(2025, 12, 29, 19, 40, 2)  # noqa: DTZ001
    parsed = parse_line(line)
    assert parsed is not None
    assert parsed.record == PLAIN_EVENT


@pytest.mark.parametrize("around", OUTER_PREFIXES, ids=[around.name for around in OUTER_PREFIXES])
def test_time_of_a_prefix_counts_where_the_executors_own_is_missing_and_it_is_whole(around):
    """A year, or a zone, that isn't written would be a guess."""
    parsed = parse_line(f"{around.sample}{event_message()}".encode())
    assert parsed is not None
    vague = ("syslog", "ts", "short-monotonic", "priority", "--prefix", "compose", "stern", "TAI64N")
    if any(name in around.name for name in vague):
        assert parsed.record == Malformed("no timestamp")
        return
    assert parsed.record == PLAIN_EVENT
    assert parsed.stamp is not None
    moment = parsed.stamp.moment
    assert (moment if moment.tzinfo is None else moment.astimezone(UTC)).minute == 40
    assert parsed.stamp.text in around.sample


@pytest.mark.parametrize(
    "prefix",
    [
        "<134>2025-12-29T08:40:02Z ",
        "executor-1  | 2025-12-29T08:40:02.123456789Z ",
        "[pod/executor-5d9c7b4f8-x7k2p/app] 2025-12-29T08:40:02.123456789Z ",
        "<6>Dec 29 19:40:02 box app[7]: ",
        "2025-12-29T08:40:02Z stderr F executor-1 | ",
        "build\tRun\t\ufeff2025-12-29T08:40:02.1234567Z ",
        "\x1b[36mexecutor-1  |\x1b[0m ",
    ],
)
def test_prefixes_stand_one_after_another(prefix):
    """A priority, a service and a time may all be there."""
    parsed = parse_line(f"{prefix}{logged(event_message())}".encode())
    assert parsed is not None
    assert parsed.record == PLAIN_EVENT
    assert parsed.stamp is not None
    assert parsed.stamp.text == EXECUTOR_TIME


@pytest.mark.parametrize(
    "prefix",
    [
        "[2025-12-29 19:40:02] INFO    : ",
        "[2025-12-29 19:40:02]     INFO: ",
        "[2025-12-29 19:40:02] [INFO    ] ",
        "[2025-12-29T19:40:02] INFO: ",
        "[2025-12-29T19:40:02.5] INFO: ",
        "2025-12-29T19:40:02,427 - a - WARNING  - ",
        "2025-12-29 19:40:02,427 [INFO    ] a.b: ",
        "python.exe : [2025-12-29 19:40:02] INFO: ",
        "py : [2025-12-29 19:40:02] INFO: ",
        "C:\\Program Files\\Python 3\\python.exe : [2025-12-29 19:40:02] INFO: ",
    ],
)
def test_padded_levels_and_other_forms_of_the_own_prefix_are_read(prefix):
    """The executor's own prefix may be padded, or have a T; a capture begins with what was called."""
    parsed = parse_line(f"{prefix}{event_message()}".encode())
    assert parsed is not None
    assert parsed.record == PLAIN_EVENT
    assert parsed.stamp is not None
    assert parsed.stamp.moment.replace(microsecond=0) == datetime(2025, 12, 29, 19, 40, 2)  # noqa: DTZ001


@pytest.mark.parametrize(
    "found",
    ["12:", "executor.log:", "logs/executor.log:12:", "logs/e-1.log-12-", "C:\\logs\\e.log:12:34:", "12-"],
)
@pytest.mark.parametrize("own", ["[2025-12-29 19:40:02] INFO: ", "2025-12-29 19:40:02,427 - a - INFO - "])
def test_line_that_grep_found_is_alone(found, own):
    """The event is one, and the lines around it are not its surroundings."""
    parsed = parse_line(f"{found}{own}{event_message()}".encode())
    assert parsed is not None
    assert (parsed.record, parsed.alone) == (PLAIN_EVENT, True)


def test_journals_message_of_bytes_is_text():
    """The journal writes a message with colours as the numbers of its bytes."""
    message = list(f"\x1b[32m{logged(event_message())}\x1b[0m".encode())
    entry = {"__REALTIME_TIMESTAMP": "1766997602123456", "MESSAGE": message}
    parsed = parse_line(json.dumps(entry, separators=(",", ":")).encode())
    assert parsed is not None
    assert parsed.record == PLAIN_EVENT
    assert parsed.stamp is not None
    assert parsed.stamp.text == EXECUTOR_TIME
    bare = parse_line(json.dumps(entry | {"MESSAGE": event_message()}).encode())
    assert bare is not None
    assert bare.stamp is not None
    assert bare.stamp.moment == datetime(2025, 12, 29, 8, 40, 2, 123456, UTC)


def test_line_printed_in_a_container_is_bare_where_logged_ones_have_both_prefixes():
    """In a container's log with the executor's prefix inside, a line without it was printed, not logged."""
    logged_line, printed_line = docker(logged(event_message())), docker(event_message())
    assert shows_both_prefixes(logged_line.encode())
    assert not shows_both_prefixes(printed_line.encode())
    assert not shows_both_prefixes(logged(event_message()).encode())
    for container_logs, printed in ((True, PLAIN_EVENT), (False, Malformed("no timestamp"))):
        logged_one = parse_line(logged_line.encode(), container_logs)
        printed_one = parse_line(printed_line.encode(), container_logs)
        assert logged_one is not None
        assert printed_one is not None
        assert (logged_one.record, printed_one.record) == (PLAIN_EVENT, printed)
