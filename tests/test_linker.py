"""From small literal logs to the context of their events.

Keeps the invariant that interleaved runs never take each other's context: ambiguous means unknown,
never a guess.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_lines import anchor_message, event_message, fallback_message, logged
from ingest.linking.context import Attributed, Context, Deliverables, merged
from ingest.linking.linker import Linker
from ingest.linking.state import MAX_PENDING, LinkerState
from ingest.reading.checkpoint import as_text, from_text
from parsers.line import parse_line
from parsers.records import Escalation, EstimationEvent, Malformed, Noted


def seconds_of(*_: object) -> float:
    """Fail: the lines here are linked without their times."""
    raise AssertionError("a time was asked for")


class Link:
    """Link a log line by line; `contexts` are those of its events, in their order."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self.linker = Linker(LinkerState(), seconds_of)
        self.by_line: dict[int, Context] = {}
        self.events: dict[int, EstimationEvent] = {}
        self.number = 0

    @property
    def contexts(self) -> list[Context]:
        """The contexts of the events, in the order of their lines."""
        return list(self.by_line.values())

    def take(self, line: str) -> None:
        """Take one line, as the scan does."""
        self.number += 1
        parsed = parse_line(line.encode())
        if parsed is None or isinstance(parsed.record, Malformed | Noted | Escalation):
            return
        if isinstance(parsed.record, EstimationEvent):
            self.by_line[self.number] = self.linker.event(parsed.record, self.number, self.number)
            self.events[self.number] = parsed.record
        else:
            self.linker.context_line(parsed.record, self.number)
        self.collect()

    def collect(self) -> None:
        """Give the amendments to their events."""
        for amendment in self.linker.amendments:
            self.by_line[amendment.offset] = merged(self.by_line[amendment.offset], amendment.context)
        self.linker.amendments.clear()

    def end(self) -> None:
        """Say that all lines were read."""
        self.linker.reach(self.number)
        self.collect()


def linked(lines: list[str]) -> Link:
    """Link a whole log."""
    link = Link()
    for line in lines:
        link.take(line)
    link.end()
    return link


def restarted_at_every_line(lines: list[str]) -> Link:
    """Link a log with a restart from the remembered text before each of its lines."""
    link = Link()
    for line in lines:
        link.linker = Linker(from_text(LinkerState, as_text(link.linker.state)), seconds_of)
        link.take(line)
        link.linker.reach(link.number)
        link.collect()
    return link


def log_of(text: str) -> list[str]:
    """Build a log from a table of messages: `|` opens a printed line, the others get a prefix.

    `EVENT`, `ANCHOR phase` and their like stand for the long lines of a call.
    """
    return [_line(line) for line in text.strip("\n").splitlines()]


def _line(line: str) -> str:
    if line.startswith("|"):
        return line[1:]
    word, _, rest = line.partition(" ")
    if word == "ANCHOR":
        phase, *fields = rest.split()
        return logged(anchor_message(phase, **_numbers(fields)))
    if word in ("EVENT", "TOTAL"):
        fields = dict(field.split("=") for field in rest.split())
        return logged(event_message(**fields) if word == "EVENT" else fallback_message(**fields))
    return logged(line)


def _numbers(fields: list[str]) -> dict[str, int | str]:
    pairs = (field.split("=") for field in fields)
    return {key: int(value) if value.isdigit() else value for key, value in pairs}


def initialized(name: str) -> Attributed:
    """Return a run that is known from its own start."""
    return Attributed(name, "initialized")


def budget(name: str) -> Attributed:
    """Return a phase that is known from its anchor."""
    return Attributed(name, "budget")


RUN = "Initialized autonomous executor for run: r1\n"
OPEN = "[BUILD-041] Next phase: p1\n[p1] Step 1/4: Generating code with Builder (via LlmService)...\n"
PREPARED = (
    "[MODEL-SELECT] Builder: model=some-model-4, complexity=low->low, attempt=2, category=docs\n"
    "[BUILD-129] Token estimate: 5200 output tokens (1 deliverables, confidence=0.80), "
    "selected budget: 8192\n"
    "[BUILD-129:P4] Final max_tokens enforcement: 16384 (token_selected_budget=8192)\n"
)
NEXT, BUILDER = OPEN.splitlines(keepends=True)
PROTECTED = "Plan validation failed: Phase 'p1' validation failed: Protected paths in scope: "
ATTEMPTED = "[Builder] DEBUG: attempted_file_paths="
CALL = "ANCHOR p1\nEVENT\n[p1] Builder succeeded (6213 tokens)\n"
ANCHORED = Context(
    run=initialized("r1"),
    phase=budget("p1"),
    actual_max_tokens=16384,
    input_tokens=5056,
    total_tokens=6213,
)


def anchored(**fields: object) -> Context:
    """Return the context of the usual call, with these fields changed."""
    return ANCHORED._replace(**fields)


def paths(source: str, *names: str, complete: bool = True) -> Deliverables:
    """Return deliverables of one kind of line."""
    return Deliverables(source, names, complete)


UNKNOWN = Context()

SMALL_LOGS = {
    "nothing-but-the-event": ("EVENT", [UNKNOWN]),
    "single-run": (
        RUN + OPEN + PREPARED + CALL + "[p1] Applied files: ['a.py']\n"
        "Updated phase p1 status to EXECUTING\nPhase p1 finished with status: COMPLETE",
        [
            anchored(
                confidence=0.8,
                attempt_index=2,
                estimated_deliverable_count=1,
                phase_outcome="COMPLETE",
                deliverables=paths("applied", "a.py"),
            )
        ],
    ),
    "start-is-in-an-older-file": (OPEN + CALL, [anchored(run=None)]),
    "no-opening-line": (RUN + CALL, [ANCHORED]),
    "retries-each-take-their-anchor": (
        RUN
        + OPEN
        + "ANCHOR p1 output=100 max=8192\nEVENT actual_output=100\n[p1] Builder failed: cut\n"
        + "[p1] Step 1/4: Generating code with Builder (via LlmService)...\n"
        + "ANCHOR p1 output=200 max=16384\nEVENT actual_output=200\n[p1] Builder succeeded (5256 tokens)",
        [
            anchored(actual_max_tokens=8192, total_tokens=5156),
            anchored(total_tokens=5256),
        ],
    ),
    "outcome-reaches-the-retries-of-its-window-once": (
        RUN
        + OPEN
        + CALL
        + "Updated phase p1 status to FAILED\n"
        + OPEN
        + CALL
        + "Updated phase p1 status to COMPLETE",
        [anchored(phase_outcome="FAILED"), anchored(phase_outcome="COMPLETE")],
    ),
    "first-outcome-counts": (
        RUN + OPEN + CALL + "Updated phase p1 status to FAILED\nUpdated phase p1 status to COMPLETE",
        [anchored(phase_outcome="FAILED")],
    ),
    "outcome-of-another-phase-is-not-taken": (
        RUN + OPEN + CALL + "Updated phase p2 status to FAILED",
        [ANCHORED],
    ),
    "anchor-with-another-actual-is-not-taken": (
        RUN + OPEN + "ANCHOR p1 output=999\nEVENT",
        [Context(run=initialized("r1"))],
    ),
    "anchor-is-taken-once": (
        RUN + OPEN + "ANCHOR p1\nEVENT\nEVENT",
        [ANCHORED, Context(run=initialized("r1"))],
    ),
    "anchor-of-a-total": (
        RUN + OPEN + "ANCHOR p1 output=144 input=5056\nTOTAL actual_total=5200",
        [anchored(total_tokens=5200)],
    ),
    "newest-of-two-anchors-of-one-phase": (
        RUN + OPEN + "ANCHOR p1 input=1\nANCHOR p1 input=2\nEVENT",
        [anchored(input_tokens=2, total_tokens=1159)],
    ),
    "anchors-of-two-phases-are-ambiguous": (
        "ANCHOR p1\nANCHOR p2\nEVENT\n[p1] Builder succeeded (6213 tokens)",
        [UNKNOWN],
    ),
    "anchors-of-two-phases-by-model": (
        RUN + "ANCHOR p1\nANCHOR p2 model=other\nEVENT",
        [ANCHORED],
    ),
    "builder-two-lines-after-names-the-phase": (
        RUN + OPEN + "EVENT\nsomething else\n[p1] Builder succeeded (6213 tokens)",
        [Context(run=initialized("r1"), phase=Attributed("p1", "builder"))],
    ),
    "builder-three-lines-after-names-the-phase": (
        RUN + OPEN + "EVENT\nx\ny\n[p1] Builder succeeded (6213 tokens)",
        [Context(run=initialized("r1"), phase=Attributed("p1", "builder"))],
    ),
    "builder-four-lines-after-counts-not": (
        RUN + OPEN + "EVENT\nx\ny\nz\n[p1] Builder succeeded (6213 tokens)",
        [Context(run=initialized("r1"))],
    ),
    "builder-of-another-outcome-counts-not": (
        RUN + OPEN + "EVENT success=True\n[p1] Builder failed: no",
        [Context(run=initialized("r1"))],
    ),
    "builder-after-two-events-names-the-last": (
        RUN + "EVENT\nEVENT\n[p1] Builder succeeded (6213 tokens)",
        [
            Context(run=initialized("r1")),
            Context(run=initialized("r1"), phase=Attributed("p1", "builder")),
        ],
    ),
    "applied-files-of-another-number-are-refused": (
        RUN + OPEN + CALL + "[p1] Applied files: ['a.py', 'b.py']",
        [ANCHORED],
    ),
    "applied-files-of-another-phase-are-refused": (
        RUN + OPEN + CALL + "[p2] Applied files: ['a.py']",
        [ANCHORED],
    ),
    "applied-files-by-the-estimate-where-the-event-says-none": (
        RUN + OPEN + PREPARED + "ANCHOR p1\nEVENT deliverables=0\n[p1] Applied files: ['a.py']",
        [
            anchored(
                confidence=0.8,
                attempt_index=2,
                estimated_deliverable_count=1,
                deliverables=paths("applied", "a.py"),
            )
        ],
    ),
    "no-files-are-no-deliverables": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=0\n[p1] Applied files: []",
        [ANCHORED],
    ),
    "required-list": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=2\n[p1] ❌ DELIVERABLES VALIDATION FAILED\nx\n"
        "|📋 REQUIRED DELIVERABLES:\n|  ✓ a.py\n|  ✓ docs/b c.md\nafter",
        [anchored(deliverables=paths("required", "a.py", "docs/b c.md"))],
    ),
    "required-list-at-the-end-of-the-log": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=1\n[p1] ❌ DELIVERABLES VALIDATION FAILED\n"
        "📋 REQUIRED DELIVERABLES:\n  ✓ a.py",
        [ANCHORED],
    ),
    "shortened-required-list-is-partial": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=12\n[p1] ❌ DELIVERABLES VALIDATION FAILED\n"
        "📋 REQUIRED DELIVERABLES:\n  ✓ a.py\n  ✓ b.py\n  ... and 10 more\nafter",
        [anchored(deliverables=paths("required", "a.py", "b.py", complete=False))],
    ),
    "required-list-of-another-number-is-refused": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=3\n[p1] ❌ DELIVERABLES VALIDATION FAILED\n"
        "📋 REQUIRED DELIVERABLES:\n  ✓ a.py\nafter",
        [ANCHORED],
    ),
    "required-list-without-its-refusal-is-nobodys": (
        RUN + OPEN + CALL + "📋 REQUIRED DELIVERABLES:\n  ✓ a.py\nafter",
        [ANCHORED],
    ),
    "listed-paths-after-a-gap-are-not-of-the-list": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=2\n[p1] ❌ DELIVERABLES VALIDATION FAILED\n"
        "📋 REQUIRED DELIVERABLES:\n  ✓ a.py\nbetween\n  ✓ b.py\nafter",
        [ANCHORED],
    ),
    "missing-list": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=2\n[p1]    Missing 2 required deliverables:\n"
        "[p1]      - a.py\n[p1]      - b.py",
        [anchored(deliverables=paths("missing", "a.py", "b.py"))],
    ),
    "missing-list-of-some-is-partial": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=3\n[p1]    Missing 1 required deliverables:\n"
        "[p1]      - a.py",
        [anchored(deliverables=paths("missing", "a.py", complete=False))],
    ),
    "missing-list-names-five-of-seven": (
        RUN
        + OPEN
        + "ANCHOR p1\nEVENT deliverables=7\n[p1]    Missing 7 required deliverables:\n"
        + "".join(f"[p1]      - {name}.py\n" for name in "abcde"),
        [anchored(deliverables=paths("missing", "a.py", "b.py", "c.py", "d.py", "e.py", complete=False))],
    ),
    "more-missing-than-declared-is-refused": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=1\n[p1]    Missing 2 required deliverables:\n"
        "[p1]      - a.py\n[p1]      - b.py",
        [ANCHORED],
    ),
    "missing-path-without-its-header-is-nothing": (
        RUN + OPEN + CALL + "[p1]      - a.py",
        [ANCHORED],
    ),
    "scope-after-it-was-inferred": (
        RUN + OPEN + "[BUILD-128] Phase 'p1' has deliverables - inferring scope from deliverables\n"
        "[Scope] Scope paths: ['a.py']\n" + CALL,
        [anchored(deliverables=paths("scope", "a.py"))],
    ),
    "scope-alone-is-folders": (
        RUN + OPEN + "[Scope] Scope paths: ['a.py']\n" + CALL,
        [ANCHORED],
    ),
    "scope-inferred-for-another-phase": (
        RUN
        + OPEN
        + "[BUILD-128] Phase 'p0' has deliverables - inferring scope from deliverables\n"
        + "[BUILD-041] Next phase: p1\n[Scope] Scope paths: ['a.py']\n"
        + CALL,
        [ANCHORED],
    ),
    "scope-of-an-earlier-window": (
        RUN + OPEN + "[BUILD-128] Phase 'p1' has deliverables - inferring scope from deliverables\n"
        "Updated phase p1 status to FAILED\n" + OPEN + "[Scope] Scope paths: ['a.py']\n" + CALL,
        [ANCHORED],
    ),
    "scope-of-another-number": (
        RUN + OPEN + "[BUILD-128] Phase 'p1' has deliverables - inferring scope from deliverables\n"
        "[Scope] Scope paths: ['a.py', 'b.py']\n" + CALL,
        [ANCHORED],
    ),
    "applied-beats-scope": (
        RUN + OPEN + "[BUILD-128] Phase 'p1' has deliverables - inferring scope from deliverables\n"
        "[Scope] Scope paths: ['z.py']\n" + CALL + "[p1] Applied files: ['a.py']",
        [anchored(deliverables=paths("applied", "a.py"))],
    ),
    "protected-paths-of-the-scope-are-partial-where-more-may-follow": (
        RUN + NEXT + PROTECTED + "a.py...\n" + BUILDER + CALL,
        [anchored(deliverables=paths("protected", "a.py", complete=False))],
    ),
    "protected-paths-are-complete-where-they-are-all": (
        RUN + NEXT + PROTECTED + "a.py, b/c\n" + BUILDER + "ANCHOR p1\nEVENT deliverables=2",
        [anchored(deliverables=paths("protected", "a.py", "b/c"))],
    ),
    "protected-paths-are-partial-where-the-event-logs-none": (
        RUN + NEXT + PROTECTED + "a.py\n" + BUILDER + "ANCHOR p1\nEVENT deliverables=0",
        [anchored(deliverables=paths("protected", "a.py", complete=False))],
    ),
    "more-protected-paths-than-declared-are-refused": (
        RUN + NEXT + PROTECTED + "a.py, b.py...\n" + BUILDER + CALL,
        [ANCHORED],
    ),
    "protected-buckets-and-prose-are-no-paths": (
        RUN
        + NEXT
        + PROTECTED
        + "code, a.py, see docs/x.md, b.p...\n"
        + BUILDER
        + "ANCHOR p1\nEVENT deliverables=9",
        [anchored(deliverables=paths("protected", "a.py", "b.p", complete=False))],
    ),
    "protected-paths-of-another-phase-are-refused": (
        RUN + NEXT + PROTECTED.replace("p1", "p2") + "a.py\n" + NEXT + BUILDER + CALL,
        [ANCHORED],
    ),
    "protected-paths-of-an-earlier-try-are-said-again-or-not-known": (
        RUN + NEXT + PROTECTED + "a.py...\nUpdated phase p1 status to FAILED\n" + OPEN + CALL,
        [ANCHORED],
    ),
    "protected-paths-may-open-the-phase": (
        RUN + PROTECTED + "a.py...\n" + BUILDER + CALL,
        [anchored(deliverables=paths("protected", "a.py", complete=False))],
    ),
    "protected-paths-said-twice-are-the-same": (
        RUN
        + NEXT
        + PROTECTED
        + "a.py...\n[BUILD-123v2] Manifest generation failed for 'p1': Phase 'p1' validation "
        "failed: Protected paths in scope: a.py...\n" + BUILDER + CALL,
        [anchored(deliverables=paths("protected", "a.py", complete=False))],
    ),
    "protected-paths-behind-the-event-of-their-window": (
        RUN + OPEN + CALL + PROTECTED + "a.py...",
        [anchored(deliverables=paths("protected", "a.py", complete=False))],
    ),
    "protected-paths-of-a-phase-that-two-runs-may-have-opened": (
        RUN + NEXT + PROTECTED + "a.py...\n" + RUN.replace("r1", "r2") + BUILDER + CALL,
        [Context(phase=budget("p1"))],
    ),
    "protected-paths-open-a-phase-that-is-alone-again": (
        RUN
        + OPEN
        + OPEN.replace("p1", "p2")
        + "ANCHOR p1 output=5\nUpdated phase p1 status to FAILED\nUpdated phase p2 status to FAILED\n"
        + PROTECTED.replace("p1", "p3")
        + "a.py...\n"
        + PREPARED
        + CALL.replace("p1", "p3"),
        [
            anchored(
                phase=budget("p3"),
                confidence=0.8,
                attempt_index=2,
                estimated_deliverable_count=1,
                deliverables=paths("protected", "a.py", complete=False),
            )
        ],
    ),
    "blocked-path-is-not-declared": (
        RUN + OPEN + CALL + "[Isolation] BLOCKED: Patch attempts to modify protected path: a.py",
        [ANCHORED],
    ),
    "applied-beats-protected": (
        RUN + NEXT + PROTECTED + "z.py...\n" + BUILDER + CALL + "[p1] Applied files: ['a.py']",
        [anchored(deliverables=paths("applied", "a.py"))],
    ),
    "attempted-files-are-of-the-call-before": (
        RUN + OPEN + "ANCHOR p1\nEVENT\n" + ATTEMPTED + "['a.py']\n[p1] Builder failed: no",
        [anchored(deliverables=paths("attempted", "a.py"))],
    ),
    "attempted-files-behind-the-end-of-the-call": (
        RUN + OPEN + CALL + ATTEMPTED + "['a.py']",
        [anchored(deliverables=paths("attempted", "a.py"))],
    ),
    "attempted-files-are-of-the-last-call-alone": (
        RUN + OPEN + "ANCHOR p1 output=1\nEVENT actual_output=1\n" + CALL + ATTEMPTED + "['a.py']",
        [anchored(total_tokens=5057), anchored(deliverables=paths("attempted", "a.py"))],
    ),
    "attempted-files-of-a-phase-named-after-the-event": (
        RUN + OPEN + "EVENT\n" + ATTEMPTED + "['a.py']\n[p1] Builder succeeded (6213 tokens)",
        [
            Context(
                run=initialized("r1"),
                phase=Attributed("p1", "builder"),
                deliverables=paths("attempted", "a.py"),
            )
        ],
    ),
    "attempted-files-four-lines-behind-an-event-of-no-phase": (
        RUN + "EVENT\nx\ny\nz\n" + ATTEMPTED + "['a.py']",
        [Context(run=initialized("r1"))],
    ),
    "attempted-files-of-another-number-are-refused": (
        RUN + OPEN + CALL + ATTEMPTED + "['a.py', 'b.py']\n" + ATTEMPTED + "[]",
        [ANCHORED],
    ),
    "attempted-files-before-the-event-are-refused": (
        RUN + OPEN + ATTEMPTED + "['a.py']\n" + CALL,
        [ANCHORED],
    ),
    "attempted-files-of-a-call-under-way-are-not-of-the-call-before": (
        RUN + OPEN + CALL + "ANCHOR p1 output=5\n" + ATTEMPTED + "['a.py']",
        [ANCHORED],
    ),
    "attempted-files-behind-the-outcome-are-nobodys": (
        RUN + OPEN + CALL + "Updated phase p1 status to FAILED\n" + ATTEMPTED + "['a.py']",
        [anchored(phase_outcome="FAILED")],
    ),
    "attempted-files-of-another-phase-are-refused": (
        RUN + OPEN + CALL + "[BUILD-041] Next phase: p2\n" + ATTEMPTED + "['a.py']",
        [ANCHORED],
    ),
    "attempted-files-where-two-runs-may-write-are-nobodys": (
        RUN + OPEN + CALL + RUN.replace("r1", "r2") + ATTEMPTED + "['a.py']",
        [ANCHORED],
    ),
    "buckets-of-a-required-list-are-no-paths": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=0\n[p1] ❌ DELIVERABLES VALIDATION FAILED\n"
        "📋 REQUIRED DELIVERABLES:\n  ✓ code\n  ✓ docs\n  ✓ docs/a\n  ✓ .gitignore\n  ✓ b c.py\nafter",
        [anchored(deliverables=paths("required", "docs/a", ".gitignore", "b c.py", complete=False))],
    ),
    "required-list-of-buckets-counts-not": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=2\n[p1] ❌ DELIVERABLES VALIDATION FAILED\n"
        "📋 REQUIRED DELIVERABLES:\n  ✓ code\n  ✓ docs\nafter",
        [ANCHORED],
    ),
    "buckets-of-a-missing-list-are-no-paths": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=2\n[p1]    Missing 2 required deliverables:\n"
        "[p1]      - code\n[p1]      - b.py",
        [anchored(deliverables=paths("missing", "b.py", complete=False))],
    ),
    "later-try-has-the-complete-list-of-its-phase": (
        RUN + OPEN + CALL + "[p1] Applied files: ['a.py']\nUpdated phase p1 status to FAILED\n" + OPEN + CALL,
        [
            anchored(deliverables=paths("applied", "a.py"), phase_outcome="FAILED"),
            anchored(deliverables=paths("applied", "a.py")),
        ],
    ),
    "later-try-of-the-same-window-too": (
        RUN + OPEN + CALL + "[p1] Applied files: ['a.py']\n" + CALL,
        [anchored(deliverables=paths("applied", "a.py"))] * 2,
    ),
    "third-try-has-the-list-of-the-first": (
        RUN
        + OPEN
        + CALL
        + "[p1] Applied files: ['a.py']\n"
        + f"Phase p1 finished with status: FAILED\n{OPEN}{CALL}" * 2,
        [
            anchored(deliverables=paths("applied", "a.py"), phase_outcome="FAILED"),
            anchored(deliverables=paths("applied", "a.py"), phase_outcome="FAILED"),
            anchored(deliverables=paths("applied", "a.py")),
        ],
    ),
    "later-process-of-the-same-run-has-it-too": (
        RUN
        + OPEN
        + CALL
        + "[p1] Applied files: ['a.py']\nAutonomous execution loop finished\n"
        + RUN
        + OPEN
        + CALL,
        [anchored(deliverables=paths("applied", "a.py"))] * 2,
    ),
    "later-try-has-the-scope-of-the-first": (
        RUN + OPEN + "[BUILD-128] Phase 'p1' has deliverables - inferring scope from deliverables\n"
        "[Scope] Scope paths: ['a.py']\n" + CALL + "Updated phase p1 status to FAILED\n" + OPEN + CALL,
        [
            anchored(deliverables=paths("scope", "a.py"), phase_outcome="FAILED"),
            anchored(deliverables=paths("scope", "a.py")),
        ],
    ),
    "later-try-that-logs-another-number-has-nothing": (
        RUN + OPEN + CALL + "[p1] Applied files: ['a.py']\n" + OPEN + "ANCHOR p1\nEVENT deliverables=2",
        [anchored(deliverables=paths("applied", "a.py")), ANCHORED],
    ),
    "later-try-that-logs-no-number-has-the-list": (
        RUN + OPEN + CALL + "[p1] Applied files: ['a.py']\n" + OPEN + "ANCHOR p1\nEVENT deliverables=0",
        [anchored(deliverables=paths("applied", "a.py"))] * 2,
    ),
    "later-try-has-no-partial-list": (
        RUN + OPEN + "ANCHOR p1\nEVENT deliverables=3\n[p1]    Missing 1 required deliverables:\n"
        "[p1]      - a.py\n" + OPEN + "ANCHOR p1\nEVENT deliverables=3",
        [anchored(deliverables=paths("missing", "a.py", complete=False)), ANCHORED],
    ),
    "earlier-try-has-nothing-of-a-later-one": (
        RUN
        + OPEN
        + CALL
        + "Updated phase p1 status to FAILED\n"
        + OPEN
        + CALL
        + "[p1] Applied files: ['a.py']",
        [anchored(phase_outcome="FAILED"), anchored(deliverables=paths("applied", "a.py"))],
    ),
    "other-phase-of-the-run-has-nothing-of-it": (
        RUN
        + OPEN
        + CALL
        + "[p1] Applied files: ['a.py']\n"
        + OPEN.replace("p1", "p2")
        + CALL.replace("p1", "p2"),
        [anchored(deliverables=paths("applied", "a.py")), anchored(phase=budget("p2"))],
    ),
    "same-phase-of-another-run-has-nothing-of-it": (
        RUN
        + OPEN
        + CALL
        + "[p1] Applied files: ['a.py']\n[LOCK] Released executor lock for run_id=r1 (PID=1)\n"
        + RUN.replace("r1", "r2")
        + OPEN
        + CALL,
        [anchored(deliverables=paths("applied", "a.py")), anchored(run=initialized("r2"))],
    ),
    "same-phase-of-no-known-run-has-nothing-of-it": (
        OPEN + CALL + "[p1] Applied files: ['a.py']\n" + OPEN + CALL,
        [anchored(run=None, deliverables=paths("applied", "a.py")), anchored(run=None)],
    ),
    "phase-that-two-runs-may-have-opened-has-nothing-of-it": (
        RUN + OPEN + CALL + "[p1] Applied files: ['a.py']\n" + RUN.replace("r1", "r2") + OPEN + CALL,
        [
            anchored(deliverables=paths("applied", "a.py")),
            Context(phase=budget("p1")),
        ],
    ),
    "unknown-soft-cap-never-overrides": (
        RUN + OPEN + "[TOKEN_SOFT_CAP] run_id=unknown phase_id=p1 est_total=1 soft_cap=2\n" + CALL,
        [ANCHORED],
    ),
    "soft-cap-names-a-run-without-a-start": (
        OPEN + "[TOKEN_SOFT_CAP] run_id=r7 phase_id=p1 est_total=1 soft_cap=2\n" + CALL,
        [anchored(run=Attributed("r7", "soft_cap"))],
    ),
    "drained-run": (
        "|[drain_one_phase] Draining: r5 / p9\n" + OPEN + CALL,
        [anchored(run=Attributed("r5", "drain"))],
    ),
    "drained-run-that-also-says-its-name": (
        "|[drain_one_phase] Draining: r1 / p9\n" + RUN + OPEN + CALL,
        [ANCHORED],
    ),
    "drained-run-counts-to-the-end-of-its-process": (
        "|[drain_one_phase] Draining: r5 / p1\n"
        + OPEN
        + CALL
        + "Autonomous execution loop finished\n"
        + OPEN
        + CALL,
        [anchored(run=Attributed("r5", "drain")), anchored(run=None)],
    ),
    "lock-and-verified-agree": (
        "[LOCK] Acquired executor lock for run_id=r1 (PID=1, host=box)\n"
        "✅ Run 'r1' verified in API database\n" + RUN + OPEN + CALL,
        [ANCHORED],
    ),
    "lock-alone": (
        "[LOCK] Acquired executor lock for run_id=r1 (PID=1, host=box)\n" + OPEN + CALL,
        [anchored(run=Attributed("r1", "lock"))],
    ),
    "runs-one-after-the-other": (
        RUN
        + OPEN
        + CALL
        + "[LOCK] Released executor lock for run_id=r1 (PID=1)\n"
        + RUN.replace("r1", "r2")
        + OPEN
        + CALL,
        [ANCHORED, anchored(run=initialized("r2"))],
    ),
    "estimate-of-other-numbers-is-not-taken": (
        RUN + OPEN + PREPARED.replace("5200", "5201") + CALL,
        [anchored(attempt_index=2)],
    ),
    "preparation-counts-for-the-next-event-only": (
        RUN + OPEN + PREPARED + "EVENT\nEVENT",
        [
            Context(
                run=initialized("r1"),
                actual_max_tokens=16384,
                confidence=0.8,
                attempt_index=2,
                estimated_deliverable_count=1,
            ),
            Context(run=initialized("r1")),
        ],
    ),
    "id-of-absurd-length-is-no-id": (
        "Initialized autonomous executor for run: "
        + "r" * 201
        + "\n[BUILD-041] Next phase: "
        + "p" * 201
        + "\nEVENT",
        [UNKNOWN],
    ),
}

each_log = pytest.mark.parametrize(("text", "expected"), SMALL_LOGS.values(), ids=SMALL_LOGS.keys())


@each_log
def test_small_log_gives_these_contexts(text, expected):
    """Each small log gives its events exactly the context that is in its lines."""
    assert linked(log_of(text)).contexts == expected


@each_log
def test_restart_at_every_line_changes_nothing(text, expected):
    """The remembered text is all that linking needs to go on, wherever a run ended."""
    assert restarted_at_every_line(log_of(text)).contexts == expected


def test_list_is_read_once_the_next_line_ends_it():
    """A list at the end of a log may still grow; it counts when another line was read."""
    lines = log_of(SMALL_LOGS["required-list-at-the-end-of-the-log"][0])
    assert linked(lines).contexts == [ANCHORED]
    expected = [anchored(deliverables=paths("required", "a.py"))]
    assert linked([*lines, "anything"]).contexts == expected


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (RUN + OPEN + CALL, 0),
        (RUN + OPEN + "ANCHOR p1\n[p1] Builder succeeded (6213 tokens)", 1),
        (RUN + OPEN + "ANCHOR p1", 1),
        (RUN + OPEN + "[p1] Builder succeeded (6213 tokens)", 1),
        (RUN + OPEN + "[p1] Builder failed: no", 1),
        (RUN + OPEN + "EVENT\n[p1] Builder succeeded (6213 tokens)", 0),
        (RUN + OPEN + "ANCHOR p1\n" + OPEN + CALL, 1),
        (RUN + OPEN + CALL + "ANCHOR p1 output=5\n[p1] Builder succeeded (5061 tokens)", 1),
    ],
    ids=["none", "anchored", "open", "succeeded", "failed", "from-behind", "reopened", "retry"],
)
def test_calls_without_telemetry_are_counted(text, lost):
    """A builder call whose event is not there is counted, once."""
    assert linked(log_of(text)).linker.calls_without_telemetry == lost
    assert restarted_at_every_line(log_of(text)).linker.calls_without_telemetry == lost


def test_state_is_bounded_whatever_the_log():
    """Thousands of phases, runs and anchors leave a state of a constant size."""
    link = Link()
    sizes = []
    for number in range(1500):
        text = (
            f"Initialized autonomous executor for run: r{number}\n[BUILD-041] Next phase: p{number}\n"
            f"ANCHOR p{number} output={number}\n[p{number}] ❌ DELIVERABLES VALIDATION FAILED\n"
            f"📋 REQUIRED DELIVERABLES:\n  ✓ a.py\n  ✓ b.py\n"
            f"[p{number}]    Missing 9 required deliverables:\n"
            f"[p{number}]      - a.py\nPlan validation failed: Phase 'p{number}' validation failed: "
            f"Protected paths in scope: {', '.join(['a/' + 'x' * 300] * 30)}\n"
            f"EVENT actual_output=1\nEVENT actual_output={number}\n"
        )
        for line in log_of(text):
            link.take(line)
        sizes.append(len(as_text(link.linker.state)))
    assert max(sizes[750:]) < 1.1 * max(sizes[:750])
    assert max(sizes) < 150_000


def test_calls_beyond_those_that_are_remembered_are_counted():
    """Of more anchors than may wait for their events, the oldest are given up, and counted as calls."""
    text = RUN + "".join(f"ANCHOR p{number} output={number}\n" for number in range(MAX_PENDING + 8))
    link = linked(log_of(text))
    assert len(link.linker.state.anchors.pending) == MAX_PENDING
    assert link.linker.calls_without_telemetry == MAX_PENDING + 8


def run_of_the_executor(
    run: str, phases: list[str], name: str, output: int, confidence: str, maximum: int
) -> list[str]:
    """Build one run's whole log; `name` marks its events, paths and outcome as its own."""
    text = f"[LOCK] Acquired executor lock for run_id={run} (PID=1, host=box)\n"
    text += f"Initialized autonomous executor for run: {run}\n"
    for number, phase in enumerate(phases):
        text += (
            f"[BUILD-041] Next phase: {phase}\n"
            f"[BUILD-128] Phase '{phase}' has deliverables - inferring scope from deliverables\n"
            f"[Scope] Scope paths: ['{name}-{number}.py']\n"
            f"Plan validation failed: Phase '{phase}' validation failed: Protected paths in scope: "
            f"{name}-{number}.py...\n"
            f"[{phase}] Step 1/4: Generating code with Builder (via LlmService)...\n"
            f"[MODEL-SELECT] Builder: model=some-model-4, complexity=low, attempt={len(name)}, category=c\n"
            f"[BUILD-129] Token estimate: 5200 output tokens ({len(name)} deliverables, "
            f"confidence={confidence}), selected budget: 8192\n"
            f"[BUILD-129:P4] Final max_tokens enforcement: {maximum} (token_selected_budget=8192)\n"
            f"ANCHOR {phase} output={output} max={maximum} input={maximum}\n"
            f"EVENT category={name} actual_output={output} stop_reason={phase}\n"
            f"[Builder] DEBUG: attempted_file_paths=['{name}-{number}.py']\n"
            f"[{phase}] Builder succeeded ({output + maximum} tokens)\n"
            f"[{phase}] Applied files: ['{name}-{number}.py']\n"
            f"[{phase}] ❌ DELIVERABLES VALIDATION FAILED\n"
            "|📋 REQUIRED DELIVERABLES:\n"
            f"|  ✓ {name}-{number}.py\n"
            f"[{phase}]    Missing 1 required deliverables:\n"
            f"[{phase}]      - {name}-{number}.py\n"
            f"Updated phase {phase} status to {name.upper()}\n"
        )
    return log_of(text + f"[LOCK] Released executor lock for run_id={run} (PID=1)\n")


def own_contexts(log: list[str]) -> dict[tuple[str | None, str | None], Context]:
    """Return the context of each event of a log, by what marks it as its run's and its phase's."""
    link = linked(log)
    return {
        (link.events[line].category, link.events[line].stop_reason): context
        for line, context in link.by_line.items()
    }


def agrees(linked: Context, truth: Context) -> bool:
    """Whether a context says nothing but the truth, as far as it says anything."""
    for name in Context._fields:
        known, true = getattr(linked, name), getattr(truth, name)
        if known is None:
            continue
        if name in {"run", "phase"}:
            known, true = known.name, true.name
        elif name == "deliverables":
            known, true = known.paths, true.paths
        if known != true:
            return False
    return True


def test_run_alone_is_known_completely():
    """The log that is interleaved below gives, by itself, all context of its events."""
    contexts = own_contexts(run_of_the_executor("r1", ["p1", "p2"], "one", 1157, "0.80", 16384))
    assert contexts == {
        ("one", phase): Context(
            run=initialized("r1"),
            phase=budget(phase),
            actual_max_tokens=16384,
            input_tokens=16384,
            total_tokens=16384 + 1157,
            confidence=0.8,
            attempt_index=3,
            estimated_deliverable_count=3,
            phase_outcome="ONE",
            deliverables=paths("applied", f"one-{number}.py"),
        )
        for number, phase in enumerate(["p1", "p2"])
    }


def check_interleaved(logs: list[list[str]], turns: list[int]) -> None:
    """Mix logs by turns; every event must get the context of its own log, or none."""
    truth: dict[tuple[str | None, str | None], Context] = {}
    for log in logs:
        truth |= own_contexts(log)
    rest = [list(log) for log in logs]
    mixed: list[str] = []
    for turn in turns:
        source = rest[turn % len(rest)]
        mixed += [source.pop(0)] if source else []
    mixed += [line for source in rest for line in source]
    linked = own_contexts(mixed)
    assert linked.keys() == truth.keys()
    wrong = {mark: (linked[mark], truth[mark]) for mark in linked if not agrees(linked[mark], truth[mark])}
    assert not wrong, "\n".join([*mixed, repr(wrong)])


TURNS = st.lists(st.integers(min_value=0, max_value=1), min_size=80, max_size=80)
"""Whose line comes next; both logs together have not many more lines."""


@settings(max_examples=150, deadline=None, derandomize=True)
@given(TURNS, st.booleans())
def test_interleaved_runs_of_different_phases_never_take_each_others_context(turns, same_output):
    """However two runs' lines are mixed, an event gets its own run, phase and paths, or none."""
    first = run_of_the_executor("r1", ["p1", "p2"], "one", 1157, "0.80", 16384)
    other = run_of_the_executor("r2", ["q1", "q2"], "three", 1157 if same_output else 999, "0.60", 12288)
    check_interleaved([first, other], turns)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(TURNS, st.booleans())
def test_interleaved_runs_of_the_same_phases_never_take_each_others_context(turns, same_output):
    """Two runs of one plan have the same phases: what is ambiguous is unknown."""
    first = run_of_the_executor("r1", ["p1", "p2"], "one", 1157, "0.80", 16384)
    other = run_of_the_executor("r2", ["p1", "p2"], "three", 1157 if same_output else 999, "0.60", 12288)
    check_interleaved([first, other], turns)


@settings(max_examples=80, deadline=None)
@given(TURNS)
def test_restart_anywhere_in_interleaved_runs_changes_nothing(turns):
    """The remembered text holds all that linking needs, in mixed logs too."""
    rest = [
        run_of_the_executor("r1", ["p1", "p2"], "one", 1157, "0.80", 16384),
        run_of_the_executor("r2", ["p1", "q2"], "three", 1157, "0.60", 12288),
    ]
    mixed = [rest[turn].pop(0) for turn in turns if rest[turn]]
    mixed += [line for source in rest for line in source]
    link = Link()
    for line in mixed:
        link.take(line)
        link.linker.reach(link.number)
        link.collect()
    assert restarted_at_every_line(mixed).contexts == link.contexts


def test_interleaved_runs_keep_their_anchors():
    """Two runs in one file each get the phase of their anchors, and no run that no line names."""
    text = (
        RUN + RUN.replace("r1", "r2") + "[BUILD-041] Next phase: p1\n[BUILD-041] Next phase: q1\n"
        "ANCHOR p1 output=1\nANCHOR q1 output=2\nEVENT actual_output=2\nEVENT actual_output=1\n"
        "[q1] Applied files: ['q.py']\n[p1] Applied files: ['p.py']"
    )
    q1, p1 = linked(log_of(text)).contexts
    assert (q1.phase, q1.deliverables) == (budget("q1"), paths("applied", "q.py"))
    assert (p1.phase, p1.deliverables) == (budget("p1"), paths("applied", "p.py"))
    assert q1.run is None
    assert p1.run is None


def test_phase_that_was_opened_before_another_run_began_keeps_its_run():
    """Nobody else can have opened it then, so what is said of the phase is said by its run."""
    text = RUN + OPEN + RUN.replace("r1", "r2") + CALL
    assert [context.run for context in linked(log_of(text)).contexts] == [initialized("r1")]


def test_phase_that_either_of_two_runs_may_have_opened_has_no_run():
    """Also once only one of them is left: the line may have been the other one's."""
    text = (
        RUN
        + RUN.replace("r1", "r2")
        + NEXT
        + "\n"
        + NEXT
        + "\n[LOCK] Released executor lock for run_id=r2 (PID=2)\n"
    )
    assert [context.run for context in linked(log_of(text + CALL)).contexts] == [None]


def test_preparation_of_a_run_that_has_ended_is_not_taken():
    """What was prepared while two runs wrote is nobody's, also after one of them has ended."""
    text = (
        RUN
        + RUN.replace("r1", "r2")
        + "[BUILD-041] Next phase: p1\n"
        + PREPARED.replace("0.80", "0.60").replace("(1 deliverables", "(5 deliverables")
        + "[LOCK] Released executor lock for run_id=r2 (PID=2)\nANCHOR p1\nEVENT"
    )
    assert linked(log_of(text)).contexts == [ANCHORED]


def test_preparation_of_a_call_that_ended_without_an_event_is_not_the_nexts():
    """Where the next call's own lines are torn, nothing is known of how it was prepared."""
    text = RUN + OPEN + PREPARED + "[p1] Builder failed: Connection error.\n" + CALL
    assert linked(log_of(text)).contexts == [ANCHORED]


def test_anchors_of_one_phase_of_two_runs_give_no_tokens():
    """Two runs of one plan may use equally many tokens in one phase: whose anchor it is, is unknown."""
    text = (
        RUN
        + RUN.replace("r1", "r2")
        + "[BUILD-041] Next phase: p1\n[BUILD-041] Next phase: p1\n"
        + "ANCHOR p1 max=16384 input=1\nANCHOR p1 max=12288 input=2\nEVENT\nEVENT"
    )
    for context in linked(log_of(text)).contexts:
        assert context.run is None
        assert (context.actual_max_tokens, context.input_tokens, context.total_tokens) == (None, None, None)


def test_escalation_knows_the_answer_that_led_to_it():
    """An escalation gets its run, and the numbers of the last event of its phase."""
    link = linked(log_of(RUN + OPEN + CALL))
    record = parse_line(
        logged(
            "[BUILD-129:P10] ESCALATE-ONCE: phase=p1 attempt=1 base=16384 (from selected_budget) "
            "→ retry=20480 (1.25x, truncation)"
        ).encode()
    ).record
    around = link.linker.escalation(record)
    assert (around.run, around.selected_budget, around.actual_max_tokens, around.tokens_used) == (
        initialized("r1"),
        8192,
        16384,
        1157,
    )
    other = link.linker.escalation(record._replace(phase="p9"))
    assert (other.selected_budget, other.actual_max_tokens, other.tokens_used) == (None, None, None)
