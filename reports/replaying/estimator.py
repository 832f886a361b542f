"""Somebody else's estimator: found by name, called in a folder of its own, believed in nothing.

Estimators look at the file system (does a deliverable exist already?), so they run in an empty
temporary folder unless another is named. What they print goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from ingest.errors import UnusableEstimator, UsageMistake
from reports.replaying.events import ReplayEvent

Estimate = Callable[[ReplayEvent], int]
"""Predict the output tokens of an event; raises `EstimateFailed`."""

LARGEST_ESTIMATE = 10**18
"""Tokens; anything beyond is no estimate, and no number that a database holds."""


class EstimateFailed(Exception):
    """The estimator raised, or answered something that is no number of tokens."""


def parse_name(name: str) -> tuple[str, str]:
    """Return the module and the class that `module:Class` names.

    Raises:
        UsageMistake: it is not of that form.
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise UsageMistake(f"--estimator {name!r}: write module:Class, for example mypackage.estimator:Mine")
    return module, attribute


def load_estimator(name: str) -> Callable[[], Any]:
    """Import the class (or function) that `module:Class` names; call it inside `running`.

    Raises:
        UsageMistake: it is not of that form.
        UnusableEstimator: it can't be imported, or has no such name.
    """
    module, attribute = parse_name(name)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        raise UnusableEstimator(
            f"{name}: {type(error).__name__}: {error}: put the folder that holds "
            f"{module.partition('.')[0]} on PYTHONPATH"
        ) from error
    if not callable(found):
        raise UnusableEstimator(f"{name}: {attribute} can't be called: name a class")
    return found  # type: ignore[no-any-return]


@contextlib.contextmanager
def running(make: Callable[[], Any], workspace: Path | None = None) -> Iterator[Estimate]:
    """Make the estimator inside its folder and yield the function that asks it.

    Raises:
        UnusableEstimator: it can't be made, or has no `estimate`.
    """
    with contextlib.ExitStack() as stack:
        folder = workspace or stack.enter_context(_empty_folder())
        stack.enter_context(_inside(folder))
        stack.enter_context(_output_beside())
        try:
            estimate = make().estimate
        except UnusableEstimator:
            raise
        except (Exception, SystemExit) as error:
            raise UnusableEstimator(
                f"the estimator can't be made: {type(error).__name__}: {error}: it is called without "
                "arguments and must have a method `estimate`"
            ) from error
        yield lambda event: _asked(estimate, event)


@contextlib.contextmanager
def _empty_folder() -> Iterator[Path]:
    try:
        made = tempfile.TemporaryDirectory(prefix="tokentail-")
    except OSError as error:
        raise UnusableEstimator(
            f"no empty folder can be made for the estimator ({error.strerror}): set TMPDIR to a folder "
            "that may be written, or name one with --workspace"
        ) from error
    with made as folder:
        yield Path(folder)


@contextlib.contextmanager
def _output_beside() -> Iterator[None]:
    """Send what the estimator prints, by whatever means, to standard error: the result stays clean."""
    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # one of the two is closed: there is nothing to keep clean
            kept = os.dup(1)
            stack.callback(os.close, kept)
            os.dup2(2, 1)
            stack.callback(os.dup2, kept, 1)
        yield


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    try:
        os.chdir(folder)
    except OSError as error:
        raise UnusableEstimator(
            f"{folder}: {error.strerror}: name a folder that is there with --workspace"
        ) from error
    try:
        yield
    finally:
        os.chdir(before)


def _asked(estimate: Callable[..., Any], event: ReplayEvent) -> int:
    try:
        answer = estimate(
            deliverables=list(event.deliverables), category=event.category, complexity=event.complexity
        )
        return token_count(answer.estimated_tokens)
    except EstimateFailed:
        raise
    except (Exception, SystemExit) as error:
        raise EstimateFailed(f"{type(error).__name__}: {error}") from error


def token_count(value: object) -> int:
    """Return a prediction as a whole number of tokens.

    Raises:
        EstimateFailed: it is no finite number >= 0.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise EstimateFailed(f"{value!r} is no number of tokens")
    number = int(value) if isinstance(value, Integral) else float(value)  # 18 digits are more than a float's
    if not 0 <= number <= LARGEST_ESTIMATE:  # nor is NaN
        raise EstimateFailed(f"{value!r} is no number of tokens")
    return round(number)
