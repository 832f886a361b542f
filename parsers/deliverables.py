"""The lines that name a phase's deliverable paths, which the event line doesn't carry.

In falling order of trust: files that were applied; the list of required deliverables (which may
say `... and 10 more`); up to five missing ones; the scope paths, where the scope was inferred from
the deliverables. The guards (list length against the event's count) are the linker's.
"""

from __future__ import annotations

import re

from parsers.family import PHASE_TAG, Family
from parsers.numbers import string_list
from parsers.records import (
    AppliedFiles,
    DeliverablesRefused,
    ListedPath,
    ListRest,
    MissingList,
    MissingPath,
    RequiredList,
    ScopeInferred,
    ScopePaths,
)

_APPLIED = re.compile(r"\[(?P<phase>[^\]]+)\] Applied files: (?P<list>\[.*\])")
_REFUSED = re.compile(r"\[(?P<phase>[^\]]+)\] \S+ DELIVERABLES VALIDATION FAILED")
_REQUIRED = re.compile(r"\S+ REQUIRED DELIVERABLES:")
_LISTED = re.compile(r"  \S{1,6} (?P<path>\S.*)")
_REST = re.compile(r"  \.\.\. and (?P<count>[0-9]{1,9}) more", re.ASCII)
_MISSING = re.compile(
    r"\[(?P<phase>[^\]]+)\] +Missing (?P<count>[0-9]{1,9}) required deliverables:", re.ASCII
)
_MISSING_PATH = re.compile(r"\[(?P<phase>[^\]]+)\] {6}- (?P<path>\S.*)")
_INFERRED = re.compile(
    r"\[BUILD-128\] Phase '(?P<phase>.+)' has deliverables - inferring scope from deliverables"
)
_SCOPE = re.compile(r"\[Scope\] Scope paths: (?P<list>\[.*\])")


def read_applied(message: str) -> AppliedFiles | None:
    """Read the files that were written for a phase; a list that is cut off is nothing."""
    found = _APPLIED.fullmatch(message.rstrip())
    paths = string_list(found["list"]) if found else None
    return AppliedFiles(found["phase"], paths) if found and paths is not None else None


def read_refused(message: str) -> DeliverablesRefused | None:
    """Read the line above a list of required deliverables, which alone names the phase."""
    found = _REFUSED.match(message)
    return DeliverablesRefused(found["phase"]) if found else None


def read_required(message: str) -> RequiredList | None:
    """Read the header of the list of required deliverables."""
    return RequiredList() if _REQUIRED.fullmatch(message.rstrip()) else None


def read_listed(message: str) -> ListedPath | ListRest | None:
    """Read an item of that list, or its last line where it was shortened."""
    text = message.rstrip()
    if rest := _REST.fullmatch(text):
        return ListRest(int(rest["count"]))
    found = _LISTED.fullmatch(text)
    return ListedPath(found["path"]) if found else None


def read_missing(message: str) -> MissingList | None:
    """Read the header of the list of missing deliverables: their number, all told."""
    found = _MISSING.fullmatch(message.rstrip())
    return MissingList(found["phase"], int(found["count"])) if found else None


def read_missing_path(message: str) -> MissingPath | None:
    """Read one of the (at most five) missing deliverables that are named."""
    found = _MISSING_PATH.fullmatch(message.rstrip())
    return MissingPath(found["phase"], found["path"]) if found else None


def read_inferred(message: str) -> ScopeInferred | None:
    """Read the line without which scope paths are folders or buckets, not deliverables."""
    found = _INFERRED.fullmatch(message.rstrip())
    return ScopeInferred(found["phase"]) if found else None


def read_scope(message: str) -> ScopePaths | None:
    """Read the scope's paths; a list that is cut off is nothing."""
    found = _SCOPE.fullmatch(message.rstrip())
    paths = string_list(found["list"]) if found else None
    return ScopePaths(paths) if paths is not None else None


FAMILIES = (
    Family(
        name="applied_files",
        markers=("Applied files: ",),
        opening=PHASE_TAG + r"Applied files: ",
        read=read_applied,
        samples=("[p1] Applied files: ['src/a.py', \"it's.md\", 'dir\\\\b.py']", "[p1] Applied files: []"),
        near_misses=("[p1] Applied files: ['src/a.py', 'src/b", "[p1] Applied files: [1, 2]"),
    ),
    Family(
        name="deliverables_refused",
        markers=("DELIVERABLES VALIDATION FAILED",),
        opening=PHASE_TAG + r"[^\s\w\[][^\s\[]{0,40} DELIVERABLES VALIDATION FAILED",
        read=read_refused,
        samples=("[p1] ❌ DELIVERABLES VALIDATION FAILED",),
    ),
    Family(
        name="required_list",
        markers=("REQUIRED DELIVERABLES:",),
        opening=r"[^\s\w\[][^\s\[]{0,40} REQUIRED DELIVERABLES:",
        read=read_required,
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
        read=read_missing,
        samples=("[p1]    Missing 2 required deliverables:",),
    ),
    Family(
        name="missing_path",
        markers=("]      - ",),
        opening=PHASE_TAG + r"     - ",
        read=read_missing_path,
        samples=("[p1]      - docs/STATUS.md",),
        near_misses=("[p1]      - ",),
    ),
    Family(
        name="scope_inferred",
        markers=("[BUILD-128] Phase ",),
        opening=r"\[BUILD-128\] Phase '",
        read=read_inferred,
        samples=("[BUILD-128] Phase 'p1' has deliverables - inferring scope from deliverables",),
        near_misses=("[BUILD-128] Phase 'p1' has no deliverables",),
    ),
    Family(
        name="scope_paths",
        markers=("[Scope] Scope paths: ",),
        opening=r"\[Scope\] Scope paths: ",
        read=read_scope,
        samples=("[Scope] Scope paths: ['pytest.ini', '.gitignore']",),
        near_misses=("[Scope] Scope paths: ['pytest.ini'",),
    ),
)
