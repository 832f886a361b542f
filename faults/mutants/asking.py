"""A plugin for pytest in a copy: only the tests that are asked, in their order, and what became of each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ASKED_VARIABLE = "TREE_OF_MUTANTS_ASKED"
LEFT_OUT_VARIABLE = "TREE_OF_MUTANTS_LEFT_OUT"
OUTCOMES_VARIABLE = "TREE_OF_MUTANTS_OUTCOMES"
"""Files of names of tests, one a line: those that are asked, those that aren't, and what came of them."""


def _names(variable: str) -> list[str]:
    file = os.environ.get(variable)
    return Path(file).read_text("utf-8").splitlines() if file else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that are asked: those named, those of a function or file that is named, or all."""
    asked, left_out = _names(ASKED_VARIABLE), set(_names(LEFT_OUT_VARIABLE))
    place = {name: number for number, name in enumerate(asked)}

    def order(item: pytest.Item) -> int | None:
        names = (item.nodeid, item.nodeid.partition("[")[0], item.nodeid.partition("::")[0])
        return next((place[name] for name in names if name in place), None)

    kept = [item for item in items if item.nodeid not in left_out]
    if asked:
        places = [(order(item), item) for item in kept]
        kept = [
            item
            for number, item in sorted(
                ((number, item) for number, item in places if number is not None), key=lambda pair: pair[0]
            )
        ]
    items[:] = kept


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down what came of a test, and how many seconds it took."""
    if "PYTEST_XDIST_WORKER" in os.environ or not (report.when == "call" or report.failed):
        return
    with open(os.environ[OUTCOMES_VARIABLE], "a", encoding="utf-8") as file:
        file.write(f"{report.outcome}\t{report.duration:.3f}\t{report.nodeid}\n")
