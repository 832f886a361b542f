"""Captures that a console's width has cut: logical lines come back as they were logged.

Keeps the invariant that half an event is never stored, wherever a run ends.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_lines import event_message, fallback_message, logged
from ingest.files.logfile import LogFile
from ingest.reading import scan
from ingest.reading.encoding import encoding_named
from ingest.reading.lines import Line, Position
from ingest.reading.wrap import WrapWidth
from log_lines import Read, read_lines
from parsers.line import parse_line
from parsers.records import EstimationEvent

LOGICAL = [
    "python : " + logged("x" * 300),
    logged("Initialized autonomous executor for run: collection-v4"),
    logged(event_message()),
    logged("short"),
    "",
    logged("✅ Run 'collection-v4' verified in API database " + "word " * 30 + "end"),
    logged(event_message(category="doc write", model="some model with a name")),
    logged("[p1] Applied files: " + repr([f"src/some/folder/file_{number}.py" for number in range(12)])),
    logged(fallback_message()),
    logged("The end"),
]


def hard_wrapped(text: str, width: int) -> list[str]:
    """Cut a line at a width, wherever that is."""
    return [text[start : start + width] for start in range(0, len(text), width)] or [""]


def word_wrapped(text: str, width: int) -> list[str]:
    """Cut a line after the last space that fits, which stays at the end of its piece."""
    pieces = []
    while len(text) > width:
        end = text.rfind(" ", 0, width) + 1 or width
        pieces.append(text[:end])
        text = text[end:]
    return [*pieces, text]


def captured(wrap, width: int, logical=LOGICAL) -> bytes:
    """Write lines as a console of that width would leave them, in UTF-16."""
    physical = [piece for line in logical for piece in wrap(line, width)]
    return "".join(f"{piece}\r\n" for piece in physical).encode("utf-16-le")


def read(
    data: bytes, position: Position | None = None, width: WrapWidth | None = None
) -> tuple[list[Line], Read]:
    """Join what follows a position; return the lines, and where and how reading goes on."""
    position = Position() if position is None else position
    found = read_lines([data[position.offset :]], encoding_named("utf-16-le"), position, width)
    return found.lines, found


def texts(lines: list[Line]) -> list[str]:
    """Return the lines' texts."""
    return [line.data.decode() for line in lines]


WRAPS = pytest.mark.parametrize("wrap", [hard_wrapped, word_wrapped])
WIDTHS = pytest.mark.parametrize("width", [79, 119, 200])


@WRAPS
@WIDTHS
def test_wrapped_capture_gives_its_logical_lines_back(wrap, width):
    """Lines that a console cut at its width, or at words, are joined by plain concatenation."""
    lines, after = read(captured(wrap, width))
    assert texts(lines) == LOGICAL
    assert [line.ordinal for line in lines] == list(range(1, len(LOGICAL) + 1))
    assert all(line.terminated for line in lines)
    assert after.position.offset == len(captured(wrap, width))


@WRAPS
@WIDTHS
def test_event_of_several_physical_lines_is_found(wrap, width):
    """An event that arrives in two or three pieces is the event that was logged."""
    records = [parsed.record for line in read(captured(wrap, width))[0] if (parsed := parse_line(line.data))]
    events = [record for record in records if isinstance(record, EstimationEvent)]
    assert [(event.category, event.model, event.actual_is_total) for event in events] == [
        ("implementation", "some-model-4", False),
        ("doc write", "some model with a name", False),
        ("docs", "some-model-4", True),
    ]


@WRAPS
def test_offsets_and_numbers_are_those_of_the_first_piece(wrap):
    """A logical line stands where its first physical line does, and ends where its last one does."""
    data = captured(wrap, 79)
    for line in read(data)[0]:
        before = data[: line.offset].decode("utf-16-le")
        assert line.number == before.count("\n") + 1
        between = data[line.offset : line.end_offset].decode("utf-16-le")
        assert between.replace("\r\n", "") == line.data.decode()


@WRAPS
@WIDTHS
def test_cut_at_every_byte_between_two_runs_gives_the_same_lines(wrap, width):
    """A run that ended anywhere, and one that goes on with its position and width, give the same."""
    data = captured(wrap, width)
    whole = read(data)[0]
    for cut in range(len(data) + 1):
        first, after = read(data[:cut])
        again, _ = read(data, after.position, after.width)
        assert [line for line in first if line.terminated] + again == whole, cut


def test_last_line_waits_while_it_may_go_on():
    """A last piece that reached the width is not a whole line yet, though a newline ends it."""
    lines, after = read(captured(hard_wrapped, 79)[: 2 * (79 + 2)])
    assert [line.terminated for line in lines] == [False]
    assert after.position == Position()


def test_last_line_waits_while_it_is_unterminated():
    """What has no newline yet is handed over as such, and the position stays before it."""
    data = captured(hard_wrapped, 200, [logged("one"), logged("two")])
    lines, after = read(data[:-4])
    assert [(text, line.terminated) for text, line in zip(texts(lines), lines, strict=True)] == [
        (logged("one"), True),
        (logged("two"), False),
    ]
    assert after.position == Position(lines[0].end_offset, 1, 1)


def test_short_line_without_a_prefix_is_a_line_of_its_own():
    """A line that follows one which neither reached the width nor ends in a space is not its rest."""
    logical = [logged("x" * 200), logged("short"), "a dump", logged("end")]
    assert texts(read(captured(hard_wrapped, 119, logical))[0]) == logical


def test_width_is_measured_in_characters_or_in_units():
    """Emoji count once or twice, as the console did: either width joins the pieces."""
    text = logged("😀" * 150 + " end")
    units = text.encode("utf-16-le")
    by_units = [
        units[start : start + 160].decode("utf-16-le", "surrogatepass") for start in range(0, len(units), 160)
    ]
    filler = logged("y" * 400)
    for pieces in (hard_wrapped(text, 80), by_units):
        physical = [*hard_wrapped(filler, 80), *pieces, logged("end")]
        data = "".join(f"{piece}\r\n" for piece in physical).encode("utf-16-le", "surrogatepass")
        if "\ufffd" not in "".join(texts(read(data)[0])):
            assert texts(read(data)[0]) == [filler, text, logged("end")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab {}[]✓😀"), max_size=150).map(logged), min_size=1, max_size=5),
    st.integers(min_value=45, max_value=130),
    st.lists(st.integers(min_value=0, max_value=2000), max_size=4),
)
def test_any_cuts_between_runs_give_what_one_run_gives(logical, width, cuts):
    """However often a capture was read while it grew, the lines are those of one reading."""
    data = captured(hard_wrapped, width, logical)
    whole = read(data)[0]
    position, known, found = Position(), WrapWidth(), []
    for cut in [*sorted(cuts), len(data)]:
        lines, after = read(data[: max(cut, position.offset)], position, known)
        found += [line for line in lines if line.terminated]
        position, known = after.position, after.width
    assert found == [line for line in whole if line.terminated]


EVENT = event_message()
INITIALIZED = logged("Initialized autonomous executor for run: telemetry-collection-v5")
VERIFIED = logged("\u2705 Run 'telemetry-collection-v5' verified in API database")
EARLIER = logged("Initialized autonomous executor for run: other")
LONG = hard_wrapped(logged("y" * 400), 80)
AT = ["At line:1 char:1", "+ python run.py 2>&1 | tee out.txt", "+ ~~~~~~", "    + CategoryInfo : x", " "]


@pytest.mark.parametrize(
    ("physical", "run"),
    [
        ([INITIALIZED, "Workspace: .", logged(EVENT)], None),
        ([INITIALIZED, logged("noise"), "Workspace: .", logged(EVENT)], "telemetry-collection-v5"),
        ([f"python.exe : {INITIALIZED}", *AT, logged(EVENT)], "telemetry-collection-v5"),
        ([f"uv : {INITIALIZED}", *AT, logged(EVENT)], "telemetry-collection-v5"),
        ([logged("x" * 200), INITIALIZED, "Workspace: .", logged(EVENT)], "telemetry-collection-v5"),
        ([INITIALIZED[:80], INITIALIZED[80:], logged(EVENT)], None),
        ([*LONG, *hard_wrapped(INITIALIZED, 80), logged(EVENT)], "telemetry-collection-v5"),
        (
            [INITIALIZED, "Workspace: .", VERIFIED, logged(EVENT)],
            "telemetry-collection-v5",
        ),
        (
            [EARLIER, logged("z"), INITIALIZED, "Workspace: .", logged(EVENT)],
            None,
        ),
    ],
    ids=["printed", "logged", "block", "uv", "shorter", "cut", "wrapped", "verified", "earlier"],
)
@pytest.mark.parametrize("plain", [False, True], ids=["blocks", "lines"])
@pytest.mark.parametrize("chunk", [None, 8], ids=["whole", "pieces"])
def test_whole_context_line_is_not_joined_with_what_was_printed(
    tmp_path, monkeypatch, physical, run, plain, chunk
):
    """A run is never glued to the next line, nor half a name; in doubt it is unknown, not the one before."""
    if chunk is not None:
        monkeypatch.setattr("ingest.files.logfile.CHUNK_BYTES", chunk)
    log = LogFile(str(tmp_path / "run.txt"))
    text = "".join(f"{line}\r\n" for line in [*physical, logged("end")])
    (tmp_path / "run.txt").write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    batches = scan.scan(log, None, scan.ScanOptions("UTC", plain=plain))
    sightings = [sighting for batch in batches for sighting in batch.rows.sightings]
    assert [sighting.fact.context.run and sighting.fact.context.run.name for sighting in sightings] == [run]
