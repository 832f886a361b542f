"""A prefix of one's own: named parts, tried when it is set, kept with the source, read in linear time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Tokentail
from event_lines import PLAIN_EVENT, event_message, logged
from faults.tables import events
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions
from parsers.line import parse_line, template_for
from parsers.template import PARTS, Template, TemplateMistake, template

EVENT = event_message()


@pytest.mark.parametrize(
    ("text", "prefix", "stamp"),
    [
        ("{time} {word} | ", "2025-12-29 19:40:02,5 worker-3 | ", "2025-12-29 19:40:02,5"),
        ("{time} {word} | ", "2025-12-29T08:40:02Z w@x.y  | ", "2025-12-29T08:40:02Z"),
        ("{time} | {word} | ", "2025/12/29 19:40:02.123 | w | ", "2025/12/29 19:40:02.123"),
        ("{time} {word} ", "2025.12.29 19:40:02 w ", "2025.12.29 19:40:02"),
        ("[{time}] {level}: [{word}] ", "[2025-12-29 19:40:02] INFO: [worker-3] ", "2025-12-29 19:40:02"),
        ("{text}# ", "any text at all # ", None),
        ("{number}: {time} ", "17: 19:40:02 ", None),
        ("<{word}> {time} ", "<a> 1766997602.5 ", "1766997602.5"),
        ("{word} says> ", "worker-3 says> ", None),
    ],
)
def test_template_cuts_a_prefix_off_and_reads_its_time(text: str, prefix: str, stamp: str | None) -> None:
    """What follows is a message, or a line with the executor's own prefix; only a whole time is one."""
    found = template(text).split(f"{prefix}{EVENT}".encode())
    assert found is not None
    assert found.message == EVENT.encode()
    assert (found.stamp.text if found.stamp else None) == stamp
    parsed = parse_line(f"{prefix}{logged(EVENT)}".encode(), template=template(text))
    assert parsed is not None
    assert parsed.record == PLAIN_EVENT
    assert parsed.stamp is not None
    assert parsed.stamp.text == "2025-12-29 19:40:02"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("no part | ", "has no part"),
        ("{name} ", "unknown part {name}"),
        ("{word}{word} ", "nothing stands between {word}"),
        ("{word}e ", "can't match even"),
        ("{text} | ", "can't match even"),
        ("{time}\n", "must be one line"),
        ("{time}" + "x" * 200, "must be one line"),
    ],
)
def test_template_that_can_not_be_one_is_a_mistake(text: str, mistake: str) -> None:
    """It is tried on a sample of itself when it is set."""
    with pytest.raises(TemplateMistake, match=mistake.replace("{", r"\{")):
        Template(text)


@pytest.mark.parametrize(
    "text", ["{text}: {text}: {text}| ", "{word}-{word}-{word} ", "{time} {time} ", "{number}.{number}! "]
)
@pytest.mark.parametrize("piece", ["a: ", "a-", "1.", "2025-12-29 19:40:02 "])
def test_no_template_takes_more_than_linear_time(text: str, piece: str) -> None:
    """Parts are runs up to what follows, and are never tried twice."""
    started = time.perf_counter()
    template(text).split((piece * 200_000).encode())
    assert time.perf_counter() - started < 0.5


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.sampled_from(("{word}", "{time}", "{level}", "{number}", " ", "| ", ": ", "[", "] ", "<", "> ")),
        min_size=1,
    )
)
def test_shape_of_an_unread_line_is_a_template_that_reads_it(pieces: list[str]) -> None:
    """What is shown as the template to set does what it is shown for."""
    prefix = "".join(PARTS.get(piece.strip("{}"), piece) for piece in pieces)
    line = f"{prefix}{logged(EVENT)}".encode()
    shape = template_for(line)
    if shape is not None:
        parsed = parse_line(line, template=template(shape))
        assert parsed is not None
        assert parsed.record == PLAIN_EVENT


def test_template_is_kept_with_the_source(called: Tokentail, tmp_path: Path) -> None:
    """The next run and `verify` read the same; another template is taken by a full reading."""
    log = tmp_path / "run.log"
    log.write_text(f"a says> {logged(EVENT)}\n")
    assert called("ingest", "run.log", "--prefix", "{word} says> ", "--tz", "UTC").returncode == 0
    with log.open("a") as file:
        file.write(f"b says> {logged(EVENT, at='2025-12-29 19:40:03')}\nc: {logged(EVENT)}\n")
    done = called("ingest", "run.log", "--tz", "UTC")
    assert "1 event new" in done.stdout
    assert "1 line with [TokenEstimationV2] is not read" in done.stderr
    assert "no difference" in called("verify").stdout
    full = called("backfill", "--full", "run.log", "--prefix", "{word}: ", "--tz", "UTC")
    assert "1 marker line" in full.stdout
    assert "2 lines with [TokenEstimationV2] are not read" in full.stderr
    kept = called("backfill", "--full", "run.log", "--tz", "UTC")
    assert "1 marker line" in kept.stdout


def test_template_may_stand_in_the_settings_and_a_mistake_is_named(called: Tokentail, tmp_path: Path) -> None:
    """As every other option."""
    (tmp_path / "run.log").write_text(f"2025-12-29T08:40:02Z|a| {EVENT}\n")
    (tmp_path / "tokentail.toml").write_text('logs = ["run.log"]\nprefix = "{time}|{word}| "\n')
    done = called("ingest", "--tz", "Australia/Sydney")
    assert "1 event new" in done.stdout
    wrong = called("ingest", "--prefix", "{nothing} ")
    assert wrong.returncode == 2
    assert "--prefix: unknown part {nothing}: known are {time}, {word}" in wrong.stderr


def test_time_of_the_template_is_the_events_where_the_inner_one_is_missing(tmp_path: Path) -> None:
    """An offset is one; a local time is the executor's."""
    log, database = tmp_path / "run.log", tmp_path / "t.db"
    log.write_text(f"2025-12-29T08:40:02Z|a| {EVENT}\n2025-12-29 19:40:03|a| {EVENT}\n")
    zone = zone_named("Australia/Sydney")
    ingest([str(log)], database, IngestOptions("ingest", zone, prefix="{time}|{word}| "))
    moments = [datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC) for row in events(database)]
    assert sorted(moment.second for moment in moments) == [2, 3]
    assert {(moment.hour, moment.minute) for moment in moments} == {(8, 40)}
