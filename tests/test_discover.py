"""Which files are read: those that are named, and the logs below named folders."""

from __future__ import annotations

import os
import sqlite3

import pytest

from ingest.files.discover import Discovered, discover
from ingest.files.listing import MAX_INTEGER, Files
from ingest.files.logfile import LogFile


def made(folder, *names: str) -> None:
    """Make files with some text below a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a line\n", encoding="utf-8")


def names(found: Discovered, folder) -> list[str]:
    """Return the paths that were found, relative to a folder."""
    return [os.path.relpath(log.path, folder).replace(os.sep, "/") for log in found.logs]


def test_folder_is_walked_for_the_names_that_logs_have(tmp_path):
    """A folder gives the files whose names are those of logs, rotated and compressed ones too."""
    logs = [
        "a.log",
        "a.log.1",
        "a.log.2.gz",
        "b.txt",
        "b.txt.xz",
        "c.out",
        "d.err.bz2",
        "e.jsonl",
        "f.log.zst",
    ]
    made(tmp_path, *logs, "deep/er/g.log", "h.py", "i.json", "log", "j.log~", "k.db", "l.gz")
    found = discover([str(tmp_path)])
    assert sorted(names(found, tmp_path)) == sorted([*logs, "deep/er/g.log"])
    assert found.problems == []
    assert not any(log.named for log in found.logs)


@pytest.mark.parametrize("globs", [(), ("*.Log", "?[u]n*.log*.g?")], ids=["ours", "given"])
def test_names_are_compared_without_regard_to_case(tmp_path, globs):
    """Some systems write them in capitals, and some rotate so."""
    logs = ["RUN.LOG", "run.Log.GZ", "Run.log"]
    made(tmp_path, *logs, "RUN.PY")
    assert sorted(names(discover([str(tmp_path)], globs), tmp_path)) == sorted(logs)
    assert not discover([str(tmp_path)], globs).notes


LOGS_BY_OTHER_NAMES = [
    *(
        "run.log~",
        "current",
        "previous",
        "a.ndjson",
        "a.NDJSON.gz",
        "b.tgz",
        "b.zip",
        "b.tar",
        "b.tar.xz",
        "B.TAR",
    ),
    *(
        "run.txt.1",
        "run.out-20260114",
        "run.jsonl.2",
        "run.err.old",
        "run.txt~",
        "log",
        "run_log",
        "log.1",
        "syslog",
    ),
    *("messages", "stderr", "run.gz", "@4000000065a3f1c02ab3d9ac.s"),
]
OTHER_FILES = [
    *(
        "h.py",
        "i.json",
        "k.db",
        "README.md",
        "changelog",
        "CHANGELOG.md",
        "catalog",
        "blog.html",
        "logo.png",
        "login",
    ),
    *("data.csv.gz", "model.pt", "current.json", "Makefile", "requirements.txt.in", "prologue"),
]


@pytest.mark.parametrize("name", LOGS_BY_OTHER_NAMES)
def test_file_that_looks_like_a_log_and_is_not_read_is_said(tmp_path, name):
    """Whatever other programs call, rotate, keep or pack logs as: nobody has to find out by its absence."""
    made(tmp_path, "deep/run.log", f"deep/{name}")
    found = discover([str(tmp_path)])
    (note,) = found.notes
    assert note.startswith(
        f"1 file looks like a log and was not read, for the name alone: {tmp_path}/deep/{name} ("
    )
    assert names(found, tmp_path) == ["deep/run.log"]


@pytest.mark.parametrize("name", OTHER_FILES)
def test_file_that_looks_like_no_log_is_not_said(tmp_path, name):
    """A folder may hold anything."""
    made(tmp_path, "run.log", name)
    assert discover([str(tmp_path)]).notes == []


def test_all_files_that_look_like_logs_are_said_at_once(tmp_path):
    """How many, and the first three; not those that are read by another name, nor empty ones."""
    made(
        tmp_path,
        "a/run.log",
        "a/current",
        "b/2.ndjson",
        "b/1.ndjson",
        "b/run.log~",
        "b/c/run.zip",
        "b/x.log",
    )
    (tmp_path / "a" / "run.log").unlink()
    (tmp_path / "a" / "run.log").symlink_to("current")
    (tmp_path / "b" / "empty.zip").touch()
    (tmp_path / "b" / "folder.zip").mkdir()
    (note,) = discover([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "b" / "1.ndjson")]).notes
    first = ", ".join(str(tmp_path / "b" / name) for name in ("2.ndjson", "c/run.zip", "run.log~"))
    assert note.startswith(f"3 files look like logs and were not read, for the name alone: {first} (")
    made(tmp_path, "b/syslog")
    (note,) = discover([str(tmp_path / "b")]).notes
    assert note.startswith("5 files look like logs")
    assert " and 2 more (" in note


def test_many_files_that_look_like_logs_are_counted(tmp_path):
    """What is remembered of them is bounded."""
    made(tmp_path, *(f"{number}.ndjson" for number in range(1_010)))
    (_, note) = discover([str(tmp_path)]).notes
    assert note.startswith("1,010 files look like logs")
    assert " and 1,007 more (" in note


def test_globs_of_ones_own_are_what_was_meant(tmp_path):
    """Who says what to read knows what is left."""
    made(tmp_path, "run.log", "a.ndjson", "current")
    assert discover([str(tmp_path)], ["*.ndjson"]).notes == []


def test_order_is_that_of_names(tmp_path):
    """The same folder gives the same order on every machine."""
    made(tmp_path, "b.log", "a.log", "z/1.log", "c/2.log")
    assert names(discover([str(tmp_path)]), tmp_path) == ["a.log", "b.log", "c/2.log", "z/1.log"]


def test_file_that_is_named_is_read_whatever_its_name(tmp_path):
    """A person who names a file means it."""
    made(tmp_path, "capture", "notes.md", ".hidden/x")
    paths = [str(tmp_path / name) for name in ("capture", "notes.md", ".hidden/x")]
    assert discover(paths).logs == [LogFile(path, named=True) for path in paths]


def test_globs_replace_the_list(tmp_path):
    """Globs of one's own replace ours for folders, and leave named files alone."""
    made(tmp_path, "a.log", "b.capture", "c.md", "logs/d.capture")
    found = discover([str(tmp_path), str(tmp_path / "c.md")], ["*.capture"])
    assert names(found, tmp_path) == ["b.capture", "logs/d.capture", "c.md"]


def test_hidden_folders_are_left_out(tmp_path):
    """What lies below a hidden folder is not found, but a hidden folder may be named."""
    made(tmp_path, ".git/a.log", "logs/.cache/b.log", "logs/c.log")
    assert names(discover([str(tmp_path)]), tmp_path) == ["logs/c.log"]
    assert names(discover([str(tmp_path / ".git")]), tmp_path) == [".git/a.log"]


def test_loop_of_links_ends(tmp_path):
    """Links that lead back to a folder above, or to themselves, are followed once."""
    made(tmp_path, "logs/a.log")
    (tmp_path / "logs" / "up").symlink_to(tmp_path)
    (tmp_path / "logs" / "here").symlink_to(tmp_path / "logs")
    (tmp_path / "self.log").symlink_to(tmp_path / "self.log")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    found = discover([str(tmp_path)])
    assert [os.path.realpath(log.path) for log in found.logs] == [os.path.realpath(tmp_path / "logs/a.log")]
    assert found.problems == []


def test_link_to_a_file_is_followed(tmp_path):
    """A `current.log` that is a link is read."""
    made(tmp_path, "kept/2025-12-29", "logs/x.md")
    (tmp_path / "logs" / "current.log").symlink_to(tmp_path / "kept" / "2025-12-29")
    assert names(discover([str(tmp_path / "logs")]), tmp_path) == ["logs/current.log"]


def test_link_to_a_folder_is_followed(tmp_path):
    """A folder that is linked in is walked."""
    made(tmp_path, "elsewhere/a.log")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "more").symlink_to(tmp_path / "elsewhere")
    assert names(discover([str(tmp_path / "logs")]), tmp_path) == ["logs/more/a.log"]


def test_link_to_nothing_in_a_folder_is_nothing(tmp_path):
    """A dead link is neither a log nor a problem."""
    made(tmp_path, "a.log")
    (tmp_path / "dead.log").symlink_to(tmp_path / "gone")
    found = discover([str(tmp_path)])
    assert names(found, tmp_path) == ["a.log"]
    assert found.problems == []


def test_file_found_twice_is_read_once(tmp_path, monkeypatch):
    """However a file is reached (named, by folder, by link, relatively), it is one log."""
    made(tmp_path, "logs/a.log")
    (tmp_path / "logs" / "b.log").symlink_to("a.log")
    monkeypatch.chdir(tmp_path)
    folder = str(tmp_path / "logs")
    found = discover(["logs/a.log", folder, "logs", "./logs/../logs/a.log", folder + "/b.log", "-", "-"])
    assert [log.path for log in found.logs] == ["logs/a.log", "-"]


def test_missing_path_is_a_problem_and_the_others_are_found(tmp_path):
    """A path that leads nowhere is named, and ends nothing."""
    made(tmp_path, "a.log")
    found = discover([str(tmp_path / "gone.log"), str(tmp_path / "a.log")])
    assert found.problems == [f"{tmp_path / 'gone.log'}: no such file or folder"]
    assert names(found, tmp_path) == ["a.log"]


def test_folder_without_logs_is_a_note(tmp_path):
    """A folder in which nothing has a log's name is worth a word, and is no problem."""
    made(tmp_path, "a.py")
    found = discover([str(tmp_path)])
    assert (found.logs, found.problems) == ([], [])
    assert found.notes == [
        f"{tmp_path}: no logs in this folder (looked for *.log, *.log.*, *.log-*, *.txt, "
        "*.out, *.err, *.jsonl; "
        "--glob changes that)"
    ]


def test_note_names_the_globs_that_were_given(tmp_path):
    """The note says what was looked for."""
    assert "looked for *.capture;" in discover([str(tmp_path)], ["*.capture"]).notes[0]


def test_own_database_is_left_out_of_a_folder(tmp_path):
    """Our database and what stands beside it are no logs, whatever they are called."""
    made(tmp_path, "a.log", "telemetry.log.lock")
    database = tmp_path / "telemetry.log"
    sqlite3.connect(database).close()
    (tmp_path / "linked.log").symlink_to(database)
    beside = [tmp_path / f"telemetry.log{end}" for end in ("", "-wal", "-shm", ".lock")]
    assert names(discover([str(tmp_path)], not_logs=beside), tmp_path) == ["a.log"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_fifo_in_a_folder_is_left_out(tmp_path):
    """Only regular files are found in a folder."""
    made(tmp_path, "a.log")
    os.mkfifo(tmp_path / "b.log")
    assert names(discover([str(tmp_path)]), tmp_path) == ["a.log"]


@pytest.mark.parametrize("name", [b"bad\xff.log", b"new\nline.log", b"-.log", b"[a].log", " ✓.log".encode()])
def test_name_of_any_bytes_is_found(tmp_path, name):
    """A file's name may be any bytes."""
    path = os.path.join(os.fsencode(tmp_path), name)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system has no such names")
    assert [os.fsencode(log.path) for log in discover([str(tmp_path)]).logs] == [path]


def test_standard_input_is_a_stream():
    """A dash is standard input, whatever stands in the folder."""
    found = discover(["-"])
    assert found.logs == [LogFile("-")]
    assert found.logs[0].is_stream


def test_impossible_path_is_a_problem():
    """A path that can't be one is named like any that leads nowhere."""
    found = discover(["a\0b.log"])
    assert len(found.problems) + len(found.logs) == 1


def test_files_are_distinguished_by_device_and_inode() -> None:
    """Also those whose numbers are beyond what the database can hold: they are the same as it has them."""
    files = Files()
    found = [files.add(*file) for file in ((1, 2), (1, 2), (2, 2), (1, 3), (2, 2))]
    assert found == [True, False, True, True, False]
    assert files.add(5 + MAX_INTEGER + 1, 7 + MAX_INTEGER + 1)
    assert not files.add(5, 7)
    assert not files.add(5 + MAX_INTEGER + 1, 7)
    assert files.holds(5, 7)
    assert not files.holds(5, 8)
    assert not files.holds(6, 7)
