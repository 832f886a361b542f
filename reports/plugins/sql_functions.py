"""The metrics of `reports.metrics` as SQL functions, by the same formulas.

sqlite-utils loads this before it opens its first database, for whatever that is. Therefore nothing heavy is
imported here: the metrics (with `statistics`) are imported at the first call.

A wrong argument is an SQL error. Python's sqlite3 gives it a fixed text
("user-defined ... raised ..."); the reason is in the traceback, which Datasette prints on standard error.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, insort
from types import ModuleType
from typing import Any


def register(connection: sqlite3.Connection) -> None:
    """Give a connection the functions `smape`, `waste_ratio`, `median` and `percentile`.

    They replace built-in functions of the same name, which SQLite may have from 3.51 on, so that the meaning
    is the same with every version.
    """
    connection.create_function("smape", 2, smape, deterministic=True)
    connection.create_function("waste_ratio", 2, waste_ratio, deterministic=True)
    # A replacement of sqlite3 (pysqlite3, sqlean) may lack window functions.
    create: Any = getattr(connection, "create_window_function", None) or connection.create_aggregate
    create("median", 1, Median)
    create("percentile", 2, Percentile)


def smape(predicted: object, actual: object) -> float | None:
    """Return `reports.metrics.smape`: percent, 0..200; `None` if either is 0 or NULL.

    Raises:
        TypeError: an argument is text or a blob.
    """
    answer: float | None = _metrics().smape(_number(predicted), _number(actual))
    return answer


def waste_ratio(predicted: object, actual: object) -> float | None:
    """Return `reports.metrics.waste_ratio`: p / a; `None` if either is 0 or NULL.

    Raises:
        TypeError: an argument is text or a blob.
    """
    answer: float | None = _metrics().waste_ratio(_number(predicted), _number(actual))
    return answer


def _metrics() -> ModuleType:
    """Return `reports.metrics`, imported at the first call: see the top of this module."""
    from reports import metrics  # noqa: PLC0415

    return metrics


def _number(value: object) -> float | None:
    if value is None or isinstance(value, (int, float)):
        return value
    raise TypeError(f"{value!r} is not a number")


class Frame:
    """The numbers of a group of rows, or of a window's frame; NULL is left out.

    The result of a group is asked for once, that of a window after each row: from the first time on, the
    numbers are kept in order.
    """

    def __init__(self) -> None:
        self._numbers: list[float] = []
        self._in_order = False

    def add(self, value: object) -> None:
        """Add the value of a row.

        Raises:
            TypeError: it is text or a blob.
        """
        number = _number(value)
        if number is None:
            return
        if self._in_order:
            insort(self._numbers, number)
        else:
            self._numbers.append(number)

    def remove(self, value: object) -> None:
        """Remove the value of a row that was added."""
        number = _number(value)
        if number is not None:
            ordered = self.ordered()
            del ordered[bisect_left(ordered, number)]

    def ordered(self) -> list[float]:
        """Return the numbers in rising order; the list is the frame's own."""
        if not self._in_order:
            self._numbers.sort()
            self._in_order = True
        return self._numbers


class Median:
    """`median(x)`: aggregate and window function; NULL of no numbers."""

    def __init__(self) -> None:
        self._frame = Frame()

    def step(self, value: object) -> None:
        """Take a row."""
        self._frame.add(value)

    def inverse(self, value: object) -> None:
        """Take a row back: it left the window's frame."""
        self._frame.remove(value)

    def value(self) -> float | None:
        """Return the median of the rows taken."""
        ordered = self._frame.ordered()
        # The one or two in the middle are enough: a long frame isn't copied for each row.
        middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
        answer: float | None = _metrics().median(middle)
        return answer

    def finalize(self) -> float | None:
        """Return the median of the rows taken, at the end."""
        return self.value()


class Percentile:
    """`percentile(x, percent)`: aggregate and window function, interpolated; NULL of no numbers."""

    def __init__(self) -> None:
        self._frame = Frame()
        self._percent: float | None = None
        self._answer: float | None = None
        self._answered = False

    def step(self, value: object, percent: object) -> None:
        """Take a row.

        Raises:
            TypeError: an argument is text or a blob.
            ValueError: `percent` is NULL, not within 0..100, or another one than in the row before.
        """
        wanted = _number(percent)
        if wanted is None or not 0 <= wanted <= 100:
            raise ValueError(f"{percent!r} is not a percentage from 0 to 100")
        if self._percent not in {None, wanted}:
            raise ValueError(f"percentile({self._percent}) and percentile({wanted}) in one group")
        self._percent = wanted
        self._frame.add(value)
        self._answered = False

    def inverse(self, value: object, _percent: object) -> None:
        """Take a row back: it left the window's frame."""
        self._frame.remove(value)
        self._answered = False

    def value(self) -> float | None:
        """Return the percentile of the rows taken."""
        # A window over a whole partition asks for each of its rows.
        if not self._answered and self._percent is not None:
            self._answer = _metrics().percentile(self._frame.ordered(), self._percent)
            self._answered = True
        return self._answer

    def finalize(self) -> float | None:
        """Return the percentile of the rows taken, at the end."""
        return self.value()
