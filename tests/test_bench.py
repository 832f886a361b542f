"""A short slice of `make bench`: the logs it makes, what is in them, and the table of targets. No times."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import cases, table, tally
from bench.children.pattern import SOURCE
from bench.inputs import Input, Inputs
from bench.logs import write_dense, write_none, write_sparse
from bench.measure import Failed, Measured
from bench.ours import EVENTS
from bench.results import Result
from bench.runner import Case, play
from bench.tally import Tally
from bench.targets import Verdict, at_most, below_100_mb, cpu_above, faster, judge
from conftest import Tokentail

SCALE = 0.0005
KINDS: dict[str, Callable[[Inputs], Input]] = {
    "sparse": Inputs.sparse,
    "few": Inputs.few,
    "none": Inputs.none,
    "dense": Inputs.dense,
    "many": Inputs.many,
    "gz": Inputs.gz,
    "utf16": lambda inputs: Inputs(inputs.folder, 0.005).utf16(),
    "mix": lambda inputs: Inputs(inputs.folder, 0.005).mix(),
}


@pytest.mark.parametrize("write", [write_sparse, write_none, write_dense])
def test_a_seed_gives_the_same_log(write: Callable[[Path, int, int], Tally], tmp_path: Path) -> None:
    """Two runs compare the same bytes, and another seed gives others."""
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    assert write(one, 3000, 1) == write(two, 3000, 1)
    write(other, 3000, 2)
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_finds_what_the_generator_wrote(kind: str, tmp_path: Path, tokentail: Tokentail) -> None:
    """The tally beside an input is what there is, in every shape, and nothing of it is rejected."""
    made = KINDS[kind](Inputs(tmp_path / "inputs", SCALE))
    done = tokentail("backfill", "--json", "--tz", "UTC", "--db", "events.db", made.path)
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["rejects"], summary["further_sightings"]) == (0, 0, 0), done.stderr
    found = tally.of_table(tmp_path / "events.db", EVENTS, "predicted_output_tokens", "actual_output_tokens")
    assert found == made.tally
    assert (found.events > 0) is (kind != "none")


def test_sparse_logs_tell_the_context_of_their_events(tmp_path: Path, tokentail: Tokentail) -> None:
    """A fast answer about lines that nothing is linked to would prove little."""
    log = Inputs(tmp_path / "inputs", 0.002).sparse()
    tokentail("backfill", "--tz", "UTC", "--db", "events.db", log.path)
    with sqlite3.connect(tmp_path / "events.db") as connection:
        known = connection.execute(
            "SELECT AVG(run_id <> 'unknown'), AVG(phase_id <> 'unknown'), AVG(deliverables_json <> '[]'), "
            "AVG(attempt_index IS NOT NULL), AVG(confidence IS NOT NULL), AVG(phase_outcome IS NOT NULL) "
            f"FROM {EVENTS}"
        ).fetchone()
    connection.close()
    assert all(share > 0.7 for share in known), known


def test_few_calls_have_context_where_few_is_asked(tmp_path: Path, tokentail: Tokentail) -> None:
    """Every tenth: as many events as in a sparse log of this size, a tenth of what is around them."""
    log = Inputs(tmp_path / "inputs", 0.002).few()
    tokentail("backfill", "--tz", "UTC", "--db", "events.db", log.path)
    with sqlite3.connect(tmp_path / "events.db") as connection:
        query = f"SELECT COUNT(*), AVG(phase_id <> 'unknown') FROM {EVENTS}"
        events, share = connection.execute(query).fetchone()
    connection.close()
    assert events == pytest.approx(Inputs(tmp_path / "inputs", 0.002).sparse().tally.events, rel=0.05)
    assert 0.02 < share < 0.25


def test_inputs_are_made_once(tmp_path: Path) -> None:
    """A cached input is not written again, and its tally is read back as it was."""
    inputs = Inputs(tmp_path, SCALE)
    first = inputs.dense()
    first.path.write_bytes(b"")
    assert inputs.dense() == first
    assert first.path.read_bytes() == b""


def test_a_wrong_count_names_the_case(tmp_path: Path) -> None:
    """A competitor that finds something else than there is ends the bench."""
    inputs = Inputs(tmp_path, SCALE)
    made = cases.none(inputs, tmp_path)
    wrong = [
        one for one in cases.competitor.scanners(made.inputs[0], Tally(7, 0, 0)) if one.name == cases.GREP
    ]
    with pytest.raises(Failed, match=r"none: grep -cF: found Tally\(events=0"):
        play(Case("none", "", made.inputs, tuple(wrong)), 1, tmp_path / "work", lambda _: None)


def test_every_target_names_competitors_of_its_case(tmp_path: Path) -> None:
    """A target that nothing could meet is a mistake in the list, unless it is about two processes."""
    inputs = Inputs(tmp_path / "inputs", SCALE)
    for make in cases.CASES.values():
        case = make(inputs, tmp_path)
        names = {one.name for one in case.competitors} | {cases.TWO_JOBS, "", cases.DUCK, cases.DUCK_CONTEXT}
        for target in case.targets:
            assert {target.ours, target.other} <= names, (case.name, target.text)


def result(name: str, *walls: float, cpu: float = 1.0, peak: int = 50_000_000) -> Result:
    """Return a result with these times."""
    return Result("c", name, runs=[Measured(wall, cpu, peak, "") for wall in walls])


def test_targets_are_held_against_medians() -> None:
    """Each kind of target has its own arithmetic; what was not there is not measured."""
    results = [result("a", 2.0, 1.0, 9.0, cpu=1.5), result("b", 4.0, 5.0, 3.0, peak=100_000_000)]
    targets = [
        at_most("a", 0.5, "b"),
        at_most("a", 0.4, "b"),
        faster("a", 2, "b"),
        faster("a", 2.1, "b"),
        cpu_above("a", 0.6, "b"),
        cpu_above("a", 0.5, "b"),
        *below_100_mb("a", "b"),
        faster("a", 2, "absent"),
        at_most("absent", 2, "a"),
    ]
    verdicts = judge("c", targets, results)
    assert [one.word for one in verdicts] == [
        *["met", "NOT MET"] * 4,
        "-",
        "-",
    ]
    assert [one.shown for one in verdicts[:1] + verdicts[4:5] + verdicts[6:7] + verdicts[8:9]] == [
        "0.50 x",
        "0.50 s",
        "50 MB",
        "not measured",
    ]
    assert [one.cpu_shown for one in verdicts[:5]] == ["1.50 x", "1.50 x", "0.67 x", "0.67 x", ""]
    assert table.summary(verdicts) == "4 targets met, 4 not met, 2 not measured"


def test_the_tables_go_between_the_marks(tmp_path: Path) -> None:
    """What stands around the tables in the document stays."""
    document = tmp_path / "document.md"
    document.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", encoding="utf-8")
    shown = table.results_of([result("a | b", 2.0, 1.0)])
    verdicts = [Verdict("c", at_most("a", 1, "b"), 0.5)]
    case = Case("c", "title", (), ())
    table.write(document, table.report("Here.", [(case, shown)], verdicts))
    text = document.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{table.BEGIN}\nHere.\n")
    assert text.endswith(f"{table.END}\nafter\n")
    assert "| c | a: at most 1 x b | 0.50 x | met |  |" in text
    assert "| a \\| b | 1.500 s | 1.000 s to 2.000 s | 1.000 s |" in text
    assert "old" not in text


def test_the_pattern_fits_into_a_convert_option() -> None:
    """The pipe's pattern is quoted by three apostrophes, so it holds none."""
    assert "'''" not in SOURCE
