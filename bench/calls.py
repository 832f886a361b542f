"""The lines that an executor writes around a builder call: before it, with its event, and after it.

Every family of context lines occurs; most calls have the usual ones. Each line begins with the
noise's NUL where it has a prefix.
"""

from __future__ import annotations

from random import Random

from bench.events import Values
from bench.noise import STAMP, a_path

INFO = f"{STAMP}INFO: "
WARNING = f"{STAMP}WARNING: "


LOOP_FINISHED = f"{INFO}Autonomous execution loop finished"


def run_lines(run: str, rng: Random) -> list[str]:
    """Return what opens a run of the executor."""
    lines = [
        f"{INFO}Initialized autonomous executor for run: {run}",
        f"{INFO}✅ Run '{run}' verified in API database",
    ]
    if rng.random() < 0.5:
        lines.insert(0, lock(run, rng))
    if rng.random() < 0.2:
        lines.insert(0, f"[drain_one_phase] Draining: {run} / {run}-p0")
    return lines


def lock(run: str, rng: Random) -> str:
    """Return what a process says that will be the only one of its run."""
    return f"{INFO}[LOCK] Acquired executor lock for run_id={run} (PID={rng.randrange(90_000)}, host=box)"


def opening(run: str, phase: str, paths: list[str], rng: Random) -> list[str]:
    """Return what opens a phase."""
    lines = [f"{INFO}[BUILD-041] Next phase: {phase}"]
    if rng.random() < 0.1:
        lines.append(f"{INFO}Generating manifest for run: {run}")
    if rng.random() < 0.15:
        lines.append(
            f"{INFO}[BUILD-128] Phase '{phase}' has deliverables - inferring scope from deliverables"
        )
        lines.append(f"{INFO}[Scope] Scope paths: {paths}")
    elif rng.random() < 0.3:
        lines.append(f"{INFO}[Scope] Scope paths: ['src/']")
    lines.append(f"{INFO}[{phase}] Step 1/4: Generating code with Builder (via LlmService)...")
    lines.append(
        f"{INFO}[TOKEN_BUDGET] Context loading: ~{rng.randrange(20_000)} tokens (50% of 26000 budget)"
    )
    return lines


def asking(
    run: str, phase: str, attempt: int, values: Values, rng: Random, soft_cap: bool | None = None
) -> list[str]:
    """Return what is said before the model is asked; `soft_cap`: `None` where the generator draws it."""
    complexity = values.complexity
    lines = [
        f"{INFO}[MODEL-SELECT] Builder: model={values.model}, complexity={complexity}->{complexity}, "
        f"attempt={attempt}, category={values.category}",
        f"{INFO}[TokenEstimator] Budget selection: base={values.budget}, estimated={values.predicted}, "
        f"with_buffer={values.predicted * 6 // 5}, selected={values.budget}, confidence=80.0%, "
        "buffer_margin=1.20x",
        f"{INFO}[BUILD-129] Token estimate: {values.predicted} output tokens "
        f"({values.deliverables} deliverables, confidence=0.80), selected budget: {values.budget}",
    ]
    if soft_cap is None:
        soft_cap = rng.random() < 0.3
    if soft_cap:
        lines.append(
            f"{WARNING}[TOKEN_SOFT_CAP] run_id={run if rng.random() < 0.7 else 'unknown'} phase_id={phase} "
            f"est_total={values.input + values.budget} soft_cap=12000 "
            f"(prompt={values.input} completion={values.budget} complexity={complexity})"
        )
    lines.append(
        f"{INFO}[BUILD-129:P4] Final max_tokens enforcement: {values.max_tokens} "
        f"(token_selected_budget={values.budget})"
    )
    return lines


def answering(phase: str, values: Values) -> list[str]:
    """Return the anchor, the event and what follows within a few lines."""
    total = values.input + values.output
    outcome = (
        f"Builder succeeded ({total} tokens)" if values.success else "Builder failed: nothing could be parsed"
    )
    return [
        f"{INFO}[TOKEN_BUDGET] phase={phase} complexity={values.complexity} input={values.input} "
        f"output={values.output}/{values.max_tokens} total={total} "
        f"utilization={100 * values.output / values.max_tokens:.1f}% model={values.model}",
        f"{INFO}[Builder] {values.deliverables} file(s) in the answer",
        f"{INFO}{values.line()}",
        f"{INFO}[{phase}] {outcome}",
    ]


def escalating(phase: str, attempt: int, values: Values) -> list[str]:
    """Return the line that announces another attempt with more room."""
    return [
        f"{WARNING}[BUILD-129:P10] ESCALATE-ONCE: phase={phase} attempt={attempt + 1} "
        f"base={values.max_tokens} (from actual_max_tokens) → retry={values.max_tokens * 5 // 4} "
        "(1.25x, truncation)"
    ]


def closing(phase: str, paths: list[str], values: Values, rng: Random) -> list[str]:
    """Return what became of the phase, and of which paths it was."""
    lines: list[str] = []
    draw = rng.random()
    if draw < 0.1:
        lines.append("📋 REQUIRED DELIVERABLES:")
        lines += [f"  ✓ {path}" for path in paths[:10]]
        lines += [f"  ... and {len(paths) - 10} more"] if len(paths) > 10 else []
    elif draw < 0.14 and paths:
        lines.append(f"{WARNING}[{phase}]    Missing {len(paths)} required deliverables:")
        lines += [f"{WARNING}[{phase}]      - {path}" for path in paths[:5]]
    if values.success and rng.random() < 0.9:
        lines.append(f"{INFO}[{phase}] Applied files: {paths}")
    status = "COMPLETE" if values.success and rng.random() < 0.8 else "FAILED"
    lines.append(f"{INFO}Updated phase {phase} status to {status}")
    if rng.random() < 0.1:
        lines.append(f"{INFO}Phase {phase} finished with status: {status}")
    return lines


SOFT_CAPPED = frozenset({0, 5, 7, 8})
"""Which of nine calls in a row of a drained log have the line about the soft cap."""


def drained(
    run: str, phase: str, number: int, values: Values, paths: list[str], rng: Random
) -> list[list[str]]:
    """Return what a process says that is started for one phase of a queue, and ends with it.

    In four parts: noise goes between them, most of it between the last two. Each process has 17 marked
    lines, all that a drained log of real life has: 16 that stand at every call, and the soft cap at four
    calls of nine. At the other five it is the lock that some versions of the executor take.
    """
    asked = asking(run, phase, 0, values, rng, soft_cap=number % 9 in SOFT_CAPPED)
    starting = [f"[drain_one_phase] Draining: {run} / {phase}", f"{INFO}[Recovery] output is UTF-8"]
    if number % 9 not in SOFT_CAPPED:
        starting.append(lock(run, rng))
    starting.append(f"{INFO}Initialized autonomous executor for run: {run}")
    opened = [
        f"{INFO}✅ Run '{run}' verified in API database",
        f"{INFO}[BUILD-041] Next phase: {phase}",
        f"{INFO}[{phase}] Step 1/4: Generating code with Builder (via LlmService)...",
        f"{INFO}[Scope] Scope paths: ['src/']",
    ]
    ended = [
        f"{INFO}[{phase}] Applied files: {paths}",
        f"{INFO}[Finalizer] {phase}: all gates passed",
        f"{INFO}Updated phase {phase} status to COMPLETE",
        f"{INFO}Reached max iterations (1), stopping",
        LOOP_FINISHED,
    ]
    return [starting, opened, [*asked, *answering(phase, values)], ended]


def paths_of(values: Values, rng: Random) -> list[str]:
    """Return as many paths as the event has deliverables, or a few where it has none."""
    return [a_path(rng) for _ in range(values.deliverables or rng.randrange(3))]
