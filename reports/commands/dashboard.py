"""`tokentail dashboard`: the report as one page that works offline, or a chart as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from commandline import options
from commandline.output import remark, say, say_json
from commandline.sink import STANDARD_OUTPUT, opened_sink
from ingest.errors import Unwritable, UsageMistake
from ingest.storing.database import files_of, open_for_reading
from reports.commands.filters import buckets_option, filter_options, nothing_left, population_line
from reports.dashboard.board import Board, read_board
from reports.dashboard.charts import CHARTS
from reports.dashboard.page import page
from reports.dashboard.pictures import png, svg
from reports.dashboard.versions import vega_lite_version
from reports.selection import Selection
from reports.strata import Bucket, Strata
from reports.terminal import bytes_text

DEFAULT_CHART = "predicted-actual"


@click.command("dashboard")
@options.db_option
@click.option(
    "--html",
    type=options.any_path,
    metavar="FILE",
    help="Write the page there: one file, which needs no network.",
)
@click.option(
    "--png", "png_file", type=options.any_path, metavar="FILE", help="Write one chart there, as PNG."
)
@click.option(
    "--svg", "svg_file", type=options.any_path, metavar="FILE", help="Write one chart there, as SVG."
)
@click.option(
    "--chart",
    type=click.Choice(list(CHARTS)),
    help=f"Which chart --png and --svg draw. Default: {DEFAULT_CHART}.",
)
@filter_options()
@buckets_option
@options.json_option
def dashboard_command(
    db: str | None,
    html: str | None,
    png_file: str | None,
    svg_file: str | None,
    chart: str | None,
    selection: Selection,
    buckets: tuple[Bucket, ...],
    as_json: bool,
) -> int:
    """Draw the report as one page that works offline, or a chart as a picture.

    The page has the verdict, the numbers of `tokentail report`, five charts, and the worst and the
    newest events, over all or by run, category, complexity, model and dates. What is chosen is kept
    in its address: page.html#category=docs. Needs the extra "charts".

    \b
    Examples:
      tokentail dashboard --html dashboard.html
      tokentail dashboard --png smape.png --chart smape --since 7d
    """  # noqa: D301 - Click's mark must be the character itself
    database = options.chosen_database(db)
    targets = {"html": html, "png": png_file, "svg": svg_file}
    asked = {kind: file for kind, file in targets.items() if file}
    _check(asked, database, chart, as_json)
    vega_lite_version()  # an error for a missing extra comes before the database is read
    with open_for_reading(database, remark) as opened:
        board = read_board(opened, selection, Strata(buckets=buckets), with_choices="html" in asked)
    if not board.population.selected and (pictures := [asked[kind] for kind in asked if kind != "html"]):
        raise Unwritable(f"{pictures[0]}: not written. {nothing_left(board.population, 'draw')}")
    population = population_line(board.population, str(database))
    written = []
    for kind, file in asked.items():
        content = _content(kind, board, database, population, chart or DEFAULT_CHART)
        with opened_sink(file) as sink:
            sink.write(content)
        written.append((kind, file, len(content)))
    if as_json:
        drawn = {"events": board.population.selected, "drawn": len(board.points.rows)}
        files = [{"kind": kind, "path": file, "bytes": size} for kind, file, size in written]
        say_json({"database": str(database), **drawn, "files": files})
        return 0
    announce = remark if STANDARD_OUTPUT in asked.values() else say
    for _, file, size in written:
        announce(f"{file} ({bytes_text(size)})")
    announce(population)
    return 0


def _content(kind: str, board: Board, database: str, population: str, chart: str) -> bytes:
    if kind == "html":
        return page(board, database, population).encode("utf-8")
    return png(board, chart) if kind == "png" else svg(board, chart)


def _check(asked: dict[str, str], database: str, chart: str | None, as_json: bool) -> None:
    """Refuse options that contradict each other, before anything is read or written.

    Raises:
        UsageMistake: they do.
    """
    if not asked:
        raise UsageMistake("nothing to write: name a file with --html, --png or --svg")
    if chart and asked.keys() == {"html"}:
        raise UsageMistake("--chart names what --png and --svg draw: the page holds every chart")
    if as_json and STANDARD_OUTPUT in asked.values():
        raise UsageMistake("standard output can't hold both a file and --json: name a file")
    places = [Path(file).resolve() for file in asked.values()]
    if len(set(places)) < len(places):
        raise UsageMistake("--html, --png and --svg need different files")
    if {Path(path).resolve() for path in files_of(database)} & set(places):
        raise UsageMistake(f"{database} is the database itself: name another file")
