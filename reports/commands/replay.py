"""`tokentail replay`: another estimator over the stored events."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from commandline import options
from commandline.output import complain, remark, say, say_json, say_lines
from ingest.errors import UsageMistake
from ingest.storing.database import open_for_reading
from reports.commands.filters import buckets_option, by_option, filter_options, know_days, say_population
from reports.replaying.comparison import Replay, made_up, replay
from reports.replaying.estimator import CALL, Estimate, EstimateFailed, load_estimator, located, running
from reports.replaying.events import ReplayEvent, replay_events
from reports.replaying.predictions import read_predictions
from reports.replaying.views import replay_lines, replay_record, row_lines
from reports.selection import Selection, population
from reports.strata import Bucket, Strata
from reports.terminal import counted


@click.command("replay")
@options.db_option
@click.option(
    "--estimator",
    metavar="MODULE:CLASS",
    help="A class of a file, est.py:Mine, or of a module on PYTHONPATH; see docs/reports.md.",
)
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='NDJSON of {"event_key": ..., "prediction": tokens}.',
)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the estimator runs. Default: an empty folder.",
)
@click.option("--real-only", is_flag=True, help="Only events whose paths are all known.")
@click.option("--rows", "show_rows", is_flag=True, help="Show each event, old and new, as well.")
@filter_options()
@by_option
@buckets_option
@options.json_option
def replay_command(
    db: str | None,
    estimator: str | None,
    predictions: Path | None,
    workspace: Path | None,
    real_only: bool,
    show_rows: bool,
    selection: Selection,
    dimensions: tuple[str, ...],
    buckets: tuple[Bucket, ...],
    as_json: bool,
) -> int:
    """Run another estimator over the stored events and compare it with the logged estimates.

    The estimator gets the real deliverables where the log told them, made-up ones (src/file0.py, ...)
    elsewhere; each kind is counted. Absolute paths and `..` from a log never reach it. Error (SMAPE)
    and waste are compared over clean events, the share underestimated over all whose need is known.
    The unit is the phase: its tries are alike. "better" and "worse" are said where chance alone gives
    as large a difference in at most 5% of the cases (sign flips of six or more phases), all strata
    taken together (Holm).

    \b
    Examples:
      tokentail replay --estimator est.py:Mine --real-only
      tokentail replay --estimator mypackage.estimator:Mine
      tokentail replay --predictions predictions.ndjson --by category
    """  # noqa: D301 - Click's mark must be the character itself
    strata = Strata(dimensions, buckets)
    source, asking, known = _source(estimator, predictions, workspace)
    database = options.chosen_database(db)
    with open_for_reading(database, remark) as opened:
        know_days(opened, selection)
        found = population(opened, selection)
        events = list(replay_events(opened, selection, strata))
    with asking as estimate:
        replayed = replay(events, estimate, strata, real_only, by_paths=predictions is None)
    if as_json:
        head = {
            "database": str(database),
            "estimates": source,
            "filters": selection.record(),
            "population": asdict(found),
        }
        say_json(head | replay_record(replayed))
    else:
        say(f"Replay of {source}")
        say_population(found, str(database))
        say_lines(replay_lines(replayed))
        say_lines(row_lines(replayed) if show_rows else [])
    if unused := len(known - {event.event_key for event in events}):
        remark(f"{counted(unused, 'prediction')} in {source} of no event that is selected here")
    return _trouble(replayed, with_paths=predictions is None)


def _source(
    estimator: str | None, predictions: Path | None, workspace: Path | None
) -> tuple[str, AbstractContextManager[Estimate], frozenset[str]]:
    """Return where predictions come from, the context in which to ask for them, and a file's event keys.

    Raises:
        UsageMistake: not just one source was given, or it names nothing.
        UnusableImport: a file of predictions can't be read.
    """
    if (estimator is None) == (predictions is None):
        raise UsageMistake("give either --estimator MODULE:CLASS or --predictions FILE")
    if estimator is not None:
        return estimator, running(partial(_made, located(estimator)), workspace), frozenset()
    assert predictions is not None  # noqa: S101 - one of the two is given
    if workspace is not None:
        raise UsageMistake("--workspace is for an --estimator; predictions are read from their file")
    known = read_predictions(predictions)
    return str(predictions), nullcontext(lambda event: _looked_up(known, event)), frozenset(known)


def _made(estimator: str) -> Any:
    """Import an estimator and make it; called inside `running`, so that files which it makes stay there."""
    return load_estimator(estimator)()


def _looked_up(known: dict[str, int], event: ReplayEvent) -> int:
    try:
        return known[event.event_key]
    except KeyError:
        raise EstimateFailed("no prediction of it in the file") from None


def _trouble(replayed: Replay, with_paths: bool) -> int:
    """Print on standard error what makes the numbers worth less; return the exit code."""
    if with_paths and (count := made_up(replayed)):
        remark(
            f"warning: {counted(count, 'event')} of {len(replayed.rows):,} replayed with deliverable paths "
            "that are made up, wholly or in part: leave them out with --real-only, or import paths with "
            "`tokentail deliverables import`"
        )
    if not replayed.failures:
        return 0
    key, why = next(iter(replayed.failures.items()))
    failed = counted(len(replayed.failures), "event")
    hint = f": {CALL}" if with_paths and not replayed.rows else ""
    complain(f"{failed} without a prediction; the first, {key}: {why}{hint}")
    return 1
