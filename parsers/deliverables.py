"""The lines that name a phase's deliverable paths, which the event line doesn't have.

The most trusted first: files that were applied; the list of required deliverables (which may end in
`... and 10 more`); up to five missing ones; the scope paths, if the scope was inferred from the deliverables;
the protected ones among those; the paths that an answer tried to write. The linker has the guards, which
compare a list's length with the event's count.
"""

from __future__ import annotations

import re

from parsers.family import PHASE_TAG, TEXT, Family, Shape
from parsers.numbers import string_list
from parsers.records import (
    AppliedFiles,
    AttemptedFiles,
    DeliverablesRefused,
    ListedPath,
    ListRest,
    MissingList,
    MissingPath,
    ProtectedPaths,
    RequiredList,
    ScopeInferred,
    ScopePaths,
)

_LISTED = re.compile(r"  \S{1,6} (?P<path>\S.*)")
_REST = re.compile(r"  \.\.\. and (?P<count>[0-9]{1,9}) more", re.ASCII)
_PATH = re.compile(r".*[/\\].*|.*\.(?=\w*[A-Za-z])\w{1,12}", re.ASCII)
_PLAIN = re.compile(r"(?:[A-Za-z]:)?[\w.@~/\\-][^\s'\"<>|*?:;,]*")
"""Text that is surely a path, since it has no white space or quotes."""

_CUT = "..."
"""What the executor writes after the paths that it names, if there may be more."""


def looks_like_path(text: str) -> bool:
    """Whether a text has a separator or a suffix; without either it is the name of a bucket, like `code`."""
    return _PATH.fullmatch(text) is not None


def _applied(phase: str, literal: str) -> AppliedFiles | None:
    """Read the files that were written for a phase; `None` if the list is cut off."""
    paths = string_list(literal)
    return None if paths is None else AppliedFiles(phase, paths)


def _missing(phase: str, count: str) -> MissingList:
    """Read the header of the list of missing deliverables, with their total number."""
    return MissingList(phase, int(count))


def _scope(literal: str) -> ScopePaths | None:
    """Read the scope's paths; `None` if the list is cut off."""
    paths = string_list(literal)
    return None if paths is None else ScopePaths(paths)


def _protected(phase: str, text: str) -> ProtectedPaths | None:
    """Read the protected paths of a phase's scope, as far as they are surely whole paths."""
    named = text.removesuffix(_CUT).split(", ")
    paths = tuple(
        path for path in named if looks_like_path(path) and _PLAIN.fullmatch(path) and not path.endswith(_CUT)
    )
    whole = len(paths) == len(named) and not text.endswith(_CUT)
    return ProtectedPaths(phase, paths, whole) if paths else None


def _attempted(literal: str) -> AttemptedFiles | None:
    """Read the files that an answer tried to write; `None` if the list is cut off."""
    paths = string_list(literal)
    return None if paths is None else AttemptedFiles(paths)


def _required(_: str) -> RequiredList:
    """Read the header of the list of required deliverables."""
    return RequiredList()


def read_listed(message: str) -> ListedPath | ListRest | None:
    """Read an item of that list, or the last line of a shortened one."""
    text = message.rstrip()
    if rest := _REST.fullmatch(text):
        return ListRest(int(rest["count"]))
    found = _LISTED.fullmatch(text)
    return ListedPath(found["path"]) if found else None


FAMILIES = (
    Family(
        name="applied_files",
        markers=("Applied files: ",),
        opening=PHASE_TAG + r"Applied files: ",
        read=Shape(r"\[([^\]\n]+)\] Applied files: (\[.*\])", _applied),
        samples=("[p1] Applied files: ['src/a.py', \"it's.md\", 'dir\\\\b.py']", "[p1] Applied files: []"),
        near_misses=("[p1] Applied files: ['src/a.py', 'src/b", "[p1] Applied files: [1, 2]"),
    ),
    Family(
        name="deliverables_refused",
        markers=("DELIVERABLES VALIDATION FAILED",),
        opening=PHASE_TAG + r"[^\s\w\[][^\s\[]{0,160} DELIVERABLES VALIDATION FAILED",
        read=Shape(
            r"\[([^\]\n]+)\] [^\s\w\[][^\s\[]{0,40} DELIVERABLES VALIDATION FAILED.*", DeliverablesRefused
        ),
        samples=("[p1] ❌ DELIVERABLES VALIDATION FAILED",),
    ),
    Family(
        name="required_list",
        markers=("REQUIRED DELIVERABLES:",),
        opening=r"[^\s\w\[][^\s\[]{0,160} REQUIRED DELIVERABLES:",
        read=Shape(r"([^\s\w\[][^\s\[]{0,40} REQUIRED DELIVERABLES:)", _required),
        needs_prefix=False,
        samples=("📋 REQUIRED DELIVERABLES:", "ðŸ“‹ REQUIRED DELIVERABLES:"),
        near_misses=("📋 REQUIRED DELIVERABLES: none",),
    ),
    Family(
        name="listed_path",
        markers=(),
        opening=r"  (?:[^\s\w\"'(\[{<=+*/|~^-]{1,40} |\.\.\. and )",
        read=read_listed,
        needs_prefix=False,
        samples=("  ✓ docs/STATUS.md", "  âœ“ docs/a file.md", "  ? docs/STATUS.md", "  ... and 10 more"),
        near_misses=("  ✓ ",),
    ),
    Family(
        name="missing_list",
        markers=("deliverables:",),
        opening=PHASE_TAG + r" +Missing \d+ required deliverables:",
        read=Shape(r"\[([^\]\n]+)\] +Missing ([0-9]{1,9}) required deliverables:", _missing),
        samples=("[p1]    Missing 2 required deliverables:",),
    ),
    Family(
        name="missing_path",
        markers=("]      - ",),
        opening=PHASE_TAG + r"     - ",
        read=Shape(rf"\[([^\]\n]+)\] {{6}}- {TEXT}", MissingPath),
        samples=("[p1]      - docs/STATUS.md",),
        near_misses=("[p1]      - ",),
    ),
    Family(
        name="scope_inferred",
        markers=("[BUILD-128] Phase ",),
        opening=r"\[BUILD-128\] Phase '",
        read=Shape(
            r"\[BUILD-128\] Phase '(.+)' has deliverables - inferring scope from deliverables", ScopeInferred
        ),
        samples=("[BUILD-128] Phase 'p1' has deliverables - inferring scope from deliverables",),
        near_misses=("[BUILD-128] Phase 'p1' has no deliverables",),
    ),
    Family(
        name="scope_paths",
        markers=("[Scope] Scope paths: ",),
        opening=r"\[Scope\] Scope paths: ",
        read=Shape(r"\[Scope\] Scope paths: (\[.*\])", _scope),
        samples=("[Scope] Scope paths: ['pytest.ini', '.gitignore']",),
        near_misses=("[Scope] Scope paths: ['pytest.ini'",),
    ),
    Family(
        name="protected_paths",
        markers=("Plan validation failed: Phase '", "[BUILD-123v2] Manifest generation failed for '"),
        opening=r"(?:Plan validation failed: Phase '|\[BUILD-123v2\] Manifest generation failed for ')",
        read=Shape(
            r"(?:Plan validation failed|\[BUILD-123v2\] Manifest generation failed for '[^'\n]+'): "
            rf"Phase '([^'\n]+)' validation failed: Protected paths in scope: {TEXT}",
            _protected,
        ),
        samples=(
            "Plan validation failed: Phase 'p1' validation failed: Protected paths in scope: a.py, b/c...",
            "[BUILD-123v2] Manifest generation failed for 'p1': Phase 'p1' validation failed: "
            "Protected paths in scope: src\\a.py",
        ),
        near_misses=(
            "Plan validation failed: Phase 'p1' validation failed: Protected paths in scope: code, docs...",
            "Plan validation failed: Phase 'p1' validation failed: Protected paths in scope: ...",
            "Plan validation failed: Phase 'p1' validation failed: Too many files in scope: src/a.py",
            "[Isolation] BLOCKED: Patch attempts to modify protected path: src/a.py",
        ),
    ),
    Family(
        name="attempted_files",
        markers=("[Builder] DEBUG: attempted_file_paths=",),
        opening=r"\[Builder\] DEBUG: attempted_file_paths=",
        read=Shape(r"\[Builder\] DEBUG: attempted_file_paths=(\[.*\])", _attempted),
        samples=(
            "[Builder] DEBUG: attempted_file_paths=['examples/a.py', \"it's.md\"]",
            "[Builder] DEBUG: attempted_file_paths=[]",
        ),
        near_misses=(
            "[Builder] DEBUG: attempted_file_paths=['examples/a.py', 'b",
            "[Builder] DEBUG: attempted_file_paths=None",
        ),
    ),
)
