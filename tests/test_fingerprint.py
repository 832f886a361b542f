"""Fingerprints and tails: a file is known again as it grows, and never mistaken.

They only save work; what is tested here is that they never save it wrongly.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.files.logfile import TAIL_BYTES, digest
from ingest.reading.checkpoint import HEAD_BYTES, fingerprint_of
from ingest.reading.feed import Recent, tail_of
from ingest.reading.lines import Position


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 5000])
def test_fingerprint_covers_the_head_and_no_more(size):
    """A fingerprint covers as many bytes as there are, up to its limit."""
    head = bytes(number % 251 for number in range(size))
    fingerprint = fingerprint_of(head)
    assert fingerprint.size_bytes == min(size, HEAD_BYTES)
    assert fingerprint.digest == digest(head[:HEAD_BYTES])


def test_grown_file_is_known_again():
    """A file that was shorter than the limit is the same one after it has grown."""
    fingerprint = fingerprint_of(b"one line\n")
    assert fingerprint.matches(b"one line\n")
    assert fingerprint.matches(b"one line\nanother\n")
    assert fingerprint.matches(b"one line\n" * 1000)


@pytest.mark.parametrize("head", [b"", b"one line", b"One line\n", b"another\n", b"\none line\n"])
def test_other_or_shorter_file_is_not_the_same(head):
    """A file that begins otherwise, or holds less than the fingerprint covers, is another one."""
    assert not fingerprint_of(b"one line\n").matches(head)


def test_files_that_differ_only_after_the_head_share_a_fingerprint():
    """A banner longer than the head is why a tail stands beside the fingerprint."""
    banner = b"banner " * 400
    assert fingerprint_of(banner + b"a") == fingerprint_of(banner + b"b")
    assert tail_of(banner + b"a") != tail_of(banner + b"b")


def test_tail_covers_the_last_bytes_only():
    """A tail is the hash of the last bytes before an offset, or of all where there are fewer."""
    data = bytes(range(256)) * 4
    assert tail_of(data) == digest(data[-TAIL_BYTES:])
    assert tail_of(b"abc") == digest(b"abc")
    assert tail_of(b"") == digest(b"")


@pytest.mark.parametrize("size", [1, 7, 64, 255, 256, 257, 1000, 4000])
def test_tail_before_any_offset_within_reach_is_exact(size):
    """While chunks pass, the tail at any offset in the last two is the one of the whole file."""
    data = bytes(number * 7 % 251 for number in range(3000))
    recent = Recent(Position(), b"")
    passed = 0
    for chunk in recent.through(iter([data[start : start + size] for start in range(0, 3000, size)])):
        passed += len(chunk)
        for offset in range(max(0, passed - size), passed + 1):
            tail = recent.tail_before(offset)
            assert tail in (None, tail_of(data[:offset]))
            if passed <= 2 * size or offset - TAIL_BYTES >= passed - 2 * size + len(chunk):
                assert tail is not None


def test_chunks_pass_unchanged():
    """Remembering changes nothing of what passes."""
    chunks = [b"a", b"", b"bc", b"d" * 1000]
    assert list(Recent(Position(), b"").through(iter(chunks))) == chunks


def test_tail_out_of_reach_is_not_guessed():
    """Where the bytes before an offset are gone, there is no tail."""
    recent = Recent(Position(), b"")
    for _ in recent.through(iter([b"x" * 300] * 5)):
        pass
    assert recent.tail_before(300) is None
    assert recent.tail_before(1500) == digest(b"x" * TAIL_BYTES)


@settings(deadline=None)
@given(
    st.binary(max_size=900),
    st.integers(min_value=0, max_value=900),
    st.lists(st.integers(1, 400), max_size=8),
)
def test_going_on_from_a_checkpoint_gives_the_tails_of_one_pass(data, start, sizes):
    """A reader that goes on with only the bytes before its checkpoint computes the same tails."""
    start = min(start, len(data))
    recent = Recent(Position(start), data[:start][-TAIL_BYTES:])
    assert recent.tail_before(start) == tail_of(data[:start])
    chunks, offset = [], start
    for size in sizes:
        chunks.append(data[offset : offset + size])
        offset += size
    for _ in recent.through(iter(chunks)):
        pass
    end = min(offset, len(data))
    assert recent.tail_before(end) in (None, tail_of(data[:end]))
