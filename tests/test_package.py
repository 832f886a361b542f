"""The package: what is installed, and nothing else."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from conftest import ROOT

FOLDERS = ("commandline", "ingest", "parsers", "reports")
SUITE = (".ci", ".github", "bench", "claims", "docs", "examples", "faults", "tests")
ENTRIES = ("datasette_plugin", "main", "sqlite_utils_plugin")
TOP_FILES = (
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md", "datasette.yaml"),
    *("pyproject.toml", "ruff.toml", "schema.sql", "setup.cfg", "tokentail_plugins.py"),
)
DATA = {"ingest/schema.sql", *(f"reports/dashboard/page.{kind}" for kind in ("css", "html", "js"))}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a wheel, built by way of the sdist, and of what that was made of."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    source.mkdir()
    for name in (*FOLDERS, *SUITE):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in TOP_FILES:
        shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(build, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def test_sdist_can_run_the_suite(built: Path) -> None:
    """Whatever the tests, the linters and the documents need is in it."""
    source = built / "source"
    given = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    missing = {name for name in given - held if ".egg-info/" not in name and not name.startswith("build/")}
    assert missing == set()


def test_wheel_holds_exactly_our_packages_and_their_data(built: Path) -> None:
    """It has our packages, the entry points, the schema and the page, and no tests."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
        script = opened.read(entry_points).decode()
    top = {name.partition("/")[0] for name in names}
    ours = {*FOLDERS, "tokentail_plugins.py"}
    assert {name for name in top if not name.endswith(".dist-info")} == ours
    assert {name for name in names if not name.endswith(".py") and ".dist-info/" not in name} == DATA
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    points = [line.partition(" = ")[2] for line in script.splitlines() if " = " in line]
    assert sorted(points) == [f"tokentail_plugins:{name}" for name in ENTRIES]


def test_core_imports_nothing_but_its_dependencies() -> None:
    """A start of the program loads no test tool, no extra, and no network library."""
    program = (
        "import sys; from ingest.cli import cli, COMMANDS, LazyGroup; "
        "[cli.get_command(None, name) for name in COMMANDS]; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True
    )
    loaded = set(done.stdout.split())
    assert {"click", "sqlite_utils", "dateutil"} <= loaded
    assert loaded.isdisjoint({"pytest", "hypothesis", "numpy", "pandas", "requests", "httpx", "duckdb"})
    assert loaded.isdisjoint({"altair", "vl_convert", "pyarrow", "scipy", "zlib_ng"})
    assert loaded.isdisjoint({"fsspec", "s3fs", "aiohttp", "botocore", "distributed", "dask"})


def test_pythons_are_those_of_the_hosted_suite() -> None:
    """What setup.cfg names the workflow runs the suite on, and the oldest of them is the least."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    metadata, options = config["metadata"], config["options"]
    named = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", metadata["classifiers"], re.MULTILINE)
    workflow = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    (matrix,) = re.findall(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)
    assert re.findall(r'"(.*?)"', matrix) == named
    assert options["python_requires"] == f">={named[0]}"
    assert f"Python {named[0]} to {named[-1]}" in (ROOT / "docs/install.md").read_text(encoding="utf-8")


def test_every_package_is_shipped() -> None:
    """A folder of modules that the wheel would lack is one that only works in a checkout."""
    found = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for top in FOLDERS
        for init in (ROOT / top).rglob("__init__.py")
    }
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    assert set(config["options"]["packages"].split()) == found
