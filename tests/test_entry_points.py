"""What other programs load of us: it goes beside a project that has folders of the same names as ours."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

PACKAGES = ("commandline", "ingest", "parsers", "reports")
VERSION = "import sys, tokentail_plugins; sys.argv = ['tokentail', '--version']; tokentail_plugins.main()"
PLUGINS = {"sqlite_utils": "sqlite_utils_plugin", "datasette": "datasette_plugin"}


def run(program: str, *before: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that finds the modules of some folders before ours."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*before, ROOT)))}
    return subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, capture_output=True, check=False, text=True
    )


@pytest.fixture(params=["package", "module"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a project with packages, or modules, that are called as ours are, and say when they are run."""
    for name in PACKAGES:
        file = tmp_path / (f"{name}/__init__.py" if request.param == "package" else f"{name}.py")
        file.parent.mkdir(exist_ok=True)
        file.write_text("raise SystemExit('the code of the project was run')\n")
    return tmp_path


def test_every_entry_point_is_in_the_module_of_our_name() -> None:
    """No entry point names a package that a project may have too."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    points = dict(config["options.entry_points"])
    assert points.pop("console_scripts").strip() == "tokentail = tokentail_plugins:main"
    found = {group: point.strip().partition(" = ")[2] for group, point in points.items()}
    assert found == {group: f"tokentail_plugins:{name}" for group, name in PLUGINS.items()}


@pytest.mark.parametrize("name", PLUGINS.values())
def test_plugin_beside_a_project_is_missing_and_says_so(project: Path, name: str) -> None:
    """The program that loads it goes on, without our functions; nothing of the project is run."""
    program = f"import tokentail_plugins; print(hasattr(tokentail_plugins.{name}, 'prepare_connection'))"
    done = run(program, project)
    assert (done.returncode, done.stdout) == (0, "False\n")
    assert done.stderr.count("\n") == 1
    assert "stands in the place of its own package 'reports'" in done.stderr
    assert str(project) in done.stderr


@pytest.mark.parametrize("name", PLUGINS.values())
def test_plugin_where_nothing_is_in_its_place(name: str, tmp_path: Path) -> None:
    """A folder without modules, and one that was imported already, hinder nothing."""
    (tmp_path / "reports").mkdir()
    if name == "datasette_plugin":
        pytest.importorskip("datasette")
    program = f"import tokentail_plugins; print(hasattr(tokentail_plugins.{name}, 'prepare_connection'))"
    for before in ("", "import reports; "):
        done = run(before + program, tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@pytest.mark.parametrize("name", PACKAGES)
def test_command_beside_a_project_is_one_sentence(name: str, tmp_path: Path) -> None:
    """The command can't run without its packages: it says what stands in their place, and no traceback."""
    (tmp_path / f"{name}.py").write_text("raise SystemExit('the code of the project was run')\n")
    done = run(VERSION, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"tokentail: {tmp_path / name}.py stands in the place")
    assert done.stderr.count("\n") == 1


def test_command_runs(tmp_path: Path) -> None:
    """The entry point of the console script is the program."""
    done = run(VERSION)
    assert (done.returncode, done.stdout.partition(" ")[0]) == (0, "tokentail")
    assert list(tmp_path.iterdir()) == []
