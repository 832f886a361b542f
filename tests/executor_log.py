"""Executor logs that know the truth: lines as the executor writes them, and the events in them.

A run is played call by call: the phase is opened, the call prepared and estimated, anchored, logged,
and then applied, refused, repeated with more room or lost. Every line is kept with its time and
kind, so that one run can be rendered with any prefix, grepped, or interleaved with others.
Everything is drawn from one `random.Random`: equal draws give equal logs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

ZONE = "Australia/Sydney"
START = datetime(2025, 12, 29, 19, 40, 2)  # noqa: DTZ001 - the executor logs local time
MODELS = ("claude-sonnet-4-5", "claude-opus-4-5", "gpt-4o mini")
CATEGORIES = ("implementation", "docs", "tests", "doc write", "configuration", None)
COMPLEXITIES = ("low", "medium", "high")
STYLES = ("executor", "script", "json", "docker", "cri", "journal", "bare")


@dataclass(frozen=True)
class Event:
    """One event line and what is true of it. `paths` are what its phase had to deliver.

    `applied` says that they are listed as applied while the phase is open; `refused` that the
    list of required deliverables names them all. `outcome` is known where the phase ends before its
    next call begins. `said_by` is the kind of line that names its phase.
    """

    moment: datetime
    run: str
    phase: str
    payload: tuple[object, ...]
    message: str
    paths: tuple[str, ...]
    input_tokens: int | None
    total_tokens: int | None
    max_tokens: int | None
    attempt_index: int
    said_by: str
    applied: bool = False
    refused: bool = False
    outcome: str | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes it one event where its phase is known: second in UTC, payload, phase."""
        return (self.second, *self.payload, self.phase)

    @property
    def second(self) -> str:
        """The second in UTC, as the database begins its timestamps."""
        local = self.moment.replace(tzinfo=ZoneInfo(ZONE), microsecond=0)
        return local.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class LogLine:
    """One line of a log. `level` is `None` where it is printed without a prefix."""

    moment: datetime
    level: str | None
    text: str
    kind: str
    event: int | None = None

    def rendered(self, style: str = "executor") -> str:
        """Write the line with one of the prefixes that the executor has, or a container's around it."""
        second = self.moment.strftime("%Y-%m-%d %H:%M:%S")
        if style == "docker":
            utc = self.moment.replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC).replace(tzinfo=None)
            entry = {"log": self.rendered() + "\n", "stream": "stderr", "time": f"{utc.isoformat()}Z"}
            return json.dumps(entry, ensure_ascii=False)
        if style == "cri":
            return f"2026-01-05T08:40:02.123456789Z stderr F {self.rendered()}"
        if style == "journal":
            return f"2026-01-05T19:40:02+1100 host executor[77]: {self.rendered()}"
        if self.level is None:
            return self.text
        if style == "executor":
            return f"[{second}] {self.level}: {self.text}"
        if style == "bare":
            return f"[{second}] [{self.level}] {self.text}"
        if style == "json":
            entry = {"timestamp": self.moment.isoformat(timespec="milliseconds"), "message": self.text}
            return json.dumps(entry)
        return (
            f"{second},{self.moment.microsecond // 1000:03d} - executor.clients - {self.level} - {self.text}"
        )


@dataclass
class Log:
    """Lines in order, and the events in them; an event line points to its event by number."""

    lines: list[LogLine] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def text(self, style: str = "executor", newline: str = "\n") -> str:
        """Write the whole log."""
        return "".join(line.rendered(style) + newline for line in self.lines)

    def excerpt(self, *kinds: str) -> Log:
        """Return what `grep` leaves of the log: its event lines, and those of some other kinds."""
        return Log([line for line in self.lines if line.kind in ("event", *kinds)], self.events)

    def cut(self, first: int, last: int | None = None) -> Log:
        """Return some of the lines, as a rotation or an early copy holds them."""
        return Log(self.lines[first:last], self.events)

    def seen(self) -> list[Event]:
        """Return the events whose lines are in this log, in order."""
        return [self.events[line.event] for line in self.lines if line.event is not None]


@dataclass(frozen=True)
class Shape:
    """What a run's log may hold. `payloads` is how many different numbers calls may return.

    `requested` says that the executor's loop names the next phase before its first call, `burst`
    that everything happens within a second or two, `uniform` that every call returns the same.
    """

    phases: int = 3
    named: bool = True
    soft_cap_names: bool = False
    noise: bool = True
    dumps: bool = True
    retries: bool = True
    anchorless: bool = True
    lost_calls: bool = True
    total_lines: bool = True
    killed: bool = False
    requested: bool = True
    payloads: int = 5_000
    burst: bool = False
    uniform: bool = False


@dataclass(frozen=True)
class Phase:
    """What a phase is asked for."""

    name: str
    category: str | None
    complexity: str
    paths: tuple[str, ...]


def phase_names(count: int, tag: str = "p") -> list[str]:
    """Return names as the executor's plans have them."""
    return [f"{tag}{number}-string-util" for number in range(1, count + 1)]


def executor_run(
    rng: Random,
    run: str,
    shape: Shape | None = None,
    names: Sequence[str] = (),
    start: datetime | None = None,
) -> Log:
    """Play one run of the executor; `names` are its phases, made up from the run where not given."""
    return _Executor(rng, run, shape or Shape(), names, start or START).play()


class _Executor:
    """One process of the executor while it runs."""

    def __init__(self, rng: Random, run: str, shape: Shape, names: Sequence[str], start: datetime) -> None:
        self.rng, self.run, self.shape = rng, run, shape
        self.names = names or phase_names(shape.phases, f"{run}.p")
        self.now = start + timedelta(milliseconds=rng.randrange(1000))
        self.log = Log()
        self.open_events: list[int] = []

    # What is written

    def say(self, text: str, kind: str = "noise", level: str = "INFO", event: int | None = None) -> None:
        """Write a line; time goes on, often by less than a second."""
        slow = not self.shape.burst and self.rng.random() < 0.3
        self.now += timedelta(milliseconds=self.rng.randrange(400, 9000) if slow else self.rng.randrange(4))
        self.log.lines.append(LogLine(self.now, level, text, kind, event))

    def dump(self, *texts: str, kind: str = "dump") -> None:
        """Print lines without a prefix."""
        self.log.lines += [LogLine(self.now, None, text, kind) for text in texts]

    def maybe(self, chance: float = 0.5) -> bool:
        """Toss a coin."""
        return self.rng.random() < chance

    def chatter(self) -> None:
        """Write what stands between the lines that matter: nothing, noise, or forgeries."""
        if self.shape.noise and self.maybe(0.4):
            texts = self.rng.sample(_NOISE, self.rng.randrange(1, 3))
            for text in texts:
                self.say(text, level=self.rng.choice(("INFO", "WARNING", "DEBUG")))
        if self.shape.dumps and self.maybe(0.15):
            self.say(self.rng.choice(_QUOTES), level="DEBUG")
            self.say("[Builder] raw model output follows", level="ERROR")
            self.dump(*self.rng.sample(_DUMPS, self.rng.randrange(1, 4)))
            self.say("[Builder] end of raw output")

    # The life of a run

    def play(self) -> Log:
        """Play the run from its start to its end, or until it is killed."""
        self.begin()
        killed_at = self.rng.randrange(len(self.names)) if self.shape.killed else None
        for number, name in enumerate(self.names):
            phase = self.plan(name)
            for attempt in range(3):
                if not self.play_phase(phase, attempt, killed=killed_at == number) or killed_at == number:
                    break
            if killed_at == number:
                return self.log
        self.say("Autonomous execution loop finished", "end")
        if self.shape.named and self.maybe(0.7):
            self.say(f"[LOCK] Released executor lock for run_id={self.run} (PID=4711)", "end")
        return self.log

    def begin(self) -> None:
        """Write the lines of a start."""
        self.dump("faiss library not installed; FaissStore will use in-memory fallback")
        if self.shape.named:
            if self.maybe(0.3):
                self.dump(f"[drain_one_phase] Draining: {self.run} / {self.names[-1]}", kind="run")
            if self.maybe(0.6):
                self.say(f"[LOCK] Acquired executor lock for run_id={self.run} (PID=4711, host=box)", "run")
            self.chatter()
            self.say(f"Initialized autonomous executor for run: {self.run}", "run")
        self.say("API URL: http://localhost:8000")
        self.say("Starting autonomous execution loop...")
        if self.shape.named and self.maybe(0.5):
            self.say(f"✅ Run '{self.run}' verified in API database", "run")

    def plan(self, name: str) -> Phase:
        """Make up what a phase is asked for; paths are the run's and the phase's own."""
        folder = f"src/{self.run}/{name}"
        count = self.rng.choice((1, 1, 2, 3, 7, 12, 22))
        odd = self.rng.choice(("it's.md", "dir\\b.py", "ümlaut.py", "x.py"))
        paths = (f"{folder}/{odd}", *(f"{folder}/file_{number}.py" for number in range(1, count)))
        if self.shape.uniform:
            return Phase(name, "docs", "low", paths[:1])
        category = self.rng.choice(CATEGORIES)
        return Phase(name, category, self.rng.choice(COMPLEXITIES), paths)

    def play_phase(self, phase: Phase, attempt: int, killed: bool) -> bool:
        """Play one attempt at a phase; return whether it is to be tried again."""
        self.say(f"Iteration {attempt + 1}: Fetching run status...")
        if self.shape.requested:
            self.say(f"[BUILD-041] Next phase: {phase.name}", "phase")
        inferred = self.prepare_scope(phase)
        calls = 1
        while True:
            self.say(f"[{phase.name}] Step 1/4: Generating code with Builder (via LlmService)...", "phase")
            paths = list(phase.paths) if inferred else ["code", "docs"]
            if calls == 1 and self.maybe(0.6):
                self.say(f"[Scope] Scope paths: {paths!r}", "paths")
            self.chatter()
            self.open_events = []
            again = self.call(phase, attempt + calls - 1)
            if not again or calls == 3 or killed:
                break
            calls += 1
        if killed and self.maybe():
            return False
        return self.conclude(phase)

    def prepare_scope(self, phase: Phase) -> bool:
        """Write the lines of the manifest generator; return whether the scope is the deliverables."""
        if self.shape.named and self.maybe(0.4):
            self.say(f"Generating manifest for run: {self.run}", "run")
        if not self.maybe(0.4):
            return False
        self.say(
            f"[BUILD-128] Phase '{phase.name}' has deliverables - inferring scope from deliverables", "paths"
        )
        self.say("[BUILD-129] Added token estimate to phase: 462 output tokens (2 deliverables)")
        return True

    # One call

    def call(self, phase: Phase, attempt: int) -> bool:
        """Play one builder call; return whether it is repeated with more room."""
        rng, shape = self.rng, self.shape
        model = rng.choice(MODELS)
        predicted, budget = rng.randrange(200, 9000), rng.choice((8192, 12288, 16384))
        ceiling = rng.choice((budget, 16384, 65536))
        truncated = shape.retries and self.maybe(0.25)
        actual = ceiling if truncated else 50 + rng.randrange(shape.payloads)
        if shape.uniform:
            model, predicted, budget, ceiling, truncated, actual = MODELS[0], 5200, 8192, 16384, False, 1157
        total = actual + 900 + rng.randrange(40_000)
        self.announce(phase, attempt, model, predicted, budget)
        if self.maybe(0.4):
            enforced = (
                f"[BUILD-129:P4] Final max_tokens enforcement: {ceiling} (token_selected_budget={budget})"
            )
            self.say(enforced, "estimate")
        self.say('HTTP Request: POST https://api.anthropic.com/v1/messages "HTTP/1.1 200 OK"')
        if shape.lost_calls and self.maybe(0.1):
            self.say(f"[{phase.name}] Builder failed: Connection error.", "builder", "ERROR")
            return self.maybe()
        anchored = not (shape.anchorless and self.maybe(0.15))
        if anchored:
            self.say(
                f"[TOKEN_BUDGET] phase={phase.name} complexity={phase.complexity} input={total - actual} "
                f"output={actual}/{ceiling} total={total} utilization=7.1% model={model}",
                "anchor",
            )
            if truncated:
                self.say(f"[TOKEN_BUDGET] TRUNCATION: phase={phase.name} used {actual}/{ceiling}")
            if shape.lost_calls and self.maybe(0.05):
                self.say(f"[{phase.name}] Builder failed: No valid file changes generated", "builder")
                return False
        self.log_event(
            phase, attempt, model, (predicted, budget, actual, ceiling, total), truncated, anchored
        )
        if truncated and self.maybe(0.7):
            self.escalate(phase, attempt, ceiling)
            return True
        return False

    def announce(self, phase: Phase, attempt: int, model: str, predicted: int, budget: int) -> None:
        """Write the lines before a call."""
        route = f"{phase.complexity}->{phase.complexity}"
        self.say(
            f"[MODEL-SELECT] Builder: model={model}, complexity={route}, attempt={attempt}, "
            f"category={phase.category}",
            "estimate",
        )
        self.say(
            f"[TokenEstimator] Budget selection: base=8192, estimated={predicted}, "
            f"with_buffer={predicted + 9}, selected={budget}, confidence=80.0%",
            "estimate",
        )
        self.say(
            f"[BUILD-129] Token estimate: {predicted} output tokens ({len(phase.paths)} deliverables, "
            f"confidence=0.80), selected budget: {budget}",
            "estimate",
        )
        if self.maybe(0.4):
            named = self.shape.soft_cap_names and self.shape.named and self.maybe()
            run = self.run if named else "unknown"
            self.say(
                f"[TOKEN_SOFT_CAP] run_id={run} phase_id={phase.name} est_total=12822 soft_cap=12000 "
                f"(prompt=1354 completion=11468 complexity={phase.complexity})",
                "run" if named else "noise",
                "WARNING",
            )

    def log_event(
        self,
        phase: Phase,
        attempt: int,
        model: str,
        numbers: tuple[int, ...],
        truncated: bool,
        anchored: bool,
    ) -> None:
        """Write the event line, and the builder's own line after it."""
        predicted, budget, actual, ceiling, total = numbers
        declared = 0 if self.maybe(0.1) and not self.shape.uniform else len(phase.paths)
        success = not truncated and (self.shape.uniform or self.maybe(0.85))
        is_total = self.shape.total_lines and anchored and self.maybe(0.05)
        head = f"[TokenEstimationV2] predicted_output={predicted} "
        middle = (
            f"selected_budget={budget} category={phase.category} complexity={phase.complexity} "
            f"deliverables={declared} success={success} "
        )
        if is_total:
            message = f"{head}actual_total={total} {middle}model={model}"
            values = (predicted, total, 1, budget, phase.category, phase.complexity, declared, int(success))
            payload: tuple[object, ...] = (*values, None, None, model)
        else:
            smape = 200 * abs(predicted - actual) / (predicted + actual)
            stop = "max_tokens" if truncated else "end_turn"
            message = (
                f"{head}actual_output={actual} smape={smape:.1f}% {middle}"
                f"stop_reason={stop} truncated={truncated} model={model}"
            )
            values = (predicted, actual, 0, budget, phase.category, phase.complexity, declared, int(success))
            payload = (*values, stop, int(truncated), model)
        number = len(self.log.events)
        if self.maybe(0.5):
            self.say(f"[Builder] Generated {len(phase.paths)} file diffs locally from full-file content")
        self.say(message, "event", event=number)
        self.log.events.append(
            Event(
                moment=self.now,
                run=self.run if self.shape.named else "unknown",
                phase=phase.name,
                payload=payload,
                message=message,
                paths=phase.paths,
                input_tokens=total - actual if anchored else None,
                total_tokens=total if anchored else None,
                max_tokens=ceiling if anchored else None,
                attempt_index=attempt,
                said_by="budget" if anchored else "builder",
            )
        )
        self.open_events.append(number)
        if self.maybe(0.2):
            self.say("[TokenEstimationV2] Failed to write DB telemetry: no such table", "failure", "WARNING")
        if success:
            self.say(f"[{phase.name}] Builder succeeded ({total} tokens)", "builder")
        else:
            self.say(f"[{phase.name}] Builder failed: No valid file changes generated", "builder", "ERROR")

    def escalate(self, phase: Phase, attempt: int, ceiling: int) -> None:
        """Write one of the three historical forms of an escalation."""
        retry = ceiling * 5 // 4
        which = f"phase={phase.name} attempt={attempt + 1}"
        text = self.rng.choice(
            (
                f"[BUILD-129:P10] ESCALATE-ONCE: {which} base={ceiling} (from actual_max_tokens) "
                f"→ retry={retry} (1.25x, truncation)",
                f"[BUILD-129:P10] ESCALATE-ONCE: {which} tokens={ceiling}â†’{retry} "
                "(1.25x, 96.3% utilization)",
                f"[TOKEN_ESCALATION] {which} tokens={ceiling}→{retry} (truncation detected, auto-retrying)",
            )
        )
        self.say(text, "escalation", "WARNING")

    # What becomes of a phase

    def conclude(self, phase: Phase) -> bool:
        """End an attempt; return whether it is tried again."""
        end = self.rng.random()
        if not self.open_events or end < 0.2:
            return self.fail(phase, "FAILED")
        if end < 0.4:
            self.refuse(phase)
            return self.fail(phase, "DELIVERABLES_VALIDATION_FAILED")
        self.chatter()
        paths = list(phase.paths)
        if self.maybe(0.1):
            paths = [*paths, f"src/{self.run}/extra.py"]  # one that nobody asked for: the guard refuses it
        self.say(f"[{phase.name}] Applied files: {paths!r}", "paths")
        self.note(applied=paths == list(phase.paths))
        self.chatter()
        self.finish(phase, "COMPLETE")
        return False

    def fail(self, phase: Phase, status: str) -> bool:
        """End an attempt that came to nothing."""
        if self.shape.dumps and self.maybe(0.3):
            self.say(f"[{phase.name}] Execution failed: 'db'", level="ERROR")
            self.dump(*_TRACEBACK)
        self.finish(phase, status)
        return self.shape.retries and self.maybe(0.6)

    def finish(self, phase: Phase, status: str) -> None:
        """Write the status lines."""
        if self.maybe(0.3):
            self.say(f"Updated phase {phase.name} status to EXECUTING", "outcome")
        is_updated = self.maybe(0.8)
        if is_updated:
            self.say(f"Updated phase {phase.name} status to {status}", "outcome")
        if not is_updated or self.maybe(0.7):
            self.say(f"Phase {phase.name} finished with status: {status}", "outcome")
        self.note(outcome=status)

    def refuse(self, phase: Phase) -> None:
        """Write the lists of missing and required deliverables."""
        missing = phase.paths[: self.rng.randrange(1, len(phase.paths) + 1)]
        self.say(f"[{phase.name}]    Missing {len(missing)} required deliverables:", "paths", "ERROR")
        for path in missing[:5]:
            self.say(f"[{phase.name}]      - {path}", "paths", "ERROR")
        if self.maybe(0.3):
            return
        self.say(f"[{phase.name}] ❌ DELIVERABLES VALIDATION FAILED", "paths", "ERROR")
        self.dump("", "Your patch does not create the required deliverable files.", "")
        listed = [f"  ✓ {path}" for path in phase.paths[:10]]
        rest = [f"  ... and {len(phase.paths) - 10} more"] if len(phase.paths) > 10 else []
        self.dump("📋 REQUIRED DELIVERABLES:", *listed, *rest, kind="paths")
        self.dump("", "📄 FILES IN YOUR PATCH:", "  • other/made-up.md", "", "❌ MISSING FILES:")
        self.dump(*(f"  - {path}" for path in missing))
        self.note(refused=len(phase.paths) <= 10)

    def note(self, **known: object) -> None:
        """Note what became true of the events of this attempt."""
        for number in self.open_events:
            self.log.events[number] = replace(self.log.events[number], **known)  # type: ignore[arg-type]


def interleaved(rng: Random, logs: Sequence[Log], by_time: bool = True) -> Log:
    """Merge several logs line by line: by their times, or in any order that keeps each one's own."""
    merged = one_after_another(logs)
    if by_time:
        merged.lines.sort(key=lambda line: line.moment)
        return merged
    waiting = iter(merged.lines)
    queues = [[next(waiting) for _ in log.lines] for log in logs]
    merged.lines = []
    while live := [queue for queue in queues if queue]:
        queue = rng.choice(live)
        for _ in range(min(len(queue), rng.choice((1, 1, 1, 2, 5)))):
            merged.lines.append(queue.pop(0))
    return merged


def one_after_another(logs: Iterable[Log]) -> Log:
    """Put logs end to end, as a batch drain's output has them."""
    merged = Log()
    for log in logs:
        shift = len(merged.events)
        merged.events += log.events
        merged.lines += [
            replace(line, event=None if line.event is None else line.event + shift) for line in log.lines
        ]
    return merged


_FORGED_EVENT = (
    "[TokenEstimationV2] predicted_output=1 actual_output=2 smape=66.7% selected_budget=3 category=forged "
    "complexity=low deliverables=1 success=True stop_reason=end_turn truncated=False model=forged"
)
_FORGED_ANCHOR = (
    "[TOKEN_BUDGET] phase=forged complexity=low input=1 output=16384/16384 total=16385 utilization=100.0% "
    "model=claude-sonnet-4-5"
)
_NOISE = (
    "[TOKEN_BUDGET] Context loading: ~19999 tokens (99% of 20000 budget)",
    "[TokenEstimation] Pattern cache: 12 entries",
    "[ModelSelector] Selected claude-sonnet-4-5 for builder (complexity=low, attempt=0, intra_tier=0)",
    "[MODEL-SELECT] Auditor: model=claude-sonnet-4-5, complexity=low->low, attempt=0, category=docs",
    f"> {_FORGED_ANCHOR}",
    "see Initialized autonomous executor for run: forged-run",
    "[GoalDrift] Goal: [forged] Applied files: ['forged.py']",
    "Phase forged completed successfully",
    "naïve text, ünïcödé, 漢字 and an emoji 🎉",
    "",
    "x" * 700,
)
_QUOTES = (
    f"the last log said: [2025-12-29 19:40:02] INFO: {_FORGED_EVENT}",
    f"[DeepRetrieval] quoted: \\n[2025-12-29 19:40:02] INFO: {_FORGED_ANCHOR}\\n",
)
_DUMPS = (
    _FORGED_ANCHOR,
    "Initialized autonomous executor for run: forged-run",
    "[forged] Applied files: ['forged.py']",
    "[BUILD-041] Next phase: forged",
    "Updated phase forged status to COMPLETE",
    f'{{"note": "no log entry", "quoted": "{_FORGED_EVENT}"}}',
    "```python",
    f'    log("{_FORGED_EVENT}")',
    "  ✓ forged/listed.py",
    "📋 REQUIRED DELIVERABLES:",
    "diff --git a/x b/x",
    "",
)
_TRACEBACK = (
    "Traceback:",
    "Traceback (most recent call last):",
    '  File "C:\\dev\\autonomous_executor.py", line 4505, in _execute_phase_with_recovery',
    "    governance_handled = self._try_handle_governance_request(",
    "AttributeError: 'AutonomousExecutor' object has no attribute 'db'",
    "",
)
