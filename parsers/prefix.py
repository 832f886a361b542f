r"""What stands before the message: the executor's own prefix, and a container's around it.

    [2025-12-29 19:40:02] INFO: message                          the executor
    [2025-12-29 19:40:02] [INFO] message                         configured in its code, rare
    2025-12-23 19:47:57,427 - logger - INFO - message            scripts
    2025-12-23 19:47:57,427 [INFO] logger: message               configured, rare
    2025-12-23 19:47:57,427 [INFO] message                       configured, rare
    {"timestamp": "...", "message": "message"}                   configured, rare
    python : <any of them>                                       first line of a PowerShell capture
    {"log": "<any of them>\n", "stream": ..., "time": ...}       Docker
    2025-12-29T08:40:02.123456789Z stderr F <any of them>        CRI
    2025-12-29T19:40:02+1100 host unit[pid]: <any of them>       journal, short-iso
    Dec 29 19:40:02 host unit[pid]: <any of them>                syslog, which knows no year

The inner prefix wins where both are there; where a log has both, a line with the container's alone
was printed, not logged. A syslog time alone gives no time: a year would be a
guess.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime

from parsers.records import Stamp

_DATE_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
_ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
_UNIT = r" \S+ [^\s:\[]+(?:\[\d+\])?: "

_AROUND_TIME = (
    (r"\[", r"\] ", (r"[A-Z]+: ", r"\[[A-Z]+\] ")),
    ("", " ", (r"- \S+ - [A-Z]+ - ", r"\[[A-Z]+\] (?:[\w.]+: )?")),
)
"""The executor's own prefixes: what stands before and behind the time, and how each goes on after that."""


def _own(time: str) -> str:
    forms = (f"{before}{time}{behind}(?:{'|'.join(rests)})" for before, behind, rests in _AROUND_TIME)
    return "|".join(forms)


INNER = _own(_DATE_TIME)
_DAY = (
    "(?!0000)[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_TIME_THERE_IS = rf"{_DAY} (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.,][0-9]{{1,9}})?"
OWN = f"(?>{_own(_TIME_THERE_IS)})"
OWN_WITH_TIME = f"(?>{_own(f'({_TIME_THERE_IS})')})"
"""Any of them, as text, at a time that there is (not on the 29th of February, which takes more care).

Atomic, as a line is cut: what could be a logger's name is never taken for the message. The second has the
time as one of two groups; the other is empty.
"""
OUTER = (
    rf"{_ISO} (?:stdout|stderr) [FP] |{_ISO}{_UNIT}"
    rf"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d{_UNIT}"
)
POWERSHELL = r"python : "
JSON = r"\{\s*\""

_INNER = re.compile(INNER.encode())
_OUTER = re.compile(OUTER.encode())
_TIME = re.compile(_DATE_TIME.encode())
_LOGGED = re.compile(_DATE_TIME, re.ASCII)
_OWN_TIME = re.compile(_TIME_THERE_IS)
_ISO_TIME = re.compile(_ISO.encode())
_ANY_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII)
_STARTS_LINE = re.compile(rf"(?:{POWERSHELL})?(?:{INNER}|{OUTER}|{JSON})".encode())


@dataclass(frozen=True, slots=True)
class Prefixed:
    """A line cut into its prefix and its message.

    `stamp` is `None` where there is no prefix, or one without a usable time. `found` tells whether
    there is any prefix, `inner` and `outer` whether the executor's own and a container's are there.
    """

    stamp: Stamp | None
    message: bytes
    inner: bool = False
    outer: bool = False

    @property
    def found(self) -> bool:
        """Whether the message stands behind any prefix."""
        return self.inner or self.outer


def unwrapped(line: bytes, container_logs: bool) -> tuple[bytes, bool] | None:
    """Return what stands in a container's line, or in an object, where that is a line of the executor's own.

    An object's message that has no such prefix gets one, of the object's time, where `container_logs`.

    Returns:
        The line, with a newline, and whether its prefix is the executor's; `None` if it is another line.
    """
    outer = _split_json(line) if line.startswith(b"{") else _split_outer(line)
    if outer is None:
        return None
    if _INNER.match(outer.message):
        return outer.message + b"\n", True
    if container_logs and outer.stamp is not None and _OWN_TIME.fullmatch(outer.stamp.text):
        return b"[%b] INFO: %b\n" % (outer.stamp.text.encode(), outer.message), False
    return None


def time_in(prefix: str) -> datetime:
    """Return the time, naive, of an executor's own prefix that `OWN` matches."""
    found = _LOGGED.search(prefix)
    assert found is not None  # noqa: S101 - for the type checker
    return datetime.fromisoformat(found[0].replace(",", "."))


def starts_with_prefix(line: bytes) -> bool:
    """Whether a new message starts here, rather than the rest of the one above."""
    return _STARTS_LINE.match(line) is not None


def split_prefix(line: bytes) -> Prefixed:
    """Cut the prefix off a line (UTF-8, without its terminator)."""
    if line.startswith(POWERSHELL.encode()):
        line = line[len(POWERSHELL) :]
    inner = _split_inner(line)
    if inner is not None:
        return inner
    outer = _split_json(line) if line.startswith(b"{") else _split_outer(line)
    if outer is None:
        return Prefixed(None, line)
    inner = _split_inner(outer.message)
    return outer if inner is None else replace(inner, outer=True)


def times_of(line: bytes) -> tuple[Stamp, Stamp] | None:
    """Return the exact time of a container's prefix, and the local one of the executor's own inside it."""
    outer = _split_json(line) if line.startswith(b"{") else _split_outer(line)
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
    found = _OUTER.match(line)
    if found is None:
        return None
    iso = _ISO_TIME.match(line)
    return Prefixed(_stamp(iso[0].decode()) if iso else None, line[found.end() :], outer=True)


def _split_json(line: bytes) -> Prefixed | None:
    try:
        entry = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    text, time = (entry.get(key) for key in (("log", "time") if "log" in entry else ("message", "timestamp")))
    if not isinstance(text, str):
        return None
    message = text.partition("\n")[0].rstrip("\r").encode("utf-8", "replace")
    return Prefixed(_stamp(time) if isinstance(time, str) else None, message, outer=True)


def _stamp(text: str) -> Stamp | None:
    """Read a time in one of the exact forms above; a day or an hour that doesn't exist is none."""
    if not _ANY_TIME.fullmatch(text):
        return None
    try:
        return Stamp(text, datetime.fromisoformat(text.replace(",", ".")))
    except ValueError:
        return None
