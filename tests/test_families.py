"""Every family of lines against its own samples, and against everybody else's.

Keeps the invariant that a message belongs to one family: ambiguity is not a race.
"""

from __future__ import annotations

import re
import time

import pytest

from event_lines import PREFIX_FORMS, event_message, logged
from parsers.line import parse_line
from parsers.records import EstimationEvent, Malformed
from parsers.registry import FAMILIES

SAMPLES = [(family, sample) for family in FAMILIES for sample in family.samples]
SAMPLE_IDS = [
    f"{family.name}-{number}" for family in FAMILIES for number, _ in enumerate(family.samples, start=1)
]
NEAR_MISSES = [(family, near) for family in FAMILIES for near in family.near_misses]

each_sample = pytest.mark.parametrize(("family", "sample"), SAMPLES, ids=SAMPLE_IDS)


def test_families_have_names_of_their_own_and_samples():
    """A family is valid only with a name of its own and sample lines that it must understand."""
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert all(family.samples for family in FAMILIES)


@each_sample
def test_sample_is_understood(family, sample):
    """Each family opens and reads every one of its samples."""
    assert re.match(family.opening.encode(), sample.encode())
    assert family.read(sample) is not None
    assert not isinstance(family.read(sample), Malformed)


@pytest.mark.parametrize(("family", "near"), NEAR_MISSES, ids=[near[:50] for _, near in NEAR_MISSES])
def test_near_miss_is_refused(family, near):
    """What opens like the family but says something else is nothing."""
    assert family.read(near) is None
    assert parse_line(logged(near).encode()) is None


@each_sample
def test_sample_is_claimed_by_no_other_family(family, sample):
    """Every family's opening is tried on every other's samples: just one claims each."""
    claims = [other.name for other in FAMILIES if re.match(other.opening.encode(), sample.encode())]
    assert claims == [family.name]


@pytest.mark.parametrize(("put", "text"), PREFIX_FORMS.values(), ids=PREFIX_FORMS.keys())
def test_every_sample_is_read_after_every_prefix(put, text):
    """The parser takes every sample after every prefix, with one meaning."""
    for family, sample in SAMPLES:
        line = put(sample).encode()
        parsed = parse_line(line)
        assert parsed is not None, sample
        assert parsed.record == family.read(sample)
        assert parsed.stamp is not None
        assert parsed.stamp.text == text


@each_sample
def test_bare_sample_counts_only_where_the_executor_prints_it_so(family, sample):
    """Without a prefix a line is a dump of something else, but for the families that are printed."""
    parsed = parse_line(sample.encode())
    if family.needs_prefix:
        assert parsed is None
        return
    assert parsed is not None
    assert parsed.stamp is None
    record = family.read(sample)
    assert parsed.record == (Malformed("no timestamp") if isinstance(record, EstimationEvent) else record)


@pytest.mark.parametrize("sample", [sample for _, sample in SAMPLES], ids=SAMPLE_IDS)
def test_sample_is_read_from_damaged_bytes_without_an_error(sample):
    """Bytes that are no UTF-8 are replaced, never fatal."""
    data = logged(sample).encode()
    for place in range(len(data)):
        parse_line(data[:place] + b"\xff" + data[place + 1 :])


@pytest.mark.parametrize("sample", [sample for _, sample in SAMPLES], ids=SAMPLE_IDS)
def test_cut_sample_is_read_without_an_error(sample):
    """A line that was cut anywhere is something or nothing, never an error."""
    for end in range(len(sample)):
        parse_line(logged(sample[:end]).encode())


def test_long_hostile_lines_take_little_time():
    """No opening or pattern backs up over a long line: a megabyte is read in linear time."""
    fillers = ("[" * 500_000, "[p1] " * 200_000, "[p1] Phase " * 100_000, "  " * 500_000, "\u2713" * 300_000)
    for filler in fillers:
        assert parse_line(logged(filler).encode()) is None


@pytest.mark.parametrize("put", [put for put, _ in PREFIX_FORMS.values()], ids=PREFIX_FORMS.keys())
def test_trailing_carriage_return_changes_nothing(put):
    """A message that kept its carriage return is still the same event."""
    parsed = parse_line(put(event_message() + "\r").encode())
    assert parsed is not None
    assert parsed.record == parse_line(logged(event_message()).encode()).record


@pytest.mark.parametrize(
    "message",
    [
        "[MODEL-SELECT] Builder: model=x" + ", complexity=y" * 6_000,
        "[TOKEN_SOFT_CAP] run_id=x" + " phase_id=y" * 6_000,
        "[TOKEN_BUDGET] phase=x" + " complexity=y" * 6_000,
        "[BUILD-129:P10] ESCALATE-ONCE: phase=x" + " attempt=1" * 6_000,
        "[LOCK] Acquired executor lock for run_id=x" + " (" * 30_000,
        "[drain_one_phase] Draining: x" + " / y" * 20_000,
        "Updated phase x" + " status to y" * 6_000 + " !",
        "Phase x" + " finished with status: y" * 6_000 + " !",
        "[BUILD-128] Phase 'x" + "' has deliverables" * 6_000,
        "[p1] Applied files: [" + "'a', " * 12_000,
        "[Scope] Scope paths: ['" + "\\'" * 30_000,
        "[TokenEstimation] Predicted: " + "1" * 60_000,
    ],
    ids=lambda message: message[:24],
)
def test_repeated_parts_of_a_message_take_little_time(message):
    """No pattern tries every pair of places: a long line of repeated parts is read in linear time."""
    started = time.perf_counter()
    parse_line(logged(message).encode())
    assert time.perf_counter() - started < 0.25
