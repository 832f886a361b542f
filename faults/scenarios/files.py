"""What stands in a folder beside logs, what may not be read, and what goes away while it is looked at."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from faults.calls import text_of
from faults.injection import COUNTS, FAULT
from faults.scenarios.powers import given_away, without_powers
from faults.scenarios.scenario import FINISHED, FOLDER, Scenario
from faults.tailers import TIMEOUT_SECONDS, command_of, environment_of, run_process
from faults.world import Outcome, World, append


def strange_neighbours(world: World) -> None:
    """A FIFO, a socket, a device, links to themselves or nowhere, odd names: nothing blocks, all is read."""
    world.write(20)
    os.mkfifo(world.logs / "pipe.log")
    (world.logs / "loop").symlink_to(world.logs)
    (world.logs / "self.log").symlink_to("self.log")
    (world.logs / "nowhere.log").symlink_to("gone")
    (world.logs / "device.log").symlink_to("/dev/zero")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(world.logs / "socket.log"))
        odd = os.fsencode(world.logs) + b"/odd\n\xff\x1b[31m.log"
        with open(odd, "wb") as file:
            file.write(text_of(world.made(10)).encode())
        world.read(says=("pipe.log", "socket.log", "device.log"))
        world.read(str(world.logs / "pipe.log"), exits=1, says="not a regular file")
    world.verified = False  # a path whose bytes are no text can't be named again by the database
    world.require("\x1b" not in world.outcomes[0].errors, "a file's name is obeyed by the terminal")
    world.write(5)
    world.read()


def not_readable(world: World) -> None:
    """A log that may not be read, among others; permitted later."""
    secret = world.logs / "secret.log"
    world.write(20)
    secret.write_text(text_of(world.made(20)))
    secret.chmod(0)
    given_away(secret)
    outcome = without_powers(world)
    world.outcomes.append(outcome)
    world.check(outcome, exits=1, says="secret.log: can't be read (permission denied)")
    world.require("run.log" not in outcome.errors, "others are complained about")
    secret.chmod(0o644)
    world.outcomes.append(without_powers(world))


def _stopped_at(world: World, boundary: str, meanwhile: Callable[[], None]) -> Outcome:
    """Stop an ingest at a boundary, do something to the files meanwhile, and let it go on."""
    world.database.parent.mkdir(exist_ok=True)
    with subprocess.Popen(
        command_of(world),
        cwd=world.root,
        env=environment_of(world, {FAULT: f"stop:{boundary}"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        stopped = os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        if not stopped:
            raise AssertionError(f"{world.root}: {boundary} was never reached")
        meanwhile()
        process.send_signal(signal.SIGCONT)
        output, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    outcome = Outcome(process.returncode, output, errors)
    world.outcomes.append(outcome)
    return outcome


def vanished_before_opening(world: World) -> None:
    """A log goes away between listing and opening: no failure, the others are read."""
    vanishing = world.logs / "z.log"
    world.write(20)
    world.gone(world.write(5, vanishing))
    world.check(_stopped_at(world, "open:1", vanishing.unlink), 0, "z.log: vanished")


def rotated_before_opening(world: World) -> None:
    """A log with an unread tail is renamed between listing and opening."""
    late = world.logs / "z.log"
    world.write(5)
    world.write(20, late)
    world.read()
    world.write(5)
    world.write(20, late)

    def rotate() -> None:
        late.rename(world.logs / "z.log.1")
        world.write(20, late)

    world.check(_stopped_at(world, "open:1", rotate), 0, ())
    world.read()


def fifo_instead(world: World) -> None:
    """A FIFO takes the place of a log between listing and opening: nothing blocks."""
    late = world.logs / "z.log"
    world.write(5)
    world.gone(world.write(5, late))

    def replace() -> None:
        late.unlink()
        os.mkfifo(late)

    code = 0 if world.mode == "follow" else 1  # its next round finds no log there, so all is well again
    world.check(_stopped_at(world, "open:1", replace), code, "z.log: not a regular file")
    late.unlink()


def truncated_while_read(world: World) -> None:
    """Copytruncate in the middle of reading, and regrown past what was read."""
    world.write(2_000)

    def copytruncate() -> None:
        world.copytruncate()
        world.write(3_000)

    world.check(_stopped_at(world, "read:2", copytruncate), 0, "truncated or rewritten while it was read")
    world.read()


def shrunk_while_read(world: World) -> None:
    """Truncated in the middle of reading; what was not read yet can be read by nobody."""
    calls = world.write(2_000)

    def shrink() -> None:
        os.truncate(world.log, 0)

    world.check(_stopped_at(world, "read:1", shrink), 0, "truncated or rewritten while it was read")
    seen = world.tailer.seen(world).counts
    world.require(len(seen) > 300, "what was read before is not there")
    world.gone([call for call in calls if call.number not in seen])
    world.write(10)
    world.read()


def vanished_while_read(world: World) -> None:
    """A log is deleted while it is read: it is read to its end all the same."""
    world.write(2_000)
    world.check(_stopped_at(world, "read:1", world.log.unlink), 0, ())
    world.write(10)
    world.read()


def unlinked_while_written(world: World) -> None:
    """Deleted while a writer goes on in it, and made anew: what only the old handle held is gone."""
    with world.writer() as held:
        world.write(20, held)
        world.read()
        world.log.unlink()
        world.gone(world.write(10, held))
        world.write(30)
        world.read(says=("run.log: another log than the one that was read here", "gone"))


def many_files(world: World) -> None:
    """Ten thousand files: the second run opens none of them."""
    count = 10_000
    for number in range(count):
        folder = world.logs / f"{number % 100:02d}"
        folder.mkdir(exist_ok=True)
        call = world.made(1)[0]
        (folder / f"{number}.log").write_text(text_of([call]))
    time.sleep(2.5)  # until the times of the files can be trusted
    world.read()
    counts = world.root / "counts"
    world.read(faults={COUNTS: str(counts)})
    opens = counts.read_text(encoding="ascii")
    world.require("open " not in opens, f"opened again: {opens}")


def copied_back(world: World) -> None:
    """The folder is copied back from elsewhere: other inodes, another device number, the same bytes."""
    world.write(50)
    world.read()
    world.write(20)
    shutil.copytree(world.logs, world.root / "away", copy_function=shutil.copy2)
    shutil.rmtree(world.logs)
    shutil.copytree(world.root / "away", world.logs, copy_function=shutil.copyfile)
    world.read()
    if world.is_tokentail and world.database.exists():
        statement = "UPDATE log_sources SET device = device + 1"
        run_process(world, [sys.executable, "-m", "sqlite_utils", str(world.database), statement])
    world.write(20)
    world.read()


def preallocated(world: World) -> None:
    """A file that was made large in advance, and is filled from its start."""
    with world.log.open("wb") as file:
        file.truncate(1 << 20)
    place = 0
    for _ in range(3):
        data = text_of(world.made(10)).encode()
        with world.log.open("r+b") as file:
            file.seek(place)
            file.write(data)
        place += len(data)
        world.read()


def power_cut(world: World) -> None:
    """A power cut left NULs within a line; the executor's next line follows them directly."""
    world.write(10)
    append(world.log, b"[2026-01-14 12:00:00] INFO: half a li" + b"\0" * 300)
    world.write(10)
    world.read()


SCENARIOS = (
    Scenario("R36", "a log that may not be read, permitted later", not_readable, FOLDER, False),
    Scenario("R37a", "a log vanishes between listing and opening", vanished_before_opening, FOLDER, False),
    Scenario("R37b", "renamed between listing and opening", rotated_before_opening, FOLDER, False),
    Scenario("R37c", "copytruncate while it is read, regrown", truncated_while_read, FINISHED, False),
    Scenario("R37d", "shrinks while it is read", shrunk_while_read, FOLDER, False),
    Scenario("R37e", "vanishes while it is read", vanished_while_read, FOLDER, False),
    Scenario("R38", "unlinked while written (the loss is said)", unlinked_while_written, FOLDER, False),
    Scenario("R40", "copied back: other inodes and device", copied_back, FOLDER),
    Scenario("R41", "10,000 files: none opened twice", many_files, FOLDER, False, quick=False),
    Scenario("R51", "FIFO, socket, device, link loops, odd names", strange_neighbours, FOLDER, False),
    Scenario("R51b", "a FIFO takes a log's place", fifo_instead, FOLDER, False),
    Scenario("R20c", "a preallocated file", preallocated, FOLDER, False),
    Scenario("R20d", "NULs of a power cut within a line", power_cut, FINISHED, False),
)
