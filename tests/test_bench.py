"""A short slice of `make bench`: the logs it makes, what is in them, and the table of targets. No times."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bench import cases, prefixes, table, tally
from bench.children import plain
from bench.children.pattern import SOURCE
from bench.competitor import child
from bench.inputs import Input, Inputs
from bench.logs import BYTES_PER_EVENT, write_dense, write_none, write_sparse
from bench.measure import Failed, Measured, run
from bench.ours import EVENTS, Known
from bench.program import ENVIRONMENT, LAST_VERSION, ROOT, Program, last_version
from bench.results import Result
from bench.runner import Case, paired, play
from bench.tally import Tally
from bench.targets import Verdict, above, at_most, below_100_mb, cpu_above, faster, judge, leading
from conftest import Tokentail
from parsers.event import MARKER
from parsers.line import parse_line
from parsers.prefix import split_prefix
from parsers.registry import FAMILIES, MARKERS

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
    "drained": Inputs.drained,
    "joined": Inputs.joined,
}


@pytest.mark.parametrize("write", [write_sparse, write_none, write_dense])
def test_a_seed_gives_the_same_log(write: Callable[[Path, int, int], Tally], tmp_path: Path) -> None:
    """Two runs compare the same bytes, and another seed gives others."""
    first, again, other = (tmp_path / name for name in ("one", "two", "other"))
    assert write(first, 3000, 1) == write(again, 3000, 1)
    write(other, 3000, 2)
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


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


def test_sparse_logs_hold_the_context_of_their_events(tmp_path: Path, tokentail: Tokentail) -> None:
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


@pytest.fixture
def ingested(tmp_path: Path, called: Tokentail) -> Callable[[Path, str], list[tuple[object, ...]]]:
    """Return a function that ingests a log into a new database and returns these columns of its events."""

    def rows(log: Path, columns: str) -> list[tuple[object, ...]]:
        database = f"{log.name}.db"
        done = called("backfill", "--json", "--tz", "UTC", "--db", database, log)
        summary = json.loads(done.stdout)
        assert (done.returncode, summary["rejects"], summary["further_sightings"]) == (0, 0, 0), done.stderr
        with closing(sqlite3.connect(tmp_path / database)) as connection:
            return connection.execute(f"SELECT {columns} FROM {EVENTS} ORDER BY event_key").fetchall()

    return rows


Ingested = Callable[[Path, str], "list[tuple[object, ...]]"]

SAID = (
    "substr(timestamp, 1, 19), category, complexity, deliverable_count, predicted_output_tokens, "
    "actual_output_tokens, actual_is_total, selected_budget, success, truncated, stop_reason, model"
)
"""What the event line says; the times of some prefixes have milliseconds."""

LINKED = "run_id, phase_id, attempt_index, confidence, input_tokens, actual_max_tokens, phase_outcome"


@pytest.mark.parametrize("form", [form for form in prefixes.FORMS if form != prefixes.EXECUTOR])
def test_each_prefix_gives_the_same_events(form: str, tmp_path: Path, ingested: Ingested) -> None:
    """A case that read other events after another prefix would compare nothing."""
    inputs = Inputs(tmp_path / "inputs", SCALE)
    dense = inputs.dense(100_000 * 2)
    found = ingested(inputs.prefixed(dense, form).path, SAID)
    assert sorted(found, key=str) == sorted(ingested(dense.path, SAID), key=str)
    assert len(found) == dense.tally.events == 100


@pytest.mark.parametrize("form", prefixes.CONTAINERS)
def test_a_container_keeps_what_stands_around_events(form: str, tmp_path: Path, ingested: Ingested) -> None:
    """Its prefix is before each line, also before those that link; noise and long lines are there, too."""
    inputs = Inputs(tmp_path / "inputs", SCALE)
    sparse = inputs.sparse(1000)
    columns = f"{SAID}, {LINKED}, deliverables_json"
    found = ingested(inputs.prefixed(sparse, form).path, columns)
    assert found == ingested(sparse.path, columns)
    assert len(found) == sparse.tally.events > 20


LINE = "[2025-03-04 05:06:07] INFO: [MODEL-SELECT] low->low ✅"
WRITTEN = {
    "executor": LINE,
    "scripts": "2025-03-04 05:06:07,000 - executor.model_clients - INFO - [MODEL-SELECT] low->low ✅",
    "bracketed": "[2025-03-04 05:06:07] [INFO] [MODEL-SELECT] low->low ✅",
    "named": "2025-03-04 05:06:07,000 [INFO] executor.model_clients: [MODEL-SELECT] low->low ✅",
    "unnamed": "2025-03-04 05:06:07,000 [INFO] [MODEL-SELECT] low->low ✅",
    "json": '{"timestamp": "2025-03-04 05:06:07", "level": "INFO", "message": "[MODEL-SELECT] low->low ✅"}',
    "docker": r'{"log":"[2025-03-04 05:06:07] INFO: [MODEL-SELECT] low-\u003elow ✅\n",'
    '"stream":"stderr","time":"2025-03-04T05:06:07.000456789Z"}',
    "cri": f"2025-03-04T05:06:07.000456789Z stderr F {LINE}",
}


def test_forms_are_what_loggers_and_containers_write() -> None:
    """Byte for byte: Docker escapes what a browser might take for a tag, and leaves no blanks."""
    rewritten = {
        form: prefixes.rewrite(LINE.encode(), write).decode() for form, write in prefixes.FORMS.items()
    }
    assert rewritten == {form: f"{line}\n" for form, line in WRITTEN.items()}


def test_containers_cut_long_lines_into_parts() -> None:
    """At 16 KiB; only the last part says that the line is over."""
    line = "[2025-03-04 05:06:07] DEBUG: " + "x" * 40_000
    docker = prefixes.rewrite(line.encode(), prefixes.docker).splitlines()
    assert [json.loads(part)["log"] for part in docker] == [
        line[:16_384],
        line[16_384:32_768],
        f"{line[32_768:]}\n",
    ]
    cri = prefixes.rewrite(line.encode(), prefixes.cri).decode().splitlines()
    assert [part.split(" ", 3)[2] for part in cri] == ["P", "P", "F"]
    assert "".join(part.split(" ", 3)[3] for part in cri) == line


def families(log: bytes) -> list[str]:
    """Return the family of each line that says something."""
    found = []
    for line in log.split(b"\n"):
        if parse_line(line) is not None:
            message = split_prefix(line).message
            found.append(
                next(family.name for family in FAMILIES if re.match(family.opening.encode(), message))
            )
    return found


def test_a_drained_log_has_17_marked_lines_a_call(tmp_path: Path) -> None:
    """Each call is a process from its drain line to the end of its loop, every 13.7 KB."""
    log = Inputs(tmp_path, 0.001).drained()
    text = log.path.read_bytes()
    marked = [line for line in text.split(b"\n") if any(marker in line for marker in MARKERS)]
    assert len(marked) == len(families(text)) == 17 * log.tally.events
    for start in range(0, len(marked), 17):
        process = families(b"\n".join(marked[start : start + 17]))
        assert (process[0], process[-1]) == ("draining", "run_loop_finished")
        assert process.count("event") == process.count("run_initialized") == 1
    assert len(text) / log.tally.events == pytest.approx(BYTES_PER_EVENT, rel=0.05)


def test_a_drained_log_has_the_families_of_a_real_one(corpus: Path, tmp_path: Path) -> None:
    """Nine calls have the same lines as often; the lock is that of other versions of the executor."""
    real = Counter(families((corpus / "drain_all_output.log").read_bytes()))
    made = families(Inputs(tmp_path, 0.001).drained().path.read_bytes())
    nine = Counter(made[: 9 * 17])
    assert nine.pop("run_lock") == 5
    assert nine == real


def test_a_drained_log_holds_the_context_of_its_events(tmp_path: Path, ingested: Ingested) -> None:
    """All of it but the paths of a call that has none: each process says everything about its one call."""
    log = Inputs(tmp_path / "inputs", 0.002).drained()
    rows = ingested(log.path, f"{LINKED}, deliverables_json, actual_is_total")
    for run_id, phase, attempt, confidence, tokens_in, ceiling, outcome, _, is_total in rows:
        assert phase.startswith(f"{run_id}-p"), phase
        assert (attempt, confidence, outcome) == (0, 0.8, "COMPLETE")
        assert is_total or (tokens_in and ceiling), phase
    assert sum(paths != "[]" for *_, paths, _ in rows) > 0.9 * len(rows)
    assert len({phase for _, phase, *_ in rows}) == log.tally.events == len(rows)


def test_many_logs_are_of_all_sizes_and_kinds(tmp_path: Path) -> None:
    """Most are short, some are not; most are runs, some are queues, some say nothing; no event is lost."""
    made = Inputs(tmp_path, 0.015).many()
    logs = [path.read_bytes() for path in made.path.iterdir()]
    sizes = sorted(map(len, logs))
    assert sizes[-1] > 10 * sizes[len(sizes) // 2]
    assert sum(log.count(MARKER.encode()) for log in logs) == made.tally.events
    silent = [log for log in logs if not any(marker in log for marker in MARKERS)]
    queues = [log for log in logs if log.count(b"autonomous executor for run: ") > 1]
    assert 0 < len(silent) < len(logs) / 2
    assert 0 < len(queues) < len(logs) / 2


def test_the_plain_script_takes_lines_as_they_are(tmp_path: Path) -> None:
    """Its key is the line's number, its values are text: it does no more than anybody would do."""
    log = tmp_path / "a.log"
    log.write_text(
        f"no event\n[2025-03-04 05:06:07] INFO: {MARKER} predicted_output=700 actual_output=650 "
        "smape=7.4% selected_budget=8192 category=doc write complexity=low deliverables=2 success=True "
        "stop_reason=None truncated=False model=some model 3\n",
        encoding="utf-8",
    )
    (row,) = plain.rows(log)
    assert row == {
        "line": 2,
        "time": "2025-03-04 05:06:07",
        "level": "INFO",
        "predicted": "700",
        "actual": "650",
        "smape": "7.4",
        "total": None,
        "budget": "8192",
        "category": "doc write",
        "complexity": "low",
        "deliverables": "2",
        "success": "True",
        "stop_reason": "None",
        "truncated": "False",
        "model": "some model 3",
    }


def test_the_floor_binds_what_has_a_value(tmp_path: Path) -> None:
    """A column that is always NULL is left out, and nothing else is."""
    log = Inputs(tmp_path, SCALE).dense()
    known = Known(log.path, log.tally, tmp_path)
    with closing(sqlite3.connect(known.database())) as connection:
        for table_name, (columns, rows) in pickle.loads(known.rows().read_bytes()).items():  # noqa: S301  our own
            every = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table_name})")]
            left_out = [name for name in every if name not in columns]
            assert all(any(row[number] is not None for row in rows) for number in range(len(columns)))
            counts = connection.execute(
                f"SELECT {', '.join(f'COUNT({name})' for name in [*left_out, '*'])} FROM {table_name}"
            ).fetchone()
            assert counts == (*(0 for _ in left_out), len(rows))
    assert len(left_out) < len(every)


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
    wrong = cases.competitor.least(made.inputs[0], Tally(7, 0, 0))
    with pytest.raises(Failed, match=rf"none: {wrong.name}: found Tally\(events=0"):
        play(Case("none", "", made.inputs, (wrong,)), 1, tmp_path / "work", lambda _: None)


def test_every_target_names_competitors_of_its_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every program is installed, a target that nothing could meet is a mistake in the list."""
    monkeypatch.setattr(shutil, "which", lambda program: program)
    inputs = Inputs(tmp_path / "inputs", SCALE)
    for make in cases.CASES.values():
        case = make(inputs, tmp_path)
        names = {competitor.name for competitor in case.competitors} | {
            cases.TWO_JOBS,
            "",
            cases.DUCK_CONTEXT,
        }
        for target in case.targets:
            assert {target.ours, target.other} <= names, (case.name, target.text)


def test_targets_about_what_is_not_everywhere_name_competitors_too(tmp_path: Path) -> None:
    """Each case has something that is to be no slower than before, and its pair follows it."""
    inputs, last = Inputs(tmp_path / "inputs", SCALE), Program(ROOT, LAST_VERSION)
    for name, make in cases.CASES.items():
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        (tmp_path / "work").mkdir()
        case = paired(make(inputs, tmp_path / "work"), last)
        names = [competitor.name for competitor in case.competitors]
        pairs = [target for target in case.optional if target.other.endswith(LAST_VERSION)]
        for target in pairs:
            assert names.index(target.other) == names.index(target.ours) + 1
        assert pairs or name in ("growth", "follow")


def test_the_last_version_is_run_from_its_checkout(tmp_path: Path) -> None:
    """The same script and Python as ours, with other modules: here some that only say a word."""
    package = tmp_path / "old" / "ingest"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "cli.py").write_text("def main():\n    print('long ago')\n")
    ours = cases.ours.version(cases.VERSION)
    assert ours.by is not None
    theirs = ours.by(last_version(tmp_path / "old"))
    assert theirs.name == f"{cases.VERSION}, last version"
    said = [
        run(competitor.command(tmp_path), competitor.environment).output.split()[0]
        for competitor in (ours, theirs)
    ]
    assert said == ["tokentail", "long"]


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    """Else this version would be compared with itself, and be found as fast."""
    with pytest.raises(Failed, match="is no checkout of a version"):
        last_version(tmp_path)


HOLDS_50_MB = "import time; held = b'x' * 50_000_000; time.sleep(0.6)"


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="no PSS: /proc/self/smaps_rollup")
def test_all_processes_are_weighed_together() -> None:
    """A process of 50 MB and its child of 50 MB are 100 MB and two Pythons, which share what they can."""
    parent = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {HOLDS_50_MB!r}]); {HOLDS_50_MB}"
    )
    peak_bytes = run(child("memory", sys.executable, "-c", parent), ENVIRONMENT).peak_bytes
    assert 100_000_000 < peak_bytes < 130_000_000


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
    assert [verdict.word for verdict in verdicts] == [
        *["met", "NOT MET"] * 4,
        "-",
        "-",
    ]
    assert [verdict.shown for verdict in verdicts[:1] + verdicts[4:5] + verdicts[6:7] + verdicts[8:9]] == [
        "0.50 x",
        "0.50 s",
        "50 MB",
        "not measured",
    ]
    assert [verdict.cpu_shown for verdict in verdicts[:5]] == ["1.50 x", "1.50 x", "0.67 x", "0.67 x", ""]
    assert table.summary(verdicts) == "4 targets met, 4 not met, 2 not measured"


def test_ratios_are_medians_over_pairs() -> None:
    """A round in which the machine was busy with one of a pair counts for no more than another round."""
    results = [result("a", 1.0, 2.0, 30.0), result("b", 2.0, 4.0, 3.0)]
    targets = [at_most("a", 0.5, "b"), faster("a", 2, "b"), above("a", -1.0, "b"), above("a", -1.1, "b")]
    verdicts = judge("c", targets, results)
    assert [verdict.value for verdict in verdicts] == [0.5, 2.0, -1.0, -1.0]
    assert [verdict.word for verdict in verdicts] == ["met", "met", "met", "NOT MET"]


def test_what_leads_stands_apart() -> None:
    """The ratios that say most are shown first, and once."""
    verdicts = [Verdict("c", leading(at_most("a", 1, "b")), 0.5), Verdict("c", at_most("a", 2, "d"), 0.7)]
    first, rest = table.leading("Here.", verdicts), table.report("Here.", [], verdicts)
    assert [("1 x b" in text, "2 x d" in text) for text in (first, rest)] == [(True, False), (False, True)]


def test_five_ratios_lead(tmp_path: Path) -> None:
    """Two of sparse, and one each of drained, dense and many."""
    inputs = Inputs(tmp_path / "inputs", SCALE)
    made = [make(inputs, tmp_path) for name, make in cases.CASES.items() if name != "follow"]
    led = [case.name for case in made for target in case.wanted if target.leads]
    assert led == ["sparse", "sparse", "drained", "dense", "many"]


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
