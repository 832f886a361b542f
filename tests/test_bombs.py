"""Compressed files that unpack to more than any log does are damage with a name, never a full memory.

The limits are made small here; `tests/test_memory.py` tries the real ones.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from event_lines import event_message, logged
from faults.tables import check_invariants, events, rows_as_stored
from ingest.errors import LogUnfinished, LogUnreadable
from ingest.files import compression
from ingest.files.logfile import LogFile, chunks
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary
from ingest.verify import verify

EVENT = f"{logged(event_message())}\n".encode()
KIND = {"bz2": bz2.compress, "xz": lzma.compress}

Compress = Callable[[bytes], bytes]


def zstd_compress(data: bytes) -> bytes:
    """Compress with whichever zstd there is; skip the test if there is none."""
    zstd = pytest.importorskip("compression.zstd" if _has_zstd() else "backports.zstd")
    compressed: bytes = zstd.compress(data)
    return compressed


def _has_zstd() -> bool:
    try:
        import compression.zstd  # type: ignore[import-not-found,unused-ignore]  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True


each_kind = pytest.mark.parametrize("compress", [*KIND.values(), zstd_compress], ids=[*KIND.keys(), "zst"])


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call a bomb what unpacks to more than 1 MiB and twenty times its size."""
    monkeypatch.setattr(compression, "MAX_UNPACKED_BYTES", 1 << 20)
    monkeypatch.setattr(compression, "MAX_UNPACKED_RATIO", 20)


def read(*paths: Path, database: Path) -> Summary:
    """Ingest some logs."""
    return ingest([str(path) for path in paths], database, IngestOptions("ingest", zone_named("UTC")))


@pytest.mark.usefixtures("small_limits")
@each_kind
def test_bomb_is_named_what_stands_before_counts_and_the_others_are_read(
    tmp_path: Path, compress: Compress
) -> None:
    """A bomb stops at the limit: path, offset, reason, exit 1; a second run finds and changes the same."""
    bomb, other, database = tmp_path / "a.log", tmp_path / "b.log", tmp_path / "t.db"
    bomb.write_bytes(compress(EVENT + b"x" * (64 << 20)))
    other.write_bytes(EVENT.replace(b"5200", b"5300"))
    summary = read(bomb, other, database=database)
    assert summary.exit_code == 1
    assert len(summary.problems) == 1
    problem = summary.problems[0]
    assert problem.startswith(f"{bomb}: damaged or unreadable: unpacks to more than 1,048,576 bytes")
    assert f"read up to offset {len(EVENT)}" in problem
    assert summary.bytes_read < 3 << 20
    assert {row["predicted_output_tokens"] for row in events(database)} == {5200, 5300}
    before = rows_as_stored(database)
    assert read(bomb, other, database=database).problems == [problem]
    assert rows_as_stored(database) == before
    assert verify([str(bomb), str(other)], database).differences == []
    check_invariants(database)


@pytest.mark.usefixtures("small_limits")
@each_kind
def test_what_is_large_for_its_size_on_disk_or_in_bytes_alone_is_no_bomb(
    tmp_path: Path, compress: Compress
) -> None:
    """Both limits must be passed: a small log may repeat itself, a big one may be big."""
    repeating, big = b"the same\n" * 100_000, b"".join(b"%d\n" % (number**7) for number in range(40_000))
    for text in (repeating, big):
        packed = compress(text)
        assert (len(text) > 20 * len(packed)) is (text is repeating)
        (tmp_path / "a.log").write_bytes(packed)
        with LogFile(str(tmp_path / "a.log")).opened() as log:
            assert b"".join(chunks(log.stream, "a.log")) == text
    assert len(big) > 1 << 20


def test_gzip_is_never_called_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deflate can't exceed 1,032 to 1, so a gzip file is bounded by its own size and read to its end."""
    monkeypatch.setattr(compression, "MAX_UNPACKED_BYTES", 1)
    path = tmp_path / "a.log"
    path.write_bytes(gzip.compress(EVENT + b"x" * (64 << 20) + b"\n" + EVENT, 9))
    assert path.stat().st_size * 1_000 < 64 << 20
    summary = read(path, database=tmp_path / "t.db")
    assert (summary.problems, summary.marker_lines) == ([], 2)


def with_dictionary_code(data: bytes, code: int) -> bytes:
    """Make the first block of an xz file claim another dictionary; 40 is the code of 4 GiB."""
    start, size = 12, (data[12] + 1) * 4
    block = bytearray(data[start : start + size])
    assert block[2] == 0x21  # LZMA2, whose one property is the dictionary
    block[4] = code
    block[-4:] = struct.pack("<I", zlib.crc32(block[:-4]))
    return data[:start] + bytes(block) + data[start + size :]


@pytest.mark.parametrize("code", [33, 38, 40], ids=["384 MiB", "2 GiB", "4 GiB"])
def test_giant_dictionary_is_not_allocated(tmp_path: Path, code: int) -> None:
    """An xz header that claims a giant dictionary is refused by what it asks for; the others are read."""
    path, other = tmp_path / "a.log.xz", tmp_path / "b.log"
    path.write_bytes(with_dictionary_code(lzma.compress(EVENT), code))
    other.write_bytes(EVENT)
    summary = read(path, other, database=tmp_path / "t.db")
    expected = f"{path}: damaged or unreadable: asks for more than 256 MiB of memory to be unpacked"
    assert (summary.problems, summary.exit_code, summary.events_new) == ([expected], 1, 1)


def test_the_largest_usual_dictionary_is_read(tmp_path: Path) -> None:
    """What `xz -9` writes, with its 64 MiB, is far below the limit."""
    path = tmp_path / "a.log.xz"
    path.write_bytes(with_dictionary_code(lzma.compress(EVENT), 28))
    assert read(path, database=tmp_path / "t.db").events_new == 1


def test_damaged_zstd_is_named(tmp_path: Path) -> None:
    """Whatever byte of a zstd file is wrong, it is our error with the file's name, as for the others."""
    path, problems = tmp_path / "a.log.zst", []
    data = zstd_compress(EVENT * 50)
    for place in range(4, len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        with suppress(LogUnfinished), LogFile(str(path)).opened() as log:
            try:
                for _ in chunks(log.stream, "a.log.zst"):
                    pass
            except LogUnreadable as error:
                problems.append(str(error))
    assert problems
    assert all(problem.startswith("a.log.zst: damaged or unreadable: ") for problem in problems)
