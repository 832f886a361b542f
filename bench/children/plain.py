"""A script of a few lines: a regular expression per line, rows by sqlite-utils. `plain LOG DATABASE`."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from bench.children.pattern import SOURCE

_NUMBERS = ("predicted", "actual", "total", "budget", "deliverables")


def rows(log: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each event line; its key is a hash of the line."""
    match = re.compile(SOURCE).match
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if found := match(line):
                row: dict[str, Any] = found.groupdict()
                for name in _NUMBERS:
                    row[name] = int(row[name]) if row[name] and row[name] != "None" else None
                row["key"] = hashlib.blake2b(line.encode(), digest_size=16).hexdigest()
                yield row


def main() -> None:
    """Upsert the events of a log."""
    log, database = map(Path, sys.argv[1:3])
    Database(database).table("events").upsert_all(rows(log), pk="key", batch_size=1000)


if __name__ == "__main__":
    main()
