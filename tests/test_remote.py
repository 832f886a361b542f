"""Logs behind URLs: the same rows as from files, from no more requests than needed, of one version each."""

from __future__ import annotations

import gzip
import logging
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Tokentail
from event_lines import event_message, logged
from executor_log import Shape, executor_run
from faults.tables import check_invariants, tables
from ingest.errors import Rewritten
from ingest.files.logfile import LogFile
from ingest.files.remote import opened
from ingest.pipeline import ingest
from ingest.reading.scan import ScanOptions, scan
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary
from ingest.verify import verify
from web_servers import PlainHandler, RangeHandler, serving

s3fs = pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")


def read(path: str, database: Path, command: str = "ingest", jobs: int = 1) -> Summary:
    """Ingest what a path leads to."""
    options = IngestOptions(command, zone_named("UTC"), finished=command == "backfill", jobs=jobs)
    return ingest([path], database, options)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start a store that speaks S3."""
    started = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    started.start()
    yield "http://{}:{}".format(*started.get_host_and_port())
    started.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """Return an empty bucket, whose library finds endpoint and credentials in the environment."""
    for name, value in (
        ("AWS_ENDPOINT_URL", server),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.INFO, "werkzeug")
    s3fs.S3FileSystem.clear_instance_cache()  # one remembers the credentials that an earlier test took away
    import boto3  # noqa: PLC0415 - it comes with moto

    store = boto3.resource("s3")
    made = store.create_bucket(Bucket="logs")
    yield made
    made.objects.delete()
    made.delete()
    store.meta.client.close()


def put(bucket: Any, folder: Path) -> None:
    """Put the files of a folder into a bucket."""
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.put_object(Key=f"all/{path.relative_to(folder).as_posix()}", Body=path.read_bytes())


def requested(caplog: pytest.LogCaptureFixture, key: str) -> list[str]:
    """Return the requests for keys that begin so, and forget them all."""
    found = [text for text in caplog.messages if f"/logs/{key}" in text]
    caplog.clear()
    return found


def run_text(seed: int, phases: int = 6) -> str:
    """Return the log of one run of the executor."""
    return executor_run(random.Random(seed), f"run-{seed}", Shape(phases=phases)).text()


def test_bucket_with_plain_and_packed_logs_gives_the_rows_of_the_files(
    bucket: Any, tmp_path: Path, examples: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A prefix is read as a folder is; what is unchanged is listed and asked for no more."""
    folder = tmp_path / "logs"
    shutil.copytree(examples / "logs", folder)
    (folder / "deep" / ".hidden").mkdir(parents=True)
    (folder / "deep" / "run.log.gz").write_bytes(gzip.compress(run_text(1).encode()))
    (folder / "deep" / ".hidden" / "run.log").write_text(run_text(2))
    (folder / "deep" / "notes.md").write_text("no log")
    put(bucket, folder)
    local, remote = tmp_path / "here.db", tmp_path / "there.db"
    assert read(str(folder), local).files == read("s3://logs/all", remote).files == 7
    assert tables(local) == tables(remote)
    requested(caplog, "all/")
    again = read("s3://logs/all/", remote)
    assert (again.files, again.files_read, again.exit_code) == (7, 0, 0)
    assert requested(caplog, "all/") == []
    proof = verify([], remote)
    assert (proof.files, proof.differences, proof.problems) == (7, [], [])
    bucket.Object("all/executor.log").delete()
    left = verify([], remote)
    assert (left.files, left.sources_without_log, left.problems) == (6, 1, [])


def test_grown_object_is_read_on_in_ranges(
    bucket: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An object written again with more after it is the same source; only its ends are fetched."""
    text = run_text(3, phases=150).encode()
    assert len(text) > 300_000
    half = len(text) - 4_321
    log, local, remote = tmp_path / "run.log", tmp_path / "here.db", tmp_path / "there.db"
    for data in (text[:half], text, text + run_text(4).encode()):
        log.write_bytes(data)
        bucket.put_object(Key="run.log", Body=data)
        requested(caplog, "run.log")
        read(str(log), local)
        found = read("s3://logs/run.log", remote)
        assert {notice.code for notice in found.notices} <= {"unread"}
        assert tables(local) == tables(remote)
    assert sum(" 206 " in request for request in requested(caplog, "run.log")) <= 3
    check_invariants(remote)
    assert verify([], remote).differences == []
    with_jobs = tmp_path / "jobs.db"
    read("s3://logs/run.log", with_jobs, "backfill", jobs=2)
    assert tables(with_jobs) == tables(remote)


def test_source_read_as_a_file_goes_on_as_an_object(bucket: Any, tmp_path: Path) -> None:
    """A log that moved into a bucket and grew there is read on, with the numbers of its lines."""
    text = (run_text(5) + "chatter\n" * 40_000 + run_text(6)).encode()
    log, moved, whole = tmp_path / "run.log", tmp_path / "moved.db", tmp_path / "whole.db"
    log.write_bytes(text[: len(text) - 9_000])
    read(str(log), moved)
    log.unlink()
    bucket.put_object(Key="run.log", Body=text)
    assert read("s3://logs/run.log", moved).bytes_read < 10_000
    read("s3://logs/run.log", whole)
    assert tables(moved)["sightings"] == tables(whole)["sightings"]


def test_object_that_changes_while_it_is_read_gives_no_wrong_rows(bucket: Any, tmp_path: Path) -> None:
    """Ranges of two versions are never put together: the reading ends there, as of a rewritten file."""

    def version(first: int) -> bytes:
        return "".join(
            f"{logged(event_message(predicted_output=first + number))}\n{'-' * 300}\n"
            for number in range(20_000)
        ).encode()

    bucket.put_object(Key="run.log", Body=version(100_000))
    batches = scan(LogFile("s3://logs/run.log"), None, ScanOptions("UTC"))
    first = next(batches)
    bucket.put_object(Key="run.log", Body=version(200_000))
    *_, last = batches
    assert (first.state, last.state) == ("reading", "replaced")
    assert not any(
        sighting.fact.payload.predicted_output_tokens >= 200_000 for sighting in last.rows.sightings
    )
    database = tmp_path / "t.db"
    assert read("s3://logs/run.log", database).events_new == 20_000
    bucket.put_object(Key="run.log", Body=version(300_000)[:9_999])
    replaced = read("s3://logs/run.log", database)
    assert "truncated or rewritten" in replaced.warnings[0]
    assert verify([], database).differences == []


def test_trouble_with_a_store_is_named_and_the_rest_is_done(
    bucket: Any, tmp_path: Path, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing bucket, a missing library and a store without credentials each say what to do."""
    bucket.put_object(Key="run.log", Body=b"x\n")
    paths = ["s3://no-such-bucket/a/", "s3://logs/none.log", "nope://x/y", str(examples / "logs")]
    done = ingest(paths, tmp_path / "t.db", IngestOptions("ingest", zone_named("UTC")))
    assert (done.exit_code, done.files_read, len(done.problems)) == (1, 6, 3)
    assert done.problems[0].startswith("s3://no-such-bucket/a/: no such object, folder or bucket")
    assert done.problems[1].startswith("s3://logs/none.log: no such object")
    assert "nothing known reads nope://" in done.problems[2]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()
    (problem,) = read("s3://logs/run.log", tmp_path / "t.db").problems
    assert "access denied" in problem
    assert "AWS_PROFILE" in problem


@pytest.mark.parametrize("handler", [RangeHandler, PlainHandler], ids=["with ranges", "without"])
def test_web_server_gives_the_rows_of_the_files(
    handler: type[PlainHandler], tmp_path: Path, examples: Path
) -> None:
    """The logs that a page lists are read, grown and proved, whether its server knows ranges or not."""
    folder, local, remote = tmp_path / "logs", tmp_path / "here.db", tmp_path / "there.db"
    shutil.copytree(examples / "logs", folder)
    large = run_text(7, phases=200)
    with serving(folder, handler) as (url, requests):
        for text in (large[:-1_000], large):
            (folder / "large.log").write_text(text, newline="")
            read(str(folder), local)
            assert read(f"{url}/", remote).problems == []
            assert tables(local) == tables(remote)
        requests.clear()
        assert read(f"{url}/", remote).bytes_read == 0
        assert all(request.startswith(("HEAD", "GET / ")) for request in requests) or handler is PlainHandler
        assert verify([], remote).differences == []


def test_web_server_that_changes_a_file_meanwhile_is_found_out(tmp_path: Path) -> None:
    """Where a server doesn't refuse another version, it is asked after each range."""
    (tmp_path / "run.log").write_bytes(b"a" * 900_000)
    with serving(tmp_path, RangeHandler) as (url, _), opened(f"{url}/run.log") as raw:
        assert raw.read(4) == b"aaaa"
        (tmp_path / "run.log").write_bytes(b"b" * 900_000)
        raw.seek(600_000)
        with pytest.raises(Rewritten):
            raw.read(4)


def test_password_in_a_url_goes_to_the_server_alone(tokentail: Tokentail, tmp_path: Path) -> None:
    """It opens the log, and stands neither in a message nor in the database, whatever happens."""
    (tmp_path / "run.log").write_text(run_text(8))
    database = tmp_path / "telemetry.db"
    with serving(tmp_path, RangeHandler, user=b"me:s3cret") as (url, _):
        place = url.removeprefix("http://")
        done = read(f"http://me:s3cret@{place}/run.log", database)
        denied = read(f"http://me:s3crets@{place}/run.log?token=s3cret", tmp_path / "other.db")
    assert (done.exit_code, done.files_read, denied.exit_code) == (0, 1, 1)
    assert denied.problems[0].startswith(f"{url}/run.log: access denied")
    gone = tokentail("ingest", f"http://me:s3cret@{place}/run.log")
    assert gone.returncode == 1
    assert "can't be reached" in gone.stderr
    assert "Unclosed" not in gone.stderr
    said = [str(done), str(denied), gone.stderr, str(verify([], database))]
    assert not any("s3cret" in text for text in said)
    assert b"s3cret" not in database.read_bytes()


def test_prefix_whose_logs_are_gone_is_a_warning(bucket: Any, tmp_path: Path) -> None:
    """As of a folder; one that never had any is a note."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.log").write_text(run_text(1))
    (tmp_path / "logs/notes.md").write_text("no log")
    put(bucket, tmp_path / "logs")
    read("s3://logs/all/", tmp_path / "t.db")
    bucket.Object("all/a.log").delete()
    gone, never = read("s3://logs/all/", tmp_path / "t.db"), read("s3://logs/all/", tmp_path / "new.db")
    assert "s3://logs/all/: no logs in this folder any more (1 was read from it)" in gone.warnings[0]
    assert (gone.notes, gone.exit_code) == ([], 0)
    assert ("no logs in this folder (looked for" in never.notes[0], never.warnings) == (True, [])
