"""A file that is truncated and written anew while it is read never joins two generations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.errors import Rewritten
from ingest.files import logfile
from ingest.files.logfile import LogFile, overlapping_chunks


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Make a log of two generations' worth of numbered lines."""
    path = tmp_path / "run.log"
    path.write_bytes(b"".join(b"generation 1, line %04d\n" % number for number in range(1_000)))
    return path


@pytest.fixture
def rest(log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Iterator[bytes]]:
    """Open the log, read one chunk of a kilobyte, and return the rest of the chunks."""
    monkeypatch.setattr(logfile, "CHUNK_BYTES", 1024)
    with LogFile(str(log)).opened() as opened:
        chunks = overlapping_chunks(opened.stream, "run.log", b"")
        assert len(next(chunks)) == 1024
        yield chunks


def test_file_that_only_grows_is_read_to_its_end(log: Path, rest: Iterator[bytes]) -> None:
    """What is appended between two reads is read, once."""
    with log.open("ab") as file:
        file.write(b"one more\n")
    assert b"".join(rest) == log.read_bytes()[1024:]


@pytest.mark.parametrize("lines", [0, 10, 1_000, 2_000], ids=["empty", "shorter", "same size", "longer"])
def test_file_written_anew_between_two_reads_is_noticed(log: Path, rest: Iterator[bytes], lines: int) -> None:
    """Shorter, as long or longer: the bytes that were read last are others, and nothing more is yielded."""
    with log.open("r+b") as file:
        file.truncate(0)
        file.write(b"".join(b"generation 2, line %04d\n" % number for number in range(lines)))
    with pytest.raises(Rewritten):
        next(rest)


def test_file_cut_at_its_end_is_noticed_there(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that lost bytes after they were read shows it when no more are to come."""
    monkeypatch.setattr(logfile, "CHUNK_BYTES", 1 << 20)
    with LogFile(str(log)).opened() as opened:
        chunks = overlapping_chunks(opened.stream, "run.log", b"")
        next(chunks)
        with log.open("r+b") as file:
            file.truncate(100)
        with pytest.raises(Rewritten):
            next(chunks)
