"""Databases that version 0.1.0 left: every later version goes on in them, and nothing that was known is lost.

With the logs there, the tables become those of a fresh ingest of all of them, and the rows those that
the logs were written from. With the logs deleted, which is the normal case, every known value stays.
Only public columns and commands are looked at.
"""

from __future__ import annotations

import codecs
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conftest import Tokentail
from databases_of_0_1_0 import (
    NAMES,
    ZONE,
    Kept,
    Unpacked,
    as_text,
    check_expected,
    content,
    escalation_rows,
    event_rows,
    kept,
    known_values,
    stored,
    unpacked,
)
from event_lines import anchor_message, event_message, logged

OTHER = "".join(
    logged(line, at="2026-02-03 04:05:06") + "\n"
    for line in ("Initialized autonomous executor for run: other", anchor_message("other"), event_message())
)
"""A log that no kept database knows anything of."""


def run(called: Tokentail, *arguments: object, exits: int = 0) -> str:
    """Run the program; return what it printed."""
    done = called(*arguments)
    assert done.returncode == exits, (arguments, done.stdout, done.stderr)
    return done.stdout


def ingest(called: Tokentail, database: Path, logs: Path, *command: object) -> dict[str, Any]:
    """Read logs into a database, by `ingest` or another command; return the summary."""
    words = command or ("ingest",)
    summary = json.loads(run(called, *words, logs, "--tz", ZONE, "--db", database, "--json"))
    assert isinstance(summary, dict)
    return summary


def verified(called: Tokentail, database: Path) -> None:
    """Assert that the program finds no difference between a database and its logs."""
    assert json.loads(run(called, "verify", "--db", database, "--json"))["differences"] == []


def goes_on(called: Tokentail, found: Unpacked, database: Path) -> None:
    """Let time pass, ingest what the logs are then, prove it, and see that a second run changes nothing."""
    found.go_on()
    ingest(called, database, found.logs, *found.kept.how["command"])
    if "paths.ndjson" in found.kept.files:
        import_paths(called, found, database)
    verified(called, database)
    before = stored(database)
    assert ingest(called, database, found.logs)["files_read"] == 0
    assert stored(database) == before


def import_paths(called: Tokentail, found: Unpacked, database: Path) -> None:
    """Import the paths that a database got before, as an ingest that brought new events asks for."""
    (found.folder / "paths.ndjson").write_bytes(found.kept.files["paths.ndjson"])
    run(called, "deliverables", "import", found.folder / "paths.ndjson", "--db", database)


def equals_fresh(called: Tokentail, found: Unpacked, cutoff: str | None) -> None:
    """Assert that a database is what a fresh ingest of all its logs is, those that are gone too.

    The executor's own rows are in no log: what is right of an adopted database, its expectation says.
    """
    if "adopted" in found.kept.how:
        return
    folder = found.folder / "fresh"
    for stage in ("later", "gone"):
        (folder / stage).mkdir(parents=True)
        for name, data in found.kept.logs(stage).items():
            (folder / stage / name).write_bytes(data)
    database = folder / "telemetry.db"
    ingest(called, database, folder, found.kept.how["command"][0])
    if "paths.ndjson" in found.kept.files:
        import_paths(called, found, database)
    if cutoff is not None:
        run(called, "prune", "--older-than", cutoff, "--db", database)
    names = set(found.kept.logs("later"))
    went_on, fresh = content(found.database, names), content(database, names)
    for row, other in zip(went_on["events"], fresh["events"], strict=True):
        if not row["deliverables_complete"]:  # the rules of 0.1.0 found fewer paths
            other.update({name: row[name] for name in row if name.startswith("deliverables_")})
    assert went_on == fresh


def executor_writes(found: Unpacked) -> None:
    """Write what the executor itself writes into its own database that was adopted."""
    with closing(sqlite3.connect(found.database)) as connection:
        for row in found.kept.how.get("executors_rows", ()):
            connection.execute(
                f"INSERT INTO token_estimation_v2_events ({', '.join(row)}) VALUES (:{', :'.join(row)})", row
            )
        connection.commit()


def check_nothing_lost(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Assert that every event is there under its id, and says all that it said; so are places and sources.

    Of an event whose line was cut the rest of its model may have become known.
    """
    for event_id, row in before["events"].items():
        known, now = known_values(row), after["events"][event_id]
        model = known.pop("model", "")
        assert {name: now[name] for name in known} == known
        assert str(now["model"]).startswith(model)
    for table in ("sightings", "rejects"):
        assert {place[:3] for place in before[table]} <= {place[:3] for place in after[table]}
    for table in ("escalations", "sources"):
        assert [row for row in before[table] if row not in after[table]] == []


@pytest.mark.parametrize("where", ["here", "restored", "moved"])
@pytest.mark.parametrize("name", NAMES)
def test_logs_that_went_on_give_the_tables_of_a_fresh_ingest(
    name: str, where: str, tmp_path: Path, called: Tokentail
) -> None:
    """Grown, rotated, packed, completed; on the same machine, from a backup, at another path."""
    found = unpacked(name, tmp_path, where)
    executor_writes(found)
    goes_on(called, found, found.database)
    check_expected(found.kept, found.database)
    equals_fresh(called, found, found.kept.how.get("prune"))


def test_imported_paths_hold_for_events_that_come_later(tmp_path: Path, called: Tokentail) -> None:
    """What a person said of a phase is true of its events whenever they are ingested."""
    found = unpacked("imported", tmp_path)
    import_paths(called, found, found.database)  # version 0.1.0 forgot those of phases without an event
    found.go_on()
    ingest(called, found.database, found.logs)
    check_expected(found.kept, found.database)


UNREAD = {"forgotten", "killed"}
"""Databases whose logs have something in them that is to be read, as they are."""

DIFFER = {
    "lifted": "an event that the database does not have",
    "retried": "run is 'retried-100' (initialized) in the log, None in the database",
}
"""Databases that lack what their logs say until those are read in full, and what `verify` says then."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNREAD])
def test_logs_that_are_as_they_were_change_nothing(name: str, tmp_path: Path, called: Tokentail) -> None:
    """Nothing is stored, and the program proves the database; what it lacks, it says."""
    found = unpacked(name, tmp_path)
    before = stored(found.database)
    assert ingest(called, found.database, found.logs)["marker_lines"] == 0
    after = stored(found.database)
    for event_id, row in before["events"].items() if name == "adopted" else ():
        after["events"][event_id] |= known_values(row)  # what a row of the executor's lacked is filled
        before["events"][event_id] = after["events"][event_id] | known_values(row)
    assert after == before
    if name in DIFFER:
        assert DIFFER[name] in run(called, "verify", "--db", found.database, exits=1)
    else:
        verified(called, found.database)


def test_paths_that_newer_rules_find_are_noted_and_come_with_a_full_reading(
    tmp_path: Path, called: Tokentail
) -> None:
    """An old reading that knows fewer paths is no difference, until the log is read by today's rules."""
    found = unpacked("unfinished", tmp_path)
    result = json.loads(run(called, "verify", "--db", found.database, "--json"))
    advised = f"`tokentail backfill --full --db {found.database}` brings them"
    assert [note for note in result["notes"] if advised in note]
    ingest(called, found.database, found.logs, "backfill", "--full")
    result = json.loads(run(called, "verify", "--db", found.database, "--json"))
    assert (result["differences"], result["notes"]) == ([], [])
    with closing(sqlite3.connect(found.database)) as connection:
        connection.execute(
            "UPDATE token_estimation_v2_events SET deliverables_json = '[]', "
            "deliverables_source = NULL, deliverables_complete = 0"
        )
        connection.commit()
    result = json.loads(run(called, "verify", "--db", found.database, "--json", exits=1))
    assert result["differences"]
    assert all("deliverables" in difference for difference in result["differences"])


@pytest.mark.parametrize("name", sorted(set(NAMES) - DIFFER.keys()))
def test_row_that_somebody_deleted_is_named(name: str, tmp_path: Path, called: Tokentail) -> None:
    """A proof that can't fail proves nothing: an event that was seen and has no row is a difference."""
    found = unpacked(name, tmp_path)
    ingest(called, found.database, found.logs, *found.kept.how["command"])
    verified(called, found.database)
    with closing(sqlite3.connect(found.database)) as connection:
        connection.execute(
            "DELETE FROM token_estimation_v2_events WHERE event_id = ("
            "SELECT MAX(event_id) FROM event_sightings JOIN log_sources USING (source_id) "
            "WHERE state NOT IN ('replaced', 'imported') AND host IS NULL)"
        )
        connection.commit()
    assert json.loads(run(called, "verify", "--db", found.database, "--json", exits=1))["differences"]


@pytest.mark.parametrize("name", NAMES)
def test_place_that_somebody_deleted_is_named_though_its_log_is_gone(
    name: str, tmp_path: Path, called: Tokentail
) -> None:
    """Without a log only counts can be checked, and they are: of every source, pipes and imports too."""
    found = unpacked(name, tmp_path)
    found.delete_logs()
    (tmp_path / "other.log").write_text(OTHER)
    ingest(called, found.database, tmp_path / "other.log")
    with closing(sqlite3.connect(found.database)) as connection:
        connection.execute(
            "DELETE FROM event_sightings WHERE (source_id, byte_offset) = "
            "(SELECT source_id, byte_offset FROM event_sightings ORDER BY 1, 2 LIMIT 1)"
        )
        connection.commit()
    assert json.loads(run(called, "verify", "--db", found.database, "--json", exits=1))["differences"]


@pytest.mark.parametrize("name", NAMES)
def test_no_known_value_is_lost_where_the_logs_are_deleted(
    name: str, tmp_path: Path, called: Tokentail
) -> None:
    """Something else is ingested, twice; every event keeps its id and all that was known of it."""
    found = unpacked(name, tmp_path)
    found.delete_logs()
    before = stored(found.database)
    (tmp_path / "other.log").write_text(OTHER)
    ingest(called, found.database, tmp_path / "other.log")
    after = stored(found.database)
    check_nothing_lost(before, after)
    assert len(after["events"]) == len(before["events"]) + 1
    verified(called, found.database)
    assert ingest(called, found.database, tmp_path / "other.log")["files_read"] == 0
    assert stored(found.database) == after


@pytest.mark.parametrize("name", NAMES)
def test_copies_in_the_place_of_deleted_logs_give_all_that_is_true(
    name: str, tmp_path: Path, called: Tokentail
) -> None:
    """A copy is another source: events are completed by its context, none is doubled or lost."""
    found = unpacked(name, tmp_path)
    executor_writes(found)
    found.delete_logs()
    before = event_rows(found.database)
    (tmp_path / "copies").mkdir()
    for log, data in found.kept.logs("later").items():
        wide = data.startswith(codecs.BOM_UTF16_LE)
        text = "# a copy\r\n" + as_text(log, data) if wide else "# a copy\n" + as_text(log, data)
        copy = codecs.BOM_UTF16_LE + text.encode("utf-16-le") if wide else text.encode()
        (tmp_path / "copies" / f"{log}.txt").write_bytes(copy)
    ingest(called, found.database, tmp_path / "copies", found.kept.how["command"][0])
    if name == "imported":
        import_paths(called, found, found.database)
    check_expected(found.kept, found.database)
    verified(called, found.database)
    if name != "adopted":  # where the executor wrote a row of an event since, that row is the event's
        assert {event_id for event_id, row in before.items() if row["phase_source"]} <= (
            event_rows(found.database).keys()
        )


@pytest.mark.parametrize("name", [name for name in NAMES if name != "wide"])
def test_excerpt_where_the_logs_are_deleted_loses_and_doubles_nothing(
    name: str, tmp_path: Path, called: Tokentail
) -> None:
    """A grep's event lines have no context: events gain sightings, and keep their values."""
    found = unpacked(name, tmp_path)
    found.delete_logs()
    before = stored(found.database)
    (tmp_path / "grepped").mkdir()
    for log, data in found.kept.logs("later").items():
        lines = [line for line in as_text(log, data).splitlines(keepends=True) if is_event(line)]
        (tmp_path / "grepped" / f"{log}.txt").write_text(
            "# grep\n" + "".join(lines), encoding="utf-8", newline=""
        )
    ingest(called, found.database, tmp_path / "grepped")
    check_nothing_lost(before, stored(found.database))
    unseen = 1 if name == "copies" else 0  # of two phases with one payload in one second, the later one
    assert len(event_rows(found.database)) == len(found.kept.events) - unseen
    verified(called, found.database)


def is_event(line: str) -> bool:
    """Whether a grep finds the line, and it is whole."""
    return "[TokenEstimationV2] predicted_output=" in line and "model=" in line and line.endswith("\n")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "adopted"])
def test_merged_into_a_fresh_database_it_is_all_there_and_goes_on(
    name: str, tmp_path: Path, called: Tokentail
) -> None:
    """Once or twice; the old database isn't changed by a byte, and the fresh one goes on with the logs."""
    found, fleet = unpacked(name, tmp_path), tmp_path / "fleet.db"
    before, data = stored(found.database), found.database.read_bytes()
    run(called, "merge", found.database, "--db", fleet)
    after = stored(fleet)
    assert sorted(after.pop("events").values(), key=repr) == sorted(before.pop("events").values(), key=repr)
    assert after == before
    run(called, "merge", found.database, "--db", fleet)
    assert stored(fleet).items() >= after.items()
    assert found.database.read_bytes() == data
    if name not in DIFFER:
        verified(called, fleet)
    goes_on(called, found, fleet)
    check_expected(found.kept, fleet)


def test_merged_adopted_database_keeps_the_executors_values(tmp_path: Path, called: Tokentail) -> None:
    """Of every event of a log, all values of its row are in the database that it was merged into."""
    found, fleet = unpacked("adopted", tmp_path), tmp_path / "fleet.db"
    run(called, "merge", found.database, "--db", fleet)
    verified(called, fleet)
    merged = list(event_rows(fleet).values())
    for row in event_rows(found.database).values():
        known = known_values(row)
        is_logged = row["phase_id"] != "no-log-has-it"
        assert not is_logged or any(known.items() <= found.items() for found in merged), known


def test_executors_escalation_in_an_adopted_database_takes_the_place_of_the_logged_one(
    tmp_path: Path, called: Tokentail
) -> None:
    """The executor writes, too, of an escalation whose line was read."""
    found = unpacked("adopted", tmp_path)
    run(called, "ingest", found.logs, "--db", found.database)
    before = escalation_rows(found.database)
    logged = next(row for row in before if row["timestamp_text"] is not None)
    own = {name: value for name, value in logged.items() if name not in ("event_id", "timestamp_text")}
    own |= {"escalation_factor": 1.25, "base_source": "budget", "created_at": logged["timestamp"]}
    with closing(sqlite3.connect(found.database)) as connection:
        connection.execute(
            f"INSERT INTO token_budget_escalation_events ({', '.join(own)}) VALUES (:{', :'.join(own)})", own
        )
        connection.commit()
    executor_writes(found)
    run(called, "ingest", found.logs, "--db", found.database)
    query = "SELECT escalation_key, timestamp_text FROM token_budget_escalation_events"
    with closing(sqlite3.connect(found.database)) as connection:
        rows = connection.execute(query).fetchall()
    assert len(rows) == len(before) == len({key for key, _ in rows} - {None})
    assert sum(text is None for _, text in rows) == sum(row["timestamp_text"] is None for row in before) + 1


def sources_there(database: Path) -> list[int]:
    """Return the sources whose log is there and still what was read."""
    query = "SELECT source_id, path FROM log_sources WHERE state <> 'replaced' AND host IS NULL ORDER BY path"
    with closing(sqlite3.connect(database)) as connection:
        return [source_id for source_id, path in connection.execute(query) if os.path.isfile(path)]


def seen_in(database: Path) -> set[tuple[Any, ...]]:
    """Return each sighting: its source, its offset, and the id of its event."""
    with closing(sqlite3.connect(database)) as connection:
        query = (
            "SELECT source_id, s.byte_offset, event_id FROM event_sightings AS s "
            "JOIN log_sources USING (source_id) "
            "WHERE state <> 'imported'"
        )
        return set(connection.execute(query))


@pytest.mark.parametrize("name", NAMES)
def test_forgotten_source_takes_what_it_alone_showed_and_comes_back_with_its_log(
    name: str, tmp_path: Path, called: Tokentail
) -> None:
    """Each log in turn: what another place shows stays; read again, all is as in a fresh ingest."""
    found = unpacked(name, tmp_path)
    for source_id in sources_there(found.database):
        places, events = seen_in(found.database), event_rows(found.database).keys()
        run(called, "sources", "forget", source_id, "--db", found.database)
        remaining = {place for place in places if place[0] != source_id}
        assert {place[:2] for place in seen_in(found.database)} == {place[:2] for place in remaining}
        alone = {place[2] for place in places - remaining} - {place[2] for place in remaining}
        gone = events - event_rows(found.database).keys()
        assert gone == alone or (name == "adopted" and gone < alone)  # the executor's own rows stay
    executor_writes(found)
    goes_on(called, found, found.database)
    check_expected(found.kept, found.database)
    equals_fresh(called, found, found.kept.how.get("prune"))


@pytest.mark.parametrize("name", NAMES)
def test_pruned_it_keeps_what_is_newer_and_nothing_older_comes_back(
    name: str, tmp_path: Path, called: Tokentail
) -> None:
    """What is kept says what it said; and with the logs all is as in a fresh ingest that was pruned."""
    found = unpacked(name, tmp_path)
    before = event_rows(found.database)
    times = sorted(row["timestamp"][:19] for row in before.values())
    cutoff = times[len(times) // 2]
    run(called, "prune", "--older-than", cutoff, "--db", found.database)
    assert event_rows(found.database) == {
        event_id: row for event_id, row in before.items() if row["timestamp"] >= cutoff
    }
    executor_writes(found)
    goes_on(called, found, found.database)
    check_expected(found.kept, found.database, cutoff)
    equals_fresh(called, found, cutoff)


def test_every_kept_database_is_whole() -> None:
    """Each has a database, logs and rows to expect; nothing of the machine that made it is in there."""
    assert len(NAMES) == 15
    for name in NAMES:
        case: Kept = kept(name)
        assert case.files["telemetry.db"].startswith(b"SQLite format 3\0")
        assert case.logs("then")
        assert case.logs("later")
        assert case.events
        assert b"/tmp/" not in case.files["telemetry.db"]
