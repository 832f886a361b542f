"""The encoding of a log, known by its first bytes, and of single lines that were written in another one.

A file has one encoding, but Windows PowerShell 5.1 appends UTF-16 to any file, and programs append UTF-8 to
a capture of PowerShell's. A single line of the other kind is known by its first characters, which are ASCII
in every line that matters.
"""

from __future__ import annotations

import re
from codecs import utf_16_be_decode, utf_16_le_decode
from collections.abc import Iterator
from dataclasses import dataclass

_PROBE_BYTES = 16
"""How many bytes at a line's start show whether it is UTF-16: eight characters, all of them improbable."""

_NULS = b"\0" * (_PROBE_BYTES // 2)
_PRINTABLE = bytes([9, *range(32, 127)])


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding: the codec's name, its byte order mark, its newline."""

    name: str
    mark: bytes
    newline: bytes

    @property
    def is_wide(self) -> bool:
        """Whether every character takes at least two bytes."""
        return len(self.newline) == 2

    def as_utf8(self, data: bytes) -> bytes:
        """Return a line as UTF-8; what is invalid in UTF-16 is replaced.

        Half a character at its end is left out: it is a part of a newline that was not written whole.
        """
        if not self.is_wide:
            return data
        decode = utf_16_le_decode if self.newline == UTF_16.newline else utf_16_be_decode
        return decode(data[: len(data) // 2 * 2], "replace", True)[0].encode()


UTF_8_MARK = b"\xef\xbb\xbf"

UTF_8 = Encoding("utf-8", b"", b"\n")
UTF_16 = Encoding("utf-16-le", b"\xff\xfe", b"\n\0")
ENCODINGS = (
    UTF_8,
    Encoding("utf-8-sig", UTF_8_MARK, b"\n"),
    UTF_16,
    Encoding("utf-16-be", b"\xfe\xff", b"\0\n"),
)


def encoding_of(head: bytes) -> Encoding:
    """Return a file's encoding by its byte order mark; a NUL byte alone proves nothing."""
    return next((encoding for encoding in reversed(ENCODINGS) if head.startswith(encoding.mark)), UTF_8)


_UTF_32 = re.compile(
    rb"\xff\xfe\0\0(?!\0{4})..[\0-\x10]\0|\0\0\xfe\xff\0[\0-\x10].."
    rb"|(?:[\t\n\r -~]\0{3}){4}|(?:\0{3}[\t\n\r -~]){4}",
    re.DOTALL,
)
"""The beginning of UTF-32, in either order: its mark, which begins with UTF-16's, or plain characters."""


def is_utf32(head: bytes) -> bool:
    """Whether a file is UTF-32, which is not supported."""
    return _UTF_32.match(head) is not None


def may_be_half_a_mark(head: bytes) -> bool:
    """Whether a file is so short that it may be the beginning of a byte order mark."""
    return any(len(head) < len(encoding.mark) and encoding.mark.startswith(head) for encoding in ENCODINGS)


def encoding_named(name: str) -> Encoding:
    """Return the encoding that a source was first read with.

    Raises:
        KeyError: there is none of this name.
    """
    return {encoding.name: encoding for encoding in ENCODINGS}[name]


def is_utf16_in_utf8(line: bytes) -> bool:
    """Whether a line of a UTF-8 file, whose first byte is no NUL, is UTF-16.

    The second byte of its newline is at the head of the next line, where NULs are dropped.
    """
    return line[1:_PROBE_BYTES:2] == _NULS and not line[0:_PROBE_BYTES:2].strip(_PRINTABLE)


def encoding_of_rest(rest: bytes, encoding: Encoding) -> Encoding:
    """Return the encoding of a last line without a newline."""
    if encoding.is_wide:
        return UTF_8 if _is_utf8_in_utf16(rest, 0) else encoding
    return UTF_16 if b"\0" in rest and is_utf16_in_utf8(rest) else encoding


def without_mark(line: bytes) -> bytes:
    """Return a line of a UTF-8 file without the mark at its head, as concatenated files may have one."""
    if line.startswith(UTF_8_MARK):
        return line[len(UTF_8_MARK) :]
    if line.startswith(UTF_16.mark) and is_utf16_in_utf8(line[len(UTF_16.mark) :]):
        return line[len(UTF_16.mark) :]
    return line


def cut_wide(block: bytes, encoding: Encoding) -> Iterator[tuple[int, int, Encoding]]:
    """Yield where the lines of a UTF-16 block begin and end, without their newlines, and their encodings.

    A newline counts only at an even distance from its line's start, between characters. A line of UTF-8 is
    found as well, whatever the next line is.
    """
    start, nul = 0, 1 if encoding.newline.startswith(b"\n") else 0
    while True:
        narrow: bool | None = False
        if block[start + nul : start + _PROBE_BYTES : 2] != _NULS or not block[start + 1 - nul]:
            start = _after_hole(block, start, encoding)
            narrow = _is_utf8_in_utf16(block, start)
        if narrow is None:
            return
        line_encoding = UTF_8 if narrow else encoding
        end = block.find(line_encoding.newline, start)
        while end >= 0 and not narrow and (end - start) % 2:
            end = block.find(line_encoding.newline, end + 1)
        if end < 0:
            return
        yield start, end, line_encoding
        start = end + len(line_encoding.newline)


def begins_strangely(block: bytes, start: int, encoding: Encoding) -> bool:
    """Whether a line of a UTF-16 block may begin with a mark or a hole, or be UTF-8."""
    return _after_hole(block, start, encoding) != start or _is_utf8_in_utf16(block, start) is not False


def _after_hole(block: bytes, start: int, encoding: Encoding) -> int:
    """Return where a line begins after a mark and a hole of NULs."""
    if block.startswith(encoding.mark, start):
        start += len(encoding.mark)
    if block.startswith(UTF_8_MARK, start):
        text_start = start + len(UTF_8_MARK)
        first_bytes = block[text_start : text_start + _PROBE_BYTES // 2]
        if len(first_bytes) == _PROBE_BYTES // 2 and not first_bytes.strip(_PRINTABLE):
            return text_start
    if not block.startswith(b"\0\0", start):
        return start
    text = len(block) - len(block[start:].lstrip(b"\0"))
    first_is_nul = encoding.newline.startswith(b"\0")  # big-endian: the first half of an ASCII character
    return text - first_is_nul if text < len(block) else start


def _is_utf8_in_utf16(block: bytes, start: int) -> bool | None:
    """Whether a line of a UTF-16 file is UTF-8; `None` if too little of it is there to know."""
    text, newline, after = block[start : start + _PROBE_BYTES].partition(b"\n")
    text = text.removesuffix(b"\r")
    if text.strip(_PRINTABLE):
        return False
    if newline and text:  # a short line, or UTF-16 that looks like one before a newline of two bytes
        return not after.startswith(b"\0") if after else None
    if newline:  # an empty line, or the newline's byte in another character
        return not after.strip(_PRINTABLE) if len(after) >= _PROBE_BYTES // 2 or b"\0" in after else None
    return len(text) >= _PROBE_BYTES - 1 or None
