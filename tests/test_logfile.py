"""One log file: compression recognised by bytes, and every way in which a file can be no log.

Keeps the invariant that one bad file is a sentence with its name, never a crash and never a wait.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import socket
import sqlite3
import sys

import pytest

from ingest.errors import LogUnfinished, LogUnreadable, LogVanished, NotALog
from ingest.files.compression import compression_of
from ingest.files.logfile import LogFile, chunks, what_is_not_a_log
from ingest.reading.scan import ScanOptions, scan

TEXT = b"".join(b"[2025-12-29 19:40:02] INFO: line %d\n" % number for number in range(200))
COMPRESSORS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}

each_compressor = pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS.keys())
each_compression = pytest.mark.parametrize(("name", "compress"), COMPRESSORS.items(), ids=COMPRESSORS.keys())


def content(path) -> tuple[bytes, str | None]:
    """Read a log file to its end; return its bytes and the name of its compression."""
    log = LogFile(str(path))
    with log.opened() as opened:
        return b"".join(chunks(opened.stream, log.shown)), opened.compression


@each_compression
@pytest.mark.parametrize("file_name", ["a.log", "a.log.1.gz", "a.txt"])
def test_compression_is_recognised_by_bytes_not_by_name(tmp_path, name, compress, file_name):
    """A rotation may be renamed and compressed at any time: only its first bytes count."""
    path = tmp_path / file_name
    path.write_bytes(compress(TEXT))
    assert content(path) == (TEXT, name)


def test_plain_file_with_a_compressed_name_is_plain(tmp_path):
    """A `.gz` that is none is read as the text that it is."""
    path = tmp_path / "a.log.gz"
    path.write_bytes(TEXT)
    assert content(path) == (TEXT, None)


@each_compression
@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_several_members_are_one_log(tmp_path, monkeypatch, name, compress, size):
    """Compressed files that were appended to each other are read to the last end, however they are cut."""
    monkeypatch.setattr("ingest.files.compression.INPUT_BYTES", size)
    path = tmp_path / "a.log.gz"
    path.write_bytes(compress(TEXT) + compress(b"more\n") + compress(b""))
    assert content(path) == (TEXT + b"more\n", name)


@each_compressor
def test_file_still_being_compressed_is_unfinished(tmp_path, compress):
    """Compressed data that stops anywhere before its end is unfinished, which is no damage."""
    path = tmp_path / "a.log.gz"
    data = compress(TEXT)
    for end in range(6, len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(LogUnfinished, match=r"a\.log\.gz: ends before the end"):
            content(path)


@each_compressor
def test_second_member_still_being_written_is_unfinished(tmp_path, compress):
    """A member that is being appended is unfinished from its first byte on; what is before it counts."""
    path = tmp_path / "a.log.gz"
    whole, begun = compress(TEXT), compress(b"more\n")
    for end in range(1, len(begun)):
        path.write_bytes(whole + begun[:end])
        log, read = LogFile(str(path)), b""
        try:
            with log.opened() as opened:
                for chunk in chunks(opened.stream, log.shown):
                    read += chunk
        except LogUnfinished:
            pass
        except LogUnreadable as error:
            pytest.fail(f"{end} bytes of the second member: {error}")
        assert (TEXT + b"more\n").startswith(read)


@each_compressor
def test_damage_is_named_and_never_another_error(tmp_path, compress):
    """Whatever byte of a compressed file is wrong, the file is named, or read without harm."""
    path = tmp_path / "a.log.gz"
    data = compress(TEXT)
    problems = []
    for place in range(10, len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            read, _ = content(path)
        except (LogUnreadable, LogUnfinished) as error:
            problems.append(str(error))
        else:
            assert read == TEXT
    assert problems
    assert all(problem.startswith(f"{path}: ") for problem in problems)


def test_what_stands_before_the_damage_is_read(tmp_path):
    """Chunks before the damage are handed over before the error."""
    path = tmp_path / "a.log.gz"
    whole = gzip.compress(os.urandom(1 << 20).hex().encode(), 1)
    path.write_bytes(gzip.compress(TEXT) + whole[: len(whole) // 2] + b"\0" * 100)
    log, read = LogFile(str(path)), b""
    with pytest.raises((LogUnreadable, LogUnfinished)), log.opened() as opened:
        for chunk in chunks(opened.stream, log.shown):
            read += chunk
    assert read.startswith(TEXT)


def test_zstd_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    """A compression that this Python can't read is named with the next step."""
    for name in ("compression.zstd", "backports.zstd", "pyzstd"):
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "a.log.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd rest")
    with pytest.raises(LogUnreadable, match=r"zstd.* install backports\.zstd"):
        content(path)


@pytest.mark.parametrize("head", [b"", b"\x1f", b"BZ", b"\xfd7zXZ", b"text", b"(\xb5"])
def test_half_a_magic_number_is_no_compression(head):
    """Fewer bytes than a magic number name no compression."""
    assert compression_of(head) is None


def test_missing_file_has_vanished(tmp_path):
    """A file that is gone, and a link to nothing, are named as vanished."""
    link = tmp_path / "link.log"
    link.symlink_to(tmp_path / "nothing.log")
    for path in (tmp_path / "gone.log", link):
        with pytest.raises(LogVanished, match=path.name):
            LogFile(str(path)).state()
        with pytest.raises(LogVanished, match=path.name):
            content(path)


def test_directory_is_refused(tmp_path):
    """A folder is no regular file, so it is not read."""
    with pytest.raises(LogUnreadable, match="not a regular file"):
        LogFile(str(tmp_path)).state()


def test_directory_in_the_place_of_a_log_is_named_when_it_is_opened(tmp_path):
    """A file that became a folder since it was looked up is our error, with its name."""
    with pytest.raises(LogUnreadable, match=tmp_path.name):
        content(tmp_path)


@pytest.mark.parametrize("path", ["a\0b.log", "x" * 300 + ".log"], ids=["nul", "too-long"])
def test_impossible_name_is_unreadable(tmp_path, path):
    """A name that no file can have is named, never another error."""
    with pytest.raises(LogUnreadable):
        LogFile(str(tmp_path / path)).state()
    with pytest.raises(LogUnreadable):
        content(tmp_path / path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_fifo_is_refused_without_waiting(tmp_path):
    """A FIFO would block whoever opens it, so it is refused by its kind."""
    path = tmp_path / "a.log"
    os.mkfifo(path)
    with pytest.raises(LogUnreadable, match="not a regular file"):
        LogFile(str(path)).state()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_fifo_in_the_place_of_a_log_is_not_waited_for(tmp_path):
    """A FIFO that took a log's place since it was looked up is refused, not opened until somebody writes."""
    path = tmp_path / "a.log"
    path.write_bytes(TEXT)
    before = LogFile(str(path)).state()
    path.unlink()
    os.mkfifo(path)
    for look in (content, lambda path: LogFile(str(path)).has_same_tail(before)):
        with pytest.raises(LogUnreadable, match=r"a\.log: not a regular file, so not read"):
            look(path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no such device here")
def test_endless_device_in_the_place_of_a_log_is_not_read(tmp_path):
    """A link to a device that never ends is refused when it is opened, however it came there."""
    path = tmp_path / "a.log"
    path.symlink_to("/dev/zero")
    with pytest.raises(LogUnreadable, match=r"a\.log: not a regular file, so not read"):
        content(path)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets here")
def test_socket_and_device_are_refused(tmp_path, monkeypatch):
    """Sockets and devices are no logs, whatever they are called."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("a.log")
        for path in ("a.log", os.devnull):
            with pytest.raises(LogUnreadable, match="not a regular file"):
                LogFile(path).state()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_is_unreadable(tmp_path):
    """A file that may not be read is named with the reason."""
    path = tmp_path / "a.log"
    path.write_bytes(TEXT)
    path.chmod(0)
    with pytest.raises(LogUnreadable, match="permission denied"):
        content(path)


def test_state_is_what_one_look_shows(tmp_path):
    """A file's state follows its size, and its identity is not its name."""
    path = tmp_path / "a.log"
    path.write_bytes(TEXT)
    before = LogFile(str(path)).state()
    assert before.size_bytes == len(TEXT)
    renamed = path.rename(tmp_path / "b.log")
    assert LogFile(str(renamed)).state() == before


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"SQLite format 3\0" + b"\0" * 100, "a SQLite database"),
        (b"\x7fELF\x02\x01\x01" + bytes(range(32)) * 4, "a binary file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(32)) * 4, "a binary file"),
        (bytes(range(256)) * 4, "a binary file"),
    ],
    ids=["sqlite", "program", "picture", "bytes"],
)
def test_binary_file_is_not_a_log(head, what):
    """Databases, programs and pictures are recognised by their first bytes."""
    assert what_is_not_a_log(head) == what


@pytest.mark.parametrize(
    "head",
    [
        b"",
        TEXT,
        b"\0" * 4096,
        b"\0" * 4000 + TEXT[:96],
        b"quoted: " + "UTF-16 in UTF-8".encode("utf-16-le"),
        b"\xff\xfe" + "text\r\n".encode("utf-16-le"),
        b"\xfe\xff" + "text\r\n".encode("utf-16-be"),
        b"\x1b[32mgreen\x1b[0m \x1b[1mbold\x1b[0m\x08\x08\x0c\n",
        "✅ émojis 😀\n".encode(),
        b"\xff\xfd invalid \x80\x81\n" * 20,
        bytes(range(256)) + b"\n" + TEXT[:50] + b"\n" + bytes(range(256)),
        b"\xef\xbb\xbf" + TEXT[:36] + bytes(range(256)),
    ],
    ids=[
        "empty",
        "text",
        "hole",
        "hole-and-text",
        "quoted",
        "le",
        "be",
        "colours",
        "emoji",
        "invalid",
        "answer",
        "marked",
    ],
)
def test_text_of_any_kind_may_be_a_log(head):
    """NULs, colours, wide text and invalid bytes all occur in real logs."""
    assert what_is_not_a_log(head) is None


def test_real_sqlite_file_is_refused_by_name(tmp_path):
    """A database that somebody named as a log is refused, not read."""
    path = tmp_path / "data.log"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(NotALog, match=r"data\.log: a SQLite database, not a log"):
        list(scan(LogFile(str(path)), None, ScanOptions(zone="UTC")))


def test_stored_path_is_absolute_text(tmp_path, monkeypatch):
    """The database keeps an absolute path that is text, whatever bytes a name holds."""
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"bad\xff.log")
    assert LogFile(name).stored_path == os.path.join(os.getcwd(), "bad\\xff.log")
    assert LogFile(name).shown == "bad\\xff.log"
    assert LogFile("-").stored_path == "-"
    assert LogFile("-").shown == "standard input"


def test_log_is_not_touched_by_reading(tmp_path):
    """Reading a log changes neither its bytes nor its times: the executor can't notice."""
    path = tmp_path / "a.log"
    path.write_bytes(TEXT)
    path.chmod(0o444)
    before = path.stat()
    content(path)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_size) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_size,
    )


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress], ids=["bzip2", "xz"])
def test_damage_in_a_second_stream_is_said_and_what_came_before_counts(tmp_path, compress):
    """A file of several compressed streams is read to its end, or its damage is named."""
    path = tmp_path / "a.log"
    whole = compress(b"first\n") + compress(b"second\n")
    path.write_bytes(whole)
    with LogFile(str(path)).opened() as opened:
        assert b"".join(chunks(opened.stream, "a.log")) == b"first\nsecond\n"
    damaged = bytearray(whole)
    damaged[len(compress(b"first\n"))] ^= 0xFF
    path.write_bytes(damaged)
    found = []
    with LogFile(str(path)).opened() as opened, pytest.raises(LogUnreadable):
        found.extend(chunks(opened.stream, "a.log"))
    assert found == [b"first\n"]


def test_padding_after_xz_streams_is_no_damage(tmp_path):
    """The xz format has padding; the file is whole."""
    path = tmp_path / "a.log.xz"
    path.write_bytes(lzma.compress(b"first\n") + b"\0" * 8 + lzma.compress(b"second\n") + b"\0" * 4)
    with LogFile(str(path)).opened() as opened:
        assert b"".join(chunks(opened.stream, "a.log")) == b"first\nsecond\n"
