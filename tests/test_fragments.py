"""A line that was cut in its model is the event of the whole line, whichever is read first."""

from __future__ import annotations

import gzip
import sqlite3
from itertools import permutations
from pathlib import Path

import pytest

from event_lines import anchor_message, event_message, logged
from faults.scenarios.versions import make_older
from faults.tables import check_invariants, events
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary
from ingest.verify import verify

ANCHOR = logged(anchor_message("phase-1")) + "\n"
WHOLE = logged(event_message(model="claude-sonnet-4-5")) + "\n"
FILES = {
    "a.log": ANCHOR + WHOLE,
    "b.log": WHOLE[: -len("-sonnet-4-5\n")],
    "c.log": ANCHOR + WHOLE[: -len("-5\n")],
    "d.log": WHOLE + "[2025-12-29 19:41:00] INFO: done\n",
}


def read(folder: Path, *names: str, command: str = "backfill") -> Summary:
    """Backfill some files of a folder."""
    options = IngestOptions(command, zone_named("UTC"), finished=command == "backfill")
    return ingest([str(folder / name) for name in names], folder / "t.db", options)


def models(folder: Path) -> list[str]:
    """Return the models of all events."""
    return [row["model"] for row in events(folder / "t.db")]


@pytest.mark.parametrize("order", list(permutations(FILES)), ids="".join)
def test_cut_lines_are_the_whole_lines_event_in_every_order(tmp_path: Path, order: tuple[str, ...]) -> None:
    """One event, its whole model and its phase, four places, and `verify` agrees."""
    for name in order:
        (tmp_path / name).write_text(FILES[name])
        read(tmp_path, name)
    read(tmp_path, *order)  # a file that begins as another one went on with it while it was alone
    (row,) = events(tmp_path / "t.db")
    assert (row["model"], row["phase_id"]) == ("claude-sonnet-4-5", "phase-1")
    check_invariants(tmp_path / "t.db")
    found = verify([str(tmp_path)], tmp_path / "t.db")
    assert (found.differences, found.sightings) == ([], 4)


@pytest.mark.parametrize("model", ["None", "gpt-é✓", "a model"])
def test_model_may_be_cut_anywhere(tmp_path: Path, model: str) -> None:
    """Within `None`, within a character of several bytes, at a space: it is still the same event."""
    line = (logged(event_message(model=model)) + "\n").encode()
    start = line.index(b"model=") + len("model=")
    for end in range(start + 1, len(line) - 1):
        (tmp_path / f"{end}.log").write_bytes(line[:end])
    (tmp_path / "whole.log").write_bytes(line)
    names = sorted(path.name for path in tmp_path.glob("*.log"))
    read(tmp_path, *names)
    assert models(tmp_path) == [None if model == "None" else model]


def test_other_models_are_other_events(tmp_path: Path) -> None:
    """A model that does not begin as the cut one ends is another event, and so is one of a whole line."""
    (tmp_path / "cut.log").write_text(logged(event_message(model="claude-s")))
    (tmp_path / "other.log").write_text(logged(event_message(model="claude-opus")) + "\n")
    (tmp_path / "whole.log").write_text(logged(event_message(model="claude-s-2")) + "\n")
    read(tmp_path, "cut.log", "other.log", "whole.log")
    assert sorted(models(tmp_path)) == ["claude-opus", "claude-s-2"]
    (tmp_path / "longer.log").write_text(logged(event_message(model="claude-s-2-long")) + "\n")
    read(tmp_path, "longer.log")
    assert sorted(models(tmp_path)) == ["claude-opus", "claude-s-2", "claude-s-2-long"]


def test_line_that_goes_on_keeps_its_row(tmp_path: Path) -> None:
    """What backfill took of an unfinished line becomes the whole event: nothing new, nothing lost."""
    log = tmp_path / "run.log"
    log.write_text(ANCHOR + WHOLE[:-8])
    assert read(tmp_path, "run.log").events_new == 1
    again = read(tmp_path, "run.log")
    assert (again.events_new, again.bytes_read) == (0, 0)
    log.write_text(ANCHOR + WHOLE)
    summary = read(tmp_path, "run.log")
    assert (summary.events_new, summary.further_sightings, summary.marker_lines) == (0, 0, 0)
    assert models(tmp_path) == ["claude-sonnet-4-5"]


def test_damage_after_an_unfinished_line_takes_nothing_back(tmp_path: Path) -> None:
    """A compressed log whose end was stored, and that is damaged after it now, keeps its events."""
    packed = tmp_path / "run.log.gz"
    packed.write_bytes(gzip.compress((ANCHOR + WHOLE.rstrip()).encode()))
    read(tmp_path, "run.log.gz")
    packed.write_bytes(packed.read_bytes() + b"garbage that is no member")
    summary = read(tmp_path, "run.log.gz")
    assert (summary.exit_code, summary.marker_lines) == (1, 0)
    assert models(tmp_path) == ["claude-sonnet-4-5"]


def test_provisional_line_of_another_file_is_not_taken_back(tmp_path: Path) -> None:
    """Two logs with the same banner: what was stored of the first one's last line stays."""
    banner = "# a banner that both have\n" * 60
    (tmp_path / "run.log").write_text(banner + logged(event_message(predicted_output=1)))
    read(tmp_path, "run.log")
    (tmp_path / "run.log").write_text(banner + logged(event_message(predicted_output=2)) + "\n")
    read(tmp_path, "run.log", command="ingest")
    assert sorted(row["predicted_output_tokens"] for row in events(tmp_path / "t.db")) == [1, 2]


@pytest.mark.parametrize("order", list(permutations(("a.log", "b.log", "f.log"))), ids="".join)
def test_fragment_of_another_phase_is_another_event(tmp_path: Path, order: tuple[str, ...]) -> None:
    """A cut line whose phase is known completes no event of another phase, in any order."""
    texts = {
        "a.log": ANCHOR + logged(event_message(model="gpt-4")) + "\n",
        "b.log": logged(anchor_message("phase-2")) + "\n" + logged(event_message(model="gpt-4o")) + "\n",
        "f.log": "# a copy\n" + ANCHOR + logged(event_message(model="gpt-4")),
    }
    for name in order:
        (tmp_path / name).write_text(texts[name])
        read(tmp_path, name)
    found = sorted((row["phase_id"], row["model"]) for row in events(tmp_path / "t.db"))
    assert found == [("phase-1", "gpt-4"), ("phase-2", "gpt-4o")]


def test_unfinished_line_of_an_older_database_is_taken_back(tmp_path: Path) -> None:
    """What the version before stored of a line that goes on now is that line's event, and nothing is said."""
    log, database = tmp_path / "run.log", tmp_path / "t.db"
    log.write_text(ANCHOR + WHOLE + ANCHOR + WHOLE.replace("19:40:02", "19:41:02")[:-8])
    read(tmp_path, "run.log")
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE log_sources SET remembered = json_set(remembered, '$.provisional', json('true'))"
        )
    connection.close()
    make_older(database)
    log.write_text(ANCHOR + WHOLE + ANCHOR + WHOLE.replace("19:40:02", "19:41:02"))
    summary = read(tmp_path, "run.log")
    assert (summary.warnings, summary.events_new) == ([], 0)
    assert models(tmp_path) == ["claude-sonnet-4-5"] * 2
    assert verify([str(log)], database).differences == []
