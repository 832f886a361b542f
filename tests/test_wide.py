"""Blocks of UTF-16 captures: the same logical lines as one by one, each where it stands in the file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_lines import event_message, logged
from ingest.reading.encoding import Encoding, encoding_named
from log_lines import Read, read_lines

LITTLE, BIG = encoding_named("utf-16-le"), encoding_named("utf-16-be")
WIDTH = 60


def chunked(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut bytes at these sizes, and yield the rest at once."""
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size
    yield data[start:]


def one_by_one(data: bytes, encoding: Encoding) -> Read:
    """Read the logical lines as they are found without blocks of text."""
    return read_lines([data], encoding, line_by_line=True)


PIECES = st.one_of(
    st.text(st.sampled_from("ab {}✓😀\r"), max_size=90),
    st.text(st.sampled_from("ab 😀"), min_size=WIDTH, max_size=WIDTH),
    st.integers(1, 4).map(lambda times: "w" * WIDTH * times),
    st.sampled_from([logged("short"), logged(event_message()), "", "[", "python : x", "ends in a space "]),
)


def encoded(text: str, end: str, encoding: Encoding) -> bytes:
    """Write a line, wrapped at the width, with its newlines."""
    pieces = [text[start : start + WIDTH] for start in range(0, len(text), WIDTH)] or [""]
    return "".join(piece + end for piece in pieces).encode(encoding.name)


def odd(encoding: Encoding) -> st.SearchStrategy[bytes]:
    """Return what a block doesn't hold: other encodings, holes, marks, halves of characters, other ends."""
    half = "\ud83d\r\n".encode(encoding.name, "surrogatepass")
    texts = st.sampled_from(["✅ done\r\n", "\n", "\r\r\n", "a\rb\r\n", "x\ufeffy\r\n"])
    others = st.sampled_from([b"narrow and long enough\r\n", b"no\n", b"\n", b"\0" * 40, encoding.mark, half])
    return st.one_of(others, texts.map(lambda text: text.encode(encoding.name)))


@pytest.mark.parametrize("encoding", [LITTLE, BIG], ids=["little", "big"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_blocks_hold_the_lines_that_are_found_one_by_one(encoding, data):
    """Whatever a capture holds and however it comes: text, offset, number, ordinal, beginning, width."""
    lines = st.builds(encoded, PIECES, st.sampled_from(["\r\n", "\r\n", "\n"]), st.just(encoding))
    parts = data.draw(st.lists(st.one_of(lines, lines, lines, lines, odd(encoding)), max_size=25))
    capture = b"".join([encoded("w" * WIDTH, "\r\n", encoding), *parts])
    sizes = data.draw(st.lists(st.integers(1, 700), max_size=12))
    expected = one_by_one(capture, encoding)
    found = read_lines(chunked(capture, sizes), encoding)
    assert found.lines == expected.lines
    assert (found.position, found.width) == (expected.position, expected.width)


def test_most_lines_of_a_capture_come_in_blocks():
    """Wrapped, with characters of all kinds: once the width is known no line is looked at by itself."""
    texts = [logged("w" * 200), *[logged(f"{number} ✅ 📋 " + "word " * 30) for number in range(300)], "✅ x"]
    capture = b"".join(encoded(text, "\r\n", LITTLE) for text in texts)
    found = read_lines(chunked(capture, [2000] * 30), LITTLE)
    assert found.lines == one_by_one(capture, LITTLE).lines
    assert found.in_text > 280


def test_line_that_goes_on_and_on_is_one_line():
    """However many pieces a capture made of it, and however small the chunks in which they come."""
    capture = encoded("w" * 20_000, "\r\n", LITTLE) + encoded("", "\r\n", LITTLE)
    found = read_lines(chunked(capture, [122] * 300), LITTLE)
    assert found.lines == one_by_one(capture, LITTLE).lines


def test_line_beyond_the_limit_among_others():
    """It is kept in part and reported with its true length, and what follows it is at its true offset."""
    text = "".join(f"{'y' * 150}\r\n" for _ in range(50)) + f"{'z' * 900_000}\r\nend\r\nend\r\n"
    capture = (encoded("w" * 200, "\r\n", LITTLE) + text.encode(LITTLE.name)) * 2
    expected = one_by_one(capture, LITTLE)
    for size in (70_000, 262_144, 700_001):
        found = read_lines(chunked(capture, [size] * 30), LITTLE)
        assert found.lines == expected.lines
        assert (found.position, found.width) == (expected.position, expected.width)
