"""Where commands write files: nobody sees half of one, and nothing planted is written through."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

import pytest

from commandline.sink import opened_sink
from ingest.errors import Unwritable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="other permissions there")

NAME = ".tokentail-0000.part"


@pytest.fixture
def guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the name of the unfinished file be known to whoever plants something."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "0000")


@pytest.mark.usefixtures("guessed")
@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "fifo"])
def test_what_was_planted_is_not_written_through(tmp_path: Path, kind: str) -> None:
    """Even who guesses the name gets nothing written elsewhere: it is refused, and not waited for."""
    target, planted = tmp_path / "precious", tmp_path / NAME
    if kind != "dangling link":
        target.write_text("precious")
    if kind == "fifo":
        os.mkfifo(planted)
    elif kind == "hard link":
        os.link(target, planted)
    else:
        planted.symlink_to(target)
    with pytest.raises(Unwritable, match="out: can't be written"), opened_sink(str(tmp_path / "out")):
        pass
    assert (target.read_text() == "precious") if target.exists() else kind == "dangling link"
    assert not (tmp_path / "out").exists()


def test_unfinished_files_of_one_process_have_different_names(tmp_path: Path) -> None:
    """Two unfinished files of one process have two names, neither of them made of its number."""
    names = set()
    for _ in range(2):
        with opened_sink(str(tmp_path / "out")):
            names |= {path.name for path in tmp_path.glob("*.part")}
    assert len(names) == 2
    assert not any(str(os.getpid()) == name.split("-")[-1].removesuffix(".part") for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("umask", [0o022, 0o077], ids=oct)
def test_new_file_is_as_open_as_any_that_is_made(tmp_path: Path, umask: int) -> None:
    """A file that was not there has the permissions that the umask leaves it."""
    before = os.umask(umask)
    try:
        with opened_sink(str(tmp_path / "out")) as sink:
            sink.write(b"text")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o666 & ~umask


def test_replaced_file_keeps_its_permissions_and_nobody_reads_it_before(tmp_path: Path) -> None:
    """What replaces a file that only few may read is at no moment open to more."""
    out = tmp_path / "out"
    out.touch()
    out.chmod(0o640)
    with opened_sink(str(out)) as sink:
        sink.write(b"text")
        (part,) = tmp_path.glob(".*.part")
        assert part.stat().st_mode & 0o777 == 0o600
    assert out.stat().st_mode & 0o777 == 0o640
    assert out.read_bytes() == b"text"


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    """An error on the way leaves no unfinished file and the old one as it was."""
    out = tmp_path / "out"
    out.write_text("the last one")
    with pytest.raises(ZeroDivisionError), opened_sink(str(out)) as sink:
        sink.write(b"half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert out.read_text() == "the last one"
