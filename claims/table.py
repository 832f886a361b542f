"""What was found, as tables: for a terminal, and between the marks of a document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.documents import markdown, put
from claims.promises import PROMISES, RARELY
from claims.trials import NEW_ANSWERS, Found
from claims.world import World
from reports.terminal import table

BEGIN, END = "<!-- claims: begin -->", "<!-- claims: end -->"

Rows = list[list[str]]


def world_text(world: World) -> str:
    """Describe a world in a few words."""
    parts = [f"{world.phases} phases", f"{world.cut:.0%} cut"]
    parts += [f"{world.tries} tries"] * (world.tries > 1) + ["skewed"] * world.skewed
    parts += [f"{world.strata} strata"] * (world.strata > 1) + ["one after the other"] * (not world.mixed)
    return ", ".join(parts)


def promises_rows(found: Sequence[Found]) -> tuple[Rows, bool]:
    """Return a row for each promise, with the worst that was found, and whether all were kept."""
    rows, kept = [["claim", "promised", "worst of all worlds", "in", ""]], True
    for promise in PROMISES:
        worst = promise.worst(found)
        if worst is None:
            rows.append([promise.name, "", "not measured", "", ""])
            continue
        value, where = worst
        sign = "at least" if promise.least else "at most"
        fine = promise.is_kept(value)
        kept = kept and fine
        shown = [f"{sign} {promise.shown.format(promise.wanted)}", promise.shown.format(value)]
        rows.append([promise.name, *shown, world_text(where.world), "kept" if fine else "NOT KEPT"])
    return rows, kept


def worlds_rows(found: Sequence[Found]) -> Rows:
    """Return a row for each number of phases, share of cuts and target: the range over their worlds."""
    header = ["phases", "cut", "target", "budget shown", "it truncates", "factor shown", "interval holds"]
    rows = [[*header, "proposed", "change seen"]]
    groups: dict[tuple[int, float, float], list[Found]] = {}
    for case in found:
        if case.world.changes_at is None:
            groups.setdefault((case.world.phases, case.world.cut, case.wish.limit), []).append(case)
    for (phases, cut, limit), group in sorted(groups.items()):
        often = [case for case in group if case.shown("budget") >= RARELY]
        single = [case for case in group if case.world.strata == 1]
        rows.append(
            [
                *(f"{phases}", f"{cut:.0%}", f"{limit:.0%}"),
                _range([case.shown("budget") for case in group], 0),
                _range([case.mean("budget") for case in often], 1),
                _range([case.shown("factor") for case in single], 0),
                _range([case.mean("factor covered") for case in single], 1),
                _range([case.mean("proposed") for case in single], 1),
                _range([case.mean("change") for case in group], 1),
            ]
        )
    return rows


def _range(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    low, high = f"{min(known):.{digits}%}", f"{max(known):.{digits}%}"
    return low if low == high else f"{low} to {high}"


def plain(rows: Rows) -> str:
    """Lay a table out for a terminal."""
    return "\n".join(table(rows[0], rows[1:], len(rows[0])))


def write(document: Path, found: Sequence[Found]) -> None:
    """Put the tables between the marks of a document.

    Raises:
        ValueError: the document has no marks.
    """
    repeats = sorted({case.repeats for case in found})
    samples = f"{repeats[0]:,}" if len(repeats) == 1 else f"{repeats[0]:,} to {repeats[-1]:,}"
    answers = f"{NEW_ANSWERS:,}"
    said = f"{len(found)} worlds, {samples} samples of each, {answers} new answers held against each sample."
    parts = [said, markdown(promises_rows(found)[0]), markdown(worlds_rows(found))]
    put(document, (BEGIN, END), "\n" + "\n\n".join(parts) + "\n")
