"""A copy in which one call was changed, as long as before: only their middles differ.

What a checkpoint remembers of its log (the first bytes, the bytes before it, the newest event, an unfinished
line) stands in the copy as well. Taken for its log, the copy would lose the call that is only there.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from faults.calls import Call, text_of
from faults.injection import LARGE_BYTES
from faults.scenarios.scenario import ALL, FINISHED, Scenario
from faults.world import World, append

CALLS = 60
CHANGED = (4, 30, 58)
"""Which call differs: one soon after the head, one in the middle, the last one before the tail."""

SEEN_AT_START, SEEN_AT_END = 1024, 256
"""Bytes of a log by which its source is known: its first ones, and those before the checkpoint."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A log, its changed copy, and what is in them."""

    log: Path
    copy: Path
    data: bytes
    changed: bytes

    def write(self) -> None:
        """Write the log."""
        self.log.write_bytes(self.data)

    def write_copy(self) -> None:
        """Write the copy, with the log's own times, as a person's `cp -p` and an editor may leave it."""
        self.copy.write_bytes(self.changed)
        shutil.copystat(self.log, self.copy)


def pairs(world: World) -> list[Pair]:
    """Make two pairs for each place: the changed call is of another phase, or of the same and in its second.

    Half of what is backfilled ends without a newline: what is taken of such a line is remembered as well.
    """
    world.gone(world.made(100))  # from here on, all numbers have three digits: calls are of one length
    world.watch("*.log*")
    if world.mode == "named":
        world.watched = lambda: sorted(world.logs.iterdir())
    made = []
    for place in CHANGED:
        for is_in_same_phase in (False, True):
            calls = world.made(CALLS)
            (other,) = world.made(1, like=calls[place].number if is_in_same_phase else None)
            texts = text_of(calls), text_of([*calls[:place], other, *calls[place + 1 :]])
            if is_in_same_phase and world.mode == "backfill":
                texts = texts[0].removesuffix("\n"), texts[1].removesuffix("\n")
            name = f"{place}{'-alike' if is_in_same_phase else ''}.log"
            files = (world.logs / f"a{name}", world.logs / f"b{name}")
            pair = Pair(*files, texts[0].encode(), texts[1].encode())
            world.require(_seems_the_same(pair, calls[-1]), "the scenario itself is wrong")
            made.append(pair)
    return made


def _seems_the_same(pair: Pair, last: Call) -> bool:
    """Whether the log and its copy have the same size, head, tail and newest event."""
    newest = last.event.encode()
    return (
        len(pair.data) == len(pair.changed)
        and pair.data[:SEEN_AT_START] == pair.changed[:SEEN_AT_START]
        and pair.data[-SEEN_AT_END:] == pair.changed[-SEEN_AT_END:]
        and pair.data.index(newest) == pair.changed.index(newest)
        and pair.data != pair.changed
    )


def _read(world: World) -> None:
    """Read what is new; finished logs in several processes, however small they are."""
    many = world.mode == "backfill"
    world.read(*(("--jobs", "2") if many else ()), faults={LARGE_BYTES: "1"} if many else None)


def read_together(world: World) -> None:
    """The log and its changed copy are there from the start: 61 events of each pair, never 60."""
    for pair in pairs(world):
        pair.write()
        pair.write_copy()
    _read(world)


def copied_later(world: World) -> None:
    """The log is read, then its changed copy, and then both grow by the same call."""
    made = pairs(world)
    for pair in made:
        pair.write()
    _read(world)
    for pair in made:
        pair.write_copy()
    _read(world)
    for pair in made:
        grown = text_of(world.made(1)).encode()
        for path in (pair.log, pair.copy):
            append(path, (b"" if pair.data.endswith(b"\n") else b"\n") + grown)
    _read(world)


def copied_and_packed(world: World) -> None:
    """The copy comes as a .gz, beside the log or beside the log's own .gz."""
    made = pairs(world)
    for pair in made:
        pair.write()
    _read(world)
    for number, pair in enumerate(made):
        pair.write_copy()
        world.compress(pair.copy)
        if number % 2:
            world.compress(pair.log)
    _read(world)


def copied_after_a_rotation(world: World) -> None:
    """The log was rotated, packed or not, when its changed copy appears beside it."""
    _rotated(world, in_its_place=False)


def copied_in_its_place(world: World) -> None:
    """The log was rotated, packed or not, and its changed copy has its name."""
    _rotated(world, in_its_place=True)


def _rotated(world: World, in_its_place: bool) -> None:
    made = pairs(world)
    for pair in made:
        pair.write()
    _read(world)
    for number, pair in enumerate(made):
        rotation = pair.log.with_name(f"{pair.log.name}.1")
        pair.write_copy()
        pair.log.rename(rotation)
        if number % 2:
            world.compress(rotation)
        if in_its_place:
            pair.copy.rename(pair.log)
    if in_its_place and world.mode == "named":
        world.watched = lambda: [pair.log for pair in made]
    _read(world)


SCENARIOS = (
    Scenario("R53", "a copy with one call changed, read with its log", read_together, ALL),
    Scenario("R54", "the same, the copy a run later; both grow", copied_later, ALL),
    Scenario("R55", "the same, the copy in a .gz", copied_and_packed, FINISHED, others=False),
    Scenario("R56", "the same, the copy after a rotation", copied_after_a_rotation, FINISHED, others=False),
    Scenario("R57", "the same, the copy in the rotated log's place", copied_in_its_place, ALL, others=False),
)
