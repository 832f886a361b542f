"""A model that was cut is no model of its own in reports: it is listed as cut until a whole line has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import event_message, logged
from ingest.storing.database import open_for_reading
from reports.dashboard.choices import FILTERS, choices, chosen_reports
from reports.dashboard.coverage_cells import coverage_cells
from reports.dashboard.points import EventReader, points
from reports.replaying.events import replay_events
from reports.selection import Selection
from reports.strata import Strata

WHOLE = [
    logged(event_message(predicted_output=100 + number, model=model), at=f"2026-01-14 09:00:{10 + number}")
    for number, model in enumerate(["claude-sonnet-4-5", "claude-sonnet-4", "claude-sonnet-4-5", "None"])
]
LAST = logged(event_message(predicted_output=150, model="claude-sonnet-4-5"), at="2026-01-14 09:00:50")

CUTS = {
    "within its name": LAST[:-4],
    "where another model ends": LAST[:-2],
    "at its end": LAST,
}
"""How a last line may end that no newline ended: which of them is unknown."""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Return a log of whole lines of three models, one of them none."""
    log = tmp_path / "run.log"
    log.write_text("".join(f"{line}\n" for line in WHOLE), encoding="utf-8")
    return log


def by_model(called: Tokentail, *options: str) -> dict[str | None, int]:
    """Return how many events the report has of each model."""
    found = json.loads(called("report", "--by", "model", "--json", *options).stdout)
    return {stratum["model"]: stratum["n"] for stratum in found["strata"]}


@pytest.mark.parametrize("last", CUTS.values(), ids=CUTS)
def test_cut_model_is_listed_as_cut_until_a_whole_line_has_it(
    called: Tokentail, tmp_path: Path, log: Path, last: str
) -> None:
    """In whichever source that line stands: a copy, or the same log as it goes on."""
    with log.open("a", encoding="utf-8") as file:
        file.write(last)
    called("backfill", "run.log", "--tz", "UTC")
    assert by_model(called) == {"claude-sonnet-4-5": 2, "claude-sonnet-4": 1, None: 1, "cut": 1}
    assert by_model(called, "--model", "cut") == {"cut": 1}
    assert (
        by_model(called, "--model", last.partition("model=")[2] or "-", "--model", "None").get("cut") is None
    )
    assert "cut" in {line.split(" ")[0] for line in called("report", "--by", "model").stdout.splitlines()}
    (tmp_path / "copy.log").write_text("".join(f"{line}\n" for line in [*WHOLE, LAST]), encoding="utf-8")
    called("ingest", "copy.log", "--tz", "UTC")
    assert by_model(called) == {"claude-sonnet-4-5": 3, "claude-sonnet-4": 1, None: 1}


def test_every_report_that_knows_models_lists_cut_ones(called: Tokentail, tmp_path: Path, log: Path) -> None:
    """The dashboard's choices, points and cells; what is replayed and calibrated."""
    with log.open("a", encoding="utf-8") as file:
        file.write(LAST[:-4])
    called("backfill", "run.log", "--tz", "UTC")
    models, everything = ["claude-sonnet-4", "claude-sonnet-4-5", "cut"], Selection()
    with open_for_reading(tmp_path / "telemetry.db") as db:
        found = choices(db, everything)
        assert found.offered["model"] == models
        reports = {
            choice[FILTERS.index("model")]: report
            for choice, report in chosen_reports(db, everything, Strata(), found)
            if sum(part is not None for part in choice) == 1
        }
        assert [reports[model]["overall"]["n"] for model in models] == [1, 2, 1]
        places = {stratum["stratum"]: number for number, stratum in enumerate(reports["cut"]["strata"])}
        drawn = points(EventReader(db, everything, Strata(), dict.fromkeys(places, 0)), 5)
        assert sorted(row["model"] or "" for row in drawn.rows) == sorted(["", *models, "claude-sonnet-4-5"])
        cells = coverage_cells(db, everything, Strata(), dict.fromkeys(places, 0))
        assert {cell["model"]: cell["n"] for cell in cells} == {
            None: 1,
            **dict(zip(models, [1, 2, 1], strict=True)),
        }
        replayed = [event.key for event in replay_events(db, everything, Strata(("model",)))]
        assert sorted(key[0] or "" for key in replayed) == sorted(["", *models, "claude-sonnet-4-5"])
