"""The script that anybody would write: a regular expression for each line, rows by sqlite-utils.

`plain LOG DATABASE`. It takes the groups as they are, and a line's number for its key: no types, no
context, and a line that comes twice is two rows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from bench.children.pattern import SOURCE


def rows(log: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each event line."""
    match = re.compile(SOURCE).match
    with log.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if found := match(line):
                yield {"line": number, **found.groupdict()}


def main() -> None:
    """Upsert the events of a log."""
    log, database = map(Path, sys.argv[1:3])
    Database(database).table("events").upsert_all(rows(log), pk="line")


if __name__ == "__main__":
    main()
