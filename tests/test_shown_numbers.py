"""Numbers that are shown: from when on, and that they are not another log's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import event_message, logged
from event_rows import event_row, stored


def test_last_event_of_a_log_is_its_own(called: Tokentail, tmp_path: Path) -> None:
    """Each log's own newest event is shown, whatever other logs hold."""
    days = {"a.log": "2026-01-10", "b.log": "2026-03-10", "c.log": "2026-02-10"}
    for name, day in days.items():
        lines = [logged(event_message(), at=f"{day} {hour}:00:00") for hour in (10, 11, 12)]
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    called("ingest", *days, "--tz", "UTC")
    sources = json.loads(called("status", "--json").stdout)["sources"]
    assert {Path(source["path"]).name: source["last_event"][:19] for source in sources} == {
        name: f"{day} 12:00:00" for name, day in days.items()
    }


@pytest.mark.parametrize(("count", "unstable"), [(4, True), (5, False)])
def test_five_phases_are_enough_to_be_leaned_on(
    called: Tokentail, tmp_path: Path, count: int, unstable: bool
) -> None:
    """A stratum of fewer says so, however many tries they had."""
    tries = [event_row(phase_id=f"phase-{number}") for number in range(count) for _ in range(3)]
    stored(tmp_path / "telemetry.db", tries)
    report = json.loads(called("report", "--json").stdout)
    assert [stratum["unstable"] for stratum in report["strata"]] == [unstable]


@pytest.mark.parametrize("name", ["zone.tab", "tzdata.zi", "leapseconds", "No/Such"])
def test_file_beside_the_zones_is_no_zone(called: Tokentail, tmp_path: Path, name: str) -> None:
    """What stands in the folder of the time zones is one only if it holds its rules."""
    (tmp_path / "run.log").write_text(logged(event_message()) + "\n", encoding="utf-8")
    done = called("ingest", "run.log", "--tz", name)
    assert done.returncode == 2
    assert "unknown time zone" in done.stderr


def test_a_reject_that_became_an_event_is_no_negative_number(called: Tokentail, tmp_path: Path) -> None:
    """A backfill takes a line that was cut as a reject; once it is whole it is an event, and none is new."""
    line = logged(event_message()) + "\n"
    log = tmp_path / "run.log"
    log.write_text(line[: line.index("complexity=")], encoding="utf-8")
    first = json.loads(called("backfill", "--json", "run.log", "--tz", "UTC").stdout)
    log.write_text(line, encoding="utf-8")
    second = json.loads(called("backfill", "--json", "run.log", "--tz", "UTC").stdout)
    assert (first["rejects"], first["events_new"]) == (1, 0)
    assert (second["rejects"], second["events_new"]) == (0, 1)
    assert called("verify").returncode == 0
