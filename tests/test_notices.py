"""What a follow says: each notice once, whatever its text; and of a problem when it is over."""

from __future__ import annotations

from ingest.notices import Notice, StandingNotices

LOCKED = Notice("problem", "unreadable", "a.log", "a.log: permission denied")
CUT = Notice("warning", "unfinished", "b.log.gz", "b.log.gz: read up to offset 7, the rest when it is whole")
REWRITTEN = Notice("warning", "replaced", "c.log", "c.log: truncated since it was read up to offset 7")


def test_notice_is_new_once_whatever_its_text() -> None:
    """Another offset in the sentence, or another order of the same ones, is nothing new; another file is."""
    standing = StandingNotices()
    assert standing.add([LOCKED, CUT]) == [LOCKED, CUT]
    assert standing.add([CUT._replace(text="b.log.gz: read up to offset 9"), LOCKED]) == []
    other = LOCKED._replace(path="b.log")
    assert standing.add([other, LOCKED, other]) == [other]
    assert standing.problems == [LOCKED, other]


def test_problem_stands_until_its_file_was_looked_at_again() -> None:
    """What a turn left for later still stands; what it didn't find again is over, and new if it is back."""
    standing = StandingNotices()
    standing.add([LOCKED, CUT])
    assert standing.clear([CUT], put_off=["a.log"]) == []
    assert standing.clear([CUT], put_off=[]) == [LOCKED]
    assert standing.problems == []
    assert standing.add([LOCKED, CUT]) == [LOCKED]


def test_what_happened_is_said_each_time_it_happens() -> None:
    """A log that is rewritten twice is two warnings, and neither is over."""
    standing = StandingNotices()
    again = REWRITTEN._replace(text="c.log: truncated since it was read up to offset 9")
    assert standing.add([REWRITTEN]) == [REWRITTEN]
    assert standing.clear([], put_off=[]) == []
    assert standing.add([again]) == [again]
