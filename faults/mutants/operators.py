"""Where one operator, constant or condition of a module can be changed, and into what.

Left out is what says nothing at run time or is no rule of ours: annotations, decorators, assertions
for the type checker, docstrings, the texts of messages.
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from itertools import pairwise

SMALL_NUMBER = 10
"""A number up to this one becomes one more; a larger one is a limit, and becomes ten times as large."""

_COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.LShift: ("<<", ">>"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_IS_SQL = re.compile(r"\b(SELECT|UPDATE|INSERT|DELETE FROM|WHERE|CASE|ORDER BY)\b")
_IN_SQL = re.compile(
    r"\{[^{}]*\}|'[^']*'|\b(?:MIN|MAX)(?=\()|IS NOT NULL|IS NULL|\bNOT (?=IN\b|EXISTS)|\bAND\b"
    r"|\bOR\b(?! IGNORE| REPLACE)|\bDESC\b|<>|<=|>=|(?<= )[<>=](?= )|(?<=[ (])\d+\b"
)
_SQL = {
    "MIN": "MAX",
    "MAX": "MIN",
    "IS NOT NULL": "IS NULL",
    "IS NULL": "IS NOT NULL",
    "NOT ": "",
    "AND": "OR",
    "OR": "AND",
    "DESC": "ASC",
    "<>": "=",
    "=": "<>",
    "<=": "<",
    ">=": ">",
    "<": "<=",
    ">": ">=",
}
_CLAUSES = re.compile(r"\b(SET|WHERE|WHEN|ON|AND|OR|CASE)\b")
"""The last of these before a `=` tells whether it assigns (after SET) or compares."""


@dataclass(frozen=True, slots=True)
class Site:
    """One change: characters `start` to `end` of a file become `new`.

    `inside` is the function or class around it, or the constant of a module that it belongs to; `before` and
    `after` are the changed line, or lines, without their indentation, which name the change however
    far the code around it moves. `nth` counts equal changes in one place.
    """

    file: str
    inside: str
    start: int
    end: int
    new: str
    before: str
    after: str
    line: int
    column: int
    nth: int = 0

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """Name the change by what it says, not by where it stands."""
        return (self.file, self.inside, self.before, self.after, self.nth)

    @property
    def id(self) -> str:
        """Return a short name of the change."""
        return hashlib.sha256("\0".join(map(str, self.key)).encode()).hexdigest()[:8]

    def applied(self, text: str) -> str:
        """Return the file's text with the change."""
        return text[: self.start] + self.new + text[self.end :]


def sites_of(file: str, text: str) -> list[Site]:
    """Return all changes of one module, in the order of its text."""
    walk = _Walk(text)
    walk.visit(ast.parse(text))
    seen: dict[tuple[str, str, str], int] = {}
    sites = []
    for start, end, new, inside in sorted(walk.found):
        first, last = text.rfind("\n", 0, start) + 1, (text + "\n").index("\n", end)
        before, after = text[first:last], text[first:start] + new + text[end:last]
        shown = (inside, _one_line(before), _one_line(after))
        nth = seen[shown] = seen.get(shown, -1) + 1
        place = (text.count("\n", 0, start) + 1, len(text[first:start].encode()))
        sites.append(Site(file, inside, start, end, new, *shown[1:], *place, nth))
    return sites


def _one_line(text: str) -> str:
    return " ".join(text.split())


class _Walk(ast.NodeVisitor):
    """Collect changes as (start, end, new text, what it is inside of)."""

    def __init__(self, text: str) -> None:
        self.found: list[tuple[int, int, str, str]] = []
        self._text = text
        self._lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._inside: list[str] = []

    def _offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def _span(self, node: ast.expr) -> tuple[int, int]:
        end = self._offset(node.end_lineno or 0, node.end_col_offset or 0)
        return self._offset(node.lineno, node.col_offset), end

    def _add(self, start: int, end: int, new: str) -> None:
        self.found.append((start, end, new, ".".join(self._inside)))

    def _between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        """Change the operator that stands between two operands."""
        start, end = self._span(left)[1], self._span(right)[0]
        word = rf"\b{old.replace(' ', chr(92) + 's+')}\b" if old[0].isalpha() else re.escape(old)
        found = re.search(word, self._text[start:end])
        if found is not None:
            self._add(start + found.start(), start + found.end(), new)

    # What is around a change, and what is left out

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        self._within(node.name, node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._within(node.name, node.body)

    def _within(self, name: str, body: list[ast.stmt]) -> None:
        self._inside.append(name)
        for statement in body:
            self.visit(statement)
        self._inside.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        self._assigned(node.targets[0], node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._assigned(node.target, node.value)

    def _assigned(self, target: ast.expr, value: ast.expr) -> None:
        if self._inside or not isinstance(target, ast.Name):
            self.visit(target)
            self.visit(value)
        else:
            self._inside.append(target.id)
            self.visit(value)
            self._inside.pop()

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leave out what is only for the type checker."""

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.visit(node.value)

    # Operators

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for (left, right), operator in zip(pairwise(operands), node.ops, strict=True):
            self._between(left, right, *_COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in pairwise(node.values):
            self._between(left, right, old, new)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        pair = _ARITHMETIC.get(type(node.op))
        if pair is not None and not any(map(_is_no_number, (node.left, node.right))):
            self._between(node.left, node.right, *pair)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        pair = _ARITHMETIC.get(type(node.op))
        if pair is not None and not _is_no_number(node.value):
            self._between(node.target, node.value, f"{pair[0]}=", f"{pair[1]}=")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            start = self._span(node)[0]
            self._add(start, start + len("not "), "")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            self._add(*self._span(node.func), _CALLS[node.func.id])
        self.generic_visit(node)

    # Conditions

    def _condition(self, test: ast.expr) -> None:
        is_plain = isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
        if is_plain and ast.unparse(test) != "TYPE_CHECKING":
            start, end = self._span(test)
            self._add(start, end, f"not {self._text[start:end]}")

    def visit_If(self, node: ast.If) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._condition(test)
        self.generic_visit(node)

    # Constants

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._add(*self._span(node), str(not value))
        elif isinstance(value, int | float):
            self._add(*self._span(node), repr(value + 1 if value <= SMALL_NUMBER else value * 10))
        elif isinstance(value, str):
            self._statement(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._statement(node)

    def _statement(self, node: ast.expr) -> None:
        """Change each operator and number of an SQL statement."""
        first, end = self._span(node)
        text = self._text[first:end]
        if not _IS_SQL.search(text):
            return
        quotes = re.match(r"\w*['\"]+", text)
        for found in _IN_SQL.finditer(text, quotes.end() if quotes else 0):
            old = found.group()
            new = str(int(old) + 1) if old.isdigit() else _SQL.get(old)
            assigns = old == "=" and ["WHERE", *_CLAUSES.findall(text[: found.start()])][-1] == "SET"
            if new is not None and not assigns:
                self._add(first + found.start(), first + found.end(), new)


def _is_no_number(node: ast.expr) -> bool:
    """Whether an operand is a text or a type: nothing to calculate with."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str | bytes) or node.value is None
    if isinstance(node, ast.BinOp):
        return _is_no_number(node.left) or _is_no_number(node.right)
    name = node.id if isinstance(node, ast.Name) else ""
    return isinstance(node, ast.JoinedStr) or (name[:1].isupper() and not name.isupper())
