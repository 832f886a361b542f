"""Merging databases: the tables of one ingest of everything, in any order, once or twice."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conftest import EXAMPLES, Tokentail
from event_lines import anchor_message, event_message, logged
from faults.scenarios.versions import make_older
from faults.tables import check_invariants, rows_as_stored, tables
from ingest.merging import merge
from ingest.pruning import prune
from ingest.verify import verify
from older import forget_how_to_read
from test_properties import FILES, SEEDS, Files, examples, folder, read
from test_retry import sightings


def whole(database: Path) -> dict[str, list[Any]]:
    """Return all that two databases of the same logs have in common, and where their sources are."""
    found = tables(database)
    columns = (
        "path, real_path, fingerprint, fingerprint_bytes, tail_fingerprint, device, inode, size_bytes, state"
    )
    with closing(sqlite3.connect(database)) as connection:
        query = f"SELECT {columns} FROM log_sources WHERE state <> 'replaced' ORDER BY path"
        found["files"] = connection.execute(query).fetchall()
    return found


@given(FILES, st.lists(st.integers(0, 4), min_size=1, max_size=5), SEEDS, st.booleans(), st.booleans())
@examples(5)
def test_merge_of_databases_in_any_order_is_one_ingest_of_everything(
    chosen: Files, cuts: list[int], seed: int, finished: bool, nested: bool
) -> None:
    """Overlapping logs, each database with some of them as far as they were: events, places, sources, all."""
    files, rng = replace(chosen, shape=replace(chosen.shape, retries=True)).made(), Random(seed)
    assume(files)
    with folder() as here:
        databases = [here / f"{number}.db" for number in range(len(cuts) + 1)]
        left = dict(files)
        for number, database in enumerate(databases):
            last = number == len(cuts)
            for name, data in files.items():
                if name in left and (last or rng.random() < 0.5):
                    size = len(data) if last or rng.random() < 0.5 else rng.randrange(len(data) + 1)
                    with (here / name).open("ab") as log:
                        log.write(data[log.tell() : size])
            some = [here / name for name in sorted(files) if (here / name).exists() and rng.random() < 0.6]
            if some or last:
                read(database, *(some or [here / name for name in sorted(files)]), finished=finished)
        at = {name: rng.choice(("late-a.db", "late-b.db", "both")) for name in files}
        late = [here / "late-a.db", here / "late-b.db"]
        for database in late:
            if some := [here / name for name in sorted(files) if at[name] in (database.name, "both")]:
                read(database, *some, finished=finished)
        read(here / "everything.db", *(here / name for name in sorted(files)), finished=finished)
        made = [database for database in [*databases, *late] if database.exists()]
        results = []
        for number in range(2):
            rng.shuffle(made)
            target = here / f"merged-{number}.db"
            if nested and len(made) > 2:
                merge(made[:2], here / f"part-{number}.db")
                assert merge([here / f"part-{number}.db", *made[2:], made[0]], target).problems == []
            else:
                assert merge(made, target).problems == []
            check_invariants(target)
            results.append(whole(target))
            before = rows_as_stored(target)
            again = merge(made, target)
            assert [
                (merged.events_new, merged.events_updated, merged.sources_new) for merged in again.databases
            ] == [(0, 0, 0)] * len(made)
            assert rows_as_stored(target) == before
        assert results == [whole(here / "everything.db")] * 2
        assert verify([], target).differences == []
        assert read(target, *(here / name for name in sorted(files)), finished=finished).events_new == 0
        assert whole(target) == whole(here / "everything.db")


@pytest.fixture
def fleet(tmp_path: Path) -> list[Path]:
    """Return ten databases that each read some of the examples, and `everything.db` beside them."""
    shutil.copytree(EXAMPLES / "logs", tmp_path / "logs")
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    made = []
    for number in range(10):
        made.append(tmp_path / f"{number}.db")
        read(made[-1], *(tmp_path / "logs" / names[(number + step) % 6] for step in range(1 + number % 3)))
    read(tmp_path / "everything.db", tmp_path / "logs")
    return made


def test_ten_databases_are_one(fleet: list[Path], called: Tokentail) -> None:
    """By the command, in two orders, and into one that has some of it already."""
    everything = whole(fleet[0].with_name("everything.db"))
    done = called("merge", *fleet, "--db", "one.db")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "10 databases merged; database one.db"
    called("merge", *reversed(fleet), fleet[3], "--db", "other.db")
    shutil.copy(fleet[7], fleet[7].with_name("own.db"))
    called("merge", *fleet, "--db", "own.db")
    for name in ("one.db", "other.db", "own.db"):
        assert whole(fleet[0].with_name(name)) == everything
        check_invariants(fleet[0].with_name(name))
        assert verify([], fleet[0].with_name(name)).differences == []
    assert "nothing new in 6 files" in called("ingest", "logs", "--db", "one.db").stdout


def test_others_are_not_changed_by_a_byte(fleet: list[Path]) -> None:
    """They are opened for reading only, also one of an older version."""
    make_older(fleet[1])
    before = [path.read_bytes() for path in fleet]
    merge(fleet, fleet[0].with_name("one.db"))
    assert [path.read_bytes() for path in fleet] == before
    assert whole(fleet[0].with_name("one.db")) == whole(fleet[0].with_name("everything.db"))


def on_host(database: Path, host: str) -> None:
    """Make a database look as if written on another machine."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE ingest_runs SET host = ?", [host])
        connection.commit()


def test_same_path_on_two_machines_is_two_logs(tmp_path: Path, called: Tokentail) -> None:
    """Each is kept, the other machine's with its host, and our own is read on as before."""
    log = tmp_path / "run.log"
    lines = {
        name: [
            logged(anchor_message(name, output=900 + n)) + "\n" + logged(event_message(actual_output=900 + n))
            for n in range(3)
        ]
        for name in ("theirs", "ours")
    }
    for name, texts in lines.items():
        log.unlink(missing_ok=True)
        log.write_text("\n".join(texts) + "\n")
        called("ingest", log, "--db", f"{name}.db", "--tz", "UTC")
    on_host(tmp_path / "theirs.db", "elsewhere")
    called("merge", "theirs.db", "--db", "ours.db")
    with closing(sqlite3.connect(tmp_path / "ours.db")) as connection:
        hosts = connection.execute("SELECT path, host FROM log_sources ORDER BY source_id").fetchall()
    assert hosts == [(str(log), None), (str(log), "elsewhere")]
    assert len(tables(tmp_path / "ours.db")["events"]) == 6
    with log.open("a") as more:
        more.write(logged(event_message(actual_output=77)) + "\n")
    done = called("ingest", log, "--db", "ours.db", "--tz", "UTC")
    assert done.stdout.startswith("1 file, 244 bytes read: 1 marker line, 1 event new")
    assert done.stderr == ""
    check_invariants(tmp_path / "ours.db")
    assert "elsewhere:" in called("sources", "--db", "ours.db").stdout
    done = called("verify", "--db", "ours.db")
    assert (done.returncode, "1 source not checked" in done.stdout) == (0, True)


def test_the_later_horizon_wins(fleet: list[Path], tmp_path: Path) -> None:
    """Whichever has the cutoff, and whether it comes first or last: no older event is left."""
    moment = datetime(2026, 1, 14, 12, tzinfo=UTC)
    prune(tmp_path / "everything.db", moment)
    for order in (fleet, fleet[::-1]):
        for path in tmp_path.glob("one.db*"):
            path.unlink()
        shutil.copy(fleet[4], tmp_path / "pruned.db")
        prune(tmp_path / "pruned.db", moment)
        merge([*order[:5], tmp_path / "pruned.db", *order[5:]], tmp_path / "one.db")
        check_invariants(tmp_path / "one.db")
        assert whole(tmp_path / "one.db") == whole(tmp_path / "everything.db")
        assert verify([], tmp_path / "one.db").differences == []
    merge([tmp_path / "everything.db"], tmp_path / "9.db")
    assert all(row["timestamp"] >= "2026-01-14 12" for row in tables(tmp_path / "9.db")["events"])


@pytest.mark.usefixtures("fleet")
def test_reading_that_understood_more_stands(tmp_path: Path) -> None:
    """Events that an older version rejected come from a database that has them, whichever is merged."""
    everything = whole(tmp_path / "everything.db")
    for name in ("into.db", "from.db"):
        shutil.copy(tmp_path / "everything.db", tmp_path / name)
    forget_how_to_read(tmp_path / "into.db", offsets_of(tmp_path / "into.db", "collect.log"))
    shutil.copy(tmp_path / "into.db", tmp_path / "older.db")
    merge([tmp_path / "from.db"], tmp_path / "into.db")
    merge([tmp_path / "older.db"], tmp_path / "from.db")
    for name in ("into.db", "from.db"):
        assert whole(tmp_path / name) == everything
        check_invariants(tmp_path / name)


def offsets_of(database: Path, name: str) -> set[tuple[str, int]]:
    """Return the places of a log's events."""
    return {(found, offset) for found, offset in sightings(database) if found == name}


def test_pipes_and_imports_are_sources_of_their_own(tmp_path: Path, tokentail: Tokentail) -> None:
    """Each pipe stays one source however often it is merged; one export is one, whatever its name."""
    text = (EXAMPLES / "logs/collect.log").read_bytes()
    for _ in range(2):
        tokentail("ingest", "-", "--tz", "UTC", "--db", "a.db", stdin=text)
    tokentail("export", "--full", "--db", "a.db", "-o", "full.ndjson")
    tokentail("import", "full.ndjson", "--db", "a.db")
    tokentail("import", "full.ndjson", "--db", "b.db")
    for _ in range(2):
        assert tokentail("merge", "a.db", "b.db", "--db", "c.db").returncode == 0
        check_invariants(tmp_path / "c.db")
        assert tables(tmp_path / "c.db") == tables(tmp_path / "a.db")


def test_databases_that_cannot_be_merged_are_named(
    fleet: list[Path], called: Tokentail, tmp_path: Path
) -> None:
    """The others are merged all the same, and nothing of a broken one stays."""
    (tmp_path / "text.db").write_text("no database " * 50)
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as connection:
        connection.execute("CREATE TABLE token_estimation_v2_events (event_id INTEGER)")
    with closing(sqlite3.connect(tmp_path / "empty.db")) as connection:
        connection.execute("CREATE TABLE a (b)")
    with closing(sqlite3.connect(fleet[2])) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('tokentail', 'm9', '')"
        )
        connection.commit()
    broken = ["text.db", "foreign.db", "empty.db", "2.db", "missing.db"]
    done = called("merge", *broken, "1.db", "--db", "one.db")
    assert done.returncode == 1
    assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == broken
    assert "newer version" in done.stderr
    assert "with --db" not in done.stderr
    assert tables(tmp_path / "one.db") == tables(fleet[1])
    done = called("merge", "1.db", "--db", "1.db")
    assert (done.returncode, "the database itself" in done.stderr) == (2, True)


@pytest.mark.usefixtures("fleet")
def test_merge_of_nothing_makes_no_database(called: Tokentail, tmp_path: Path) -> None:
    """If none can be merged, no new database is left; one that was there stays."""
    done = called("merge", "missing.db", "--db", "new.db")
    assert (done.returncode, done.stdout) == (1, "no database merged: nothing was changed\n")
    assert not (tmp_path / "new.db").exists()
    before = tables(tmp_path / "1.db")
    assert called("merge", "missing.db", "--db", "1.db").returncode == 1
    assert tables(tmp_path / "1.db") == before


def test_database_itself_among_the_others_is_named(
    fleet: list[Path], tmp_path: Path, called: Tokentail
) -> None:
    """As with a pattern for all databases of a folder: the others are merged."""
    called("merge", "1.db", "--db", "one.db")
    done = called("merge", "one.db", "1.db", "5.db", "--db", "one.db")
    assert (done.returncode, done.stderr.count("the database itself")) == (1, 1)
    assert "2 databases merged" in done.stdout
    merge([fleet[1], fleet[5]], tmp_path / "other.db")
    assert tables(tmp_path / "one.db") == tables(tmp_path / "other.db")


def test_merge_leaves_nothing_beside_what_it_reads(fleet: list[Path], tmp_path: Path) -> None:
    """Neither an empty journal nor another byte in the database; one that somebody has open keeps its own."""
    before = fleet[1].read_bytes()
    merge([fleet[1]], tmp_path / "one.db")
    assert fleet[1].read_bytes() == before
    assert not [*tmp_path.glob("1.db-*")]
    with closing(sqlite3.connect(fleet[1])) as other:
        other.execute("SELECT 1 FROM log_sources").fetchone()
        merge([fleet[1]], tmp_path / "one.db")
        assert [*tmp_path.glob("1.db-wal")]


def test_log_that_was_read_in_two_zones_is_told_with_both_ids(tmp_path: Path, called: Tokentail) -> None:
    """What the note advises leaves one event."""
    (tmp_path / "run.log").write_text(logged(event_message()) + "\n")
    called("ingest", "run.log", "--tz", "UTC", "--db", "one.db")
    called("ingest", "run.log", "--tz", "Asia/Tokyo", "--db", "two.db")
    done = called("merge", "two.db", "--db", "one.db")
    assert "`tokentail sources forget 2 --db one.db` takes the one of there out" in done.stderr
    assert "`tokentail sources forget 1 --db one.db` the one of here" in done.stderr
    called("sources", "forget", "2", "--db", "one.db")
    assert "read as UTC" in called("status", "--db", "one.db").stdout
    assert len(tables(tmp_path / "one.db")["events"]) == 1


@pytest.mark.parametrize(
    ("zone", "more", "said"),
    [
        ("Asia/Tokyo", 0, ", 9:00:00 apart"),
        ("Asia/Tokyo", 40, ", 9:00:00 apart"),
        ("Australia/Sydney", 0, "are at two times;"),
        ("Africa/Abidjan", 0, None),
    ],
    ids=["copy", "grown copy", "two shifts", "zone without one"],
)
def test_copy_that_was_read_in_another_zone_is_noticed_by_its_events(
    tmp_path: Path, called: Tokentail, zone: str, more: int, said: str | None
) -> None:
    """By another name, grown since, the clock changed within it: the same payloads at one shift or two."""
    times = [f"2025-{number % 9 + 1:02}-10 10:00:{number:02}" for number in range(50)]
    lines = [logged(event_message(predicted_output=900 + at), time) for at, time in enumerate(times)]
    (tmp_path / "run.log").write_text("".join(f"{line}\n" for line in lines[: 50 - more]))
    (tmp_path / "copy.log").write_text("".join(f"{line}\n" for line in lines))
    called("ingest", "run.log", "--tz", "UTC", "--db", "one.db")
    called("ingest", "copy.log", "--tz", zone, "--db", "two.db")
    for _ in range(2):
        done = called("merge", "two.db", "--db", "one.db")
        assert ("was read as" in done.stderr) is (said is not None)
        if said is not None:
            assert f"copy.log was read as {zone} there and as UTC here, by the name {tmp_path}" in done.stderr
            assert f"run.log: {50 - more} of its events are at two times" in done.stderr
            assert said in done.stderr
    if said is not None:
        called("sources", "forget", "2", "--db", "one.db")
        assert len(tables(tmp_path / "one.db")["events"]) == 50 - more


def test_database_is_merged_while_it_is_written(fleet: list[Path], tmp_path: Path) -> None:
    """One moment of it is merged, with what is in its journal, and the writer is not blocked."""
    with closing(sqlite3.connect(fleet[5], isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM event_sightings")
        merge([fleet[5]], tmp_path / "one.db")
        writer.execute("COMMIT")
    check_invariants(tmp_path / "one.db")
    assert len(tables(tmp_path / "one.db")["events"]) > 0
