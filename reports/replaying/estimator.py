"""Somebody else's estimator: imported by name, called in a folder of its own, its answers checked.

Estimators look at the file system (does a deliverable exist already?), so they run in an empty
temporary folder unless another is named. What they print goes to standard error.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
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

CALL = (
    "an estimator is called without arguments, and its estimate(deliverables=[...], category=..., "
    "complexity=...) returns an object with estimated_tokens: docs/reports.md"
)
"""What an estimator must be, for messages."""

_FILE_ENDING = ".py"

LARGEST_ESTIMATE = 10**18
"""Tokens; anything beyond is taken for a mistake. SQLite holds integers up to nine times as large."""


class EstimateFailed(Exception):
    """The estimator raised, or answered something that is no number of tokens."""


def parse_name(name: str) -> tuple[str, str]:
    """Return the module and the class that `module:Class` names.

    Raises:
        UsageMistake: it is not of that form.
    """
    module, colon, attribute = name.rpartition(":")
    if not (module and colon and attribute):
        raise UsageMistake(
            f"--estimator {name!r}: write module:Class, for example mypackage.estimator:Mine, or est.py:Mine "
            "for a file"
        )
    return module, attribute


def located(name: str) -> str:
    """Return the name of an estimator with the whole path of its file, where it names one.

    Raises:
        UsageMistake: it names nothing, or a file that isn't there.
    """
    module, attribute = parse_name(name)
    if not module.endswith(_FILE_ENDING):
        return name
    if not os.path.isfile(module):
        raise UsageMistake(f"--estimator {name!r}: there is no file {module}")
    return f"{os.path.abspath(module)}:{attribute}"


def load_estimator(name: str) -> Callable[[], Any]:
    """Import the class (or function) that `module:Class` or `file.py:Class` names; call it inside `running`.

    Raises:
        UsageMistake: it is not of that form.
        UnusableEstimator: the module can't be imported, has no such name, or that can't be called.
    """
    module, attribute = parse_name(name)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found: Any = _imported(module)
    except (Exception, SystemExit) as error:
        raise UnusableEstimator(
            f"{name}: can't be imported ({type(error).__name__}: {error}){_advice(module, error)}"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UnusableEstimator(f"{name}: {module} has no {part}{_suggestion(found, part)}")
        found = getattr(found, part)
    if not callable(found):
        raise UnusableEstimator(f"{name}: {attribute} can't be called: name a class")
    return found  # type: ignore[no-any-return]


def _imported(module: str) -> Any:
    """Import a module by its name, or a file; its folder goes on `sys.path`, for what it imports itself."""
    if not module.endswith(_FILE_ENDING):
        return importlib.import_module(module)
    folder, file = os.path.split(os.path.abspath(module))
    name = file.removesuffix(_FILE_ENDING)
    spec = importlib.util.spec_from_file_location(name, module)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a .py file has both
    made = importlib.util.module_from_spec(spec)
    sys.path.insert(0, folder)
    sys.modules[name] = made  # dataclasses, for one, look their module up
    spec.loader.exec_module(made)
    return made


def _advice(module: str, error: BaseException) -> str:
    """Say what to do if the module itself was not found; nothing if one that it imports was not."""
    top = module.partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or error.name not in (top, module):
        return ""
    return f": put the folder that holds {top} on PYTHONPATH, or name its file: path/to/{top}.py:Class"


def _suggestion(found: Any, name: str) -> str:
    """Name a class or function of a module that is like the missing one, or else what there is."""
    names = [
        member
        for member in dir(found)
        if callable(getattr(found, member, None)) and not member.startswith("_")
    ]
    if similar := difflib.get_close_matches(name, names, 1):
        return f"; did you mean {similar[0]}?"
    return f"; it has {', '.join(names[:5])}" if names else ""


@contextlib.contextmanager
def running(make: Callable[[], Any], workspace: Path | None = None) -> Iterator[Estimate]:
    """Make the estimator inside its folder and yield the function that asks it.

    Until the end, the folder (`workspace`, or an empty temporary one) is the current one of the whole
    process.

    Raises:
        UnusableEstimator: it can't be made, has no `estimate`, or its folder can't be made or entered.
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
                f"the estimator can't be made: {type(error).__name__}: {error}: {CALL}"
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
    """Send what the estimator prints, from Python or not, to standard error: the result stays clean."""
    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # one of the two streams is closed: there is nothing to keep clean
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
        raise EstimateFailed(f"the estimator raised {type(error).__name__}: {error}") from error


def token_count(value: object) -> int:
    """Return a prediction as a whole number of tokens, rounded.

    Raises:
        EstimateFailed: it is no number from 0 to `LARGEST_ESTIMATE`.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise EstimateFailed(f"{value!r} is no number of tokens")
    number = int(value) if isinstance(value, Integral) else float(value)  # a float holds 15 digits, not 18
    if not 0 <= number <= LARGEST_ESTIMATE:  # nor is NaN
        raise EstimateFailed(f"{value!r} is no number of tokens")
    return round(number)
