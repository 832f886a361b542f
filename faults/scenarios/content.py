"""What is in the bytes: lines in pieces, encodings, damage, length, and lines that are no events."""

from __future__ import annotations

import codecs

from faults.calls import Call, text_of
from faults.costs import measured
from faults.injection import CHUNK_BYTES
from faults.scenarios.scenario import ALL, BACKFILL, CRON, FINISHED, FOLDER, Scenario
from faults.tables import opened
from faults.tailers import command_of
from faults.world import World, append

MEMORY_BYTES = 80_000_000
"""What the process may take, twice what it does: with a line of 64 MB that it held, it would go beyond it."""


def partial_line(world: World) -> None:
    """The last line comes in pieces, cut within a character and down to one byte."""
    world.write(20)
    data = text_of(world.made(1, category="é✓ docs")).encode()
    event = data.rindex(b"[20")
    cuts = [event + 60, data.index("é".encode()) + 1, data.index("✓".encode()) + 2, len(data) - 1]
    start = 0
    for cut in [*cuts, len(data)]:
        append(world.log, data[start:cut])
        world.read()
        start = cut
    world.write(5)
    world.read()


def every_byte_a_run(world: World) -> None:
    """The last twelve bytes of an event come one by one, with a run after each."""
    data = text_of(world.made(1)).encode()
    append(world.log, data[:-12])
    for byte in data[-12:]:
        world.read()
        append(world.log, bytes([byte]))
    world.read()


def small_reads(world: World) -> None:
    """Characters of several bytes across every boundary of reads of 1 to 64 bytes."""
    append(world.log, text_of(world.made(15, category="é✓😀 docs")).encode())
    for size in (1, 2, 3, 7, 64):
        append(world.log, text_of(world.made(5, category=f"é✓😀 {size}")).encode())
        world.read(faults={CHUNK_BYTES: str(size)})


def utf16(world: World, codec: str, mark: bytes) -> None:
    """Write a capture in UTF-16 with CRLF, appended between runs, cut within a unit."""
    append(world.log, mark)
    for _ in range(3):
        data = text_of(world.made(15), "\r\n").encode(codec)
        append(world.log, data[:-3])
        world.read()
        append(world.log, data[-3:])
    world.read()


def utf16_le(world: World) -> None:
    """UTF-16 LE with a mark."""
    utf16(world, "utf-16-le", codecs.BOM_UTF16_LE)


def utf16_be(world: World) -> None:
    """UTF-16 BE with a mark."""
    utf16(world, "utf-16-be", codecs.BOM_UTF16_BE)


def utf32(world: World) -> None:
    """UTF-32 is named and not read; written as UTF-8 it is."""
    data = text_of(world.made(20))
    for codec in ("utf-32-le", "utf-32-be"):
        world.log.write_bytes(f"\ufeff{data}".encode(codec))
        world.read(exits=1, says=("UTF-32, which is not read: write it as UTF-8", "run.log"))
    world.log.write_text(data)
    world.read()


def utf8_mark(world: World) -> None:
    """UTF-8 with a byte order mark: it is no part of the first line."""
    calls = world.made(20)
    append(world.log, codecs.BOM_UTF8 + text_of(calls[:1]).encode())
    world.read()
    append(world.log, text_of(calls[1:]).encode())
    world.read()


def invalid_byte(world: World) -> None:
    """An invalid byte in one of a hundred events: that one is kept too."""
    world.write(50)
    call = world.made(1, category="do\ufffdcs")[0]
    append(world.log, text_of([call]).encode().replace("\ufffd".encode(), b"\xff"))
    world.write(49)
    world.read()
    world.read()


def utf16_appended(world: World) -> None:
    """PowerShell 5.1 appended UTF-16 to a UTF-8 log, and a program UTF-8 after that."""
    world.write(10)
    append(world.log, text_of(world.made(10), "\r\n").encode("utf-16-le"))
    world.read(says="the encoding changes at offset")
    append(world.log, text_of(world.made(10), "\r\n").encode("utf-16-le"))
    world.write(10)
    world.read()


def utf8_appended(world: World) -> None:
    """A program appended UTF-8 to a capture in UTF-16, and PowerShell UTF-16 after that."""
    append(world.log, codecs.BOM_UTF16_LE + text_of(world.made(10), "\r\n").encode("utf-16-le"))
    world.write(10)
    world.read(says="the encoding changes at offset")
    append(world.log, text_of(world.made(10), "\r\n").encode("utf-16-le"))
    world.write(10)
    append(world.log, b"[2026-01-14 12:00:00] INFO: a line of any length to end it\n")
    world.read()


def wrapped_capture(world: World) -> None:
    """A capture wrapped at 119 columns, which a run finds cut within the first piece of an event."""
    append(world.log, codecs.BOM_UTF16_LE)
    for _ in range(3):
        lines = [line for call in world.made(8) for line in call.lines]
        pieces = [line[start : start + 119] for line in lines for start in range(0, len(line), 119)]
        data = "".join(piece + "\r\n" for piece in pieces).encode("utf-16-le")
        cut = data.rindex("[TokenEstimationV2]".encode("utf-16-le")) + 100
        append(world.log, data[:cut])
        world.read()
        append(world.log, data[cut:])
        world.read()
    append(world.log, "[2026-01-14 12:00:00] INFO: done\r\n".encode("utf-16-le"))
    world.read()


def long_lines(world: World) -> None:
    """A line of 2 MB, an event line of 2 MB (a reject), and 64 MB without a newline, in bounded memory."""
    world.write(20)
    append(world.log, b"x" * (2 << 20) + b"\n")
    world.write(20)
    append(world.log, Call(5_000).event.encode() + b"y" * (2 << 20) + b"\n")
    world.write(20)
    append(world.log, b"z" * (64 << 20))
    peak_bytes = measured(world, command_of(world)).peak_bytes
    world.require(peak_bytes < MEMORY_BYTES, f"{peak_bytes / 1e6:.0f} MB of memory")
    append(world.log, b"\n")
    world.write(5)
    world.read()
    if world.is_tokentail:
        with opened(world.database) as connection:
            reasons = [row[0] for row in connection.execute("SELECT reason FROM rejected_lines")]
        world.require(len(reasons) == 1 and "longer than the limit" in reasons[0], f"rejects: {reasons}")


def malformed(world: World) -> None:
    """Lines with the marker that are no events are kept as written; the events between them are rows."""
    event = Call(6_000).event
    bad = [
        event.replace("actual_output=", "actual_output "),
        event.replace(" success=True", " success=True success=True"),
        event.replace("predicted_output=7000", "predicted_output=many"),
        event.replace(" model=", " " + " ".join(f"key{number}=1" for number in range(10_000)) + " model="),
        event.replace("predicted_output=7000", "predicted_output=" + "9" * 1_000),
        event.replace("predicted_output=7000", "predicted_output=-1"),
        event.replace("predicted_output=7000", "predicted_output=\u0661\u0662"),
        event.replace("smape=9.9%", "smape=inf%"),
        event[:120],
    ]
    for line in bad:
        world.write(2)
        append(world.log, (line + "\n").encode())
    world.write(2)
    world.read()
    world.read("--fail-on-reject")
    if world.is_tokentail:
        with opened(world.database) as connection:
            lines = [
                row[0] for row in connection.execute("SELECT line FROM rejected_lines ORDER BY byte_offset")
            ]
        world.require(
            lines == [line[:4_000] for line in bad], f"{len(lines)} rejects, not as they were written"
        )


def forged(world: World) -> None:
    """Event lines within model output and quoted logs are no events."""
    event = Call(7_000).event
    world.write(5)
    append(world.log, f"[2026-01-14 09:00:00] DEBUG: answer: {event}\n".encode())
    append(world.log, f"  {event}\n> {event}\n".encode())
    append(world.log, b"[2026-01-14 09:00:00] INFO: see [TokenEstimationV2] predicted_output=1\n")
    world.write(5)
    world.read()


def unfinished_then_longer(world: World) -> None:
    """`backfill` took a line without a newline; then it turns out longer."""
    world.write(20)
    data = text_of(world.made(1)).encode()
    append(world.log, data[:-6])
    world.read()
    append(world.log, data[-6:])
    world.write(5)
    world.read()


SCENARIOS = (
    Scenario("R15", "last line in pieces, cut within characters", partial_line, ALL),
    Scenario("R15b", "one byte a run", every_byte_a_run, CRON, quick=False),
    Scenario("R17", "reads of 1 to 64 bytes", small_reads, FINISHED, False, quick=False),
    Scenario("R18a", "UTF-16 LE that grows", utf16_le, FINISHED, False),
    Scenario("R18b", "UTF-16 BE that grows", utf16_be, FINISHED, False),
    Scenario("R18c", "UTF-8 with a byte order mark", utf8_mark, FINISHED, False),
    Scenario("R18d", "UTF-32, then converted", utf32, FINISHED, False),
    Scenario("R19", "an invalid byte in one event", invalid_byte, FINISHED, False),
    Scenario("R21", "lines of 2 MB and 64 MB", long_lines, FOLDER, False, quick=False),
    Scenario("R22", "malformed events, 10,000 keys, 1,000 digits", malformed, FINISHED, False),
    Scenario("R22b", "markers forged in model output", forged, FINISHED, False),
    Scenario("R43a", "UTF-16 appended to a UTF-8 log", utf16_appended, FINISHED, False),
    Scenario("R43b", "UTF-8 appended to a UTF-16 capture", utf8_appended, FINISHED, False),
    Scenario("R44", "a wrapped capture cut within an event", wrapped_capture, FINISHED, False),
    Scenario(
        "R45",
        "a fragment taken by backfill, then the whole line",
        unfinished_then_longer,
        BACKFILL,
        False,
    ),
)
