"""From chunks of bytes to lines: the same lines however the bytes were cut.

Keeps cut invariance at its root: offsets, numbers and text never depend on the size of a read.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import memory
from ingest.reading import blocks, lines
from ingest.reading.encoding import ENCODINGS, UTF_8, encoding_named, encoding_of
from ingest.reading.lines import Line, Position
from log_lines import read_lines

BY_NAME = {encoding.name: encoding for encoding in ENCODINGS}
WIDE = (BY_NAME["utf-16-le"], BY_NAME["utf-16-be"])


def in_chunks(data: bytes, size: int) -> list[bytes]:
    """Cut bytes into chunks of one size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def read(chunks, encoding=UTF_8, position=None) -> tuple[list[Line], Position]:
    """Read all physical lines of some chunks; return them with the position at the end."""
    if not encoding.is_wide:
        found = read_lines(chunks, encoding, position)
        return found.lines, found.position
    rest, position, cut = lines.Rest(), Position(), []
    for chunk in chunks:
        if rest.add(chunk):
            cut += lines.wide_lines(rest, position, encoding)
    cut += lines.wide_lines(rest, position, encoding)
    return [*cut, *lines.last_line(rest, position, encoding)], position


def limit_lines(monkeypatch, size: int) -> None:
    """Let lines be no longer than so many bytes."""
    monkeypatch.setattr(memory, "MAX_LINE_BYTES", size)


TEXT = "first line\r\n\r\nthe third: é ✓ 😀\nĊ and ਊ hold the newline's byte\n\nlast, without an end"


@pytest.mark.parametrize("encoding", [UTF_8, *WIDE], ids=lambda encoding: encoding.name)
def test_every_chunk_size_gives_the_same_lines(encoding):
    """Chunks of any size from one byte up give the same lines, offsets and numbers."""
    data = TEXT.encode(encoding.name)
    whole = read([data], encoding)
    assert [line.data.decode() for line in whole[0]] == [piece.rstrip("\r") for piece in TEXT.split("\n")]
    for size in range(1, len(data) + 1):
        assert read(in_chunks(data, size), encoding) == whole


@pytest.mark.parametrize("encoding", [UTF_8, *WIDE], ids=lambda encoding: encoding.name)
def test_offsets_and_numbers_are_those_of_the_file(encoding):
    """The bytes between a line's offsets are the line with its terminator; numbers count from one."""
    data = TEXT.encode(encoding.name)
    found, position = read(in_chunks(data, 7), encoding)
    assert [line.number for line in found] == [1, 2, 3, 4, 5, 6]
    assert [line.ordinal for line in found] == [1, 2, 3, 4, 5, 6]
    for line in found:
        text = data[line.offset : line.end_offset].decode(encoding.name)
        assert text.rstrip("\r\n") == line.data.decode()
        assert text.endswith("\n") is line.terminated
    assert found[0].offset == 0
    assert all(line.end_offset == following.offset for line, following in pairwise(found))
    assert position == Position(found[-1].offset, 5, 5)


def test_size_is_that_of_the_bytes_without_the_newline():
    """A line's size counts its own bytes, its carriage return included."""
    found, _ = read([b"ab\r\nc\n"])
    assert [(line.data, line.size_bytes) for line in found] == [(b"ab", 3), (b"c", 1)]


def test_position_is_after_each_block_when_it_was_taken():
    """A checkpoint taken between two blocks covers exactly the lines before it."""
    numbering = blocks.Numbering(Position(), None)
    steps = []
    for block in blocks.split_blocks([b"a\nbb\n", b"ccc\n\0d\ne"], numbering, UTF_8, lambda _: True):
        if block is not None:
            found = [line.data for line in block.each()]
            steps.append((found, numbering.position.offset, numbering.position.number))
    assert steps == [([b"a", b"bb"], 5, 2), ([b"ccc", b"d"], 12, 4), ([b"e"], 12, 4)]
    assert numbering.position == Position(12, 4, 4)


def test_unterminated_last_line_waits():
    """Without a newline the last line is marked, and the position stays at its start."""
    found, position = read([b"a\nb"])
    assert found[-1] == Line(2, 3, 2, 2, b"b", 1, terminated=False)
    assert position == Position(2, 1, 1)


@pytest.mark.parametrize("wanted", [True, False])
def test_last_line_without_a_newline_comes_where_it_is_wanted(wanted):
    """For one that nobody wants no line is counted: counting takes longer than finding nothing."""
    counted = []

    def recount(start: int, end: int) -> int:
        counted.append((start, end))
        return 2

    numbering = blocks.Numbering(Position(), recount)
    found = []
    for block in blocks.split_blocks([b"a\nb\nc"], numbering, UTF_8, lambda _: wanted):
        if block is not None:
            block.advance()
            found.append(block)
    assert [block.complete for block in found] == [True, False][: 1 + wanted]
    assert counted == [(0, 4)][:wanted]


@pytest.mark.parametrize("chunks", [[], [b""], [b"", b""]], ids=len)
def test_nothing_gives_no_lines(chunks):
    """No bytes, no lines."""
    assert read(chunks) == ([], Position())


def test_reading_goes_on_from_a_position():
    """Offsets and numbers go on from where the last run stood."""
    first, position = read([b"a\nb\npart"])
    more, position = read([b"partial\nc\n"], position=position)
    assert [(line.offset, line.number, line.data) for line in more] == [(4, 3, b"partial"), (12, 4, b"c")]
    assert position == Position(14, 4, 4)
    assert first[-1].terminated is False


@pytest.mark.parametrize("size", range(1, 40))
def test_overlong_line_is_cut_and_its_true_length_kept(monkeypatch, size):
    """A line beyond the limit keeps its beginning and its true size, at every size of read."""
    limit_lines(monkeypatch, 8)
    data = b"short\n" + b"x" * 8 + b"\n" + b"0123456789abcdef\nnext\n" + b"y" * 30
    found, position = read(in_chunks(data, size))
    assert found == [
        Line(0, 6, 1, 1, b"short", 5),
        Line(6, 15, 2, 2, b"xxxxxxxx", 8),
        Line(15, 32, 3, 3, b"01234567", 16),
        Line(32, 37, 4, 4, b"next", 4),
        Line(37, 67, 5, 5, b"yyyyyyyy", 30, terminated=False),
    ]
    assert [line.is_cut for line in found] == [False, False, True, False, True]
    assert position == Position(37, 4, 4)


@pytest.mark.parametrize("encoding", WIDE, ids=lambda encoding: encoding.name)
def test_overlong_wide_line_is_cut_between_characters(monkeypatch, encoding):
    """UTF-16 is cut at a whole character too, and the lines after it are whole."""
    limit_lines(monkeypatch, 8)
    data = "0123456789\nnext\n".encode(encoding.name)
    for size in range(1, len(data) + 1):
        found, position = read(in_chunks(data, size), encoding)
        assert [(line.data, line.size_bytes, line.offset) for line in found] == [
            (b"0123", 20, 0),
            (b"next", 8, 22),
        ]
        assert position == Position(len(data), 2, 2)


def test_overlong_line_is_never_held_whole():
    """A line of any length is read in constant memory: only its beginning is kept."""
    found, position = read([b"x" * (1 << 18)] * 64 + [b"\nnext\n"])
    assert [(len(line.data), line.size_bytes) for line in found] == [(1 << 20, 1 << 24), (4, 4)]
    assert position.offset == (1 << 24) + 6


@pytest.mark.parametrize("size", range(1, 24))
def test_hole_of_nuls_before_a_line_is_dropped(size):
    """The NULs that a truncation under a writer leaves are no part of the line after them."""
    data = b"before\n" + b"\0" * 11 + b"after\nlast\n"
    found, position = read(in_chunks(data, size))
    assert [(line.data, line.offset, line.number) for line in found] == [
        (b"before", 0, 1),
        (b"after", 18, 2),
        (b"last", 24, 3),
    ]
    assert position == Position(len(data), 3, 3)


def test_line_after_a_hole_is_the_same_at_every_size_of_read():
    """The size of a line after a hole does not depend on where the hole was cut."""
    data = b"before\n" + b"\0" * 11 + b"after\nlast\n"
    for size in range(1, len(data) + 1):
        assert read(in_chunks(data, size)) == read([data]), size


def test_line_after_a_hole_is_not_overlong(monkeypatch):
    """A hole does not count against the limit: the line after it is whole at every size of read."""
    limit_lines(monkeypatch, 8)
    for size in range(1, 26):
        found, _ = read(in_chunks(b"\0" * 20 + b"after\n", size))
        assert [(line.data, line.is_cut) for line in found] == [(b"after", False)], size


def test_nuls_within_a_line_stay():
    """Only the head of a line can be a hole: real logs quote UTF-16 text."""
    assert [line.data for line in read([b"a\0b\0\nc\n"])[0]] == [b"a\0b\0", b"c"]


def test_invalid_bytes_never_end_the_reading():
    """UTF-8 is passed on as it is; of UTF-16 half a pair is replaced, half a character not there yet."""
    assert read([b"\xff\xfe\n"])[0][0].data == b"\xff\xfe"
    wide = BY_NAME["utf-16-le"]
    found, _ = read([b"\x00\xd8", b"\n\0", b"a\0b"], wide)
    assert [line.data.decode() for line in found] == ["\ufffd", "a"]


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)
def test_encoding_is_recognised_by_its_mark(encoding):
    """A byte order mark names the encoding, and its name finds it again."""
    assert encoding_of(encoding.mark + "text\n".encode(encoding.name.removesuffix("-sig"))) == encoding
    assert encoding_named(encoding.name) is encoding


@pytest.mark.parametrize("head", [b"", b"a\0b\0", b"\0a\0b", b"\xff", b"\xef\xbb", b"plain"])
def test_no_mark_is_utf_8(head):
    """A NUL byte, or half a mark, doesn't make a file another encoding."""
    assert encoding_of(head) is UTF_8


def model(data: bytes) -> list[tuple[int, int, int, bytes, bool]]:
    """Split whole bytes the plain way: (offset, end, number, text, terminated)."""
    found, offset = [], 0
    pieces = data.split(b"\n")
    for number, piece in enumerate(pieces, start=1):
        terminated = number < len(pieces)
        end = offset + len(piece) + terminated
        text = piece.lstrip(b"\0")
        if terminated or text:
            start = offset + len(piece) - len(text)
            found.append((start, end, number, text.rstrip(b"\r"), terminated))
        offset = end
    return found


CHUNKS = st.lists(
    st.lists(st.sampled_from([b"\n", b"\r\n", b"\0", b"\0\0", b"a", b"bc", b"\xc3\xa9"]), max_size=6).map(
        b"".join
    ),
    max_size=8,
)


@settings(deadline=None)
@given(CHUNKS)
def test_any_chunks_give_the_lines_of_the_model(chunks):
    """However bytes are cut, NULs and all, the lines are those of splitting them whole."""
    data = b"".join(chunks)
    found, position = read(chunks)
    assert [
        (line.offset, line.end_offset, line.number, line.data, line.terminated) for line in found
    ] == model(data)
    assert position.number == data.count(b"\n")


@settings(deadline=None)
@given(CHUNKS, st.integers(min_value=0, max_value=40))
def test_any_cut_between_two_runs_gives_the_lines_of_the_model(chunks, cut):
    """Reading up to a cut, and going on from its position, gives each line once."""
    data = b"".join(chunks)
    first, position = read([data[:cut]])
    again, position = read([data[position.offset :]], position=position)
    whole = [line for line in first if line.terminated] + again
    assert [
        (line.offset, line.end_offset, line.number, line.data, line.terminated) for line in whole
    ] == model(data)


@settings(deadline=None)
@given(
    st.text(st.sampled_from("a\n\rĊ\u0a0a\u0d0a😀 "), max_size=30),
    st.lists(st.integers(min_value=1, max_value=9), max_size=10),
    st.sampled_from(WIDE),
)
def test_any_chunks_of_wide_text_give_its_lines(text, sizes, encoding):
    """Newlines of two bytes count only between characters, wherever the chunks end."""
    data = text.encode(encoding.name)
    chunks, start = [], 0
    for size in sizes:
        chunks.append(data[start : start + size])
        start += size
    found, _ = read([*chunks, data[start:]], encoding)
    *terminated, last = text.split("\n")
    assert [line.data.decode() for line in found if line.terminated] == [
        line.rstrip("\r") for line in terminated
    ]
    assert [line.data.decode() for line in found if not line.terminated] == (
        [last.rstrip("\r")] if last else []
    )
