"""Lines that are not what they seem: torn, in pieces, coloured, after prefixes of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

from faults.calls import Call
from faults.scenarios.scenario import BACKFILL, CRON, FINISHED, Scenario
from faults.tables import opened
from faults.world import World, append

TIME = "2026-01-14T09:00:00.123456789Z"


def _append(world: World, *lines: str) -> None:
    append(world.log, "".join(f"{line}\n" for line in lines).encode())


def _counted(world: World, **expected: int) -> None:
    """Require the counts of the only source."""
    if world.is_tokentail:
        with opened(world.database) as connection:
            (row,) = connection.execute("SELECT * FROM log_sources").fetchall()
        found = {name: row[name] for name in expected}
        world.require(found == expected, f"counted {found}, not {expected}")


def _in_steps(world: World, data: bytes, steps: int = 4) -> None:
    """Append bytes in steps that end anywhere, and read after each."""
    size = len(data) // steps + 1
    for start in range(0, len(data), size):
        append(world.log, data[start : start + size])
        world.read()


def torn(world: World) -> None:
    """A writer is killed before an event's newline, and the next one appends to that line, three times."""
    world.write(5)
    for _ in range(3):
        (call,) = world.made(1)
        _append(world, *call.lines[:2])
        append(world.log, call.event.encode())
        world.write(5)
        world.read()
    _counted(world, rejects=0, unread_lines=0)


def torn_in_a_number(world: World) -> None:
    """Killed within a number, and between two fields: that event is a reject, and what follows is read."""
    world.write(5)
    event = Call(9_000).event
    for cut in (event.index("actual_output") + 15, event.index("category=")):
        append(world.log, event[:cut].encode())
        world.write(3)
    world.read()
    _counted(world, rejects=2, unread_lines=0)


def printed_behind_torn(world: World) -> None:
    """A writer is killed before an event's newline, and what is printed next is glued to the model's name."""
    world.write(5)
    for printed in (
        "[drain_one_phase] ===== ENVIRONMENT IDENTITY =====",
        "Traceback (most recent call last):",
        "\u2705 Run 'run-a' verified in API database",
        "/usr/lib/python3/dist-packages/a/b.py:12: DeprecationWarning: old",
    ):
        (call,) = world.made(1)
        _append(world, *call.lines[:2])
        append(world.log, f"{call.event}{printed}\n".encode())
        world.write(5)
        world.read()
    _counted(world, rejects=0, unread_lines=0)
    if world.is_tokentail:
        with opened(world.database) as connection:
            (cut,) = connection.execute("SELECT COUNT(*) FROM event_sightings WHERE line_cut").fetchone()
        world.require(cut == 4, f"{cut} events are cut, not 4")


def after_other_text(world: World) -> None:
    """An event line behind other text may be quoted, so it is a reject; in quotation marks it is quoted."""
    event = Call(9_000).event
    world.write(5)
    _append(world, f"[2026-01-14 09:00:00] DEBUG: [HTTP] respon{event}")
    _append(world, f"[2026-01-14 09:00:00] DEBUG: body='{event}\\n{event}'")
    world.write(5)
    world.read()
    _counted(world, rejects=1, quoted_lines=2, unread_lines=0)


def _cri(text: str, stream: str, *cuts: int) -> list[str]:
    places = [0, *cuts, len(text)]
    tags = ["P"] * len(cuts) + ["F"]
    return [
        f"{TIME} {stream} {tag} {text[a:b]}" for tag, a, b in zip(tags, places[:-1], places[1:], strict=True)
    ]


def _docker(text: str, stream: str, *cuts: int) -> list[str]:
    text += "\n"
    places = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in pairwise(places)]
    return [
        json.dumps({"log": piece, "stream": stream, "time": TIME}, separators=(",", ":")) for piece in pieces
    ]


def _pieces(form: Callable[..., list[str]]) -> Callable[[World], None]:
    def play(world: World) -> None:
        """Every line comes in pieces, with another stream's lines between them, read in steps."""
        lines: list[str] = []
        for number, call in enumerate(world.made(20)):
            for line in call.lines:
                for piece in form(line, "stderr", 7 + number, 80, len(line) - 3):
                    lines += [piece, *form("noise", "stdout")]
        _in_steps(world, "".join(f"{line}\n" for line in lines).encode())
        _counted(world, rejects=0, unread_lines=0, quoted_lines=0)

    return play


def forged_by_a_piece(world: World) -> None:
    """A line's second piece begins with a quoted event line: a reject, no event."""
    event = Call(9_000).event
    text = f"[2026-01-14 09:00:00] DEBUG: answer: {event}"
    _append(world, *_cri(text, "stderr", text.index(event)))
    _append(world, *(line for call in world.made(5) for text in call.lines for line in _cri(text, "stderr")))
    world.read()
    _counted(world, rejects=1)


def coloured(world: World) -> None:
    """The same calls in coloured lines, behind progress bars and in plain lines are the same events."""
    calls = world.made(10)
    plain = [line for call in calls for line in call.lines]
    _append(world, *(f"\x1b[32m{line[:40]}\x1b[0m{line[40:]}\x1b[0m\x1b[K" for line in plain))
    _append(world, *(f" 10%|#  |\r 20%|## |\r{line.replace('=', chr(27) + '[1m=')}" for line in plain))
    world.read()
    _append(world, *plain)
    world.read()
    _counted(world, rejects=0, unread_lines=0)


def known_prefixes(world: World) -> None:
    """Archives of CI, kubectl, compose, the journal, RFC 5424, ts, padded levels."""
    puts = (
        "2026-01-14T09:00:00.1234567Z {}",
        "build\tRun\t2026-01-14T09:00:00.1234567Z {}",
        "[pod/executor-5d9c7b4f8-x7k2p/app] {}",
        "executor-1  | {}",
        "Wed 2026-01-14 09:00:00 UTC box executor[7]: {}",
        "<134>1 2026-01-14T09:00:00Z box executor 7 - - {}",
        "Jan 14 09:00:00 {}",
    )
    for put in puts:
        _append(world, *(put.format(line) for call in world.made(2) for line in call.lines))
    _append(
        world, *(line.replace("] INFO: ", "] INFO    : ") for call in world.made(2) for line in call.lines)
    )
    world.read()
    _counted(world, rejects=0, unread_lines=0)


def unknown_prefix(world: World) -> None:
    """For a prefix that nobody knows a template is shown; with one, the lines are read."""
    lines = [f"worker-3 says> {line}" for call in world.made(5) for line in call.lines]
    _append(world, *lines)
    outcome = world.read("--quiet")
    world.require("--prefix '{word} {word}> '" in outcome.errors + outcome.output, "no template is shown")
    world.log.unlink()
    _append(world, "another log")
    _append(world, *lines)
    world.read("--prefix", "{word} says> ")


def new_keys(world: World) -> None:
    """Event lines of a newer executor, which have further keys, are events."""
    lines = [line for call in world.made(10) for line in call.lines]
    _append(world, *(f"{line} seed=7 tier=fast" if "[TokenEst" in line else line for line in lines))
    world.read()
    _counted(world, rejects=0, unread_lines=0)


SCENARIOS = (
    Scenario(
        "R80", "a writer killed before a newline, the next one's lines glued to it", torn, FINISHED, False
    ),
    Scenario("R80b", "the same within a number, and between two fields", torn_in_a_number, FINISHED, False),
    Scenario("R80c", "an event line after other text, and quoted ones", after_other_text, FINISHED, False),
    Scenario("R80d", "printed text glued to a torn line", printed_behind_torn, FINISHED, False),
    Scenario("R81", "CRI's pieces of two streams", _pieces(_cri), CRON, False),
    Scenario("R81b", "Docker's pieces of two streams", _pieces(_docker), CRON, False),
    Scenario("R81c", "a piece that begins with a quoted event line", forged_by_a_piece, FINISHED, False),
    Scenario("R82", "colours and progress bars", coloured, FINISHED, False),
    Scenario("R83", "prefixes of containers, journals, loggers and CI", known_prefixes, FINISHED, False),
    Scenario("R83b", "a prefix that nobody knows, then named", unknown_prefix, BACKFILL, False),
    Scenario("R84", "event lines with new keys", new_keys, FINISHED, False),
)
