"""One life of a folder of logs, drawn from a seed: its writer, what happens to its files, its ingests."""

from __future__ import annotations

import gzip
import os
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults import children
from faults.calls import FIRST_PREDICTION, Call, number_in
from faults.tables import check_invariants
from ingest.pipeline import ingest as ingest_logs
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions
from ingest.verify import verify

_WHOLE = re.compile(
    r"\[[-0-9]{10} [:0-9]{8}\] INFO: \[TokenEstimationV2\] predicted_output=[^\[]* model=m\d+xz*e"
)
"""A whole event line as `Life.line` makes it. A file that is restored in the middle of a line glues two
together: they are none, so no `[` may stand in the second part."""

Meanwhile = Callable[[str], None]


@dataclass
class Life:
    """One folder of logs, its writer, and what must be known of it.

    `owed` is the rest of a line whose beginning is written, `must` are the lines that must be rows in the
    end. `meanwhile`, where it is set, is called with the name of a place that an ingest has come to.
    """

    root: Path
    rng: random.Random
    banner: str
    meanwhile: Meanwhile | None = None
    made: int = 0
    owed: str = ""
    rotations: int = 0
    history: list[str] = field(default_factory=list)
    must: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin the log."""
        self.logs = self.root / "logs"
        self.logs.mkdir()
        self.log = self.logs / "app.log"
        self.database = self.root / "t.db"
        self.writer = self.log.open("a")
        self.begin_file()

    # The writer

    def write(self, text: str) -> None:
        """Write at once, as a logger does."""
        self.writer.write(text)
        self.writer.flush()

    def begin_file(self) -> None:
        """Write the banner that every file begins with."""
        if self.banner and not self.log.stat().st_size:
            self.write(self.banner)

    def line(self) -> str:
        """Make up an event line; its model is of any length, so that a cut one shows."""
        self.made += 1
        model = f"m{self.made:04d}x{'z' * self.rng.randrange(12)}e"
        return Call(self.made).event.replace("some-model-4", model) + "\n"

    def append(self) -> None:
        """Write some lines, and perhaps a part of one."""
        text, self.owed = self.owed, ""
        text += "".join(self.line() for _ in range(self.rng.randrange(1, 8)))
        if self.rng.random() < 0.4:
            line = self.line()
            cut = self.rng.randrange(1, len(line))
            text, self.owed = text + line[:cut], line[cut:]
        self.write(text)

    def finish_line(self) -> None:
        """Write what is owed of a line."""
        text, self.owed = self.owed, ""
        self.write(text)

    # What happens to files

    def rotated_name(self) -> Path:
        """Return where a rotation goes: by number, shifting the older ones, or by date."""
        self.rotations += 1
        if self.rng.random() < 0.4:
            return self.logs / f"app-2026{self.rotations:04d}.log"
        for number in (2, 1):
            older = self.logs / f"app.log.{number}"
            if older.exists():
                older.replace(self.logs / f"app.log.{number + 1}")
        return self.logs / "app.log.1"

    def rename(self) -> None:
        """Rename the log, and begin another."""
        self.finish_line()
        self.log.rename(self.rotated_name())
        self.reopen()

    def reopen(self) -> None:
        """Write to what now has the log's name."""
        self.writer.close()
        self.writer = self.log.open("a")
        self.begin_file()

    def copytruncate(self) -> None:
        """Copy the log and truncate it; often it grows past its old size at once."""
        self.finish_line()
        shutil.copyfile(self.log, self.rotated_name())
        self.truncate_to_nothing()
        if self.rng.random() < 0.6:
            self.append()
            self.append()

    def truncate_to_nothing(self) -> None:
        """Truncate the log under its writer."""
        self.writer.truncate(0)
        self.begin_file()

    def truncate(self) -> None:
        """Truncate the log without a copy, and go on."""
        self.finish_line()
        self.truncate_to_nothing()
        self.append()

    def others(self, compressed: bool = True) -> list[Path]:
        """Return the files beside the log, without the compressed ones if those aren't wanted."""
        found = [path for path in sorted(self.logs.iterdir()) if path != self.log]
        return [path for path in found if compressed or path.suffix != ".gz"]

    def compress(self) -> None:
        """Compress a file beside the log."""
        if others := self.others(compressed=False):
            path = self.rng.choice(others)
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()

    def copy(self) -> None:
        """Copy the log as it is, in the middle of a line or not."""
        name = self.rng.choice(("aaa-copy.log", "zzz-copy.log", f"backup{self.rng.randrange(3)}.log"))
        shutil.copyfile(self.log, self.logs / name)

    def compressed_copy(self) -> None:
        """Copy the log and compress the copy."""
        packed = self.logs / f"hourly{self.rng.randrange(2)}.log.gz"
        packed.write_bytes(gzip.compress(self.log.read_bytes()))

    def delete(self) -> None:
        """Delete a file beside the log."""
        if others := self.others():
            self.rng.choice(others).unlink()

    def rewrite(self) -> None:
        """Put another file in the log's place, with the old lines and a new one."""
        self.finish_line()
        fresh = self.logs / ".fresh"
        fresh.write_text(self.log.read_text() + self.line())
        fresh.replace(self.log)
        self.reopen()

    def restore(self) -> None:
        """Put the text of a file beside the log into the log, in place of what is there."""
        if others := self.others(compressed=False):
            self.finish_line()
            text = self.rng.choice(others).read_text()
            self.writer.truncate(0)
            self.write(text)

    def link(self) -> None:
        """Give the log a second name."""
        name = self.logs / f"link{self.rng.randrange(3)}.log"
        if not name.exists():
            os.link(self.log, name)

    def move(self) -> None:
        """Give a file beside the log another name."""
        if others := self.others():
            path = self.rng.choice(others)
            ending = ".log.gz" if path.suffix == ".gz" else ".log"
            path.replace(self.logs / f"moved{self.rng.randrange(5)}{ending}")

    def happen(self) -> None:
        """Let one thing happen."""
        often = [self.append] * 6 + [self.rename, self.copytruncate] * 2
        seldom = [self.compress, self.copy, self.compressed_copy, self.delete, self.truncate, self.rewrite]
        event = self.rng.choice([*often, *seldom, self.restore, self.link, self.move])
        self.history.append(event.__name__)
        event()

    # The ingest

    def on_disk(self) -> set[str]:
        """Return every whole event line that can be read now."""
        found = set()
        for path in self.logs.iterdir():
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            found |= {line for line in data.decode().split("\n")[:-1] if _WHOLE.fullmatch(line)}
        return found

    def run(self, how: str) -> None:
        """Ingest, in one of the ways in which it happens."""
        self.history.append(how)
        before = self.on_disk()
        if how in ("quiet", "finished"):
            self.ingest(finished=how == "finished")
            self.must |= before
        elif how == "disturbed":
            self.meanwhile = self._disturb
            self.ingest()
            self.meanwhile = None
        else:
            count = 2 if how == "twice" else 1
            errors = self.root / children.ERRORS
            started = [children.start(self._arguments(), errors) for _ in range(count)]
            if how == "killed":
                children.killed_after(started[0], self.rng.random() * 0.05)
            elif not {children.end(child) for child in started} <= {0, 75}:
                raise AssertionError(errors.read_text()[-500:])

    def _arguments(self) -> list[str]:
        return ["ingest", str(self.logs), "--db", str(self.database), "--tz", "UTC"]

    def ingest(self, finished: bool = False) -> None:
        """Ingest in this process, where things can be made to happen meanwhile."""
        ingest_logs(
            [str(self.logs)], self.database, IngestOptions("ingest", zone_named("UTC"), finished=finished)
        )

    def _disturb(self, where: str) -> None:
        if self.rng.random() < 0.25:
            self.history.append(f"@{where}")
            self.happen()

    def check(self) -> list[str]:
        """Ingest twice with nothing beside it, and return what is wrong then."""
        for _ in range(2):
            self.run("quiet")
        with closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute(_ROWS).fetchall()
        stored = [_line_of(row) for row in rows]
        wrong = [f"lost: {line}" for line in sorted(self.must - set(stored))[:3]]
        if len(stored) != len(set(stored)):
            wrong.append("doubled")
        numbers = {number_in(line) for line in self.must}
        for line in sorted(set(stored) - self.must):
            whole = line.endswith("e") and line.split("model=m")[1][:4] == f"{number_in(line) or 0:04d}"
            if not whole and number_in(line) in numbers:
                wrong.append(f"damaged: {line}")
        check_invariants(self.database)
        found = verify([str(self.logs)], self.database)
        return wrong + [f"verify: {text}" for text in (*found.differences, *found.problems)][:3]


_ROWS = """
SELECT timestamp_text, predicted_output_tokens, actual_output_tokens, model FROM token_estimation_v2_events
"""


def _line_of(row: tuple[Any, ...]) -> str:
    text, predicted, _, model = row
    line = Call(predicted - FIRST_PREDICTION).event.replace("some-model-4", str(model))
    return f"[{text}]{line[line.index(']') + 1 :]}"
