"""Lines that hold several, escapes, and what is believed of a line that was cut.

Keeps the invariant that no value of ours ever holds a prefix or an escape.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_lines import PLAIN_EVENT, PREFIX_FORMS, docker, event_message, fallback_message, json_line, logged
from ingest.files.logfile import LogFile
from ingest.reading import scan
from ingest.reading.extractor import Extractor
from ingest.reading.zone import zone_named
from parsers.escapes import places_in, shown, without_escapes
from parsers.line import parse_line, parts_of
from parsers.records import Draining, EstimationEvent, ListedPath, Malformed, RunNamed
from parsers.registry import FAMILIES

EVENT = event_message()
LINE = logged(EVENT)
START = logged("Initialized autonomous executor for run: run-B", at="2025-12-29 19:45:00")
RUN_B = RunNamed("run-B", "initialized", starts=True)


def records(line: str) -> list[object]:
    """Return what the lines say that a line holds."""
    return [part.parsed and part.parsed.record for part in parts_of(line.encode())]


def test_line_ends_where_another_begins_and_that_has_its_own_place():
    """A writer was killed within the model's name, and the next appended its first line."""
    first, second = parts_of(f"{LINE[:-6]}{START}".encode())
    assert first.parsed is not None
    assert first.parsed.record == PLAIN_EVENT._replace(model="some-m")
    assert first.is_cut
    assert second.parsed is not None
    assert second.parsed.record == RUN_B
    assert (second.start, second.text, second.is_cut) == (len(LINE) - 6, START.encode(), False)


@pytest.mark.parametrize("before", ["def f(): ret", " ", "\t", "> ", "10% ", logged("DEBUG: respon")])
def test_run_that_may_start_after_what_a_dead_writer_left_is_uncertain(before):
    """With a prefix or without. It starts nothing, but the run before it may have ended."""
    (part,) = parts_of(f"{before}{START}".encode())
    assert (part.parsed, part.may_start_run) == (None, "")
    (quoted,) = parts_of(f"{before}'{START}'".encode())
    assert (quoted.parsed, quoted.may_start_run) == (None, None)


@pytest.mark.parametrize("nuls", ["\0", "\0" * 4])
def test_no_value_holds_what_a_file_lost(nuls):
    """NULs within a line are no part of a value, since nobody knows what else is missing there."""
    at = LINE.index("category=") + len("category=") + 2
    assert records(LINE[:at] + nuls + LINE[at:]) == [Malformed("holds NUL")]
    assert records(START[:-2] + nuls + START[-2:]) == [None]


@pytest.mark.parametrize("cut", range(len(logged("[TokenEstimationV2]")), len(LINE)))
def test_event_that_was_cut_before_its_last_field_is_a_reject(cut):
    """Within its model it is an event; before that it is torn; the line after it is read all the same."""
    first, second = records(LINE[:cut] + START)
    if cut > LINE.index("model=") + len("model="):
        assert isinstance(first, EstimationEvent)
    else:
        assert first == Malformed("torn")
    assert second == RUN_B


@pytest.mark.parametrize("cut", range(1, len(logged("[TokenEstimationV2]"))))
def test_line_that_was_cut_before_its_marker_makes_the_next_one_a_reject_or_unread(cut):
    """Nobody can know whether the second was quoted: it starts nothing, and is not passed over."""
    (part,) = parts_of((LINE[:cut] + LINE).encode())
    assert part.occurrences == 1
    has_prefix = cut >= len(logged(""))
    assert part.marker_role == (None if has_prefix else "unread")
    assert (part.parsed and part.parsed.record) == (Malformed("behind other text") if has_prefix else None)


def test_three_writers_in_one_line_are_three_lines():
    """Each is cut where the next begins."""
    assert records(LINE[:-6] + LINE[:-3] + START) == [
        PLAIN_EVENT._replace(model="some-m"),
        PLAIN_EVENT._replace(model="some-mode"),
        RUN_B,
    ]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_last_value_of_a_context_line_that_was_cut_is_not_believed(family):
    """What could have gone on says nothing; what is whole stays; and no value ever holds a prefix."""
    for sample in family.samples:
        if not family.markers or family.name == "event":
            continue
        first, second = records(logged(sample) + START)
        assert second == RUN_B
        assert first in (None, family.read(sample))
        if first is not None:
            assert family.read(sample + "0") == first


DRAINING = "[drain_one_phase] Draining: run-B / p1"
VERIFIED = "\u2705 Run 'run-B' verified in API database"
PRINTED = (
    DRAINING,
    VERIFIED,
    VERIFIED.encode().decode("cp1252", "replace"),
    "[drain_one_phase] ===== ENVIRONMENT IDENTITY =====",
    "[PROBE] ========== VERDICT ==========",
    "Traceback (most recent call last):",
    "Fatal Python error: Segmentation fault",
    "Exception in thread Thread-1:",
    "nohup: ignoring input",
    "faiss library not installed; using memory",
    "=" * 80,
    "\U0001f4cb REQUIRED DELIVERABLES:",
    "\u2713 Completed - success=False, tokens=0",
    "/usr/lib/python3/dist-packages/requests/__init__.py:89: RequestsDependencyWarning: urllib3",
    r"C:\Python\Lib\site-packages\a.py:12: UserWarning: b",
    "2025-12-29T08:45:00.123456789Z stdout F hello",
    "Dec 29 19:45:00 box executor[78]: Stopped",
    f"2025-12-29T08:45:00.123456789Z stdout F {DRAINING}",
    "[TokenEstimationV2] Failed to write DB telemetry: no such table",
    event_message(),
    "2025-12-29T08:45:00.123456789Z hello",
    json_line("hello"),
    docker("hello")[:-20],
)


@pytest.mark.parametrize("printed", PRINTED, ids=lambda text: text[:24])
@pytest.mark.parametrize("form", [event_message, fallback_message])
def test_event_ends_where_printed_text_begins_within_its_model(printed, form):
    """What has no prefix is recognised by how it begins, as no model goes on: the event was cut."""
    line = logged(form(model="some mo[de]"))
    first, second = parts_of(f"{line}{printed}".encode())
    assert first.parsed is not None
    assert isinstance(first.parsed.record, EstimationEvent)
    assert (first.parsed.record.model, first.is_cut) == ("some mo[de]", True)
    assert (second.start, second.text) == (len(line), printed.encode())
    for _, _, found, _ in Extractor(zone_named("UTC")).extract(f"{line}{printed}\n".encode()):
        assert isinstance(found, bytes)


@pytest.mark.parametrize("printed", PRINTED, ids=lambda text: text[:24])
def test_no_name_goes_on_with_printed_text(printed):
    """A phase, a run, a path that was cut is not believed, read at once or by itself."""
    for message in ("Next phase: p", "Initialized autonomous executor for run: run-A", "[p1]      - doc"):
        line = f"{logged(message)}{printed}"
        first, _ = records(line)
        assert first is None
        for _, _, found, _ in Extractor(zone_named("UTC")).extract(line.encode() + b"\n"):
            assert found == line.encode()


@pytest.mark.parametrize("cut", range(len(logged("[TokenEstimationV2]")), LINE.index("model=") + 1, 7))
def test_printed_start_of_a_run_is_read_after_what_was_torn(cut):
    """Before its last field the event is torn; the run that was printed after it counts."""
    assert records(f"{LINE[:cut]}{DRAINING}") == [Malformed("torn"), Draining("run-B", "p1")]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "app/[id].tsx",
            "model [drain]",
            "a Traceback",
            "\u2705 docs",
            "a \u2705 Docs",
            "\u00e9\u2713\U0001f600 docs",
        ),
        *("x86-64", "a/b.py:12", "v=====", "nohup", "Dec 29 19:45", "2025-12-29T08:45:00Z", "C:/a.py", "^C"),
    ],
)
def test_names_like_printed_text_are_whole(name):
    """Brackets, pictures, paths and dates are parts of names."""
    assert len(parts_of(logged(f"Next phase: {name}").encode())) == 1
    (record,) = records(logged(f"Next phase: {name}"))
    assert record is not None
    assert record.phase == name


@pytest.mark.parametrize("form", [json_line, lambda text: docker(logged(text))], ids=["executor", "docker"])
def test_object_after_a_torn_line_is_a_line_of_its_own(form):
    """A log that changed its form: both events are there, and neither holds a piece of the other."""
    assert records(LINE[:-6] + form(EVENT)) == [PLAIN_EVENT._replace(model="some-m"), PLAIN_EVENT]


@pytest.mark.parametrize("printed", PRINTED, ids=lambda text: text[:24])
def test_printed_text_after_a_prefix_is_its_message(printed):
    """Logged, not printed: it is no line of its own, at the beginning or after what was torn."""
    assert len(parts_of(logged(printed).encode())) == 1
    assert len(parts_of(f"{LINE}{logged(printed)}".encode())) == 2


def test_quoted_text_after_one_of_ours_starts_nothing():
    """In quotation marks nothing begins."""
    first, second = parts_of(logged(f"[p1] Builder failed: see '{DRAINING}'").encode())
    assert first.parsed is not None
    assert second.parsed is None


@pytest.mark.parametrize("put", [put for put, _ in PREFIX_FORMS.values()], ids=PREFIX_FORMS.keys())
@pytest.mark.parametrize(
    "other", [START, f"2025-12-29T08:45:00Z stderr F {START}", f"Dec 29 19:45:00 b e[7]: {START}"]
)
def test_tear_is_found_after_every_prefix_and_before_a_containers(put, other):
    """The second line begins with its container's prefix, if it has one."""
    first, second = parts_of(put(EVENT + other).encode())
    assert first.parsed is not None
    assert first.parsed.record == PLAIN_EVENT
    assert second.parsed is not None
    assert second.parsed.record == RUN_B


@pytest.mark.parametrize(
    "around",
    [
        ("python : ", "python : "),
        ("executor-1  | ", "executor-1  | "),
        ("[pod/executor-7/main] ", "[pod/executor-7/main] "),
        ("<134>", "<131>"),
        ("Dec 29 19:40:02 ", "Dec 29 19:45:00 "),
        ("Dec 29 19:40:02 box executor[77]: ", "Dec 29 19:45:00 box executor[78]: "),
        ("[ 1234.567890] box executor[77]: ", "[ 1434.000000] box executor[78]: "),
    ],
    ids=lambda around: around[0],
)
def test_tear_is_found_before_a_prefix_like_the_lines_own(around):
    """What stands before both lines is the second one's, however little of a prefix it is by itself."""
    first, second = parts_of(f"{around[0]}{LINE[:-6]}{around[1]}{START}".encode())
    assert first.parsed is not None
    assert first.parsed.record == PLAIN_EVENT._replace(model="some-m")
    assert second.parsed is not None
    assert second.parsed.record == RUN_B
    assert second.text == f"{around[1]}{START}".encode()


@pytest.mark.parametrize("form", [json_line, docker], ids=["executor", "docker"])
@pytest.mark.parametrize("cut", [20, 100, 200, 240, -1, 1_000])
def test_glued_objects_are_two_lines(form, cut):
    """A JSON object that was cut anywhere ends where the next begins."""
    text = LINE if form is docker else EVENT
    second_text = START if form is docker else "Initialized autonomous executor for run: run-B"
    torn, whole = form(text)[:cut], form(second_text)
    first, second = records(torn + whole)
    assert second == RUN_B
    assert first is None or first == Malformed("torn") or isinstance(first, EstimationEvent)
    if cut == 1_000:
        assert first == PLAIN_EVENT
    assert parts_of((torn + whole).encode())[1].start == len(torn)


@pytest.mark.parametrize(
    "text",
    [
        f"[Builder] the log ends with {START}",
        f"Starting{START}",
    ],
)
def test_other_text_hides_what_follows_it(text):
    """Only a line of our families may end where another begins."""
    assert records(logged(text)) == [None]


@pytest.mark.parametrize("quote", ['"', "'", "`", "\\n", "\\r\\n", "\u201c"])
def test_quoted_line_after_one_of_ours_is_a_quotation(quote):
    """A failed builder may show the log that it read: its line ends there, and nothing else begins."""
    first, second = parts_of(logged(f"[p1] Builder failed: see {quote}{LINE}{START}").encode())
    assert first.parsed is not None
    assert (second.parsed, second.marker_role, second.occurrences) == (None, "quotation", 1)


@pytest.mark.parametrize("name", ["app/[id].tsx", "a [2025-12-29] b", "[19:40:02] x", "2025-12-29 19:40:02"])
def test_brackets_and_times_in_names_are_no_prefix(name):
    """A prefix has a date, a time and a level."""
    (record,) = records(logged(f"Next phase: {name}"))
    assert record is not None
    assert record.phase == name
    for _, _, found, _ in Extractor(zone_named("UTC")).extract(
        logged(f"Next phase: {name}").encode() + b"\n"
    ):
        parsed = parse_line(found) if isinstance(found, bytes) else None
        assert (parsed.record if parsed else found) == record


ESCAPES = (
    "\x1b[0m",
    "\x1b[1;32m",
    "\x1b[K",
    "\x1b]8;;http://x/[a]\x1b\\",
    "\x1b]0;title\x07",
    "\x1b(B",
    "\x1b[?25l",
)


@pytest.mark.parametrize("escape", ESCAPES, ids=repr)
@pytest.mark.parametrize("put", [put for put, _ in PREFIX_FORMS.values()], ids=PREFIX_FORMS.keys())
def test_escapes_change_nothing_wherever_they_stand(escape, put):
    """Before the prefix, within the marker, between a key and its value, within a value, at the end."""
    message = (
        EVENT.replace("V2]", f"{escape}V2]").replace("model=some", f"model={escape}so{escape}me") + escape
    )
    plain = parse_line(put(EVENT).encode())
    line = put(message)
    assert parse_line((line if line.startswith("{") else escape + line).encode()) == plain


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("10%\r20%\rdone", "done"),
        ("10%\rdone\r", "done"),
        ("done\r\r", "done"),
        ("\rdone", "done"),
        ("a\r\r\rb", "b"),
        ("\r", ""),
        ("", ""),
    ],
)
def test_last_part_that_is_not_empty_counts(text, counts):
    """A progress bar goes back to the beginning of its line."""
    assert shown(text.encode()) == counts.encode()


@pytest.mark.parametrize("put", [put for put, _ in PREFIX_FORMS.values()], ids=PREFIX_FORMS.keys())
def test_progress_before_a_line_changes_nothing(put):
    """What was overwritten is not there, before the prefix or, in a container's line, after it."""
    line = put(EVENT)
    overwritten = line if line.startswith("{") else f"10%\r20% \x1b[K\r{line}"
    assert parse_line(overwritten.encode()) == parse_line(line.encode())
    inside = parse_line(f"2025-12-29T08:40:02Z stderr F 10%\r{LINE}".encode())
    assert inside is not None
    assert inside.record == PLAIN_EVENT


@given(
    st.lists(
        st.sampled_from(("\x1b[0m", "\x1b]8;;u\x07", "\x1b", "a", "é", "[", "0", ";", "m", "\x07")),
        max_size=12,
    )
)
def test_character_without_escapes_is_found_in_the_line_as_logged(pieces):
    """The offset of a line that was torn off is that of its first byte."""
    line = "".join(pieces).encode()
    plain = without_escapes(line)
    assert b"\x1b" not in plain
    for index, place in enumerate(places_in(line, range(len(plain)))):
        assert line[place] == plain[index]
        assert without_escapes(line[:place]) == plain[:index]


PIECES = st.sampled_from(
    (
        *(
            LINE,
            LINE[:60],
            START,
            START[:-3],
            EVENT,
            "\x1b[0m",
            "\x1b[1m",
            "\r",
            '"',
            "\\n",
            " ",
            "x",
            "[id]",
            *PRINTED,
            "{",
            "}",
        ),
        *(
            logged(""),
            "2025-12-29T08:40:02Z stderr F ",
            "Dec 29 19:40:02 b e[7]: ",
            "12:",
            json_line(EVENT),
            docker(LINE),
        ),
        *(logged(family.samples[0]) for family in FAMILIES),
        *(family.samples[0] for family in FAMILIES),
        *(docker(LINE)[:150], json_line(EVENT)[:100], "2025-12-29 19:40:02,427 - a - INFO - ", "python : "),
    )
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(PIECES, max_size=4).map("".join), max_size=6), st.booleans())
def test_block_says_what_its_lines_say_one_by_one_and_every_marker_is_accounted_for(lines, container_logs):
    """Torn, coloured, overwritten, quoted: the quick way agrees with the plain one, and nothing is lost."""
    data = "".join(line + "\n" for line in lines).encode()
    extracted = {
        start: (found, end)
        for start, end, found, _ in Extractor(zone_named("UTC")).extract(data, container_logs)
    }
    start = 0
    for raw in lines:
        line = raw.encode()
        parts = parts_of(line.rstrip(b"\r"), container_logs)
        plain = without_escapes(line)
        assert sum(part.occurrences for part in parts) == plain.count(b"[TokenEstimationV2]")
        for part in parts:
            record = part.parsed and part.parsed.record
            for value in record if isinstance(record, tuple) and not isinstance(record, ListedPath) else ():
                assert "\x1b" not in str(value)
                assert "] INFO: " not in str(value)
        found, _ = extracted.get(start, (None, 0))
        if found is None:
            assert plain.count(b"[TokenEstimationV2]") == 0
        elif isinstance(found, bytes):
            assert found == line.rstrip(b"\r")
        else:
            only, *others = parts
            assert only.parsed is not None
            assert not any(part.parsed or part.occurrences for part in others)
            assert not (others and isinstance(only.parsed.record, EstimationEvent))
            assert only.quoted == 0
            assert isinstance(found, type(only.parsed.record)) or isinstance(
                only.parsed.record, EstimationEvent
            )
            if not isinstance(only.parsed.record, EstimationEvent):
                assert found == only.parsed.record
        start += len(line) + 1


@pytest.mark.parametrize(
    "line",
    [
        "[2025-12-29 19:40:02] INFO: " * 30_000,
        LINE * 4_000,
        "-12-29 19:40:02" * 60_000,
        '{"log":"' * 100_000,
        '{"log":{' * 100_000,
        "\x1b]" * 400_000,
        "\x1b[" * 400_000,
        "\x1b[0;" * 200_000,
        "\r" * 900_000,
        logged("") + "[TokenEstimationV2] " * 45_000,
        logged("") + '"[TokenEstimationV2] ' * 45_000,
        "a.b/" * 200_000 + ":12:",
        "a-1 " * 200_000,
        "a" * 900_000 + " | x",
        "<1>" * 300_000,
        logged("Next phase: ") + ".py:1: Warning: " * 60_000,
        logged("Next phase: ") + "/" * 900_000,
        logged("Next phase: ") + "\u2705" * 300_000,
        logged("Next phase: ") + "\u2705 A" * 180_000,
        logged("Next phase: ") + "Dec 29 19:45:00 b e: " * 45_000,
        logged("Next phase: ") + "2025-12-29T08:45:00Z stdout F " * 30_000,
    ],
    ids=range(21),
)
def test_hostile_lines_take_little_time(line):
    """Everything is read in time that grows with the line alone."""
    started = time.perf_counter()
    parts_of(line.encode())
    assert time.perf_counter() - started < 2.5


@pytest.mark.parametrize(
    ("line", "run"),
    [
        (logged(f"[HTTP] respon{START}"), None),
        (logged("Initialized autonomous executor for run: ru") + logged("x"), None),
        (logged(f"[HTTP] respon{logged('[LOCK] Acquired executor lock for run_id=run-B (PID=1)')}"), None),
        (logged(f"the log ends with '{START}'"), "run-A"),
        (logged(f"the log ends with \\n{START}"), "run-A"),
        (logged("it logs Initialized autonomous executor for run: run-B"), "run-A"),
        (f"> {START}", None),
        (f"def f(): ret{START}", None),
        (logged("x"), "run-A"),
    ],
)
@pytest.mark.parametrize("plain", [False, True], ids=["blocks", "lines"])
def test_events_after_a_start_that_may_be_torn_have_no_run(tmp_path, line, run, plain):
    """A start after other text starts nothing, but what follows may be its; a mention changes nothing."""
    log = LogFile(str(tmp_path / "run.log"))
    first = logged("Initialized autonomous executor for run: run-A")
    (tmp_path / "run.log").write_text("".join(f"{text}\n" for text in (first, LINE, line, LINE, "end")))
    (batch,) = scan.scan(log, None, scan.ScanOptions("UTC", plain=plain))
    runs = [sighting.fact.context.run and sighting.fact.context.run.name for sighting in batch.rows.sightings]
    assert runs == ["run-A", run]
