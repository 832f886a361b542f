"""Faults are played: each is put into a copy, and tests are run until one fails.

A few quick tests notice most faults, so these are tried first: of the tests that reach the changed line, the
quickest of each file. Faults that they let pass are tried on the whole suite, all at once; the tests that
fail then are run on each fault by itself, and the suite on the faults that are left, until it passes.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from faults.mutants.named import Fault
from faults.mutants.operators import Site
from faults.mutants.reached import FOLDER_VARIABLE, instrument, reaching
from faults.mutants.sample import modules
from faults.mutants.tree import ROOT, Tree

QUICK_SECONDS, NEAR_SECONDS, NEAR_TESTS = 0.5, 4.0, 80
"""What is tried first: the quickest tests for `QUICK_SECONDS`, then some of each file; all together for
`NEAR_SECONDS` (as long as they take unchanged), and at most `NEAR_TESTS`."""

SUITE_SECONDS = 3_600.0
PATIENCE = 10.0
START_SECONDS = 90.0
"""A run is killed after `START_SECONDS` and `PATIENCE` times what its tests take unchanged."""


@dataclass(slots=True)
class Recorded:
    """What the unchanged suite does: the tests that reach each change (by its id), the seconds of each.

    Tests that fail without any fault can notice none: they are `left_out`.
    """

    reaching: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> Recorded:
        """Read what was recorded before."""
        return cls(**json.loads(file.read_text("utf-8")))

    def write(self, file: Path) -> None:
        """Keep it for another run on the same code."""
        values = {"reaching": self.reaching, "seconds": self.seconds, "left_out": self.left_out}
        file.write_text(json.dumps(values), "utf-8")

    def nearest(self, site: Site) -> list[str]:
        """Return the tests that are tried first on a change: the quickest ones, then some of each file."""
        known = [test for test in self.reaching.get(site.id, ()) if test in self.seconds]
        known.sort(key=lambda test: (self.seconds[test], test))
        turns: Counter[str] = Counter()
        order: list[tuple[int, float, str]] = []
        spent = 0.0
        for test in known:
            seconds = self.seconds[test]
            spent += seconds
            file = test.partition("::")[0]
            turns[file] += spent > QUICK_SECONDS
            order.append((turns[file], seconds, test))
        spent = 0.0
        nearest: list[str] = []
        for _, seconds, test in sorted(order):
            spent += seconds
            if spent > NEAR_SECONDS or len(nearest) == NEAR_TESTS:
                break
            nearest.append(test)
        return nearest

    def limit(self, tests: Iterable[str]) -> float:
        """Return after how many seconds a run of tests is killed."""
        return START_SECONDS + PATIENCE * sum(self.seconds.get(test, 1.0) for test in tests)


def record(folder: Path, sites: Sequence[Site], processes: int, source: Path = ROOT) -> Recorded:
    """Run the whole suite on a copy that says which tests reach which changes."""
    tree, said = Tree(folder, source), folder / "reached"
    said.mkdir()
    instrument(tree.root, modules(tree.root), sites)
    tested = tree.test(
        seconds=SUITE_SECONDS, to_the_end=True, processes=processes, environment={FOLDER_VARIABLE: str(said)}
    )
    if not tested.passed:
        raise RuntimeError(f"no test passes without a fault:\n{tested.output[-3000:]}")
    failed = _failing(folder / "unchanged", tested.failed, source)
    found = reaching(said)
    names = {site.id: sorted(found.get(number, ())) for number, site in enumerate(sites)}
    return Recorded(names, tested.passed, failed)


def _failing(folder: Path, tests: Sequence[str], source: Path) -> list[str]:
    """Return those of the tests that fail in a copy without the inserted calls, too."""
    if not tests:
        return []
    folder.mkdir()
    return sorted(Tree(folder, source).test(tests, seconds=SUITE_SECONDS, to_the_end=True).failed)


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a fault: `by` is what noticed it, empty where nothing did."""

    by: str
    seconds: float = 0.0


_Fault = TypeVar("_Fault", Fault, Site)


class Players:
    """Copies of the tree in which faults are played side by side."""

    def __init__(self, folder: Path, processes: int, recorded: Recorded, source: Path = ROOT) -> None:
        """Make as many copies as there are processes."""
        self._recorded = recorded
        self._processes = processes
        self._trees: SimpleQueue[Tree] = SimpleQueue()
        for number in range(processes):
            place = folder / f"copy-{number}"
            place.mkdir()
            self._trees.put(Tree(place, source))

    def named(self, faults: Sequence[Fault]) -> Iterator[tuple[Fault, Played]]:
        """Play faults with a name on the tests that must notice them."""
        return self._side_by_side(self._named, faults)

    def near(self, sites: Sequence[Site]) -> Iterator[tuple[Site, Played]]:
        """Play changes on the nearest of the tests that reach them."""
        return self._side_by_side(self._near, sites)

    def on_suite(self, sites: Sequence[Site]) -> dict[str, Played]:
        """Play changes on the whole suite, all at once, until it notices none; return those that died."""
        died: dict[str, Played] = {}
        waiting = [list(sites)]
        while waiting:
            group = waiting.pop()
            apart = _apart(group)
            if len(apart) > 1:
                waiting += apart
                continue
            found = self._blamed(group) if group else {}
            died |= found
            if found and len(found) < len(group):
                waiting.append([site for site in group if site.id not in found])
        return died

    def _side_by_side(
        self, play: Callable[[_Fault], str], faults: Sequence[_Fault]
    ) -> Iterator[tuple[_Fault, Played]]:
        def timed(fault: _Fault) -> Played:
            begin = time.monotonic()
            return Played(play(fault), time.monotonic() - begin)

        with ThreadPoolExecutor(self._processes) as pool:
            yield from zip(faults, pool.map(timed, faults), strict=True)

    def _named(self, fault: Fault) -> str:
        with self._tree() as tree:
            return self._noticed_by(tree, {fault.file: fault.applied(tree.root)}, fault.tests)

    def _near(self, site: Site) -> str:
        with self._tree() as tree:
            tests = self._recorded.nearest(site)
            return self._noticed_by(tree, _changed(tree, [site]), tests) if tests else ""

    def _blamed(self, group: Sequence[Site]) -> dict[str, Played]:
        """Return those of a group of changes that the suite notices, each by itself."""
        with self._tree() as tree, tree.changed(_changed(tree, group)):
            tested = tree.test(
                seconds=SUITE_SECONDS,
                left_out=self._recorded.left_out,
                to_the_end=True,
                processes=self._processes,
            )
        if not tested.noticed:
            return {}
        if len(group) == 1:
            return {group[0].id: Played(tested.by)}
        if not tested.failed:  # it hung, or couldn't even begin: some of them are to blame
            half = len(group) // 2
            return self._blamed(group[:half]) | self._blamed(group[half:])

        def alone(site: Site) -> str:
            with self._tree() as tree:
                return self._noticed_by(tree, _changed(tree, [site]), tested.failed)

        return {site.id: played for site, played in self._side_by_side(alone, group) if played.by}

    @contextmanager
    def _tree(self) -> Iterator[Tree]:
        tree = self._trees.get()
        try:
            yield tree
        finally:
            self._trees.put(tree)

    def _noticed_by(self, tree: Tree, texts: dict[str, str], tests: Sequence[str]) -> str:
        recorded = self._recorded
        with tree.changed(texts):
            return tree.test(tests, seconds=recorded.limit(tests), left_out=recorded.left_out).by


def _changed(tree: Tree, sites: Sequence[Site]) -> dict[str, str]:
    """Return the texts of the files with changes, the last one put in first."""
    texts: dict[str, str] = {}
    for site in sorted(sites, key=lambda site: site.start, reverse=True):
        text = texts[site.file] if site.file in texts else (tree.root / site.file).read_text("utf-8")
        texts[site.file] = site.applied(text)
    return texts


def _apart(sites: Sequence[Site]) -> list[list[Site]]:
    """Put changes into groups in which no two touch the same characters."""
    groups: list[list[Site]] = []
    for site in sites:
        for group in groups:
            if not any(_touch(site, other) for other in group):
                group.append(site)
                break
        else:
            groups.append([site])
    return groups


def _touch(site: Site, other: Site) -> bool:
    return site.file == other.file and site.start <= other.end and other.start <= site.end
