"""`make mutants`: every named fault fits the code of the day, and the tool sees what tests notice.

The tool plays all of them, and a sample.
"""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("what hangs is killed by process groups", allow_module_level=True)

from conftest import ROOT
from faults.mutants.__main__ import judged
from faults.mutants.named import NAMED, Fault, NotAimed
from faults.mutants.operators import Site, sites_of
from faults.mutants.playing import Played, Players, Recorded, record
from faults.mutants.sample import AREAS, areas, drawn
from faults.mutants.survivors import Survivor, entry_for, survivors
from faults.mutants.tree import Tree


@pytest.mark.parametrize("fault", NAMED, ids=lambda fault: fault.id)
def test_every_named_fault_fits_the_code_of_the_day(fault: Fault) -> None:
    """Its old text stands once where it is said to, and what it becomes is a module; its tests are there."""
    text = fault.applied(ROOT)
    ast.parse(text)
    assert text != (ROOT / fault.file).read_text("utf-8")
    for test in fault.tests:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text("utf-8")


def test_fault_that_no_longer_fits_says_so() -> None:
    """When code moves, its faults are not silently played on nothing."""
    stale = Fault("1", "a rule", "ingest/version.py", "no such text", "", ())
    with pytest.raises(NotAimed, match=r"fault 1 \(a rule\): its text stands 0 times in ingest/version.py"):
        stale.applied(ROOT)


def test_named_faults_are_noticed_and_a_harmless_change_is_not(tmp_path: Path) -> None:
    """A fault that breaks a rule is noticed by its tests; one that changes nothing is reported to survive."""
    noticed = [fault for fault in NAMED if fault.id in {"1", "4"}]
    harmless = Fault(
        "0",
        "no rule",
        noticed[0].file,
        noticed[0].old,
        f"{noticed[0].old}    # and that is all\n",
        noticed[0].tests,
    )
    players = Players(tmp_path, 1, Recorded())
    outcomes = {fault.id: played.by for fault, played in players.named([*noticed, harmless])}
    assert {number: bool(by) for number, by in outcomes.items()} == {"1": True, "4": True, "0": False}
    assert outcomes["4"].startswith(noticed[1].tests[0])


CHANGES = {
    "comparison": ("def f(a, b):\n    return a <= b\n", ["return a < b"]),
    "identity": ("def f(a):\n    return a is not None\n", ["return a is None"]),
    "both": ("def f(a, b):\n    return a() and not b\n", ["return a() or not b", "return a() and b"]),
    "sum": ("def f(a, b):\n    return a + b\n", ["return a - b"]),
    "text": ("def f(a):\n    return a + 'b'\n", []),
    "condition": ("def f(a):\n    if a.b:\n        pass\n", ["if not a.b:"]),
    "smallest": ("def f(a):\n    return min(a)\n", ["return max(a)"]),
    "small number": ("A = 3\n", ["A = 4"]),
    "limit": ("A = 4_000\n", ["A = 40000"]),
    "truth": ("def f(a=True):\n    pass\n", ["def f(a=False):"]),
    "docstring": ('def f():\n    """SELECT 1 WHERE a = 1."""\n', []),
    "annotation": ("def f(a: int | None) -> int | None:\n    assert a is not None\n", []),
    "query": (
        "A = f'SELECT {b} FROM c WHERE d = ? AND MIN(e) IS NULL'\n",
        [
            "A = f'SELECT {b} FROM c WHERE d <> ? AND MIN(e) IS NULL'",
            "A = f'SELECT {b} FROM c WHERE d = ? OR MIN(e) IS NULL'",
            "A = f'SELECT {b} FROM c WHERE d = ? AND MAX(e) IS NULL'",
            "A = f'SELECT {b} FROM c WHERE d = ? AND MIN(e) IS NOT NULL'",
        ],
    ),
    "assignment": ("A = 'UPDATE a SET b = ? WHERE c = ?'\n", ["A = 'UPDATE a SET b = ? WHERE c <> ?'"]),
}


@pytest.mark.parametrize(("text", "lines"), CHANGES.values(), ids=CHANGES)
def test_changes_of_a_module(text: str, lines: list[str]) -> None:
    """Operators, constants and conditions, of Python and of SQL; nothing that says nothing at run time."""
    sites = sites_of("a.py", text)
    assert [site.after for site in sites] == lines
    assert all(lines[n] in site.applied(text) for n, site in enumerate(sites))


def test_every_change_of_the_program_is_a_module_still() -> None:
    """A change that Python can't read would be noticed by anything, and show nothing."""
    texts: dict[str, str] = {}
    for _, sites in areas(ROOT):
        assert sites
        for site in sites[::7]:
            text = texts.setdefault(site.file, (ROOT / site.file).read_text("utf-8"))
            ast.parse(site.applied(text))


def test_sample_is_that_of_its_seed_and_stays_when_other_code_moves(tmp_path: Path) -> None:
    """As many of each area; lines added to a module take nothing out but what they push aside."""
    sample = drawn(ROOT, 19, 60)
    assert [site.id for _, site in drawn(ROOT, 19, 60)] == [site.id for _, site in sample]
    assert {site.id for _, site in drawn(ROOT, 20, 60)} != {site.id for _, site in sample}
    assert {area: sum(own == area for own, _ in sample) for area in AREAS} == dict.fromkeys(AREAS, 10)
    for name in ("ingest", "parsers", "reports"):
        shutil.copytree(ROOT / name, tmp_path / name)
    moved = tmp_path / sample[0][1].file
    moved.write_text(moved.read_text("utf-8").replace("\nimport ", "\n\n\nimport ", 1), "utf-8")
    assert [site.id for _, site in drawn(tmp_path, 19, 60)] == [site.id for _, site in sample]


TINY = """
LIMIT = 3

def near(number):
    return number < LIMIT

def far(number):
    return number > 100
"""
TINY_TESTS = """
import subprocess, sys
from ingest.tiny import far, near

def test_near():
    assert near(2)

def test_far_away_in_another_process():
    subprocess.run([sys.executable, "-c", "from ingest.tiny import far; assert far(200)"], check=True)

def test_that_fails():
    assert not near(2)
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Return a tree of one module, with three tests, one of which fails."""
    for folder in ("ingest", "parsers", "reports", "tests", "faults/mutants"):
        (tmp_path / "tiny" / folder).mkdir(parents=True)
    (tmp_path / "tiny/ingest/__init__.py").touch()
    (tmp_path / "tiny/ingest/tiny.py").write_text(TINY)
    (tmp_path / "tiny/tests/test_tiny.py").write_text(TINY_TESTS)
    for name in ("__init__", "asking", "operators", "reached"):
        shutil.copy(ROOT / "faults/mutants" / f"{name}.py", tmp_path / "tiny/faults/mutants")
    return tmp_path / "tiny"


def test_changes_are_tried_on_the_tests_that_reach_them(tiny: Path, tmp_path: Path) -> None:
    """In other processes, too, and by what uses a constant; who lives is tried on the whole suite."""
    sites = sites_of("ingest/tiny.py", TINY)
    (tmp_path / "recorded").mkdir()
    recorded = record(tmp_path / "recorded", sites, 1, tiny)
    near, far = "tests/test_tiny.py::test_near", "tests/test_tiny.py::test_far_away_in_another_process"
    failing = "tests/test_tiny.py::test_that_fails"
    assert [recorded.reaching[site.id] for site in sites] == [[near, failing], [near, failing], [far], [far]]
    assert recorded.left_out == [failing]
    players = Players(tmp_path, 1, recorded, tiny)
    assert [played.by for _, played in players.near(sites)] == ["", "", "", far]
    assert players.on_suite(sites[:3]) == {}
    assert {number: played.by for number, played in players.on_suite(sites).items()} == {sites[3].id: far}
    assert (tiny / "ingest/tiny.py").read_text() == TINY


def test_what_hangs_is_killed_and_counts_as_noticed(tiny: Path, tmp_path: Path) -> None:
    """A change that makes an endless loop ends with the time limit."""
    tree = Tree(tmp_path, tiny)
    with tree.changed({"ingest/tiny.py": "import time\ntime.sleep(600)\n"}):
        tested = tree.test(seconds=5)
    assert (tested.noticed, tested.by) == (True, "the time limit of 5 s")


def outcome(number: int, before: str = "a < b") -> tuple[str, Site]:
    """Return a change as a sample holds it."""
    return "linking", Site("a.py", f"function_{number}", 0, 0, "", before, "a <= b", 1, 0, number)


def test_survivor_that_nobody_explained_is_a_complaint(capsys: pytest.CaptureFixture[str]) -> None:
    """It is printed as an entry of the list; one that is listed is counted, and nine of ten must die."""
    sample = [outcome(number) for number in range(12)]
    died = {site.id: Played("a test") for _, site in sample[:9]}
    listed = {
        site.key: Survivor(site.key, changes, "a reason")
        for (_, site), changes in zip(sample[9:], (False, False, True), strict=True)
    }
    assert judged(sample, died, listed) == 0
    assert (
        "linking: 12 changes, 9 died, 2 changes nothing, 1 may live, 0 unexplained" in capsys.readouterr().out
    )
    del listed[sample[9][1].key]
    assert judged(sample, died, listed) == 2
    output = capsys.readouterr().out
    assert entry_for(sample[9][1]) in output
    assert "only 9 of 11 that change something died" in output


def test_every_survivor_on_the_list_has_a_reason(tmp_path: Path) -> None:
    """What the tool prints can be put into the list, and is refused without a reason."""
    assert all(len(survivor.why.split()) > 3 for survivor in survivors().values())
    (_, site) = outcome(1, "it's < \"b\\")
    file = tmp_path / "survivors.toml"
    file.write_text(entry_for(site).replace('why = ""', 'why = "for a reason"'), "utf-8")
    assert survivors(file) == {site.key: Survivor(site.key, True, "for a reason")}
    file.write_text(entry_for(site), "utf-8")
    with pytest.raises(ValueError, match="without a reason"):
        survivors(file)
