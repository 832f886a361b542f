"""One input of the fuzzer: bytes into log files, the files into databases, and all that must be true then."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from faults.hostile import FIRST_NUMBER, GARBAGE, Draws, garbage_line, valid_line
from faults.tables import check_invariants, events, opened, rows_as_stored
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary
from ingest.verify import verify

MAX_LINES = 24
"""Lines of one input; more find nothing that fewer don't, and take longer."""

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
for _name in ("compression.zstd", "backports.zstd"):
    with suppress(ImportError):
        COMPRESSIONS["zst"] = importlib.import_module(_name).compress

WIDE = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
FORMS = ("plain", "utf-8-sig", *WIDE, *COMPRESSIONS)
DAMAGES = ("whole", "whole", "whole", "truncated", "flipped")

START = b"[2026-01-14 08:00:00] INFO: start"


@dataclass(frozen=True, slots=True)
class Made:
    """What an input became: the bytes of a log, and the numbers of the valid events in it.

    `counted` is whether every one of those must become a row: not if the log begins with anything at all,
    which may look like another kind of file, nor if it is damaged.
    """

    data: bytes
    form: str
    damage: str
    valid: frozenset[int]
    counted: bool
    kinds: Counter[str]


@dataclass(frozen=True, slots=True)
class Growth:
    """How the log comes into being a second time: in pieces, each read as a finished log or as a live one."""

    cuts: tuple[int, ...]
    finished: tuple[bool, ...]
    copied: bool


def growth(draws: Draws) -> Growth:
    """Choose how a log grows; the cuts are places in a log of any length, to be taken modulo it."""
    cuts = tuple(draws.number(2**24) for _ in range(1 + draws.number(2)))
    return Growth(cuts, tuple(draws.number(2) == 1 for _ in cuts), draws.number(4) == 1)


def made(draws: Draws) -> Made:
    """Make a log of the bytes of an input."""
    form, newline, starts = draws.pick(FORMS), draws.pick((b"\n", b"\r\n")), draws.number(8) > 0
    lines, valid, kinds = ([_physical(START, newline, form)] if starts else []), set[int](), Counter[str]()
    most = draws.pick((3, 8, MAX_LINES))
    while draws.left and len(lines) < most:
        kind, foreign = draws.pick(("valid", *GARBAGE, "valid")), draws.number(8) == 1
        if kind == "valid":
            number = len(valid)
            valid.add(FIRST_NUMBER + number)
            line = valid_line(draws, number).encode()
        else:
            line = garbage_line(kind, draws)
            line = _GARBAGE_PREFIX + line if form in WIDE else line
        lines.append(_physical(line, newline, form, foreign))
        kinds[f"foreign {kind}" if foreign else kind] += 1
    content = b"".join(lines)
    data = _stored(content[: len(content) - draws.pick((0, 0, 1, len(newline)))], form)
    damage = draws.pick(DAMAGES) if form in COMPRESSIONS else "whole"
    kinds |= Counter((form, f"{form} {damage}"))
    place = draws.number(2**24) % max(1, len(data))
    if damage == "truncated":
        data = data[:place]
    elif damage == "flipped":
        data = data[:place] + bytes([data[place] ^ (1 + draws.number(255))]) + data[place + 1 :]
    return Made(data, form, damage, frozenset(valid), starts and damage == "whole", kinds)


_GARBAGE_PREFIX = b"[2026-01-14 09:30:00] DEBUG: "
"""Without it a line of a wide capture would, rightly, be the rest of the one above."""


def _physical(line: bytes, newline: bytes, form: str, foreign: bool = False) -> bytes:
    """Write a line in the encoding of its file, or in the other one, as programs do that append to it."""
    narrow = line + newline
    if (form in WIDE) == foreign:
        return narrow
    wide = narrow.decode("utf-8", "replace").encode(form if form in WIDE else "utf-16-le")
    return narrow if foreign and b"\n" in wide[:-2] else wide  # half a character would end the line


def _stored(content: bytes, form: str) -> bytes:
    """Put the mark of its encoding before a log, or compress it."""
    if form in COMPRESSIONS:
        return COMPRESSIONS[form](content)
    return {**WIDE, "utf-8-sig": b"\xef\xbb\xbf"}.get(form, b"") + content


def check(data: bytes) -> Counter[str]:
    """Try one input; return which kinds of things were in it.

    Raises:
        AssertionError: something that must always be true is not.
        Exception: anything that the ingest raised; it must raise nothing, whatever is in a log.
    """
    draws = Draws(data)
    how, log = growth(draws), made(draws)
    with folder() as here:
        whole = in_one_pass(here / "whole", log)
        in_pieces(here / "pieces", log, whole, how)
        if how.copied:
            _with_a_copy(here / "whole", log)
    return log.kinds


@contextmanager
def folder() -> Iterator[Path]:
    """Give an input a folder of its own, and delete it in the end."""
    with tempfile.TemporaryDirectory(prefix="tokentail-fuzz-") as name:
        yield Path(name)


def _read(folder: Path, *logs: Path, finished: bool = True) -> Summary:
    options = IngestOptions("backfill", zone_named("UTC"), finished=finished)
    summary = ingest([str(path) for path in logs], folder / "t.db", options)
    assert summary.exit_code == bool(summary.problems)
    assert all(str(folder) in problem for problem in summary.problems), summary.problems
    check_invariants(folder / "t.db")
    return summary


def in_one_pass(folder: Path, log: Made) -> Path:
    """Read a log at once, then once more, then verify it; return the database."""
    folder.mkdir()
    path, database = folder / "executor.log", folder / "t.db"
    path.write_bytes(log.data)
    summary = _read(folder, path)
    stored = rows_as_stored(database)
    _check_counted(database, log, summary)
    again = _read(folder, path)
    assert rows_as_stored(database) == stored, "a second run changed the rows"
    assert again.events_new == again.events_updated == again.further_sightings == 0
    found = verify([str(path)], database)
    assert found.differences == [], found.differences
    return database


def _check_counted(database: Path, log: Made, summary: Summary) -> None:
    """Hold the rows against a plain count of the valid lines that were written."""
    if not log.counted:
        return
    trouble = {notice.code for notice in summary.notices if notice.level != "note"}
    assert trouble <= {"only-rejects", "unread"}, (summary.problems, summary.warnings)
    numbers = Counter(row["predicted_output_tokens"] for row in events(database))
    found = {number: count for number, count in numbers.items() if number >= FIRST_NUMBER}
    found = {number: count for number, count in found.items() if number < FIRST_NUMBER + MAX_LINES}
    assert found == dict.fromkeys(log.valid, 1), f"rows {found}, valid lines {sorted(log.valid)}"


def _places(database: Path) -> list[object]:
    """Return the events, and where each was seen or rejected."""
    query = (
        "SELECT byte_offset, line_number, event_key, phase_known FROM event_sightings "
        "JOIN token_estimation_v2_events USING (event_id) "
        "UNION ALL SELECT byte_offset, line_number, reason, line FROM rejected_lines ORDER BY 1"
    )
    with opened(database) as connection:
        return [*events(database), *(tuple(row) for row in connection.execute(query))]


def in_pieces(folder: Path, log: Made, whole: Path, how: Growth) -> None:
    """Let the same bytes grow in two or three pieces, read in between."""
    folder.mkdir()
    path = folder / "executor.log"
    cuts = sorted(cut % (len(log.data) + 1) for cut in how.cuts)
    for start, end, finished in zip((0, *cuts), (*cuts, None), (*how.finished, True), strict=True):
        with path.open("ab") as file:
            file.write(log.data[start:end])
        _read(folder, path, finished=finished)
    if log.damage != "flipped":  # how much can be read before a damage depends on the size of reads
        assert _places(folder / "t.db") == _places(whole), f"cut at {cuts}"


def _with_a_copy(folder: Path, log: Made) -> None:
    """Read a copy of the log as well: no event more, none changed."""
    before = events(folder / "t.db")
    (folder / "copy.log").write_bytes(log.data)
    _read(folder, folder / "executor.log", folder / "copy.log")
    assert events(folder / "t.db") == before
