"""`make profile`: where the time of one ingest goes, by function and then line by line."""

from __future__ import annotations

import cProfile
import importlib.util
import inspect
import pstats
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import click

from bench.inputs import Inputs
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions

CASES: dict[str, Callable[[Inputs], Path]] = {
    "dense": lambda inputs: inputs.dense().path,
    "sparse": lambda inputs: inputs.sparse().path,
    "drained": lambda inputs: inputs.drained().path,
    "none": lambda inputs: inputs.none().path,
    "many": lambda inputs: inputs.many().path,
    "gz": lambda inputs: inputs.gz().path,
    "utf16": lambda inputs: inputs.utf16().path,
    "mix": lambda inputs: inputs.mix().path,
}

SHOWN_FUNCTIONS = 30
_PACKAGES = ("commandline", "ingest", "parsers")

Place = tuple[str, int]
"""File and first line of a function."""


def one_ingest(log: Path) -> None:
    """Ingest a log into a database of its own, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        options = IngestOptions("backfill", zone_named("UTC"), zone_asked=True, finished=True)
        ingest([str(log)], Path(folder) / "events.db", options)


def _functions() -> Iterator[FunctionType]:
    """Yield all functions and methods of our modules that are loaded."""
    modules = [module for name, module in sys.modules.items() if name.split(".", maxsplit=1)[0] in _PACKAGES]
    for module in modules:
        classes = [member for _, member in inspect.getmembers(module, inspect.isclass)]
        for owner in (module, *classes):
            for value in list(vars(owner).values()):
                found = inspect.unwrap(value.fget if isinstance(value, property) else value)  # type: ignore[arg-type]
                found = getattr(found, "__func__", found)
                if isinstance(found, FunctionType):
                    yield found


def hottest(log: Path) -> list[Place]:
    """Print the functions by their own time; return where ours are, the hottest first."""
    profile = cProfile.Profile()
    profile.runcall(one_ingest, log)
    stats = pstats.Stats(profile)
    stats.sort_stats("tottime").print_stats(SHOWN_FUNCTIONS)
    entries = stats.stats.items()  # type: ignore[attr-defined]
    ranked = sorted(entries, key=lambda entry: entry[1][2], reverse=True)
    return [(file, line) for (file, line, _), _ in ranked if Path(file).exists()]


def line_by_line(log: Path, places: list[Place], count: int) -> None:
    """Print the lines of the hottest functions of ours, with the time of each."""
    from line_profiler import LineProfiler  # noqa: PLC0415  only where it is installed

    by_place = {
        (function.__code__.co_filename, function.__code__.co_firstlineno): function
        for function in _functions()
    }
    chosen = [by_place[place] for place in places if place in by_place][:count]
    profiler: Any = LineProfiler(*chosen)
    profiler.runcall(one_ingest, log)
    profiler.print_stats(stripzeros=True, sort=True, output_unit=1e-3)


@click.command()
@click.argument("case", type=click.Choice(list(CASES)), default="dense")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path(".bench"), help="For the inputs."
)
@click.option("--scale", default=0.05, help="Multiplies the sizes.")
@click.option("--functions", default=8, help="How many are shown line by line.")
def main(case: str, folder: Path, scale: float, functions: int) -> None:
    """Profile one ingest of the log of this CASE."""
    log = CASES[case](Inputs(folder.absolute(), scale))
    places = hottest(log)
    if importlib.util.find_spec("line_profiler") is None:
        click.echo("line_profiler is not installed: no lines (pip install '.[bench]')")
    else:
        line_by_line(log, places, functions)


if __name__ == "__main__":
    main()
