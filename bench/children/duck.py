"""DuckDB over the lines, rows into SQLite. `duck LOG DATABASE` for events, `duck LOG DATABASE context`.

The rows go through Python's `executemany`: the extension that writes SQLite is not part of the package.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable

import duckdb

_EVENT = (
    r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] [A-Z]+: \[TokenEstimationV2\] predicted_output=(\d+) "
    r"(?:actual_output=(\d+) smape=[\d.]+%|actual_total=(\d+)) selected_budget=(\w+) category=(.*?) "
    r"complexity=(\w+) deliverables=(\d+) success=(\w+)(?: stop_reason=(\w+) truncated=(\w+))? model=(.*)$"
)
_NAMES = (
    "['time', 'predicted', 'output', 'total', 'budget', 'category', 'complexity', 'deliverables', 'success', "
    "'stop_reason', 'truncated', 'model']"
)
_LINES = (
    "read_csv(?, columns = {'line': 'VARCHAR'}, delim = '\x01', quote = '', escape = '', header = false, "
    "auto_detect = false, max_line_size = 4000000)"
)
_EVENTS = f"""
SELECT unnest(regexp_extract(line, '{_EVENT}', {_NAMES}))
FROM {_LINES} WHERE contains(line, '[TokenEstimationV2]')
"""
_CONTEXT = f"""
WITH kept AS (
    SELECT line, row_number() OVER () AS place
    FROM {_LINES}
    WHERE contains(line, '[TokenEstimationV2]') OR contains(line, '[TOKEN_BUDGET] phase=')
        OR contains(line, 'Initialized autonomous executor for run: ') OR contains(line, 'Next phase: ')
        OR contains(line, '[BUILD-129] Token estimate: ') OR contains(line, 'MODEL-SELECT] Builder: ')
), read AS (
    SELECT place, line,
        nullif(regexp_extract(line, 'executor for run: (.*)$', 1), '') AS run,
        nullif(regexp_extract(line, 'Next phase: (.*)$', 1), '') AS next_phase,
        nullif(regexp_extract(line, 'Token estimate: .*confidence=([0-9.]+)', 1), '') AS confidence,
        nullif(regexp_extract(line, ' Builder: .*attempt=(\\d+)', 1), '') AS attempt,
        CASE WHEN contains(line, '[TOKEN_BUDGET] phase=') THEN regexp_extract(line,
            'phase=(\\S+) complexity=\\S+ input=(\\d+) output=(\\d+)/(\\d+) total=(\\d+)',
            ['phase', 'input', 'output', 'ceiling', 'total']) END AS anchor
    FROM kept
), linked AS (
    SELECT line,
        last_value(run IGNORE NULLS) OVER so_far AS run,
        last_value(next_phase IGNORE NULLS) OVER so_far AS next_phase,
        last_value(confidence IGNORE NULLS) OVER so_far AS confidence,
        last_value(attempt IGNORE NULLS) OVER so_far AS attempt,
        last_value(anchor IGNORE NULLS) OVER so_far AS anchor
    FROM read
    WINDOW so_far AS (ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
SELECT unnest(regexp_extract(line, '{_EVENT}', {_NAMES})),
    run, coalesce(anchor.phase, next_phase) AS phase, anchor.input AS input, anchor.ceiling AS ceiling,
    anchor.total AS total_tokens, confidence, attempt
FROM linked WHERE contains(line, '[TokenEstimationV2]')
"""


def _write(database: str, columns: list[str], rows: Iterable[tuple[object, ...]]) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    numbers = {"predicted", "output", "total", "input", "ceiling", "total_tokens", "deliverables"}
    types = ", ".join(f"{name} {'INTEGER' if name in numbers else 'TEXT'}" for name in columns)
    connection.execute(f"CREATE TABLE events ({types})")
    connection.executemany(f"INSERT INTO events VALUES ({', '.join('?' * len(columns))})", rows)
    connection.commit()


def main() -> None:
    """Write the events of a log, on request with the context of the lines before them."""
    log, database, *context = sys.argv[1:4]
    with duckdb.connect() as duck:
        duck.execute("SET threads = 2")
        found = duck.execute(_CONTEXT if context else _EVENTS, [log])
        columns = [column[0] for column in found.description or ()]
        _write(database, columns, found.fetchall())


if __name__ == "__main__":
    main()
