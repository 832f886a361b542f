r"""Prefixes: the executor's own, and those that other programs put before a line.

    [2025-12-29 19:40:02] INFO: message                          the executor
    [2025-12-29 19:40:02] [INFO] message                         configured in its code, rare
    2025-12-23 19:47:57,427 - logger - INFO - message            scripts
    2025-12-23 19:47:57,427 [INFO] logger: message               configured, rare
    2025-12-23 19:47:57,427 [INFO] message                       configured, rare
    {"timestamp": "...", "message": "message"}                   configured, rare
    {"log": "<any of them>\n", "stream": ..., "time": ...}       Docker
    {"MESSAGE": "<any of them>", ...}                            journalctl -o json
    python : <any of them>                                       first line of a PowerShell capture
    12:<any of them>, run.log:12:<any of them>                   grep -n, grep -H

The table `OUTER_PREFIXES` has all prefixes of other programs, each with a sample; a line may have several of
them. A level may be padded, and a time may have a `T` in place of its space.

If a line has both kinds, the executor's own (inner) prefix counts; in a log with such lines, a line with the
container's prefix alone was printed, not logged. A time without its year, or with a zone that is given by
anything but an offset, is not used: that would be a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from parsers.escapes import ESCAPE, shown, without_escapes
from parsers.records import Stamp

WITHOUT_YEAR = r"-\d\d-\d\d[ T]\d\d:\d\d:\d\d"
"""A time behind its year, which has four digits: by this a prefix is searched for within a line."""

_DATE_TIME = rf"\d{{4}}{WITHOUT_YEAR}(?:[.,]\d{{1,9}})?"
_OFFSET = r"(?:Z|[+-]\d\d:?\d\d)"
_ISO = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{{1,9}})?{_OFFSET}"
_UNIT = r" \S+ [^\s:\[]+(?:\[\d+\])?: "
_MONTH_DAY = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d"
_MARK = r"(?:\xef\xbb\xbf)?"


class OuterPrefix(NamedTuple):
    """A prefix of another program: the program's name, the pattern, and a sample."""

    name: str
    pattern: str
    sample: str


OUTER_PREFIXES = (
    OuterPrefix("CRI", rf"{_ISO} (?:stdout|stderr) [FP] ", "2025-12-29T08:40:02.123456789Z stderr F "),
    OuterPrefix("journalctl -o short-iso", rf"{_ISO}{_UNIT}", "2025-12-29T19:40:02+1100 host unit[77]: "),
    OuterPrefix("GitLab CI", rf"{_ISO} [0-9a-f]{{2}}[OE] ", "2025-12-29T08:40:02.123456Z 01O "),
    OuterPrefix(
        "heroku logs",
        rf"{_ISO} (?:app|heroku)\[[\w.-]{{1,100}}\]: ",
        "2025-12-29T08:40:02.123456+00:00 app[worker.1]: ",
    ),
    OuterPrefix(
        "docker logs -t, kubectl logs --timestamps, an archive of CI",
        rf"{_MARK}{_ISO} ",
        "2025-12-29T08:40:02.1234567Z ",
    ),
    OuterPrefix(
        "gh run view --log",
        rf"[^\t\n]{{1,200}}+\t[^\t\n]{{1,200}}+\t{_MARK}{_ISO} ",
        "build (3.11)\tRun it\t2025-12-29T08:40:02.1234567Z ",
    ),
    OuterPrefix(
        "syslog, journalctl", rf"{_MONTH_DAY}(?:\.\d{{1,9}})?{_UNIT}", "Dec 29 19:40:02 host unit[77]: "
    ),
    OuterPrefix("ts", rf"{_MONTH_DAY} ", "Dec 29 19:40:02 "),
    OuterPrefix(
        "journalctl -o short-full, with-unit",
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{{1,9}})? \S+{_UNIT}",
        "Mon 2025-12-29 08:40:02 UTC host unit[77]: ",
    ),
    OuterPrefix(
        "journalctl -o short-unix", rf"\d{{9,11}}\.\d{{6}}{_UNIT}", "1766997602.123456 host unit[77]: "
    ),
    OuterPrefix(
        "journalctl -o short-monotonic",
        rf"\[ *\d{{1,12}}\.\d{{6}}(?: <[^>\n]{{1,20}}>)?\]{_UNIT}",
        "[ 1234.567890] host unit[77]: ",
    ),
    OuterPrefix(
        "RFC 5424",
        rf"(?:<\d{{1,3}}>)?1 (?:{_ISO}|-) \S+ \S+ \S+ \S+ (?:-|(?:\[(?:[^\]\\\n]|\\.)*+\])++) {_MARK}",
        '<134>1 2025-12-29T08:40:02.123Z host app 77 ID47 [origin ip="192.0.2.1"] ',
    ),
    OuterPrefix("a syslog priority", r"<\d{1,3}>", "<134>"),
    OuterPrefix(
        "kubectl logs --prefix", r"\[[a-z]{1,20}/[^\]\s]{1,300}\] ", "[pod/executor-5d9c7b4f8-x7k2p/app] "
    ),
    OuterPrefix("docker compose logs", r"[\w.@-]{1,200}+ *+\| ", "executor-1  | "),
    OuterPrefix(
        "stern",
        r"(?:[a-z0-9-]{1,63} )?[a-z0-9][a-z0-9.-]{0,250}-(?:[a-z0-9]{5}|\d{1,4}) [a-z0-9][a-z0-9-]{0,62} ",
        "executor-5d9c7b4f8-x7k2p app ",
    ),
    OuterPrefix("s6-log and multilog, TAI64N", r"@[0-9a-f]{24} ", "@4000000069523c5c075bcd15 "),
    OuterPrefix("svlogd", r"\d{4}-\d\d-\d\d[_T]\d\d:\d\d:\d\d\.\d{1,9} ", "2025-12-29_08:40:02.12345 "),
    OuterPrefix(
        "s6-log, ISO 8601", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}  ", "2025-12-29 19:40:02.123456789  "
    ),
)
"""The first that matches counts, so exact patterns come before general ones."""

_OWN_FORMS = (
    (r"\[", r"\] ", (r" *+[A-Z]++ *+: ", r"\[ *+[A-Z]++ *+\] ")),
    ("", " ", (r"- \S+ - *+[A-Z]++ ++- ", r"\[ *+[A-Z]++ *+\] (?:[\w.]+: )?")),
)
"""The executor's own prefixes: the text before and after the time, and what may follow."""


def _own(bracketed: str, bare: str) -> str:
    forms = (
        f"{before}{time}{after}(?:{'|'.join(rests)})"
        for time, (before, after, rests) in zip((bracketed, bare), _OWN_FORMS, strict=True)
    )
    return "|".join(forms)


INNER = _own(f"{_DATE_TIME}{_OFFSET}?", _DATE_TIME)
_DAY = (
    "(?!0000)[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_TIME_THERE_IS = rf"{_DAY}[ T](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.,][0-9]{{1,9}})?"
OWN = f"(?>{_own(_TIME_THERE_IS, _TIME_THERE_IS)})"
OWN_WITH_TIME = f"(?>{_own(*[f'({_TIME_THERE_IS})'] * 2)})"
"""Any of them, as text, with a time that exists (but for the 29th of February, which needs a calendar).

They are atomic, so that what may be a logger's name is never taken for the message. The second has the time
as one of two groups; the other group is empty.
"""
OUTER = "|".join(prefix.pattern for prefix in OUTER_PREFIXES)
SYSLOG = f"{_MONTH_DAY}{_UNIT}"
SURE = f"{_ISO} (?:stdout|stderr) [FP] |{_ISO}{_UNIT}|{SYSLOG}"
"""Those of them with which the rest of a wrapped line hardly begins."""

WITH_OFFSET = f"{SURE}|{_ISO} "
"""The same, and a time with an offset: no name of a run, a phase or a model goes on like any of these."""

POWERSHELL = r"python : "
JSON = r"\{\s*\""
_MAX_OUTER = 4
"""How many a line may have: a priority, a service, a time, and one more."""

_NAME = r"[^\s:\"'`\[\]{}=,;|<>]"
_GREP = re.compile(
    rf"(?:(?:[A-Za-z]:)?(?={_NAME}{{0,255}}[./\\]){_NAME}{{1,255}}(?::(?:\d{{1,12}}:){{0,2}}|-\d{{1,12}}-)"
    rf"|(?:\d{{1,12}}[:-]){{1,2}})(?=\[?\d{{4}}-\d\d-\d\d[ T]|\{{\"|[A-Z][a-z][a-z] )".encode()
)
r"""What `grep -n` and `grep -H` put before a line: its file, its number, or both."""

_INNER = re.compile(INNER.encode())
_TIME = re.compile(f"{_DATE_TIME}{_OFFSET}?".encode())
_LOGGED = re.compile(_DATE_TIME, re.ASCII)
_OWN_TIME = re.compile(_TIME_THERE_IS)
_ISO_TIME = re.compile(_ISO.encode())
_ANY_TIME = re.compile(rf"{_DATE_TIME}{_OFFSET}?", re.ASCII)
_OUTER_TIME = re.compile(
    rb"(?:[A-Z][a-z][a-z] )?"
    rb"(?:(\d{9,11}\.\d{6}) |(\d{4}-\d\d-\d\d[ _]\d\d:\d\d:\d\d(?:\.\d{1,9})?)(?: (\S+) | ?))"
)
_STARTS_LINE = re.compile(rf"(?:{POWERSHELL})?(?:{INNER}|{SURE}|{JSON})".encode())
_PROGRAM = re.compile(rb"(?:[A-Za-z]:\\[^:\n]{1,255}|[^\s:\[{\"'`|]{1,255}) : ")
"""The program's name, which PowerShell writes before the first line of a capture; it may hold spaces."""


@cache
def _outer() -> Callable[..., re.Match[bytes] | None]:
    """Match a prefix of another program; compiled when it is needed, since that takes a while."""
    return re.compile(OUTER.encode("latin-1")).match


@dataclass(frozen=True, slots=True)
class Prefixed:
    """A line cut into its prefix and its message.

    `stamp` is `None` if there is no prefix, or one without a usable time. `inner` is set if the executor's
    own prefix is there, `outer` if another program's is. `alone` is set for a line with `grep`'s prefix: the
    lines around it are not those of its log.
    """

    stamp: Stamp | None
    message: bytes
    inner: bool = False
    outer: bool = False
    alone: bool = False

    @property
    def found(self) -> bool:
        """Whether there is any prefix."""
        return self.inner or self.outer


def unwrapped(line: bytes, container_logs: bool) -> tuple[bytes, bool] | None:
    """Return the executor's line in a container's line, or in a JSON object.

    A message in an object that has no such prefix gets one with the object's time, if `container_logs`.

    Returns:
        The line, with a newline, and whether its prefix is the executor's; `None` if it is no such line.
    """
    time: object = None
    if line.startswith(b"{"):
        message_and_time = _message_in_object(line)
        if message_and_time is None:
            return None
        message, time = message_and_time
        if b"\0" in message:  # it was an escape, so the block that holds the line has none
            return None
    else:
        found = _outer()(line)
        if found is None:
            return None
        message = line[found.end() :]
    if _INNER.match(message):
        return message + b"\n", True
    if message.startswith(b"{") or _outer()(message):
        split = _split_outers(line)
        return (split.message + b"\n", True) if split and _INNER.match(split.message) else None
    if container_logs and isinstance(time, str) and _OWN_TIME.fullmatch(time):
        return b"[%b] INFO: %b\n" % (time.encode(), message), False
    return None


def own_line_at(text: bytes, index: int) -> tuple[int, int | None]:
    """Find one of the executor's own prefixes, given the index of its date or of a container's before it.

    Returns:
        Where it begins, and where it ends; the latter is `None` if there is none.
    """
    begin = index - 1 if index and text.startswith(b"[", index - 1) else index
    own = _INNER.match(text, begin)
    if own is None and (outer := _outer()(text, index)) is not None:
        begin, own = index, _INNER.match(text, outer.end())
    return begin, None if own is None else own.end()


def time_in(prefix: str) -> datetime:
    """Return the naive time of an executor's own prefix, as `OWN` matches it."""
    found = _LOGGED.search(prefix)
    assert found is not None  # noqa: S101 - for the type checker
    return moment_of(found[0])


def moment_of(time: str) -> datetime:
    """Return the moment of a time as any of these prefixes has it, or of its beginning down to a minute.

    Raises:
        ValueError: there is no such day or hour.
    """
    return datetime.fromisoformat(time.replace(",", "."))


def has_outer_prefix(line: bytes) -> bool:
    """Whether a line begins with a prefix of another program."""
    return line.startswith(b"{") or _outer()(line) is not None


def starts_with_prefix(line: bytes) -> bool:
    """Whether a new message starts here, rather than the rest of the line above."""
    return _STARTS_LINE.match(line) is not None


def split_prefix(line: bytes) -> Prefixed:
    """Cut the prefix off a line (UTF-8, without its terminator); escapes are removed."""
    line = _without_program(without_escapes(line))
    text = _without_program(shown(line))
    own = _split_inner(text)
    if own is not None:
        return own
    split = _split_outers(line) or (None if text is line else _split_outers(text))
    if split is None:
        return Prefixed(None, text)
    inner = _split_inner(split.message)
    return split if inner is None else replace(inner, outer=True)


def split_found(line: bytes) -> Prefixed | None:
    """Cut the prefixes off a line with `grep`'s own; `None` if it is another line."""
    line = without_escapes(line)
    found = _GREP.match(line)
    if found is None:
        return None
    prefixed = split_prefix(line[found.end() :])
    return replace(prefixed, alone=True) if prefixed.found else None


def _without_program(line: bytes) -> bytes:
    """Return the first line of a capture without the program's name, if a known prefix follows that."""
    if line.startswith((b"[", b"{")):
        return line
    if line.startswith(POWERSHELL.encode()):
        return line[len(POWERSHELL) :]
    found = _PROGRAM.match(line)
    return line[found.end() :] if found and _STARTS_LINE.match(line, found.end()) else line


def _split_outers(line: bytes) -> Prefixed | None:
    """Cut off the prefixes of other programs, one after another, up to the executor's own."""
    split = _split_next(line)
    if split is None:
        return None
    split = split if _INNER.match(split.message) else _split_further(split)
    return replace(split, message=shown(split.message)) if b"\r" in split.message else split


def _split_next(line: bytes) -> Prefixed | None:
    return _split_json(line) if line.startswith(b"{") else _split_outer(line)


def _split_further(split: Prefixed) -> Prefixed:
    """Cut off the prefixes after the first one; the last time among them counts."""
    for _ in range(_MAX_OUTER - 1):
        further = _split_next(split.message)
        if further is None:
            break
        split = further if further.stamp else replace(further, stamp=split.stamp)
        if _INNER.match(split.message):
            break
    return split


def times_of(line: bytes) -> tuple[Stamp, Stamp] | None:
    """Return the times of a container's prefix and of the executor's own in it, if exact and local."""
    outer = _split_outers(without_escapes(line))
    inner = None if outer is None else _split_inner(outer.message)
    if outer is None or outer.stamp is None or inner is None or inner.stamp is None:
        return None
    is_exact, is_local = outer.stamp.moment.tzinfo is not None, inner.stamp.moment.tzinfo is None
    return (outer.stamp, inner.stamp) if is_exact and is_local else None


def _split_inner(line: bytes) -> Prefixed | None:
    found = _INNER.match(line)
    if found is None:
        return None
    time = _TIME.search(line, 0, found.end())
    return Prefixed(_stamp(time[0].decode()) if time else None, line[found.end() :], inner=True)


def _split_outer(line: bytes) -> Prefixed | None:
    found = _outer()(line)
    if found is None:
        return None
    return Prefixed(_time_of_outer(found[0]), line[found.end() :], outer=True)


def _time_of_outer(prefix: bytes) -> Stamp | None:
    """Return the time of another program's prefix, if it is complete."""
    iso = _ISO_TIME.match(prefix) or _ISO_TIME.search(prefix)
    if iso is not None:
        return _stamp(iso[0].decode())
    found = _OUTER_TIME.match(prefix)
    if found is None:
        return None
    seconds, time, zone = found.groups()
    if seconds is not None:
        return _from_seconds(seconds.decode(), float(seconds))
    text = time.decode()
    stamp = _stamp(text.replace("_", " "))
    if stamp is None or zone is None:
        is_utc = "_" in text  # svlogd writes no other
        return stamp and Stamp(text, stamp.moment.replace(tzinfo=UTC) if is_utc else stamp.moment)
    return Stamp(text, stamp.moment.replace(tzinfo=UTC)) if zone in (b"UTC", b"GMT") else None


def stamp_of(text: str) -> Stamp | None:
    """Read the time of a custom prefix; `None` if it has no date."""
    if re.fullmatch(r"[0-9]{9,11}\.[0-9]+", text):
        return _from_seconds(text, float(text))
    day, clock = re.sub("[/.]", "-", text[:10]), text[10:19].replace("_", " ")
    stamp = _stamp(day + clock + text[19:].replace(" ", ""))
    return stamp and Stamp(text, stamp.moment)


def _from_seconds(text: str, seconds: float) -> Stamp | None:
    try:
        return Stamp(text, datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


_MESSAGES = (("log", "time"), ("message", "timestamp"), ("MESSAGE", "__REALTIME_TIMESTAMP"))
"""The keys of the text in a JSON object, and of its time: Docker's, the executor's, the journal's."""

_OBJECTS = json.JSONDecoder()
"""Used directly, since `json.loads` takes twice as long for a line."""


def _split_json(line: bytes) -> Prefixed | None:
    message_and_time = _message_in_object(line)
    return (
        None
        if message_and_time is None
        else Prefixed(_json_stamp(message_and_time[1]), message_and_time[0], outer=True)
    )


def _message_in_object(line: bytes) -> tuple[bytes, object] | None:
    """Return the message and the time of a line that is a JSON object; `None` if it has no message."""
    whole = line.decode("utf-8", "replace")
    try:
        entry, end = _OBJECTS.raw_decode(whole)
    except (ValueError, RecursionError):
        return None
    if whole[end:].strip(" \t\r\n"):
        return None
    for key, time_key in _MESSAGES:
        if key in entry and (text := _text_of(entry[key])) is not None:
            message = text.partition(b"\n")[0]
            if ESCAPE in message or b"\r" in message:
                message = shown(without_escapes(message))
            return message, entry.get(time_key)
    return None


def _text_of(value: object) -> bytes | None:
    """Return a message: text, or a list of bytes, which the journal writes for what is no plain text."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, list) and value and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value)
    return None


def _json_stamp(time: object) -> Stamp | None:
    if not isinstance(time, str):
        return None
    if len(time) == 16 and time.isdecimal() and time.isascii():  # microseconds, as the journal counts them
        return _from_seconds(time, int(time) / 1e6)
    return _stamp(time)


def _stamp(text: str) -> Stamp | None:
    """Read a time in one of the exact forms above; `None` if its day or hour doesn't exist."""
    if not _ANY_TIME.fullmatch(text):
        return None
    try:
        return Stamp(text, moment_of(text))
    except ValueError:
        return None
