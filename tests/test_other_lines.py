"""The lines around the events: exact records for each family that names a run, a phase, a path.

Lines are literals as logs hold them, mangled arrows and emoji included.
"""

from __future__ import annotations

import pytest

from event_lines import logged
from parsers.line import parse_line
from parsers.numbers import decimal, string_list, whole
from parsers.records import (
    AppliedFiles,
    AttemptedFiles,
    BudgetUse,
    BuilderFinished,
    BuilderModel,
    Ceiling,
    DeliverablesRefused,
    Draining,
    Escalation,
    Estimate,
    ListedPath,
    ListRest,
    MissingList,
    MissingPath,
    Noted,
    PhaseOpened,
    PhaseStatus,
    ProtectedPaths,
    RequiredList,
    RunEnded,
    RunNamed,
    ScopeInferred,
    ScopePaths,
    SoftCap,
)


def record_of(message: str):
    """Read a message after the executor's prefix; `None` if it is nothing."""
    parsed = parse_line(logged(message).encode())
    return None if parsed is None else parsed.record


def escalation(**fields):
    """Return an escalation's record, with these fields changed."""
    usual = {
        "phase": "p1",
        "attempt_index": 1,
        "base_tokens": 16384,
        "base_source": None,
        "retry_max_tokens": 20480,
        "factor": 1.25,
        "reason": "truncation",
        "utilization_percent": None,
    }
    return Escalation(**(usual | fields))


CASES = {
    "anchor": (
        "[TOKEN_BUDGET] phase=p1-string-util complexity=low input=5056 output=1157/16384 total=6213 "
        "utilization=7.1% model=some-model-4",
        BudgetUse("p1-string-util", "low", 5056, 1157, 16384, 6213, "some-model-4"),
    ),
    "anchor-with-spaces": (
        "[TOKEN_BUDGET] phase=a phase of ours complexity=high input=0 output=0/0 total=0 "
        "utilization=100.0% model=some model",
        BudgetUse("a phase of ours", "high", 0, 0, 0, 0, "some model"),
    ),
    "run-initialized": (
        "Initialized autonomous executor for run: collection-v4",
        RunNamed("collection-v4", "initialized", starts=True),
    ),
    "run-verified": (
        "✅ Run 'collection-v4' verified in API database",
        RunNamed("collection-v4", "verified", starts=False),
    ),
    "run-verified-mojibake": (
        "âœ… Run 'collection-v4' verified in API database",
        RunNamed("collection-v4", "verified", starts=False),
    ),
    "run-verified-replaced": (
        "? Run 'collection-v4' verified in API database",
        RunNamed("collection-v4", "verified", starts=False),
    ),
    "lock-acquired": (
        "[LOCK] Acquired executor lock for run_id=collection-v4 (PID=154196, host=box)",
        RunNamed("collection-v4", "lock", starts=True),
    ),
    "lock-released": (
        "[LOCK] Released executor lock for run_id=collection-v4 (PID=154196)",
        RunEnded("collection-v4"),
    ),
    "lock-released-plain": (
        "[LOCK] Released executor lock for run_id=collection-v4",
        RunEnded("collection-v4"),
    ),
    "manifest": (
        "Generating manifest for run: collection-v4",
        RunNamed("collection-v4", "manifest", starts=False),
    ),
    "loop-finished": ("Autonomous execution loop finished", RunEnded(None)),
    "soft-cap": (
        "[TOKEN_SOFT_CAP] run_id=collection-v4 phase_id=p1 est_total=12822 soft_cap=12000 (prompt=1354)",
        SoftCap("collection-v4", "p1"),
    ),
    "soft-cap-unknown": (
        "[TOKEN_SOFT_CAP] run_id=unknown phase_id=p1 est_total=12822 soft_cap=12000",
        SoftCap(None, "p1"),
    ),
    "draining": (
        "[drain_one_phase] Draining: collection-v4 / p1-string-util",
        Draining("collection-v4", "p1-string-util"),
    ),
    "phase-requested": ("[BUILD-041] Next phase: p1-string-util", PhaseOpened("p1-string-util", "requested")),
    "phase-generating": (
        "[p1-string-util] Step 1/4: Generating code with Builder (via LlmService)...",
        PhaseOpened("p1-string-util", "generating"),
    ),
    "builder-succeeded": ("[p1] Builder succeeded (6213 tokens)", BuilderFinished("p1", True, 6213)),
    "builder-failed": (
        "[p1] Builder failed: No valid file changes generated",
        BuilderFinished("p1", False, None),
    ),
    "builder-failed-quoting": (
        "[p1] Builder failed: LLM said [p2] Builder succeeded (5 tokens)",
        BuilderFinished("p1", False, None),
    ),
    "status-updated": ("Updated phase p1 status to COMPLETE", PhaseStatus("p1", "COMPLETE", True)),
    "status-on-the-way": ("Updated phase p1 status to EXECUTING", PhaseStatus("p1", "EXECUTING", False)),
    "status-finished": (
        "Phase p1 finished with status: REPLAN_REQUESTED",
        PhaseStatus("p1", "REPLAN_REQUESTED", True),
    ),
    "estimate": (
        "[BUILD-129] Token estimate: 5200 output tokens (3 deliverables, confidence=0.80), "
        "selected budget: 8192 (P4 enforcement applied before API call)",
        Estimate(5200, 8192, 0.8, 3),
    ),
    "estimate-openai": (
        "[BUILD-142:OpenAI] Token estimate: 448 tokens (1 deliverables, confidence=0.5), "
        "selected budget: 8192",
        Estimate(448, 8192, 0.5, 1),
    ),
    "estimate-gemini": (
        "[BUILD-142:Gemini] Token estimate: 448 output tokens (12 deliverables, confidence=1), "
        "selected budget: 8192",
        Estimate(448, 8192, 1.0, 12),
    ),
    "selection": (
        "[TokenEstimator] Budget selection: base=8192, estimated=5200, with_buffer=6240, selected=8192, "
        "confidence=80.0%",
        Estimate(5200, 8192, 0.8, None),
    ),
    "selection-with-margin": (
        "[TokenEstimator] Budget selection: base=8192, estimated=5200, with_buffer=6240, selected=8192, "
        "confidence=80.0%, buffer_margin=1.20x",
        Estimate(5200, 8192, 0.8, None),
    ),
    "ceiling": (
        "[BUILD-129:P4] Final max_tokens enforcement: 16384 (token_selected_budget=8192)",
        Ceiling(16384, 8192),
    ),
    "ceiling-none": (
        "[BUILD-129:P4] Final max_tokens enforcement: 16384 (token_selected_budget=None)",
        Ceiling(16384, None),
    ),
    "builder-model": (
        "[MODEL-SELECT] Builder: model=some-model-4, complexity=low->medium, attempt=0, category=doc write",
        BuilderModel("some-model-4", 0, "doc write"),
    ),
    "applied": (
        "[p1] Applied files: ['src/a.py', 'docs/b.md']",
        AppliedFiles("p1", ("src/a.py", "docs/b.md")),
    ),
    "applied-nothing": ("[p1] Applied files: []", AppliedFiles("p1", ())),
    "applied-windows": (
        r"[p1] Applied files: ['C:\\dev\\new\\table.py', 'src\\b.py']",
        AppliedFiles("p1", (r"C:\dev\new\table.py", r"src\b.py")),
    ),
    "applied-quotes": (
        """[p1] Applied files: ["it's.md", 'say "x".md', 'both \\' and ".md']""",
        AppliedFiles("p1", ("it's.md", 'say "x".md', "both ' and \".md")),
    ),
    "applied-brackets-and-commas": (
        "[p1] Applied files: ['a, b.py', '[id].tsx', \"c', 'd\"]",
        AppliedFiles("p1", ("a, b.py", "[id].tsx", "c', 'd")),
    ),
    "applied-letters": ("[p1] Applied files: ['Übung ✓.md']", AppliedFiles("p1", ("Übung ✓.md",))),
    "refused": ("[p1] ❌ DELIVERABLES VALIDATION FAILED", DeliverablesRefused("p1")),
    "refused-mojibake": ("[p1] âŒ DELIVERABLES VALIDATION FAILED", DeliverablesRefused("p1")),
    "required": ("📋 REQUIRED DELIVERABLES:", RequiredList()),
    "required-mojibake": ("ðŸ“‹ REQUIRED DELIVERABLES:", RequiredList()),
    "listed": ("  ✓ docs/STATUS.md", ListedPath("docs/STATUS.md")),
    "listed-mojibake": ("  âœ“ docs/a file.md", ListedPath("docs/a file.md")),
    "listed-rest": ("  ... and 10 more", ListRest(10)),
    "missing": ("[p1]    Missing 7 required deliverables:", MissingList("p1", 7)),
    "missing-path": ("[p1]      - docs/a file.md", MissingPath("p1", "docs/a file.md")),
    "inferred": (
        "[BUILD-128] Phase 'p1' has deliverables - inferring scope from deliverables",
        ScopeInferred("p1"),
    ),
    "scope": ("[Scope] Scope paths: ['pytest.ini', '.gitignore']", ScopePaths(("pytest.ini", ".gitignore"))),
    "protected": (
        "Plan validation failed: Phase 'p1' validation failed: Protected paths in scope: src/a.py, b.md, "
        ".git/, C:\\d\\e, app/[id]/(x)/page.tsx...",
        ProtectedPaths("p1", ("src/a.py", "b.md", ".git/", r"C:\d\e", "app/[id]/(x)/page.tsx"), whole=False),
    ),
    "protected-whole": (
        "Plan validation failed: Phase 'p1' validation failed: Protected paths in scope: src/a.py",
        ProtectedPaths("p1", ("src/a.py",), whole=True),
    ),
    "protected-no-paths": (
        "Plan validation failed: Phase 'p1' validation failed: Protected paths in scope: code, v1.2, e.g., "
        "the src/a.py, src/b..., ['c.py', src/d.py",
        ProtectedPaths("p1", ("src/d.py",), whole=False),
    ),
    "protected-manifest": (
        "[BUILD-123v2] Manifest generation failed for 'p1': Phase 'p1' validation failed: Protected paths in "
        "scope: src/a.py...",
        ProtectedPaths("p1", ("src/a.py",), whole=False),
    ),
    "attempted": (
        "[Builder] DEBUG: attempted_file_paths=['examples/a.py', 'Makefile']",
        AttemptedFiles(("examples/a.py", "Makefile")),
    ),
    "escalation": (
        "[BUILD-129:P10] ESCALATE-ONCE: phase=p1 attempt=1 base=16384 (from actual_max_tokens) "
        "→ retry=20480 (1.25x, truncation)",
        escalation(base_source="actual_max_tokens"),
    ),
    "escalation-mojibake": (
        "[BUILD-129:P10] ESCALATE-ONCE: phase=p1 attempt=1 base=16384 (from selected_budget) "
        "â†’ retry=20480 (1.25x, 96.3% utilization)",
        escalation(base_source="selected_budget", reason="utilization", utilization_percent=96.3),
    ),
    "escalation-older": (
        "[BUILD-129:P10] ESCALATE-ONCE: phase=p1 attempt=1 tokens=16384→20480 (1.25x, truncation)",
        escalation(),
    ),
    "escalation-older-mojibake": (
        "[BUILD-129:P10] ESCALATE-ONCE: phase=p1 attempt=1 tokens=16384â†’20480 (1.25x, 100% utilization)",
        escalation(reason="utilization", utilization_percent=100.0),
    ),
    "escalation-question-mark": (
        "[BUILD-129:P10] ESCALATE-ONCE: phase=p1 attempt=1 tokens=16384?20480 (1.25x, truncation)",
        escalation(),
    ),
    "escalation-oldest": (
        "[TOKEN_ESCALATION] phase=p1 attempt=1 tokens=16384→20480 (truncation detected, auto-retrying)",
        escalation(factor=None),
    ),
    "skipped": (
        "[TELEMETRY] Skipping invalid event for p1: actual_output_tokens=12 < 50 (likely error)",
        Noted("skipped_event"),
    ),
    "legacy": (
        "[TokenEstimation] Predicted: 300 output tokens, Actual: 128 output tokens, Error: 57.3%",
        Noted("legacy"),
    ),
    "legacy-total": (
        "[TokenEstimation] Predicted output: 300 tokens, Actual total (input+output): 980 tokens",
        Noted("legacy"),
    ),
}


@pytest.mark.parametrize(("message", "record"), CASES.values(), ids=CASES.keys())
def test_line_is_read_exactly(message, record):
    """Each line gives exactly its record, to the last field."""
    assert record_of(message) == record


@pytest.mark.parametrize(
    "message",
    [
        "[TOKEN_BUDGET] Context loading: 12 files",
        "[TOKEN_BUDGET] TRUNCATION: phase=p1 used 16384/16384 tokens (100% utilization)",
        "[TOKEN_BUDGET] HIGH UTILIZATION: phase=p1 used 16000/16384 tokens",
        "[TokenEstimation] Pattern cache: 12 entries",
        "[TokenEstimation] Predicted values are prose",
        "Initialized autonomous executor for run: ",
        "[LOCK] Waiting for lock of run_id=collection-v4",
        "[p1] Applied files: ['src/a.py', 'src/b",
        "[p1] Applied files: ['src/a.py',",
        "[p1] Applied files: ['src/a.py'] and more",
        "[p1] Applied files: ['src/a.py'",
        "[p1] Applied files: ['a' 'b']",
        "[p1] Applied files: ['a'.upper()]",
        "[p1] Applied files: [['a']]",
        "[p1] Applied files: [None]",
        "[p1] Applied files: ['\\x']",
        "[Scope] Scope paths: ['pytest.ini', '.gitig",
        "[p1] Builder succeeded (many tokens)",
        "[BUILD-129:P10] ESCALATE-ONCE: phase=p1 attempt=1 tokens=16384",
        "[TELEMETRY] Something else",
        "[p1]    Missing some required deliverables:",
    ],
    ids=str,
)
def test_line_that_says_something_else_is_nothing(message):
    """What shares a marker, or was cut off, says nothing."""
    assert record_of(message) is None


def test_list_cut_at_any_length_is_nothing():
    """A list of paths that was cut anywhere is never taken for a shorter list."""
    message = """[p1] Applied files: ['a[0]', "b's", 'c\\\\d', 'e']"""
    assert record_of(message) == AppliedFiles("p1", ("a[0]", "b's", r"c\d", "e"))
    for end in range(len("[p1] Applied files: "), len(message)):
        assert record_of(message[:end]) is None


@pytest.mark.parametrize("status", ["QUEUED", "PENDING", "EXECUTING", "IN_PROGRESS", "executing"])
def test_status_on_the_way_is_no_outcome(status):
    """Only a status that ends the attempt is an outcome."""
    assert record_of(f"Updated phase p1 status to {status}") == PhaseStatus("p1", status, is_outcome=False)


@pytest.mark.parametrize("status", ["COMPLETE", "FAILED", "BLOCKED", "REPLAN_REQUESTED", "SomethingNew"])
def test_any_other_status_is_an_outcome(status):
    """A status that we have never seen ends the attempt, as most do."""
    assert record_of(f"Phase p1 finished with status: {status}") == PhaseStatus("p1", status, is_outcome=True)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", " 1", "1 ", "1.0", "1_0", "1" * 19, "1" * 5000, "٣", "²", "0x1"]
)
def test_whole_number_is_ascii_digits_that_sqlite_can_hold(text):
    """Anything but one to eighteen ASCII digits is no whole number."""
    assert whole(text) is None
    assert whole("9" * 18) == 10**18 - 1


@pytest.mark.parametrize("text", ["", "nan", "inf", "-1.0", "1.", ".5", "1e5", "1,5", "٣.٤", "1" * 400])
def test_decimal_number_is_plain(text):
    """Anything but plain ASCII digits with one point is no decimal number."""
    assert decimal(text) is None
    assert decimal("0.80") == 0.8


def test_list_of_strings_is_never_evaluated():
    """Only string literals are read: nothing is called, and neither depth nor size can hurt."""
    assert string_list("[__import__('os').getcwd()]") is None
    assert string_list("['a', b'c']") is None
    assert string_list("[f'{1}']") is None
    assert string_list("['a\\\\b', 'c\rd\0']") == ("a\\b", "c\rd\0")  # as it stands, whatever is beside it
    assert string_list("[" * 100_000 + "]" * 100_000) is None
    many = tuple(f"src/file_{number}.py" for number in range(5_000))
    assert string_list(repr(list(many))) == many


def test_escape_sequences_become_their_characters():
    """A list literal's escapes are those of Python."""
    assert string_list(r"['caf\xe9', '\u2713', 'tab\there', 'new\nline']") == (
        "café",
        "✓",
        "tab\there",
        "new\nline",
    )
