"""Which tests reach which changes: a copy of the tree in which a call stands before each changed statement.

Most tests run the program in processes of its own; those say it as well, since pytest names the test
in the environment.
"""

from __future__ import annotations

import ast
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from faults.mutants.operators import Site

FOLDER_VARIABLE = "TREE_OF_MUTANTS_REACHED"
"""Names the folder into which each process writes what it reached; not one of the program's own settings."""

_IMPORT = "from faults.mutants.reached import reached as _reached"
_said: set[tuple[int, str]] = set()


def reached(number: int) -> None:
    """Say that the test of the moment reaches a change."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "")
    if (number, test) in _said or FOLDER_VARIABLE not in os.environ:
        return
    _said.add((number, test))
    with open(os.path.join(os.environ[FOLDER_VARIABLE], str(os.getpid())), "a", encoding="utf-8") as file:
        file.write(f"{number}\t{test}\n")


def reaching(folder: Path) -> dict[int, set[str]]:
    """Return the tests that reach each change, by its number."""
    tests: dict[int, set[str]] = defaultdict(set)
    for file in folder.iterdir():
        for line in file.read_text("utf-8").splitlines():
            number, _, test = line.partition("\t")
            tests[int(number)].add(test.rpartition(" (")[0])
    return tests


def instrument(root: Path, files: Sequence[str], sites: Sequence[Site]) -> None:
    """Put the calls into the files of a copy; `files` are all modules in which a constant may be used."""
    trees = {file: ast.parse((root / file).read_text("utf-8")) for file in files}
    before: _Probes = defaultdict(set)
    first_in: _Probes = defaultdict(set)
    for number, site in enumerate(sites):
        statement = _statement_at(trees[site.file], (site.line, site.column))
        if statement is not None:
            before[statement].add(number)
            continue
        for function in _users(trees.values(), _names_at(trees[site.file], site.line)):
            first_in[function].add(number)
    for file, tree in trees.items():
        if _insert(tree, before, first_in):
            (root / file).write_text(ast.unparse(ast.fix_missing_locations(tree)), "utf-8")


_Probes = defaultdict[ast.AST, set[int]]
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _statement_at(tree: ast.AST, place: tuple[int, int]) -> ast.stmt | None:
    """Return the innermost statement of a function that holds a place; `None` for one run on import."""
    found: ast.stmt | None = None
    for function in ast.walk(tree):
        if not isinstance(function, _Function):
            continue
        for statement in function.body:
            for node in ast.walk(statement):
                if isinstance(node, ast.stmt) and _holds(node, place):
                    found = node if found is None or _holds(found, _start(node)) else found
    return found


def _start(node: ast.stmt) -> tuple[int, int]:
    return (node.lineno, node.col_offset)


def _holds(node: ast.stmt, place: tuple[int, int]) -> bool:
    return _start(node) <= place <= (node.end_lineno or 0, node.end_col_offset or 0)


def _names_at(tree: ast.Module, line: int) -> set[str]:
    """Return the names that the statement of a module on this line binds."""
    for statement in tree.body:
        if statement.lineno <= line <= (statement.end_lineno or 0):
            return _bound(statement)
    return set()


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.ClassDef | _Function):
        return {statement.name}
    nodes = ast.walk(statement)
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _users(trees: Iterable[ast.Module], names: set[str]) -> Iterator[_Function]:
    """Yield the functions that use names, or names that are bound to something of them on import."""
    everything, names = list(trees), set(names)
    more = names
    while more:
        made = [
            _bound(statement)
            for tree in everything
            for statement in tree.body
            if not isinstance(statement, _Function) and not names.isdisjoint(_used(statement))
        ]
        more = set().union(*made) - names
        names |= more
    for tree in everything:
        for node in ast.walk(tree):
            if isinstance(node, _Function) and not names.isdisjoint(_used(node)):
                yield node


def _used(node: ast.AST) -> set[str]:
    inner = list(ast.walk(node))
    names = {child.id for child in inner if isinstance(child, ast.Name)}
    return names | {child.attr for child in inner if isinstance(child, ast.Attribute)}


def _insert(tree: ast.Module, before: _Probes, first_in: _Probes) -> bool:
    """Put calls into a module: before statements, and first in functions; return whether there are any."""
    inserted = False
    for node in list(ast.walk(tree)):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                numbers = set().union(*(before.get(statement, set()) for statement in block))
                inserted |= bool(numbers)
                setattr(
                    node,
                    name,
                    [statement for old in block for statement in (*_calls(before.get(old, ())), old)],
                )
        if isinstance(node, _Function) and node in first_in:
            node.body = [*_calls(first_in[node]), *node.body]
            inserted = True
    if inserted:
        preamble = [
            statement for statement in tree.body if isinstance(statement, ast.Expr) or _is_future(statement)
        ]
        rest = [statement for statement in tree.body if statement not in preamble]
        tree.body = [*preamble, *ast.parse(_IMPORT).body, *rest]
    return inserted


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _calls(numbers: Iterable[int]) -> list[ast.stmt]:
    return [statement for number in sorted(numbers) for statement in ast.parse(f"_reached({number})").body]
