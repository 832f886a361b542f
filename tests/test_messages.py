"""What a person reads is in our words: never what Python, SQLite or the system raised, and nothing else."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from conftest import EXAMPLES, ROOT, Tokentail
from ingest.storing.explaining import explanation

OURS = ("commandline", "ingest", "parsers", "reports")
FILES = [file for name in OURS for file in sorted((ROOT / name).rglob("*.py"))]

ENDS = {"reason_of", "_trouble", "explanation", "schema_trouble"}
"""Functions that make a sentence of an error in several steps."""

_WORD = re.compile(r"[a-z]{3,}")


def _module(file: Path) -> ModuleType:
    """Import the module of a file."""
    return importlib.import_module(
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    )


def _error_variables(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None, list[ast.stmt]]]:
    """Yield name and kind of each exception that is caught, or given to a function, and what follows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name, node.type, node.body
        elif isinstance(node, ast.FunctionDef) and node.name not in ENDS:
            for parameter in node.args.args:
                if parameter.annotation is not None and "Error" in ast.unparse(parameter.annotation):
                    yield parameter.arg, parameter.annotation, node.body


def _is_ours(caught: ast.expr | None, module: ModuleType) -> bool:
    """Whether all that a handler catches are errors of ours, which have a sentence in them."""
    if caught is None:
        return False
    try:
        found = eval(ast.unparse(caught), dict(vars(module)))  # noqa: S307 - our own source
    except NameError:  # kinds that a value knows, which are a library's
        return False
    kinds = found if isinstance(found, tuple) else (found,)
    return all(kind.__module__.partition(".")[0] in OURS for kind in kinds)


def _texts(body: list[ast.stmt], name: str) -> Iterator[ast.expr]:
    """Yield each text in a handler that is made of what was caught, as whole as it is made there."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Raise):
            if isinstance(node.exc, ast.Call) and not hasattr(builtins, ast.unparse(node.exc.func)):
                waiting.append(node.exc)  # `from error` says nothing to a person, nor does Python's own error
        elif isinstance(node, ast.JoinedStr | ast.BinOp | ast.BoolOp) or _is_text_of(node, name):
            if any(_is_text_of(child, name) for child in ast.walk(node)):
                assert isinstance(node, ast.expr)
                yield node
        else:
            waiting += ast.iter_child_nodes(node)


def _is_text_of(node: ast.AST, name: str) -> bool:
    """Whether an expression is the text of an exception, or of a part of it."""
    match node:
        case ast.FormattedValue(value=ast.Name(id=found)):
            return found == name
        case ast.Attribute(value=ast.Name(id=found), attr="strerror" | "msg" | "reason" | "args"):
            return found == name
        case ast.Call(func=ast.Name(id="str" | "repr" | "reason_of"), args=[ast.Name(id=found)]):
            return found == name
    return False


def _has_words(text: ast.expr) -> bool:
    """Whether something is said beside names of files and what stands in braces."""
    constants = [constant.value for constant in ast.walk(text) if isinstance(constant, ast.Constant)]
    return any(isinstance(constant, str) and _WORD.search(constant) for constant in constants)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_message_is_the_text_of_an_exception_alone(file: Path) -> None:
    """Who meets `[Errno 5]`, or `not an error`, gets a sentence of ours that says of what, and what to do."""
    module = _module(file)
    for name, kind, body in _error_variables(ast.parse(file.read_text(encoding="utf-8"))):
        for text in [] if _is_ours(kind, module) else _texts(body, name):
            assert _has_words(text), f"{file.name}:{text.lineno}: {ast.unparse(text)}"


def test_a_value_that_somebody_broke_is_no_traceback(called: Tokentail, tmp_path: Path) -> None:
    """Text that is none is said with the way back; a name that can't be a key is that of no event."""
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection, connection:
        connection.execute("UPDATE token_estimation_v2_events SET category = CAST(x'ff' AS TEXT)")
    done = called("coverage", "--category", "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert "telemetry.db: a value in it was changed by another program, and can't be read (" in done.stderr
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection, connection:
        connection.execute("UPDATE token_estimation_v2_events SET category = NULL, model = x'ff'")
    assert "differences" in called("verify").stdout
    assert "has no event" in called("events", "\udcff").stderr


@pytest.mark.parametrize("not_ours", [False, True], ids=["ours", "another's"])
def test_no_error_of_a_database_is_shown_in_its_words_alone(tmp_path: Path, not_ours: bool) -> None:
    """Whatever SQLite's code is: it is a mistake of the program's, or a sentence of ours names the file."""
    codes = [name for name, value in vars(sqlite3).items() if name.startswith("SQLITE_") and value]
    assert len(codes) > 50
    for code in codes:
        error = sqlite3.OperationalError("ITS WORDS")
        error.sqlite_errorname = code
        message = explanation(tmp_path / "t.db", error, not_ours)
        name, _, text = str(message or f"{tmp_path / 't.db'}: ours").partition(": ")
        assert (name, bool(_WORD.search(text))) == (str(tmp_path / "t.db"), True), code
