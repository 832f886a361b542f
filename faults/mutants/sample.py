"""A sample of all changes, drawn from a seed.

The place of a change in the draw depends on the seed and its own text alone: where code is rewritten, the
changes of other code stay in the sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from faults.mutants.operators import Site, sites_of

AREAS = {
    "identity": (
        "ingest/identity.py",
        "ingest/linking/context.py",
        "ingest/assign.py",
        "ingest/evidence.py",
        "ingest/recognition.py",
        "ingest/reading/resume.py",
        "ingest/reading/checkpoint.py",
    ),
    "linking": ("ingest/linking/*.py",),
    "storing": ("ingest/storing/*.py",),
    "verify": ("ingest/verify.py", "ingest/compare.py"),
    "reading": ("ingest/reading/*.py", "parsers/*.py"),
    "reports": ("reports/*.py", "reports/replaying/*.py"),
}
"""What the sample is drawn from, an equal share of each area; a file counts for the first that names it."""

PACKAGES = ("commandline", "ingest", "parsers", "reports")


def modules(root: Path) -> list[str]:
    """Return all modules of the program."""
    found = (path for name in PACKAGES for path in (root / name).rglob("*.py"))
    return sorted(path.relative_to(root).as_posix() for path in found)


def areas(root: Path) -> Iterator[tuple[str, list[Site]]]:
    """Yield all changes of each area."""
    taken: set[str] = set()
    for area, patterns in AREAS.items():
        sites: list[Site] = []
        for pattern in patterns:
            for path in sorted(root.glob(pattern)):
                file = path.relative_to(root).as_posix()
                if file not in taken:
                    taken.add(file)
                    sites += sites_of(file, path.read_text("utf-8"))
        yield area, sites


def drawn(root: Path, seed: int, number: int) -> list[tuple[str, Site]]:
    """Draw changes, each with its area: equally many of each area, as long as it has more."""
    ranked = [(area, sorted(sites, key=lambda site: _rank(seed, site))) for area, sites in areas(root)]
    found: list[tuple[str, Site]] = []
    deep = 0
    while len(found) < number and any(deep < len(sites) for _, sites in ranked):
        found += [(area, sites[deep]) for area, sites in ranked if deep < len(sites)]
        deep += 1
    return sorted(found[:number], key=lambda pair: (list(AREAS).index(pair[0]), pair[1].file, pair[1].start))


def _rank(seed: int, site: Site) -> str:
    return hashlib.sha256(f"{seed}:{site.key}".encode()).hexdigest()
