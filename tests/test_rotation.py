"""What a file is, by its bytes: generations that look the same are distinguished, copies are recognised."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from event_lines import event_message, logged
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing.database import open_for_reading
from ingest.summary import IngestOptions
from ingest.verify import verify

OPTIONS = IngestOptions("ingest", zone_named("UTC"))
BANNER = "".join(f"# the same banner in every generation, line {number}\n" for number in range(60))
FOOTER = "=" * 79 + "\n"


def events(first: int, count: int) -> str:
    numbers = range(first, first + count)
    return "".join(
        logged(event_message(predicted_output=number), at=f"2026-01-14 09:00:{number}") + "\n"
        for number in numbers
    )


def predicted(database: Path) -> list[int]:
    query = "SELECT predicted_output_tokens FROM token_estimation_v2_events ORDER BY 1"
    with open_for_reading(database) as db:
        return [number for (number,) in db.conn.execute(query)]


SECOND_GENERATIONS = {
    "shorter": BANNER + events(20, 5),
    "regrown past the old offset": BANNER + events(20, 20),
    "same size": BANNER + events(20, 10) + FOOTER * 5,
    "same banner and same tail": BANNER + events(20, 10) + FOOTER * 5 + events(40, 5),
    "long unfinished line": BANNER + events(20, 10) + "x" * 700_000,
}


@pytest.mark.parametrize("copied", [False, True], ids=["truncated", "copytruncate"])
@pytest.mark.parametrize("second", SECOND_GENERATIONS.values(), ids=SECOND_GENERATIONS)
def test_truncated_file_is_read_again_from_its_start_and_that_is_said(
    tmp_path: Path, second: str, copied: bool
) -> None:
    """Whatever a truncated file has grown to, its new events are all there, the old ones once."""
    log = tmp_path / "run.log"
    log.write_text(BANNER + events(10, 10) + FOOTER * 5, encoding="utf-8")
    ingest([str(tmp_path)], tmp_path / "t.db", OPTIONS)
    if copied:
        (tmp_path / "run.log.1").write_bytes(log.read_bytes())
    with log.open("r+", encoding="utf-8") as file:  # the same file: its inode stays
        file.truncate(0)
        file.write(second)
    summary = ingest([str(tmp_path)], tmp_path / "t.db", OPTIONS)
    expected = [
        *range(10, 20),
        *(number for number in range(20, 60) if f"predicted_output={number} " in second),
    ]
    assert predicted(tmp_path / "t.db") == expected
    said = summary.notes if copied else summary.warnings  # a copy that has all of it: nothing is missing
    assert any("truncated or rewritten" in text for text in said)
    assert not (copied and summary.warnings)
    assert verify([str(tmp_path)], tmp_path / "t.db").differences == []
    assert ingest([str(tmp_path)], tmp_path / "t.db", OPTIONS).events_new == 0


def test_truncation_after_a_long_unfinished_line_is_noticed(tmp_path: Path) -> None:
    """The bytes before the checkpoint are remembered however much unfinished text stood after it."""
    log = tmp_path / "run.log"
    log.write_text(BANNER + "y" * 700_000, encoding="utf-8")
    ingest([str(log)], tmp_path / "t.db", OPTIONS)
    log.write_text("".join(BANNER.splitlines(keepends=True)[:30]) + events(20, 30), encoding="utf-8")
    ingest([str(log)], tmp_path / "t.db", OPTIONS)
    assert predicted(tmp_path / "t.db") == list(range(20, 50))


@pytest.mark.parametrize("earlier", [True, False], ids=["read since", "new"])
def test_packed_rotation_whose_inode_another_log_took_is_the_same_source(
    tmp_path: Path, earlier: bool
) -> None:
    """What was read of it is not read again, whether its file's number went to a log just now or before."""
    log, other = tmp_path / "run.log", tmp_path / "other.log"
    log.write_text(BANNER + events(10, 5), encoding="utf-8")
    ingest([str(tmp_path)], tmp_path / "t.db", OPTIONS)
    packed = gzip.compress(log.read_bytes() + events(15, 5).encode())
    log.write_text(BANNER + events(30, 5), encoding="utf-8")
    log.rename(other)  # the same file, as a file system gives a number that is free again
    if earlier:
        ingest([str(tmp_path)], tmp_path / "t.db", OPTIONS)
    (tmp_path / "run.log.1.gz").write_bytes(packed)
    summary = ingest([str(tmp_path)], tmp_path / "t.db", OPTIONS)
    assert predicted(tmp_path / "t.db") == [*range(10, 20), *range(30, 35)]
    assert summary.further_sightings == 0
    assert ingest([str(tmp_path)], tmp_path / "t.db", OPTIONS).files_read == 0
    assert verify([str(tmp_path)], tmp_path / "t.db").differences == []


def test_copy_is_a_source_of_its_own_whichever_run_it_is_read_in(tmp_path: Path) -> None:
    """The sightings are those of one run of both, and the original goes on as what it is."""
    log, copy, database = tmp_path / "run.log", tmp_path / "copy.log", tmp_path / "t.db"
    log.write_text(BANNER + events(10, 5), encoding="utf-8")
    ingest([str(log)], database, OPTIONS)
    copy.write_bytes(log.read_bytes())
    alone = ingest([str(copy)], database, OPTIONS)
    assert (alone.events_new, alone.further_sightings, alone.warnings) == (0, 5, [])
    with log.open("a", encoding="utf-8") as file:
        file.write(events(15, 5))
    later = ingest([str(log)], database, OPTIONS)
    assert (later.events_new, later.further_sightings, later.warnings) == (5, 0, [])
    assert verify([str(copy), str(log)], database).differences == []
    log.unlink()  # and where the original is gone, what is left of it stands for it
    copy.rename(tmp_path / "kept.log")
    assert ingest([str(tmp_path / "kept.log")], database, OPTIONS).further_sightings == 0


@pytest.mark.parametrize("whole", ["a.log", "a.log.gz", "z.log.gz"])
def test_cut_compressed_copy_of_a_log_is_one_source_however_often_it_is_met(
    tmp_path: Path, whole: str
) -> None:
    """Each run tries it again, and stores nothing of it twice, beside a log that holds all of it."""
    logs, database = tmp_path / "logs", tmp_path / "t.db"
    logs.mkdir()
    data = (BANNER + events(10, 40)).encode()
    packed = gzip.compress(data)
    (logs / whole).write_bytes(packed if whole.endswith(".gz") else data)
    (logs / "b.log.gz").write_bytes(packed[:-30])
    ingest([str(logs)], database, OPTIONS)
    for _ in range(3):
        summary = ingest([str(logs)], database, OPTIONS)
        assert (summary.further_sightings, summary.events_new) == (0, 0)
    with open_for_reading(database) as db:
        states = [state for (state,) in db.conn.execute("SELECT state FROM log_sources ORDER BY state")]
    assert states == ["complete", "unfinished"]
    assert not verify([str(logs)], database).differences


def test_dated_rotations_are_found_in_a_folder(tmp_path: Path) -> None:
    """The unread tail of a rotation with a date in its name is read, and what was read stays single."""
    log = tmp_path / "run.log"
    log.write_text(events(10, 5), encoding="utf-8")
    ingest([str(tmp_path)], tmp_path / "t.db", OPTIONS)
    with log.open("a", encoding="utf-8") as file:
        file.write(events(15, 5))
    log.rename(tmp_path / "run.log-20260114")
    log.write_text(events(30, 5), encoding="utf-8")
    summary = ingest([str(tmp_path)], tmp_path / "t.db", OPTIONS)
    assert predicted(tmp_path / "t.db") == [*range(10, 20), *range(30, 35)]
    assert summary.further_sightings == 0
