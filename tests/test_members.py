"""Members of gzip files: read as the standard library's own gzip file reads them, whatever unpacks them.

Keeps the invariants that the place of damage depends on nothing but the bytes, and that memory is bounded.
"""

from __future__ import annotations

import gzip
import importlib
import io
import re
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ingest.errors import LogUnfinished, LogUnreadable
from ingest.files import compression
from ingest.files.compression import compression_of, decompressed
from ingest.files.logfile import LogFile, chunks

FAST = ("zlib_ng", "zlib_ng.zlib_ng")


def modules() -> list[ModuleType]:
    """Return all that may unpack here: the standard library, and what the extra `fast` installs."""
    try:
        return [zlib, importlib.import_module(FAST[1])]
    except ImportError:
        return [zlib]


each_module = pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)


def outcome(read: Callable[[int], bytes | None], size: int = 10_000) -> tuple[bytes, str]:
    """Read to the end, `size` bytes at once; return its bytes, and what ended it.

    zlib wants both bytes of a magic number before it calls them wrong.
    """
    found: list[bytes] = []
    try:
        while data := read(size):
            found.append(data)
    except EOFError:
        return b"".join(found), "unfinished"
    except (OSError, zlib.error) as error:
        half_a_magic_number = re.fullmatch(r"Not a gzipped file \(b['\"](\\x..|\\?.)['\"]\)", str(error))
        return b"".join(found), "unfinished" if half_a_magic_number else "damaged"
    return b"".join(found), "whole"


def members(file: io.RawIOBase, size_bytes: int = 0) -> io.BufferedReader:
    """Open a gzip file as we do."""
    return cast(io.BufferedReader, decompressed(file, "gzip", "a.log.gz", size_bytes))


@contextmanager
def unpacked_by(module: object, **constants: int) -> Iterator[None]:
    """Let a module unpack, with other sizes of what is read and given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, FAST[1], None if module is zlib else module)
        for name, value in constants.items():
            patch.setattr(compression, name, value)
        yield


def opened(data: bytes) -> io.BufferedReader:
    """Open the bytes of a gzip file as we do; each read of its `raw` is one of what unpacks it."""
    return members(cast(io.RawIOBase, io.BytesIO(data)), len(data))


def reference(data: bytes) -> tuple[bytes, str]:
    """Read the bytes of a gzip file as the standard library does, as much at once as there is."""
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        return outcome(file.read1)


def byte_by_byte(data: bytes) -> bytes:
    """Unpack one member as far as it goes; `data` begins after its header."""
    inflating, found = zlib.decompressobj(wbits=-15), b""
    try:
        for place in range(len(data)):
            found += inflating.decompress(data[place : place + 1])
    except zlib.error:
        pass
    return found


def member_by_member(data: bytes) -> bytes:
    """Unpack all members as far as that goes, each byte by byte."""
    found = b""
    with suppress(zlib.error):
        while data := data.lstrip(b"\0"):
            member = zlib.decompressobj(wbits=31)
            for place in range(len(data)):
                found += member.decompress(data[place : place + 1])
                if member.eof:
                    break
            data = data[place + 1 :]
    return found


CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda word, times: word * times, st.binary(max_size=20), st.integers(0, 5_000)),
)
NAMES = st.binary(max_size=30).map(lambda name: name.replace(b"\0", b""))


@st.composite
def one_member(draw: st.DrawFn) -> bytes:
    """Make a member with any of the fields that a header may have, and any kind of block."""
    content = draw(CONTENTS)
    compressing = zlib.compressobj(draw(st.integers(0, 9)), zlib.DEFLATED, -15, 9, draw(st.integers(0, 4)))
    packed = compressing.compress(content) + compressing.flush()
    flags, fields = draw(st.integers(0, 31)), b""
    if flags & 4:
        extra = draw(st.binary(max_size=30))
        fields += len(extra).to_bytes(2, "little") + extra
    for flag in (8, 16):
        if flags & flag:
            fields += draw(NAMES) + b"\0"
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + fields
    if flags & 2:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    checks = zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
    padding = b"\0" * draw(st.sampled_from((0, 0, 0, 1, 7, 600, 5_000)))
    return header + packed + checks + padding


@st.composite
def gzip_file(draw: st.DrawFn) -> bytes:
    """Make a file of members, perhaps with garbage at its end, cut short, or with a byte that is wrong."""
    data = b"".join(draw(st.lists(one_member(), min_size=1, max_size=4)))
    data += draw(st.sampled_from((b"", b"", b"garbage", b"\x1f", b"\x1f\x8b", b"x")))
    if draw(st.booleans()):
        data = data[: draw(st.integers(1, len(data)))]
    if draw(st.booleans()):
        place = draw(st.integers(0, len(data) - 1))
        data = data[:place] + bytes([data[place] ^ draw(st.integers(1, 255))]) + data[place + 1 :]
    return data


READ_SIZES = st.sampled_from((5, 64, 1_000, 10_000, 1 << 18))
SIZES = st.sampled_from((1, 2, 3, 7, 64, 1_000, 1 << 20))


@each_module
@settings(max_examples=150)
@given(gzip_file(), READ_SIZES, SIZES, SIZES, SIZES)
@example(gzip.compress(b"a") + b"\x1f", 5, 1, 1, 1)
@example(gzip.compress(b"a") + b"\0" * 5_000 + gzip.compress(b"b") + b"\0", 64, 64, 64, 64)
@example(gzip.compress(b"a\n" * 90_000)[:-3], 1 << 18, 1 << 20, 1 << 20, 1 << 20)
@example(gzip.compress(b"a")[:-8] + bytes(8), 1 << 18, 1 << 20, 1 << 20, 1 << 20)
def test_any_file_is_read_as_by_the_standard_library(
    module: ModuleType, data: bytes, size: int, read: int, first: int, most: int
) -> None:
    """The same bytes and the same end, however the file is cut; before damage there may be more.

    zlib also refuses a header whose checksum is wrong, or that has a reserved flag.
    """
    assume(compression_of(data) == "gzip")
    expected, ended = reference(data)
    with unpacked_by(module, INPUT_BYTES=read, FIRST_BYTES=first, GIVEN_BYTES=most):
        found, how = outcome(opened(data).raw.read, size)
    if how == "damaged":
        assert found == member_by_member(data)
    else:
        assert (found, how) == (expected, ended)


LINES = b"".join(b"line %d of %d\n" % (number, number**5) for number in range(700))
SHORT_CODES = b"".join(b"a" * (number % 50) + b"bc" for number in range(200))  # several letters in one byte


@each_module
@pytest.mark.parametrize("content", [LINES, SHORT_CODES], ids=["lines", "short-codes"])
@settings(max_examples=100)
@given(st.integers(0, 10_000), st.integers(1, 255), SIZES, SIZES, st.booleans())
def test_damage_and_cut_have_one_place(
    module: ModuleType, content: bytes, place: int, wrong: int, most: int, size: int, cut: bool
) -> None:
    """All that can be unpacked before them is handed on, whatever unpacks it and in whichever pieces."""
    compressing = zlib.compressobj(
        6, zlib.DEFLATED, 31, 9, zlib.Z_HUFFMAN_ONLY if content is SHORT_CODES else 0
    )
    data = bytearray(compressing.compress(content) + compressing.flush())
    place = 10 + place % (len(data) - 18)
    data[place] ^= wrong
    if cut:
        del data[place + 1 :]
    with unpacked_by(module, FIRST_BYTES=most, GIVEN_BYTES=most):
        found, ended = outcome(opened(bytes(data)).raw.read, size)
    assert (found, ended) == (byte_by_byte(bytes(data[10:])), ended)
    assert ended != "whole" or found == content  # a bit that nothing depends on


@each_module
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_letters_of_less_than_a_byte_are_not_lost_before_damage(module: ModuleType, size: int) -> None:
    """Where several letters share the last good byte, a chunk may end among them: the others are next."""
    for count in range(2_000, 2_016):
        compressing = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
        packed = compressing.compress(b"a" * count) + compressing.flush()
        another_follows = bytes([packed[0] & 0xFE]) + packed[1:] + b"\xff" * 8  # which can't be one
        data = b"\x1f\x8b\x08" + bytes(7) + another_follows
        with unpacked_by(module):
            assert outcome(opened(data).raw.read, size) == (b"a" * count, "damaged")


@each_module
@pytest.mark.parametrize("cut", [*range(1, 60), 1_000, -8, -4, -1])
def test_cut_file_is_unfinished_after_all_that_it_holds(module: ModuleType, cut: int) -> None:
    """What the last bytes of a cut file unpack to is handed on before the error."""
    data = gzip.compress(b"".join(b"line %d\n" % (number**3) for number in range(2_000)), 6)
    expected = byte_by_byte(data[:cut][10:])
    with unpacked_by(module):
        assert outcome(opened(data[:cut]).raw.read) == (expected, "unfinished")


@each_module
@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (b"\0" * 8, "error -3 while decompressing data: incorrect data check"),
        (zlib.crc32(b"a\n" * 9).to_bytes(4, "little") + b"\0" * 4, "error -3 .* incorrect length check"),
    ],
    ids=["crc", "length"],
)
def test_wrong_checks_are_named_after_all_bytes(
    tmp_path: Path, module: ModuleType, ending: bytes, reason: str
) -> None:
    """A member that is not what its trailer says is damaged; what it held was handed on."""
    path = tmp_path / "a.log.gz"
    found: list[bytes] = []
    path.write_bytes(gzip.compress(b"a\n" * 9)[:-8] + ending)
    with (
        unpacked_by(module),
        LogFile(str(path)).opened() as log,
        pytest.raises(LogUnreadable, match=f"a.log.gz: damaged or unreadable: {reason}"),
    ):
        found.extend(chunks(log.stream, "a.log.gz"))
    assert b"".join(found) == b"a\n" * 9


@each_module
def test_damage_is_named_in_the_words_of_zlib(module: ModuleType) -> None:
    """The reason is the same whatever unpacks, so that a report doesn't change with an extra."""
    data = gzip.compress(b"a\n" * 9, mtime=0)
    damaged = data[:10] + b"\xff" + data[11:]
    reason = r"^Error -3 while decompressing data: invalid block type$"
    with unpacked_by(module), pytest.raises(OSError, match=reason):
        opened(damaged).read()


@each_module
def test_lines_are_those_of_the_standard_library(module: ModuleType) -> None:
    """A stream is read by line as well, also after what was read in chunks."""
    text = b"".join(b"line %d\n" % number for number in range(50_000)) + b"no newline"
    with unpacked_by(module):
        stream = opened(gzip.compress(text[:90_000]) + gzip.compress(text[90_000:]))
    begun = stream.read1(10_000)
    lines = list(iter(stream.readline, b""))
    assert begun + b"".join(lines) == text
    assert lines[1:] == text[len(begun) + len(lines[0]) :].splitlines(keepends=True)


BOMB = gzip.compress(b"\0" * (200 << 20), 9)
NAME = b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (20 << 20)
PADDING = gzip.compress(b"a\n") + b"\0" * (20 << 20)
TINY = gzip.compress(b"a\n") * 20_000


@each_module
@pytest.mark.parametrize("data", [BOMB, NAME, PADDING, TINY], ids=["bomb", "name", "padding", "tiny"])
def test_memory_is_bounded(tmp_path: Path, module: ModuleType, data: bytes) -> None:
    """Neither what a file unpacks to nor what must be passed over is ever held."""
    path = tmp_path / "a.log.gz"
    path.write_bytes(data)
    size_bytes, ended = 0, "whole"
    with path.open("rb", buffering=0) as file, unpacked_by(module):
        tracemalloc.start()
        try:
            for chunk in chunks(members(file, len(data)), "a.log.gz"):
                size_bytes += len(chunk)
        except LogUnfinished:
            ended = "unfinished"
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    expected = {id(BOMB): 200 << 20, id(NAME): 0, id(PADDING): 2, id(TINY): 40_000}
    assert (size_bytes, ended) == (expected[id(data)], "unfinished" if data is NAME else "whole")
    assert peak_bytes < 4 << 20


def test_without_the_extra_the_standard_library_unpacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the extra `fast` installs is never missed."""
    for name in FAST:
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress(LINES))
    with LogFile(str(path)).opened() as opened:
        assert b"".join(chunks(opened.stream, "a.log.gz")) == LINES
