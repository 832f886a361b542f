"""The cases: which logs, who reads them, and what is wanted. An explicit list, like every registry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench import competitor, logs, ours, prefixes
from bench.children.following import LINES
from bench.competitor import Competitor, child
from bench.inputs import Input, Inputs
from bench.ours import AGAIN, ONE_JOB, TWO_JOBS, TWO_WEIGHED, Known
from bench.program import script
from bench.runner import Case
from bench.targets import (
    Target,
    above,
    at_most,
    below_100_mb,
    below_200_mb,
    cpu_above,
    faster,
    in_seconds,
    leading,
    not_slower,
)

GREP, PLAIN, PIPE = "grep -cF", "regex + upsert_all", "rg | sqlite-utils"
DUCK_CONTEXT = "DuckDB with context"
BARE_SIGHTINGS, BARE_UPSERT = "bare executemany, sightings too", "bare upsert, rows known"
PASS, VERSION, UTILS = "python -c pass", "tokentail --version", "sqlite-utils --version"

HELD_EVENTS = (10_000, 100_000, 1_000_000)
ONE_UNCHANGED = "tokentail ingest, 1 unchanged file"
FILES_FOLLOWED = 1_000
FOLLOWED = (
    "tokentail follow, 1 file: row after line, 95th percentile",
    f"tokentail follow, {FILES_FOLLOWED:,} files: row after line, 95th percentile",
    f"tokentail follow, {FILES_FOLLOWED:,} files, idle: processor time of a second",
)
FILES_FEW, FILES_MANY = 10_000, 100_000


def sparse(inputs: Inputs, folder: Path) -> Case:
    """Read the usual log: much noise, few events, context around each."""
    log = inputs.sparse()
    others = (*ours.weighed(log.path, log.tally), *competitor.lnav(log.path, log.tally))
    targets = (
        leading(faster(ONE_JOB, 1.1, PLAIN)),
        leading(faster(ONE_JOB, 0.8, DUCK_CONTEXT)),
    )
    case = _among_noise("sparse", "events with context lines", log, folder, others, targets)
    return replace(case, optional=(*case.optional, *below_200_mb(TWO_WEIGHED)))


def few(inputs: Inputs, folder: Path) -> Case:
    """Read a log with as much noise and as many events, but context around few of them."""
    what = f"events, {logs.FEW:.0%} of them with context lines"
    return _among_noise("few", what, inputs.few(), folder, (), (faster(ONE_JOB, 1, PIPE),))


def drained(inputs: Inputs, folder: Path) -> Case:
    """Read what a queue of phases makes: each call in a process of its own, 17 marked lines a call."""
    targets = (leading(faster(ONE_JOB, 0.9, PLAIN)),)
    return _among_noise(
        "drained", "events, each of a process of its own", inputs.drained(), folder, (), targets
    )


def _among_noise(
    name: str,
    what: str,
    log: Input,
    folder: Path,
    others: tuple[Competitor, ...],
    targets: tuple[Target, ...],
) -> Case:
    path, tally = log.path, log.tally
    return Case(
        name,
        f"{log.size_bytes / 1e6:,.0f} MB, {tally.events:,} {what}",
        (path,),
        (
            *competitor.scanners(path, tally),
            *ours.with_jobs(path, tally),
            Known(path, tally, folder).again(),
            competitor.least(path, tally),
            competitor.plain(path, tally),
            competitor.piped(path, tally),
            *competitor.duckdb(path, tally),
            *competitor.duckdb(path, tally, with_context=True),
            *others,
        ),
        (
            *targets,
            *below_100_mb(ONE_JOB, TWO_JOBS, AGAIN),
        ),
        (not_slower(ONE_JOB),),
    )


def none(inputs: Inputs, _folder: Path) -> Case:
    """Read a log that has nothing for us."""
    log = inputs.none()
    return Case(
        "none",
        f"{log.size_bytes / 1e6:,.0f} MB without a line of ours",
        (log.path,),
        (*competitor.scanners(log.path, log.tally), *ours.with_jobs(log.path, log.tally)),
        (above(ONE_JOB, 0.17, GREP), *below_100_mb(ONE_JOB)),
        (not_slower(ONE_JOB),),
    )


def dense(inputs: Inputs, folder: Path) -> Case:
    """Read a log of event lines alone, first and again."""
    log = inputs.dense()
    path, tally, known = log.path, log.tally, Known(log.path, log.tally, folder)
    return Case(
        "dense",
        f"{tally.events:,} event lines alone, {log.size_bytes / 1e6:,.0f} MB",
        (path,),
        (
            *competitor.scanners(path, tally)[:1],
            *ours.with_jobs(path, tally),
            *ours.weighed(path, tally),
            known.again(),
            *known.floors(),
            competitor.plain(path, tally),
            competitor.piped(path, tally),
            *competitor.duckdb(path, tally),
        ),
        (
            leading(faster(ONE_JOB, 1, BARE_SIGHTINGS)),
            faster(ONE_JOB, 4, PLAIN),
            faster(ONE_JOB, 2.5, PIPE),
            faster(AGAIN, 0.75, BARE_UPSERT),
            *below_100_mb(ONE_JOB, TWO_JOBS, AGAIN),
        ),
        (not_slower(ONE_JOB, 1.35), *below_200_mb(TWO_WEIGHED)),
    )


def many(inputs: Inputs, _folder: Path) -> Case:
    """Read a folder of log files of all sizes, and the same lines in one."""
    folder, joined = inputs.many(), inputs.joined()
    files = sum(1 for _ in folder.path.iterdir())
    one_file = "tokentail --jobs 1, one file"
    return Case(
        "many",
        f"{folder.tally.events:,} events in {files:,} files, {folder.size_bytes / 1e6:,.0f} MB",
        (folder.path, joined.path),
        (
            ours.first(one_file, joined.path, joined.tally),
            *ours.with_jobs(folder.path, folder.tally),
            *ours.weighed(folder.path, folder.tally),
        ),
        (
            leading(faster(TWO_JOBS, 1.5, ONE_JOB)),
            at_most(ONE_JOB, 1.2, one_file),
            *below_100_mb(ONE_JOB),
        ),
        (not_slower(ONE_JOB), *below_200_mb(TWO_WEIGHED)),
    )


def prefixed(inputs: Inputs, _folder: Path) -> Case:
    """Read event lines after each prefix."""
    dense = inputs.dense(100_000)
    executor = _in_form(prefixes.EXECUTOR)
    targets = [at_most(_in_form(form), 1.5, executor) for form in prefixes.OWN if form != prefixes.EXECUTOR]
    targets += [at_most(_in_form(form), 2.5, executor) for form in prefixes.WRAPPED]
    logs = {form: inputs.prefixed(dense, form) for form in prefixes.FORMS}
    return Case(
        "prefixes",
        f"{dense.tally.events:,} event lines after each prefix",
        tuple(log.path for log in logs.values()),
        tuple(ours.first(_in_form(form), log.path, log.tally) for form, log in logs.items()),
        tuple(targets),
        (not_slower(executor),),
    )


def containers(inputs: Inputs, _folder: Path) -> Case:
    """Read the usual log as it is, and as a container's runtime writes it."""
    sparse = inputs.sparse(300)
    logs = {form: inputs.prefixed(sparse, form) for form in prefixes.CONTAINERS}
    plain = _in_form(prefixes.EXECUTOR)
    return Case(
        "containers",
        f"a sparse log of {sparse.size_bytes / 1e6:,.0f} MB, with a container's prefix before each line",
        (sparse.path, *(log.path for log in logs.values())),
        (
            ours.first(plain, sparse.path, sparse.tally),
            *(ours.first(_in_form(form), log.path, log.tally) for form, log in logs.items()),
        ),
        tuple(at_most(_in_form(form), 1.5, plain) for form in logs),
        (not_slower(plain),),
    )


def _in_form(form: str) -> str:
    return f"tokentail, {form}"


def gz(inputs: Inputs, _folder: Path) -> Case:
    """Read the usual log, compressed."""
    log = inputs.gz()
    other = competitor.gzip_grep(log.path, log.tally)
    return Case(
        "gz",
        f"the sparse log as gzip, {log.size_bytes / 1e6:,.0f} MB",
        (log.path,),
        (other, *ours.with_jobs(log.path, log.tally)),
        (at_most(ONE_JOB, 1.2, other.name), *below_100_mb(ONE_JOB)),
        (not_slower(ONE_JOB),),
    )


def utf16(inputs: Inputs, _folder: Path) -> Case:
    """Read a capture in two encodings."""
    narrow, wide = inputs.sparse(100), inputs.utf16()
    narrow_name, wide_name = "tokentail, UTF-8", "tokentail, UTF-16"
    return Case(
        "utf16",
        f"{narrow.size_bytes / 1e6:,.0f} MB as UTF-8, and as UTF-16 with CRLF",
        (narrow.path, wide.path),
        (ours.first(narrow_name, narrow.path, narrow.tally), ours.first(wide_name, wide.path, wide.tally)),
        (at_most(wide_name, 3, narrow_name), *below_100_mb(wide_name)),
        (not_slower(wide_name),),
    )


def mix(inputs: Inputs, _folder: Path) -> Case:
    """Read a folder as people have it."""
    log = inputs.mix()
    return Case(
        "mix",
        f"20 files, {log.size_bytes / 1e6:,.0f} MB: plain, gzip, UTF-16, JSON lines, Docker's JSON",
        (log.path,),
        tuple(ours.with_jobs(log.path, log.tally)),
        tuple(below_100_mb(ONE_JOB, TWO_JOBS)),
        (not_slower(ONE_JOB),),
    )


def start(inputs: Inputs, folder: Path) -> Case:
    """Measure what a run costs that has nothing to do."""
    log = inputs.events(100)
    return Case(
        "start",
        "start-up, and a run that finds nothing new",
        (log.path,),
        (
            _fixed(PASS, [script("python"), "-c", "pass"]),
            ours.version(VERSION),
            ours.unchanged(ONE_UNCHANGED, log.path, folder),
            _fixed(UTILS, [script("sqlite-utils"), "--version"]),
        ),
        optional=(not_slower(VERSION), not_slower(ONE_UNCHANGED)),
        times=5,
    )


def unchanged(inputs: Inputs, folder: Path) -> Case:
    """Measure runs over many files of which none has changed."""
    counts = [int(files * inputs.scale) for files in (FILES_FEW, FILES_MANY)]
    made = [inputs.small(files).path for files in counts]
    names = [f"tokentail ingest, {files:,} unchanged files" for files in counts]
    walks = [f"os.walk, os.stat and a look-up, {files:,} files" for files in counts]
    ours_unchanged = ours.unchanged(ONE_UNCHANGED, inputs.events(100).path, folder)
    competitors: list[Competitor] = [ours_unchanged]
    targets: list[Target] = [cpu_above(names[-1], 0.8 * inputs.scale, ONE_UNCHANGED)]
    for path, name, walk in zip(made, names, walks, strict=True):
        competitors += [_fixed(walk, child("listing", str(path))), ours.unchanged(name, path, folder)]
        targets += below_100_mb(name)
    return Case(
        "unchanged",
        "many short files, all unchanged",
        tuple(made),
        tuple(competitors),
        tuple(targets),
        tuple(not_slower(name) for name in names),
    )


def growth(inputs: Inputs, folder: Path) -> Case:
    """Measure what further events cost in a database that holds many."""
    further = Inputs(inputs.folder, inputs.scale, inputs.seed + 1).dense(10_000)
    competitors = []
    for size in (int(events * inputs.scale) for events in HELD_EVENTS):
        held = inputs.events(size)
        known = Known(held.path, held.tally, folder)
        name = f"{further.tally.events:,} further events into {size:,}"
        competitors.append(ours.more(name, known, further, held.tally))
    title = "further events in a database that holds many"
    return Case("growth", title, (further.path,), tuple(competitors))


def follow(inputs: Inputs, folder: Path) -> Case:
    """Measure how soon a follow makes a row of a line, and what it costs while nothing happens."""
    files = inputs.small(FILES_FOLLOWED)
    single_name, many_name, idle_name = FOLLOWED
    single = folder / "followed"
    single.mkdir()
    return Case(
        "follow",
        f"a follow: {LINES} appended lines, and {FILES_FOLLOWED:,} files that nobody writes",
        (files.path,),
        (
            ours.followed(single_name, "latency", single),
            ours.followed(many_name, "latency", files.path),
            ours.followed(idle_name, "idle", files.path),
        ),
        (in_seconds(single_name, 0.5), in_seconds(many_name, 0.5), in_seconds(idle_name, 0.01)),
    )


def _fixed(name: str, command: list[str]) -> Competitor:
    return Competitor(name, competitor.fixed(command))


CASES: dict[str, Callable[[Inputs, Path], Case]] = {
    "sparse": sparse,
    "drained": drained,
    "few": few,
    "none": none,
    "dense": dense,
    "prefixes": prefixed,
    "containers": containers,
    "many": many,
    "gz": gz,
    "utf16": utf16,
    "mix": mix,
    "start": start,
    "unchanged": unchanged,
    "growth": growth,
    "follow": follow,
}
"""All cases by name, in the order in which they are played."""
