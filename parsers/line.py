r"""Reading one line: its prefix, then the family of its message.

Markers count only directly after the prefix: real logs quote whole other logs inside one line, and dump raw
model output, which may contain anything. A line may hold several lines, if a writer was killed in the middle
of one and the next writer appended to it; `parsers.torn` finds where they begin.

If the event's marker is anywhere else, the line is counted by what is before the marker:

    a known prefix, other text, one of the executor's own prefixes   a reject, "behind other text"
    the same, or the marker, directly behind a quotation mark or \n  a quotation
    a known prefix, other text, and then what reads as an event      unread: likely a dialect
    the same, but it doesn't read as one                             a quotation
    anything else                                                    unread
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal, NamedTuple

from parsers import event
from parsers.escapes import ESCAPE, places_in, shown, without_escapes
from parsers.family import Family
from parsers.prefix import INNER, POWERSHELL, Prefixed, has_outer_prefix, split_found, split_prefix
from parsers.records import EstimationEvent, Malformed, Noted, Record, Stamp
from parsers.registry import FAMILIES
from parsers.template import Template, template_of
from parsers.torn import Tear, closed, is_quoted, objects, own_prefix_before, tears

# Most lines are read without these patterns, so they are compiled when they are needed.
Match = Callable[..., re.Match[bytes] | None]


@cache
def _opening() -> Match:
    """Match the opening of a message; the number of the last group is that of the family."""
    return re.compile("|".join(f"({family.opening})" for family in FAMILIES).encode()).match


_LISTED = "|".join(family.opening for family in FAMILIES if not family.markers)
_MAY_BE_LISTED = re.compile(rf"(?:{POWERSHELL})?+(?:{INNER})?+(?:{_LISTED})".encode())


def may_be_listed(line: bytes, template: Template | None = None) -> bool:
    """Whether a line directly below a list may continue the list, judging by its indentation."""
    own = template.split(without_escapes(line)) if template is not None else None
    if own is not None and _MAY_BE_LISTED.match(own.message):
        return True
    if b"\r" in line or ESCAPE in line:
        line = shown(without_escapes(line))
    if _MAY_BE_LISTED.match(line):
        return True
    return (b"   " in line or b'"  ' in line) and not line.startswith(b"[2") and has_outer_prefix(line)


MARKER = event.MARKER.encode()

_MAX_EVENT_BYTES = 16 * 1024
"""The longest text that is read to find out whether it is an event behind other text."""

MarkerRole = Literal["quotation", "unread"]


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """What a line says, and when it was logged (`None` if the line has no usable time).

    `alone` is set for a line with `grep`'s prefix: the lines around it are not those of its log.
    `new_keys` are the unknown keys of an event line.
    """

    stamp: Stamp | None
    record: Record
    alone: bool = False
    new_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One of the lines that a line holds; nearly always it is the only one.

    `start` is its index in the line and `text` its bytes, both as logged. `parsed` is `None` if it says
    nothing. `is_cut` is set if another line begins in the middle of it. `occurrences` counts the event's
    marker in it; `marker_role` is what the first one is, if the part is neither an event nor a reject.
    `may_start_run` is set if a run may have started in it: the known beginning of the run's name.
    """

    start: int
    text: bytes
    parsed: ParsedLine | None
    is_cut: bool = False
    occurrences: int = 0
    marker_role: MarkerRole | None = None
    may_start_run: str | None = None

    @property
    def quoted(self) -> int:
        """How many occurrences are quotations: all but the first one, or all."""
        return self.occurrences if self.marker_role == "quotation" else max(0, self.occurrences - 1)


def parse_line(
    line: bytes, container_logs: bool = True, template: Template | None = None
) -> ParsedLine | None:
    """Read a line (UTF-8, without its terminator; invalid bytes are replaced); `None` if it says nothing.

    `container_logs` is false in a log whose lines have the executor's own prefix inside that of a container:
    there a line without the inner prefix was printed, like a line without any prefix in other logs. If a
    line holds several, the first one is read.
    """
    return parts_of(line, container_logs, template)[0].parsed


def parts_of(
    line: bytes,
    container_logs: bool = True,
    template: Template | None = None,
    is_listing: bool = False,
    is_cut: bool = False,
) -> list[Part]:
    """Return the lines that a line holds, in order, at least one.

    `is_listing` is set directly below a line of a list, which this line may continue; `is_cut` is set if the
    end of the line is missing for good.
    """
    plain = without_escapes(line)
    prefixed = prefixed_of(plain, template)
    found_objects = objects(plain) if plain.startswith(b"{") and not prefixed.found else []
    if not found_objects:
        return _counted(_Reader(line, container_logs, is_listing).parts(prefixed, plain, is_cut), plain)
    starts = [found.start for found in found_objects]
    parts = []
    for found, end, place in zip(
        found_objects, [*starts[1:], len(plain)], places_in(line, starts), strict=True
    ):
        text = plain[found.start : end]
        read = _Reader(text, container_logs, is_listing).parts(split_prefix(found.text), text, found.is_cut)
        parts += [replace(part, start=place + part.start) for part in read]
    return _counted(parts, plain)


def _counted(parts: list[Part], plain: bytes) -> list[Part]:
    """Add to the last part the occurrences outside all parts: in overwritten text, or in another JSON key."""
    last = parts[-1]
    others = plain.count(MARKER) - sum(part.occurrences for part in parts)
    if others <= 0:
        return parts
    marker_role = last.marker_role if last.occurrences else "quotation"
    return [*parts[:-1], replace(last, occurrences=last.occurrences + others, marker_role=marker_role)]


def prefixed_of(plain: bytes, template: Template | None) -> Prefixed:
    """Cut the prefix off a line without escapes: a known one, `grep`'s, or that of a custom template."""
    prefixed = split_prefix(plain)
    if not prefixed.found:
        prefixed = split_found(plain) or prefixed
    if template is not None and _family(prefixed) is None:
        own = template.split(plain)
        inner = None if own is None else split_prefix(own.message)
        if own is not None and inner is not None and inner.inner:
            return replace(inner, outer=True)
        if own is not None and _family(own) is not None:
            return own
    return prefixed


def _family(prefixed: Prefixed) -> Family | None:
    """Return the family whose opening follows the prefix."""
    opening = _opening()(prefixed.message)
    if opening is None or opening.lastindex is None:
        return None
    family = FAMILIES[opening.lastindex - 1]
    return family if prefixed.found or not family.needs_prefix else None


class _Piece(NamedTuple):
    """One of the lines that a line holds, not read yet: its index, its text as logged, its message."""

    start: int
    text: bytes
    prefixed: Prefixed
    is_cut: bool
    is_quoted: bool
    occurrences: int


class _Reader:
    """A reader of the lines that one line holds; `line` is as logged."""

    def __init__(self, line: bytes, container_logs: bool, is_listing: bool) -> None:
        self._line = line
        self._container_logs = container_logs
        self._is_listing = is_listing

    def parts(self, prefixed: Prefixed, plain: bytes, is_cut: bool = False) -> list[Part]:
        """Cut a line where others begin in it, and read each; `is_cut` if the line's own end is missing."""
        cuts = list(self._cuts(prefixed, plain))
        if not cuts:
            occurrences = max(plain.count(MARKER), prefixed.message.count(MARKER))
            return [self._part(_Piece(0, self._line, prefixed, is_cut, False, occurrences))]
        starts = [0, *self._starts(prefixed.message, plain, cuts)]
        return [
            self._part(
                _Piece(
                    start,
                    self._line[start:end],
                    piece,
                    is_cut or not is_last,
                    is_quoted,
                    piece.message.count(MARKER),
                )
            )
            for start, end, is_last, (piece, is_quoted) in zip(
                starts,
                [*starts[1:], len(self._line)],
                [*(False for _ in cuts), True],
                self._messages(prefixed, cuts),
                strict=True,
            )
        ]

    def _part(self, piece: _Piece) -> Part:
        start, text, prefixed, is_cut, is_quoted, occurrences = piece
        if is_quoted:
            return Part(start, text, None, is_cut, occurrences, "quotation")
        trusted = self._trusted(prefixed)
        parsed = _read(trusted, is_cut)
        part = Part(start, text, parsed, is_cut, occurrences)
        if parsed is None:
            part = replace(part, may_start_run=_may_start_run(trusted))
        if not occurrences or (parsed is not None and _counts(parsed.record)):
            return part
        marker_role = _marker_role(prefixed, text)
        if marker_role == "reject":
            rejected = ParsedLine(prefixed.stamp, Malformed("behind other text"), prefixed.alone)
            return replace(part, parsed=rejected)
        return replace(part, marker_role=marker_role)

    def _trusted(self, prefixed: Prefixed) -> Prefixed:
        """Return a printed line without its container's prefix, in a log whose logged lines have both."""
        if not self._container_logs and not prefixed.inner:
            return Prefixed(None, prefixed.message)
        return prefixed

    def _may_be_torn(self, prefixed: Prefixed) -> bool:
        family = _family(self._trusted(prefixed))
        return family is not None and (self._is_listing or bool(family.markers))

    def _cuts(self, prefixed: Prefixed, plain: bytes) -> Iterator[Tear]:
        """Yield where lines end, as long as each belongs to a family; stop after the first quoted one."""
        before, message, piece = 0, prefixed.message, prefixed
        for tear in tears(message, partial(_around, plain, message)) if self._may_be_torn(prefixed) else ():
            piece = piece if before == 0 else split_prefix(message[before : tear.start])
            if not self._may_be_torn(replace(piece, message=message[: tear.start]) if before == 0 else piece):
                return
            yield tear
            if tear.is_quoted:
                return
            before = tear.start

    @staticmethod
    def _messages(prefixed: Prefixed, cuts: list[Tear]) -> Iterator[tuple[Prefixed, bool]]:
        """Yield the lines into which a message is cut, and whether each is only quoted."""
        message = prefixed.message
        yield replace(prefixed, message=message[: cuts[0].start]), False
        for cut, end in zip(cuts, [*(cut.start for cut in cuts[1:]), len(message)], strict=True):
            piece = split_prefix(message[cut.start : end])
            yield replace(piece, outer=piece.outer or prefixed.outer, alone=prefixed.alone), cut.is_quoted

    def _starts(self, message: bytes, plain: bytes, cuts: list[Tear]) -> Iterator[int]:
        """Yield the index, in the line as logged, of each line that is cut off the message."""
        text = plain.rstrip(b"\r")
        if text.endswith(message):
            before = len(text) - len(message)
            yield from places_in(self._line, [before + cut.start for cut in cuts])
            return
        last = 0
        for cut in cuts:  # within a JSON object, where a prefix is not escaped
            last = max(last + 1, self._line.find(message[cut.start : cut.start + 25], last + 1))
            yield last


def _around(plain: bytes, message: bytes) -> bytes:
    """Return the text of a line before the executor's own prefix of its message."""
    text = plain.rstrip(b"\r")
    begin = own_prefix_before(text, len(text) - len(message)) if text.endswith(message) else None
    return text[:begin] if begin else b""


def _counts(record: Record) -> bool:
    """Whether a record accounts for a marker: it becomes a sighting, a reject or a failed write."""
    return isinstance(record, EstimationEvent | Malformed) or record == Noted("write_failure")


def _read(prefixed: Prefixed, is_cut: bool) -> ParsedLine | None:
    family = _family(prefixed)
    if family is None:
        return None
    message = prefixed.message.rstrip(b"\0").decode("utf-8", "replace")
    record = family.read(message)
    if "\0" in message:  # a part of the file that was never written, or was removed
        record = Malformed("holds NUL") if isinstance(record, EstimationEvent | Malformed) else None
    elif is_cut:
        record = _as_far_as_cut(family, message, record)
    if isinstance(record, EstimationEvent) and prefixed.stamp is None:
        record = Malformed("no timestamp")
    if record is None:
        return None
    keys = event.new_keys(message) if isinstance(record, EstimationEvent) else ()
    return ParsedLine(prefixed.stamp, record, prefixed.alone, keys)


def _as_far_as_cut(family: Family, message: str, record: Record | None) -> Record | None:
    """Return the record of a message that was cut, as far as it can be believed.

    An event that was cut within its model is one; any other record must not change if the message goes on.
    """
    if isinstance(record, Malformed):
        return Malformed("torn")
    if isinstance(record, EstimationEvent) or record == family.read(message + "0"):
        return record
    return None


_STARTS_RUN = re.compile(
    rb"Initialized autonomous executor for run: |\[LOCK\] Acquired executor lock for run_id="
)


def _may_start_run(prefixed: Prefixed) -> str | None:
    """Return the known beginning of a run's name, if a run may have started in a torn line, else `None`.

    The text that starts a run must follow one of the executor's own prefixes, which must not be quoted.
    """
    message = prefixed.message
    for found in _STARTS_RUN.finditer(message):
        own = own_prefix_before(message, found.start())
        if found.start() == 0 and prefixed.found:
            return message[found.end() :].decode("utf-8", "replace").rstrip()
        if is_quoted(message, found.start() if own is None else own):
            return None
        if own is not None:
            return ""
    return None


def _marker_role(prefixed: Prefixed, text: bytes) -> Literal["reject", "quotation", "unread"]:
    """Return what the event's marker is in a line that is neither an event nor a reject by itself."""
    message = prefixed.message
    at = message.find(MARKER)
    if at < 0:  # in overwritten text, in another key of an object, or beyond the limit
        there = text.find(MARKER)
        is_known = prefixed.found and (there < 0 or is_quoted(text, there))
        return "quotation" if b"\r" in text or is_known else "unread"
    if not prefixed.found:
        return "unread"
    first = at
    while at >= 0:
        own = own_prefix_before(message, at)
        if is_quoted(message, at if own is None else own):
            return "quotation" if at == first or not _is_event(message, first) else "unread"
        if own is not None:
            return "reject"
        at = message.find(MARKER, at + 1)
    return "unread" if _is_event(message, first) else "quotation"


def _is_event(message: bytes, at: int) -> bool:
    text = message[at : at + _MAX_EVENT_BYTES + 1]
    return len(text) <= _MAX_EVENT_BYTES and isinstance(
        event.read(text.decode("utf-8", "replace")), EstimationEvent
    )


def occurrences_in(line: bytes) -> int:
    """Count the event's marker in a line, by a plain search."""
    plain = without_escapes(line)
    count = plain.count(MARKER)
    return count if count or not plain.startswith(b"{") else split_prefix(plain).message.count(MARKER)


def marker_role_of(line: bytes) -> Literal["reject", "quotation", "unread"]:
    """Return what the event's marker is in a line of which only the beginning is there."""
    plain = without_escapes(line)
    return _marker_role(_beginning(plain), plain)


def _beginning(plain: bytes) -> Prefixed:
    """Cut the prefix off a line of which only the beginning is there."""
    prefixed = split_prefix(plain)
    whole = closed(plain) if plain.startswith(b"{") and not prefixed.found else None
    return prefixed if whole is None else split_prefix(whole)


def template_for(text: bytes) -> str | None:
    """Return a template of a prefix with which an unread line would be an event, if there is one."""
    plain = shown(without_escapes(text))
    at = plain.find(MARKER)
    own = own_prefix_before(plain, at)
    head = plain[: at if own is None else own]
    return template_of(head) if at >= 0 and _is_event(plain, at) else None


def shows_both_prefixes(line: bytes) -> bool:
    """Whether a line has the executor's own prefix inside that of a container."""
    prefixed = split_prefix(line)
    return prefixed.inner and prefixed.outer


def is_event_line(line: bytes) -> bool:
    """Whether a line begins like an event line."""
    return _beginning(without_escapes(line)).message.startswith(MARKER)


def is_whole_event(line: bytes) -> bool:
    """Whether a line is an event as it is."""
    parsed = parse_line(line)
    return parsed is not None and isinstance(parsed.record, EstimationEvent)
