"""Break the program on purpose and see that the suite notices: `python -m faults.mutants`.

Leaves with 1 if a fault with a name lives, if a change of the sample lives that `survivors.toml` doesn't
name, or if fewer than nine of ten that change something die.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from faults.mutants.named import NAMED, Fault, NotAimed
from faults.mutants.operators import Site
from faults.mutants.playing import Played, Players, Recorded, record
from faults.mutants.sample import AREAS, areas, drawn
from faults.mutants.survivors import Survivor, entry_for, survivors
from faults.mutants.tree import ROOT

SEED, NUMBER = 19, 200
PART_THAT_DIES = 0.9


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults.mutants", description=__doc__)
    parser.add_argument("--number", type=int, default=NUMBER, help="changes of the sample; 0: none")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", nargs="+", default=[], metavar="ID", help="of named faults or of changes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--recording",
        type=Path,
        metavar="FILE",
        help="what the unchanged suite does: read, or written if missing",
    )
    return parser.parse_args()


def main() -> int:
    """Play what is asked for; return the exit code."""
    options = _options()
    begin = time.monotonic()
    faults = [fault for fault in NAMED if not options.only or fault.id in options.only]
    sample = drawn(ROOT, options.seed, options.number) if not options.only else _of_all(options.only)
    try:
        for fault in faults:
            fault.applied(ROOT)
    except NotAimed as error:
        print(error, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        survived = _play_named(Players(_made(Path(folder), "named"), options.jobs, Recorded()), faults)
        complaints = _play_sample(Path(folder), sample, options) if sample else 0
    minutes = (time.monotonic() - begin) / 60
    print(f"{survived} of {len(faults)} named faults survived, {complaints} complaints of the sample")
    print(f"{minutes:.1f} minutes")
    return 1 if survived or complaints else 0


def _of_all(ids: Sequence[str]) -> list[tuple[str, Site]]:
    return [(area, site) for area, sites in areas(ROOT) for site in sites if site.id in ids]


def _made(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _play_named(players: Players, faults: Sequence[Fault]) -> int:
    survived = 0
    for fault, played in players.named(faults):
        survived += not played.by
        what = f"noticed by {played.by}" if played.by else "ALIVE: not noticed by " + ", ".join(fault.tests)
        print(f"{fault.id:>8}  {fault.rule}: {what} ({played.seconds:.1f} s)", flush=True)
    return survived


def _play_sample(folder: Path, sample: Sequence[tuple[str, Site]], options: argparse.Namespace) -> int:
    sites = [site for _, site in sample]
    recorded = _recorded(folder, sites, options)
    players = Players(_made(folder, "sample"), options.jobs, recorded)
    died: dict[str, Played] = {}
    for site, played in players.near(sites):
        if played.by:
            died[site.id] = played
        what = f"noticed by {played.by}" if played.by else "not noticed nearby"
        print(f"{_shown(site)}  {what} ({played.seconds:.1f} s)", flush=True)
    left = [site for site in sites if site.id not in died]
    print(f"{len(left)} are tried on the whole suite", flush=True)
    for site_id, played in players.on_suite(left).items():
        died[site_id] = played
        print(f"{site_id}  noticed by {played.by}", flush=True)
    return judged(sample, died, survivors())


def _recorded(folder: Path, sites: Sequence[Site], options: argparse.Namespace) -> Recorded:
    begin = time.monotonic()
    if options.recording is not None and options.recording.exists():
        return Recorded.read(options.recording)
    recorded = record(_made(folder, "recorded"), sites, options.jobs)
    minutes = (time.monotonic() - begin) / 60
    print(f"{len(recorded.seconds)} tests pass without a fault, {minutes:.1f} minutes", flush=True)
    for test in recorded.left_out:
        print(f"fails without a fault, so it is not asked: {test}", flush=True)
    if options.recording is not None:
        recorded.write(options.recording)
    return recorded


def _shown(site: Site) -> str:
    return f"{site.id}  {site.file}:{site.line} {site.inside}: {site.before}  ->  {site.after}"


def judged(
    sample: Sequence[tuple[str, Site]],
    died: dict[str, Played],
    known: dict[tuple[str, str, str, str, int], Survivor],
) -> int:
    """Say what came of a sample, by area; return the number of complaints."""
    complaints = 0
    outcomes: dict[str, Counter[str]] = {area: Counter() for area in AREAS}
    for area, site in sample:
        named = known.get(site.key)
        if site.id in died:
            outcome = "died"
            if named is not None:
                print(f"dies now, take it off the list of survivors: {_shown(site)}")
        elif named is None:
            outcome = "unexplained"
            complaints += 1
            print(f"ALIVE, and not on the list of survivors: {_shown(site)}\n{entry_for(site)}")
        else:
            outcome = "may live" if named.changes else "changes nothing"
        outcomes[area][outcome] += 1
    total = sum(outcomes.values(), Counter[str]())
    for area, counts in (*outcomes.items(), ("all", total)):
        parts = ", ".join(
            f"{counts[name]} {name}" for name in ("died", "changes nothing", "may live", "unexplained")
        )
        print(f"{area:>9}: {counts.total()} changes, {parts}")
    changing = total.total() - total["changes nothing"]
    if total["died"] < PART_THAT_DIES * changing:
        print(f"only {total['died']} of {changing} that change something died")
        complaints += 1
    return complaints


if __name__ == "__main__":
    sys.exit(main())
