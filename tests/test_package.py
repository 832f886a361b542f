"""The package: what is installed, and nothing else."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from conftest import ROOT

FOLDERS = ("commandline", "ingest", "parsers", "reports")
ENTRIES = ("datasette_plugin", "main", "sqlite_utils_plugin")
FILES = ("tokentail_plugins.py", "schema.sql", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def test_wheel_holds_exactly_our_packages_and_the_schema(tmp_path: Path) -> None:
    """Built by way of the sdist, it has our packages, the entry points and the schema, and no tests."""
    source = tmp_path / "source"
    source.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name)
    for name in FILES:
        shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "out"), str(source)]
    done = subprocess.run(build, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
        script = opened.read(entry_points).decode()
    top = {name.partition("/")[0] for name in names}
    ours = {*FOLDERS, "tokentail_plugins.py"}
    assert {name for name in top if not name.endswith(".dist-info")} == ours
    assert "ingest/schema.sql" in names
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
