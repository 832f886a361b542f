"""Lines of another encoding than their file's are read as what they are, at every size of read."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_lines import event_message, logged
from ingest.pipeline import ingest
from ingest.reading.encoding import UTF_8, UTF_16, Encoding
from ingest.reading.lines import Line
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary
from ingest.verify import verify
from log_lines import read_lines

NARROW = "[2025-12-29 19:40:02] INFO: é one\r\nshort\r\n\r\nagain a longer line of text\r\n"
WIDE = "[2025-12-29 19:41:02] INFO: two → three\r\nx\r\n\r\n[2025-12-29 19:41:03] and one more line\r\n"


def lines_of(data: bytes, encoding: Encoding, size: int) -> list[Line]:
    """Read all lines in chunks of one size."""
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    return read_lines(chunks, encoding).lines


MIXED = {
    "UTF-16 in UTF-8": (UTF_8, NARROW.encode() + WIDE.encode("utf-16-le") + NARROW.encode()),
    "UTF-8 in UTF-16": (UTF_16, WIDE.encode("utf-16-le") + NARROW.encode() + WIDE.encode("utf-16-le")),
}


@pytest.mark.parametrize(("encoding", "data"), MIXED.values(), ids=MIXED)
def test_every_size_of_read_gives_the_same_lines_of_both_encodings(encoding: Encoding, data: bytes) -> None:
    """Where a line of the other encoding begins does not depend on where the bytes were cut."""
    whole = lines_of(data, encoding, len(data))
    logged_lines = [line for line in whole if line.data.startswith(b"[2025")]
    assert [line.data.decode() for line in logged_lines if line.foreign] == [
        text for text in (WIDE if encoding is UTF_8 else NARROW).split("\r\n") if text.startswith("[2025")
    ]
    for size in range(1, 70):
        assert lines_of(data, encoding, size) == whole


@pytest.mark.parametrize(("encoding", "data"), MIXED.values(), ids=MIXED)
def test_offsets_point_at_the_lines_as_they_are_in_the_file(encoding: Encoding, data: bytes) -> None:
    """A sample of a line of the other encoding is of the file's own bytes."""
    for line in lines_of(data, encoding, 50):
        if line.foreign:
            assert data[line.offset :].startswith(line.raw)


def ingested(folder: Path) -> Summary:
    """Ingest a folder in UTC."""
    return ingest([str(folder)], folder.parent / "t.db", IngestOptions("ingest", zone_named("UTC")))


@pytest.mark.parametrize("first", ["utf-8", "utf-16"])
def test_change_of_encoding_is_said_once_and_nothing_is_read_twice(tmp_path: Path, first: str) -> None:
    """PowerShell appends UTF-16 to any file, programs append UTF-8 to its captures."""
    folder = tmp_path / "logs"
    folder.mkdir()
    log, second = folder / "run.log", "utf-16-le" if first == "utf-8" else "utf-8"
    events = [logged(event_message(predicted_output=number)) + "\r\n" for number in range(10, 16)]
    log.write_bytes("".join(events[:2]).encode(first) + "".join(events[2:4]).encode(second))
    summary = ingested(folder)
    assert summary.events_new == 4
    assert [note for note in summary.notes if "the encoding changes at offset" in note]
    with log.open("ab") as file:
        file.write("".join(events[4:]).encode(second))
    again = ingested(folder)
    assert (again.events_new, again.further_sightings, again.notes) == (2, 0, [])
    assert verify([str(folder)], tmp_path / "t.db").differences == []


def event_lines(count: int) -> list[str]:
    """Return event lines that all differ."""
    return [logged(event_message(predicted_output=number)) + "\r\n" for number in range(1, count + 1)]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("hole", [0, 2, 16, 40, 41, 4096])
def test_line_after_a_hole_in_a_capture_is_whole(tmp_path: Path, codec: str, hole: int) -> None:
    """A power cut leaves NULs in UTF-16 too, an odd number of them or not."""
    folder = tmp_path / "logs"
    folder.mkdir()
    first, *rest = event_lines(3)
    mark = "\ufeff".encode(codec)
    data = mark + first.encode(codec) + b"\0" * hole + "".join(rest).encode(codec)
    (folder / "run.log").write_bytes(data)
    assert ingested(folder).events_new == 3
    assert verify([str(folder)], tmp_path / "t.db").differences == []


@pytest.mark.parametrize("first", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("second", ["utf-8-sig", "utf-16"])
def test_marks_of_files_that_were_put_together_are_no_text(tmp_path: Path, first: str, second: str) -> None:
    """`cat a b > c` leaves a byte order mark in the middle."""
    folder = tmp_path / "logs"
    folder.mkdir()
    head, middle, tail = event_lines(3)
    (folder / "run.log").write_bytes(head.encode(first) + (middle + tail).encode(second))
    assert ingested(folder).events_new == 3


@pytest.mark.parametrize("codec", ["utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["\ufeff", ""], ids=["mark", "no mark"])
@pytest.mark.parametrize("grown", [0, 2, 3, 9], ids=lambda size: f"{size} bytes first")
def test_utf32_is_trouble_that_says_what_to_do(tmp_path: Path, codec: str, mark: str, grown: int) -> None:
    """Its mark begins as one of UTF-16; nothing of it would be found, and nothing said."""
    path = tmp_path / "run.log"
    data = (mark + logged(event_message()) + "\n").encode(codec)
    options = IngestOptions("ingest", zone_named("UTC"))
    if grown:
        path.write_bytes(data[:grown])
        ingest([str(path)], tmp_path / "t.db", options)
    path.write_bytes(data)
    summary = ingest([str(path)], tmp_path / "t.db", options)
    (problem,) = summary.problems
    assert "run.log: UTF-32, which is not read: write it as UTF-8 (`iconv" in problem
    assert summary.exit_code == 1
    path.write_text(logged(event_message()) + "\n")
    assert ingest([str(path)], tmp_path / "t.db", options).events_new == 1


@pytest.mark.parametrize("hole", [1, 2, 8, 40])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be"])
def test_hole_at_the_head_is_no_utf32(tmp_path: Path, codec: str, hole: int) -> None:
    """NULs after a mark of UTF-16, or before a log, are not the upper half of anything."""
    mark = "" if codec == "utf-8" else "\ufeff"
    data = mark.encode(codec) + b"\0" * (2 * hole) + f"{logged(event_message())}\n".encode(codec)
    (tmp_path / "run.log").write_bytes(data)
    options = IngestOptions("ingest", zone_named("UTC"))
    summary = ingest([str(tmp_path / "run.log")], tmp_path / "t.db", options)
    assert (summary.problems, summary.events_new) == ([], 1)
