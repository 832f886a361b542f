"""`--metrics FILE.prom`: what Prometheus' own parser reads, whatever became of the command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conftest import ROOT, Tokentail
from event_lines import event_message, logged
from ingest.storing.ingest_runs import ingest_lock
from reports.prometheus import MAX_LOGS, Metric, Sample, rendered

LINES = "".join(logged(event_message(predicted_output=number)) + "\n" for number in (1, 2))
REJECT = "[2026-01-14 09:00:00] INFO: [TokenEstimationV2] predicted_output=1 actual\n"

Labels = frozenset[tuple[str, str]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Make a log with two events and a reject."""
    (tmp_path / "run.log").write_text(LINES + REJECT)
    return tmp_path / "run.log"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the metrics go: a folder that holds nothing else."""
    (tmp_path / "textfile").mkdir()
    return tmp_path / "textfile" / "tokentail.prom"


def parsed(file: Path) -> dict[str, dict[Labels, float]]:
    """Read a file as Prometheus does: values by name and labels; each metric must be explained."""
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(file.read_text(encoding="utf-8")):
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            values = found.setdefault(sample.name.removeprefix("tokentail_"), {})
            assert sample.name.startswith("tokentail_")
            assert (sample.name.endswith("_total")) == (family.type == "counter")
            labels = frozenset(sample.labels.items())
            assert labels not in values
            values[labels] = sample.value
    return found


def plain(file: Path) -> dict[str, float]:
    """Return the values that have no labels, or the exit code."""
    return {name: next(iter(values.values())) for name, values in parsed(file).items() if len(values) == 1}


@pytest.mark.parametrize("command", ["ingest", "backfill", "follow", "status"])
def test_every_command_that_writes_metrics_for_a_monitor(
    called: Tokentail, log: Path, file: Path, command: str
) -> None:
    """The same names, whoever writes: totals, gauges, and series for each log."""
    more = ["--until-idle", "0"] if command == "follow" else []
    if command == "status":
        called("ingest", log, "--tz", "UTC")
    else:
        more += ["--tz", "UTC", log]
    done = called(command, "--quiet", "--metrics", file, *more)
    assert (done.returncode, done.stderr) == (0, "")
    found = parsed(file)
    assert found["exit_code"] == {frozenset({("command", command)}): 0}
    values = plain(file)
    size = log.stat().st_size
    assert values["read_bytes_total"] == values["log_read_bytes"] == size
    assert (values["new_events_total"], values["events"], values["sightings"]) == (2, 2, 2)
    assert (values["marker_lines_total"], values["rejected_lines_total"], values["rejects"]) == (3, 1, 1)
    assert (values["behind_bytes"], values["problems"], values["database_readable"]) == (0, 0, 1)
    assert found["sources"] == {frozenset({("state", "complete")}): 1}
    assert found["log_rejects"] == {frozenset({("path", str(log))}): 1}
    assert values["last_event_timestamp_seconds"] == 1767037202  # 2025-12-29 19:40:02 UTC
    assert 0 <= values["written_timestamp_seconds"] - values["last_success_timestamp_seconds"] < 60
    assert [path.name for path in file.parent.iterdir()] == ["tokentail.prom"]


def test_failure_is_written_too(called: Tokentail, log: Path, file: Path, tmp_path: Path) -> None:
    """Missing logs, a database that is held, broken or not there, wrong use: each leaves its exit code."""

    def code(*arguments: object, **environment: str) -> tuple[int, float, float]:
        done = called(*arguments, "--quiet", "--metrics", file, **environment)
        values = plain(file)
        return (done.returncode, values["exit_code"], values["database_readable"])

    assert code("status") == (1, 1, 0)
    assert code("ingest", log, "nowhere") == (1, 1, 1)
    assert plain(file)["problems"] == 1
    assert "last_success_timestamp_seconds" not in parsed(file)
    with ingest_lock(tmp_path / "telemetry.db", 0):
        assert code("ingest", log) == (75, 75, 1)
        assert code("follow", log) == (75, 75, 1)
    assert code("ingest") == (2, 2, 1)
    assert code("ingest", log, DATABASE_URL="postgresql://h/d") == (2, 2, 0)
    (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
    assert code("ingest", log, "--db", "broken.db") == (1, 1, 0)
    assert code("status", "--max-age", "1h") == (1, 1, 1)


@pytest.mark.parametrize("command", ["ingest", "follow", "status"])
def test_metrics_load_neither_numpy_nor_pandas(
    tokentail: Tokentail, log: Path, file: Path, tmp_path: Path, command: str
) -> None:
    """Where both are installed, metrics of an unchanged run don't wait half a second for them."""
    assert tokentail("ingest", log).returncode == 0
    for name in ("numpy", "pandas"):
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('{name} was loaded')\n")
    paths = {"ingest": [log], "follow": [log, "--until-idle", "0"], "status": []}
    found = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = tokentail(command, "--quiet", "--metrics", file, *paths[command], PYTHONPATH=found)
    assert (done.returncode, done.stderr) == (0, "")
    assert plain(file)["events"] == 2


@pytest.mark.parametrize("command", ["ingest", "status"])
def test_metrics_that_cannot_be_written_hinder_nothing(called: Tokentail, log: Path, command: str) -> None:
    """What was asked for is done; the file is named, and the exit code is 1."""
    if command == "status":
        called("ingest", log)
    done = called(*([command, log] if command == "ingest" else [command]), "--metrics", "no/such.prom")
    assert done.returncode == 1
    assert "no/such.prom: can't be written" in done.stderr
    assert ("2 events new" if command == "ingest" else "2 events") in done.stdout


def test_metrics_go_to_a_file_that_is_read(called: Tokentail, log: Path) -> None:
    """A name that node_exporter passes over is a mistake, said before anything is done."""
    done = called("ingest", log, "--metrics", "tokentail.txt")
    assert (done.returncode, "must end in .prom" in done.stderr) == (2, True)
    assert not (log.parent / "telemetry.db").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_file_is_readable_and_keeps_its_permissions(called: Tokentail, log: Path, file: Path) -> None:
    """The collector is another user; who narrowed the permissions keeps them."""
    called("ingest", log, "--metrics", file)
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()
    file.chmod(0o640)
    called("ingest", log, "--metrics", file)
    assert file.stat().st_mode & 0o777 == 0o640


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_names_of_logs_are_escaped(called: Tokentail, tmp_path: Path, file: Path) -> None:
    """Quotes, backslashes and line ends in a path are a path, not another metric."""
    logs = tmp_path / "logs"
    logs.mkdir()
    names = ['a"b.log', "a\\b.log", 'x\n# TYPE tokentail_fake gauge\n".log', "ä \u202e.log"]
    for number, name in enumerate(names):
        (logs / name).write_text(logged(event_message(predicted_output=number + 1)) + "\n")
    called("ingest", logs, "--metrics", file)
    paths = {dict(labels)["path"] for labels in parsed(file)["log_rejects"]}
    assert paths == {str(logs / name) for name in names}
    assert "fake" not in parsed(file)


def test_series_are_limited_and_sums_are_not(called: Tokentail, tmp_path: Path, file: Path) -> None:
    """Thousands of logs don't flood a monitor."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(MAX_LOGS + 20):
        (logs / f"{number}.log").write_text(logged(event_message(predicted_output=number + 1)) + "\n")
    called("ingest", logs, "--metrics", file)
    assert len(parsed(file)["log_read_bytes"]) == MAX_LOGS
    assert plain(file)["events"] == MAX_LOGS + 20


def test_rendering() -> None:
    """Help is escaped, whole numbers are written as such, and what has no value is not there."""
    metrics = [
        Metric(
            "a_seconds", "gauge", "A \\ and\na line.", [Sample(1.5, {}), Sample(2.0, {"x": "1", "y": "2"})]
        ),
        Metric("b", "gauge", "None.", []),
    ]
    assert rendered(metrics) == (
        "# HELP tokentail_a_seconds A \\\\ and\\na line.\n# TYPE tokentail_a_seconds gauge\n"
        'tokentail_a_seconds 1.5\ntokentail_a_seconds{x="1",y="2"} 2\n'
    )
