"""Faults with a name: each breaks a rule that could once be broken without a test that noticed.

When code moves, `old` no longer stands once in `file`; the tool and a test of the suite say which fault
that is, and it has to be aimed again. The number, the rule and the tests that notice stay; `old` and `new`
are whatever breaks the rule in the code of the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule, and how it is broken: the text `old` of a file becomes `new`.

    `tests` are those that must notice: names of tests, of test functions, or of files of them.
    """

    id: str
    rule: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, root: Path) -> str:
        """Return the text of the file with the fault.

        Raises:
            NotAimed: the old text does not stand there exactly once.
        """
        path = root / self.file
        text = path.read_text("utf-8") if path.is_file() else ""
        if (count := text.count(self.old)) != 1:
            raise NotAimed(
                f"fault {self.id} ({self.rule}): its text stands {count} times in {self.file}, not once: "
                f"aim it again in faults/mutants/named.py\n{self.old}"
            )
        return text.replace(self.old, self.new)


class NotAimed(Exception):
    """A fault does not fit the code of the day."""


NAMED = (
    Fault(
        "1",
        "of two known numbers the smaller is kept",
        "ingest/linking/context.py",
        "    return min(left, right)\n",
        "    return max(left, right)\n",
        ("tests/test_rules.py::test_of_two_known_numbers_the_smaller_is_kept",),
    ),
    Fault(
        "2",
        "the checkpoint is moved only from where this reader found it",
        "ingest/storing/writes.py",
        "source_id = :source_id AND byte_offset = :was",
        "source_id = :source_id AND :was IS NOT NULL",
        ("tests/test_rules.py::test_checkpoint_that_somebody_moved_is_not_moved_back",),
    ),
    Fault(
        "3",
        "a file that is shorter than the checkpoint is not its source",
        "ingest/reading/resume.py",
        "    too_short = opened.file is not None and opened.file.size_bytes < offset\n",
        "    too_short = False\n",
        ("tests/test_rules.py::test_log_that_became_shorter_is_read_anew_whatever_its_bytes_prove",),
    ),
    Fault(
        "4",
        "the list of required deliverables begins at most eight lines after its refusal",
        "ingest/linking/windows.py",
        "LINES_TO_LIST = 8\n",
        "LINES_TO_LIST = 9\n",
        ("tests/test_rules.py::test_required_list_begins_within_eight_lines_of_its_refusal",),
    ),
    Fault(
        "5",
        "verify compares what lines after an event said of it",
        "ingest/compare.py",
        "        for amendment in batch.rows.amendments:\n",
        "        for amendment in batch.rows.amendments[:0]:\n",
        ("tests/test_rules.py::test_verify_names_what_a_line_far_behind_an_event_said",),
    ),
    Fault(
        "6",
        "verify notices a value that a row lost",
        "ingest/compare.py",
        "            lost = getattr(absorbed, name) != stored\n",
        "            lost = False\n",
        ("tests/test_rules.py::test_verify_names_what_lines_around_an_event_said",),
    ),
    Fault(
        "7",
        "verify compares the numbers of lines",
        "ingest/compare.py",
        "        if line_number != sighting.line_number:\n",
        "        if False:\n",
        ("tests/test_rules.py::test_verify_names_what_lines_around_an_event_said",),
    ),
    Fault(
        "8",
        "a log that is read again less far than before replaces nothing",
        "ingest/storing/store.py",
        "            if not stored.sources or now.offset < source.offset:\n",
        "            if not stored.sources:\n",
        ("tests/test_rules.py::test_log_that_shrinks_under_a_retry_keeps_what_was_stored",),
    ),
    Fault(
        "9",
        "a batch holds at most 64 MiB of a log",
        "ingest/memory.py",
        "MAX_BATCH_BYTES = 64 << 20\n",
        "MAX_BATCH_BYTES = 640 << 20\n",
        ("tests/test_rules.py::test_a_kill_loses_no_more_than_64_mebibytes_of_reading",),
    ),
    Fault(
        "10",
        "the windows of a run close when it ends",
        "ingest/linking/state.py",
        "        if is_single:\n            self.windows.close(None)\n",
        "        if is_single:\n            pass\n",
        ("tests/test_rules.py::test_phase_of_the_next_run_is_not_that_of_a_run_that_ended",),
    ),
    Fault(
        "11",
        "SQLite waits for the disk",
        "ingest/storing/database.py",
        "PRAGMA synchronous = {'NORMAL' if mode == 'WAL' else 'FULL'}",
        "PRAGMA synchronous = OFF",
        ("tests/test_rules.py::test_what_is_committed_reaches_the_disk",),
    ),
    Fault(
        "12",
        "a source is continued by at most one file of a run",
        "ingest/assign.py",
        "            if evidence.matching(other, [source]):\n",
        "            if not evidence.matching(other, [source]):\n",
        ("tests/test_rules.py::test_two_copies_of_a_log_that_is_gone_are_two_sources",),
    ),
)
