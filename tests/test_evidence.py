"""What must stand in a file for it to be a source: places and hashes, looked for in one pass."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.logfile import LogFile, Sample, sample_of
from ingest.reading.resume import SampleMatcher, matching_samples

DATA = bytes(range(256)) * 20


def samples_of(places: list[tuple[int, int]]) -> list[Sample]:
    """Make samples of the data at some places."""
    return [sample_of(start, DATA[start : start + size]) for start, size in places]


PLACES = st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 300)), max_size=8)


@given(PLACES, st.lists(st.integers(1, 900), min_size=1, max_size=20))
def test_samples_are_found_however_the_bytes_are_cut(places: list[tuple[int, int]], sizes: list[int]) -> None:
    """Overlapping, adjacent, of no bytes: each is found in chunks of any sizes."""
    samples = samples_of(places)
    watch, start = SampleMatcher(samples), 0
    while start < len(DATA):
        for size in sizes:
            watch.see(start, DATA[start : start + size])
            start += size
    assert watch.matched == set(samples)


@given(PLACES, st.integers(0, len(DATA) - 1))
def test_a_single_other_byte_is_noticed(places: list[tuple[int, int]], place: int) -> None:
    """Exactly the samples that hold the byte are missing."""
    samples = samples_of(places)
    watch = SampleMatcher(samples)
    watch.see(0, DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :])
    assert watch.matched == {sample for sample in samples if not sample.offset <= place < sample.end_offset}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_samples_beyond_the_end_do_not_stand(tmp_path: Path, pack) -> None:
    """A file that is shorter than what was read of a source is another one."""
    path = tmp_path / "run.log"
    path.write_bytes(pack(DATA))
    there, beyond = sample_of(10, DATA[10:40]), Sample(len(DATA) - 5, 10, sample_of(0, DATA[:10]).digest)
    assert matching_samples(LogFile(str(path)), [there, beyond]) == {there}


def test_samples_before_a_damage_stand(tmp_path: Path) -> None:
    """What comes before the damage of a compressed file is what it was."""
    path = tmp_path / "run.log.gz"
    packed = gzip.compress(DATA) + gzip.compress(DATA)
    path.write_bytes(packed[: len(packed) // 2 + 12])
    samples = [*samples_of([(0, 1000)]), sample_of(2 * len(DATA) - 300, DATA[-300:])]
    assert matching_samples(LogFile(str(path)), samples) == {samples[0]}
