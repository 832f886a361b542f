"""`--dry-run` of `ingest` and `backfill`: what would be stored, and which lines are understood."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ingest.cli import options
from ingest.cli.output import complain, remark, say, say_json
from ingest.preview import NotUnderstood, Preview, preview
from ingest.storing.library import import_library
from reports.terminal import counted

if TYPE_CHECKING:
    from ingest.cli.ingest import Chosen

MOST_KINDS = 20
"""Kinds of lines that are not understood that are shown; `--json` has all."""


def preview_ingest(command: str, paths: tuple[str, ...], chosen: Chosen) -> int:
    """Show what an ingest would do, and return what it would exit with."""
    from ingest.cli.ingest import ingest_options_of, show  # noqa: PLC0415 - they import this module

    import_library()
    database = options.chosen_database(chosen.db)
    found = preview(options.required_paths(paths), database, ingest_options_of(command, chosen))
    for trouble in (*found.summary.problems, *found.summary.warnings):
        complain(trouble)
    for note in found.summary.notes if not chosen.quiet else ():
        remark(note)
    if chosen.as_json:
        say_json({"dry_run": True, **found.summary.values(), **_record(found)})
    elif not chosen.quiet:
        say("nothing is stored; an ingest would say:")
        show(found.summary)
        _show(found)
    return found.summary.exit_code


def _record(found: Preview) -> dict[str, object]:
    return {
        "lines_by_family": dict(found.families.most_common()),
        "not_understood": [asdict(one) | {"stopped_at": _stopped_at(one)} for one in found.not_understood],
        "new_events_told": found.told,
    }


def _stopped_at(one: NotUnderstood) -> int | None:
    """Return the character, from 1, at which the first of them stops matching."""
    return None if one.stop is None else one.prefix_length + one.stop.reached + 1


def _show(found: Preview) -> None:
    summary = found.summary
    if summary.events_new:
        for what, told in found.told.items():
            kinds = ", ".join(f"{source} {count:,}" for source, count in told.items())
            known = sum(told.values())
            say(f"  {what} known of {known:,} of {summary.events_new:,}" + (f": {kinds}" if kinds else ""))
    if found.families:
        kinds = ", ".join(f"{name} {count:,}" for name, count in found.families.most_common())
        say(f"lines understood: {kinds}")
    if found.not_understood:
        say("lines not understood:")
    for one in found.not_understood[:MOST_KINDS]:
        say(f"  {_sentence(one)}")
    if len(found.not_understood) > MOST_KINDS:
        say(f"  and {len(found.not_understood) - MOST_KINDS:,} more kinds")


def _sentence(one: NotUnderstood) -> str:
    kind = f"{counted(one.lines, 'reject')}, {one.why}" if one.is_reject else counted(one.lines, "line")
    like = f" like `{one.family}`" if one.family and not one.is_reject else ""
    if one.stop is None:
        return f"{kind}{like}: {one.why}; the first is {one.first}"
    there = f"`{one.stop.found}`" if one.stop.found else "the line's end"
    return (
        f"{kind}{like}: the first, {one.first}, stops matching at character {_stopped_at(one)} "
        f"({there}), where it should be {one.stop.expected}"
    )
