"""The SQL functions say what `reports.metrics` says, for every number, group and window."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT
from reports import metrics
from reports.plugins.sql_functions import register

NUMBERS = st.one_of(
    st.integers(-(2**62), 2**62), st.floats(-1e15, 1e15, allow_nan=False), st.sampled_from([0, 1, 1.0, -0.0])
)
SOMETIMES_NULL = st.one_of(st.none(), NUMBERS)
PERCENTS = st.one_of(st.integers(0, 100), st.floats(0, 100))


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    """Return a connection with our functions and an empty table of numbers."""
    # Datasette 1.0 is a pytest plugin, too, and has the tracebacks of SQL functions printed in this process.
    sqlite3.enable_callback_tracebacks(False)
    with closing(sqlite3.connect(":memory:")) as opened:
        register(opened)
        opened.execute("CREATE TABLE numbers (place INTEGER PRIMARY KEY, kind TEXT, x)")
        yield opened


def filled(connection: sqlite3.Connection, numbers: list[float | None]) -> None:
    """Make these the table's numbers, in this order."""
    connection.execute("DELETE FROM numbers")
    connection.executemany("INSERT INTO numbers VALUES (?, NULL, ?)", enumerate(numbers))


def known(numbers: list[float | None]) -> list[float]:
    """Return the numbers that are not NULL."""
    return [number for number in numbers if number is not None]


@given(predicted=SOMETIMES_NULL, actual=SOMETIMES_NULL)
def test_scalars_are_the_metrics(
    connection: sqlite3.Connection, predicted: float | None, actual: float | None
) -> None:
    """`smape` and `waste_ratio` in SQL are those of the reports, NULL for `None`."""
    query = "SELECT smape(:p, :a), waste_ratio(:p, :a)"
    assert connection.execute(query, {"p": predicted, "a": actual}).fetchone() == (
        metrics.smape(predicted, actual),
        metrics.waste_ratio(predicted, actual),
    )


@given(numbers=st.lists(SOMETIMES_NULL, max_size=40), percent=PERCENTS)
def test_aggregates_are_the_metrics_of_what_is_not_null(
    connection: sqlite3.Connection, numbers: list[float | None], percent: float
) -> None:
    """`median` and `percentile` in SQL are those of the reports; NULLs don't count."""
    filled(connection, numbers)
    found = connection.execute("SELECT median(x), percentile(x, ?) FROM numbers", [percent]).fetchone()
    assert found == (metrics.median(known(numbers)), metrics.percentile(known(numbers), percent))


@given(
    numbers=st.lists(SOMETIMES_NULL, max_size=25),
    before=st.integers(0, 5),
    after=st.integers(0, 5),
    percent=PERCENTS,
)
@settings(max_examples=60)
def test_windows_are_the_metrics_of_their_frames(
    connection: sqlite3.Connection, numbers: list[float | None], before: int, after: int, percent: float
) -> None:
    """A frame that moves on forgets the rows that it has left, the one of two equal ones included."""
    filled(connection, numbers)
    query = f"""
        SELECT median(x) OVER frame, percentile(x, ?) OVER frame FROM numbers
        WINDOW frame AS (ORDER BY place ROWS BETWEEN {before} PRECEDING AND {after} FOLLOWING)
        ORDER BY place
    """
    frames = [known(numbers[max(0, n - before) : n + after + 1]) for n in range(len(numbers))]
    assert connection.execute(query, [percent]).fetchall() == [
        (metrics.median(frame), metrics.percentile(frame, percent)) for frame in frames
    ]


def test_groups_and_partitions_are_apart(connection: sqlite3.Connection) -> None:
    """Each group has its own numbers and its own percent; a partition's rows all have the same answer."""
    connection.execute("DELETE FROM numbers")
    rows = [(1, "a", 1), (2, "a", 2), (3, "b", 10), (4, "b", 30), (5, "c", None)]
    connection.executemany("INSERT INTO numbers VALUES (?, ?, ?)", rows)
    grouped = """
        SELECT kind, median(x), percentile(x, CASE kind WHEN 'a' THEN 0 ELSE 100 END)
        FROM numbers GROUP BY kind
    """
    assert connection.execute(grouped).fetchall() == [("a", 1.5, 1), ("b", 20, 30), ("c", None, None)]
    windows = "SELECT x, median(x) OVER (PARTITION BY kind), percentile(x, 100) OVER () FROM numbers"
    assert connection.execute(f"{windows} ORDER BY place").fetchall() == [
        (1, 1.5, 30),
        (2, 1.5, 30),
        (10, 20, 30),
        (30, 20, 30),
        (None, None, 30),
    ]


def test_of_no_rows_there_is_no_number(connection: sqlite3.Connection) -> None:
    """An empty table gives NULL, not zero and not an error."""
    filled(connection, [])
    assert connection.execute("SELECT median(x), percentile(x, 90) FROM numbers").fetchall() == [(None, None)]


@pytest.mark.parametrize(
    "wrong",
    [
        "smape('many', 3)",
        "smape('', 3)",
        "smape(3, x'00')",
        "waste_ratio('3', 3)",
        "waste_ratio(0, '')",
        "median('3')",
        "percentile('3', 50)",
        "percentile(3, '50')",
        "percentile(3, NULL)",
        "percentile(NULL, 101)",
        "percentile(3, -0.1)",
        "percentile(3, 9e999)",
        "percentile(column1, column1) FROM (VALUES (1), (2))",
        "percentile(column1, 101) OVER () FROM (VALUES (1), (2))",
        "median(column1) OVER (ORDER BY column1 ROWS 1 PRECEDING) FROM (VALUES (1), ('a'))",
    ],
)
def test_what_is_no_number_or_no_percentage_is_an_error(connection: sqlite3.Connection, wrong: str) -> None:
    """Text, a blob, or a percent that is none or changes within a group ends the query."""
    with pytest.raises(sqlite3.OperationalError, match=r"user-defined .* (raised|error)"):
        connection.execute(f"SELECT {wrong}").fetchall()
    assert connection.execute("SELECT median(1)").fetchall() == [(1,)]


@pytest.mark.parametrize("function", [metrics.smape, metrics.waste_ratio], ids=["smape", "waste_ratio"])
def test_scalars_may_be_indexed(function: Callable[[float, float], float]) -> None:
    """The scalars are deterministic: SQLite takes them in an index, where it takes no others."""
    with closing(sqlite3.connect(":memory:")) as opened:
        register(opened)
        opened.execute("CREATE TABLE t (p, a)")
        opened.execute(f"CREATE INDEX i ON t ({function.__name__}(p, a))")
        opened.execute("INSERT INTO t VALUES (100, 300)")
        query = f"SELECT {function.__name__}(p, a) FROM t"
        assert opened.execute(query).fetchall() == [(function(100, 300),)]


class Eleven:
    """An aggregate that always says 11."""

    def step(self, *_values: object) -> None:
        """Take a row."""

    def finalize(self) -> int:
        """Say 11."""
        return 11


def test_ours_take_the_place_of_functions_that_are_there() -> None:
    """Where SQLite has a `median` or a `percentile` of its own, ours is asked."""
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.create_aggregate("median", 1, Eleven)
        opened.create_aggregate("percentile", 2, Eleven)
        register(opened)
        assert opened.execute("SELECT median(5), percentile(5, 50)").fetchall() == [(5, 5)]


class OlderConnection:
    """What a module that stands in for sqlite3 may offer: no window functions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.create_function = connection.create_function
        self.create_aggregate = connection.create_aggregate


def test_without_window_functions_the_aggregates_are_there() -> None:
    """A connection that can't register window functions gets plain aggregates."""
    with closing(sqlite3.connect(":memory:")) as opened:
        register(OlderConnection(opened))
        query = "SELECT median(column1), percentile(column1, 75) FROM (VALUES (1), (2), (9))"
        assert opened.execute(query).fetchall() == [(2, 5.5)]
        with pytest.raises(sqlite3.OperationalError):
            opened.execute("SELECT median(column1) OVER () FROM (VALUES (1))")


def test_plugin_of_sqlite_utils_imports_next_to_nothing() -> None:
    """Every use of sqlite-utils loads the plugin, so it loads no metrics before they are asked for."""
    program = (
        "import sys, sqlite_utils; before = set(sys.modules); import reports.plugins.sqlite_utils_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True
    )
    ours = {"sqlite_utils_plugin", "sql_functions"}
    assert set(done.stdout.split()) <= {
        "reports",
        "reports.plugins",
        *(f"reports.plugins.{name}" for name in ours),
    }
