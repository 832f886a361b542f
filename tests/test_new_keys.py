"""A newer executor: keys that aren't known are named, and a log that gives nothing but rejects is trouble."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import Tokentail
from event_lines import event_message, logged

EVENT = event_message()


def test_new_keys_are_named_with_their_lines(called: Tokentail, tmp_path: Path) -> None:
    """By the summary, `status` and `verify`, and not as trouble: all that we know is stored."""
    lines = [
        logged(EVENT),
        *(logged(f"{EVENT} seed={number} tier=x y", f"2025-12-29 19:41:0{number}") for number in range(3)),
    ]
    lines.append(logged(f"{EVENT} tier=z", "2025-12-29 19:42:00"))
    (tmp_path / "run.log").write_text("".join(f"{line}\n" for line in lines))
    said = "event lines have keys that this version doesn't know, and doesn't store: seed (3), tier (4)"
    done = called("ingest", "run.log")
    assert "5 events new" in done.stdout
    assert said in done.stderr
    assert said in called("status").stdout
    verified = called("verify")
    assert said in verified.stderr
    assert "no difference" in verified.stdout
    with (tmp_path / "run.log").open("a") as log:
        log.write(logged(f"{EVENT} seed=9", "2025-12-29 19:43:00") + "\n")
    assert called("ingest", "--quiet", "run.log").stderr == ""
    assert json.loads(called("status", "--json").stdout)["sources"][0]["new_keys"] == {"seed": 4, "tier": 4}


def test_log_of_nothing_but_rejects_is_trouble_also_when_quiet(called: Tokentail, tmp_path: Path) -> None:
    """Cron hears of it; where anything new is an event, rejects are only counted."""
    (tmp_path / "good.log").write_text(f"{logged(EVENT)}\n{logged('[TokenEstimationV2] another form')}\n")
    assert called("ingest", "--quiet", "good.log").stderr == ""
    (tmp_path / "bad.log").write_text(f"{logged('[TokenEstimationV2] another form')}\n" * 3)
    done = called("ingest", "--quiet", "bad.log")
    assert done.returncode == 0
    assert (
        done.stderr
        == "tokentail: bad.log: all 3 new marker lines became no event: `tokentail rejects` says why\n"
    )
    with (tmp_path / "bad.log").open("a") as log:
        log.write(logged(EVENT, "2025-12-29 19:43:00") + "\n")
    assert called("ingest", "--quiet", "bad.log").stderr == ""


def test_ingests_that_find_nothing_but_rejects_did_not_go_well(called: Tokentail, tmp_path: Path) -> None:
    """Nor did those after them that find nothing at all; the next event ends that."""
    log = tmp_path / "run.log"
    aged = ("status", "--quiet", "--max-age", "1h")
    log.write_text(f"{logged('[TokenEstimationV2] another form')}\n")
    called("ingest", "run.log")
    called("ingest", "run.log")
    alarm = called(*aged)
    assert alarm.returncode == 1
    assert "no ingest went well yet" in alarm.stderr
    with log.open("a") as file:
        file.write(f"{logged(EVENT)}\n{logged('[TokenEstimationV2] another form')}\n")
    called("ingest", "run.log")
    called("ingest", "run.log")
    assert called(*aged).returncode == 0
