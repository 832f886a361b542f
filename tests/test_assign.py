"""Which file is which source: the pure function, on values, without a file or a database."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations

import pytest

from ingest.assign import Assigned, assign
from ingest.errors import LogUnreadable
from ingest.files.logfile import FileState, LogFile
from ingest.reading.checkpoint import Fingerprint
from ingest.storing.known_sources import KnownSources
from ingest.storing.sources import Source

A, B, C = (LogFile(f"/logs/{name}.log", stored=f"/logs/{name}.log") for name in "abc")


def state(inode: int, size_bytes: int = 100, modified_ns: int = 5) -> FileState:
    """Return what a file is."""
    return FileState(1, inode, size_bytes, modified_ns)


def source(source_id: int, log: LogFile, file: FileState | None, **values: object) -> Source:
    """Return what was read at a log's path, from a file."""
    known = Source(
        source_id=source_id,
        path=log.stored_path,
        fingerprint=Fingerprint(10, "head"),
        tail=None,
        file=file,
        offset=100,
        unread_bytes=0,
        encoding="utf-8",
        compression=None,
        timezone="UTC",
        state="complete",
        real_path=None,
        prefix=None,
    )
    return replace(known, **values)  # type: ignore[arg-type]


@dataclass
class Bytes:
    """What files hold: the sources that stand in each. All files and sources begin the same."""

    sources: Sequence[Source]
    stands: Mapping[LogFile, Collection[int]]
    home: Collection[int] = ()
    unreadable: Collection[LogFile] = ()
    rotations: Sequence[LogFile] = ()
    ends_otherwise: Collection[LogFile] = ()
    opened: list[LogFile] = field(default_factory=list)

    def _open(self, log: LogFile) -> None:
        self.opened.append(log)
        if log in self.unreadable:
            raise LogUnreadable(log.path)

    def has_same_tail(self, log: LogFile, source: Source) -> bool:  # noqa: ARG002 - as evidence is asked
        """Whether it isn't said to end otherwise."""
        return log not in self.ends_otherwise

    def matching(self, log: LogFile, sources: Sequence[Source]) -> list[Source]:
        """Return those that are said to stand there."""
        if sources:
            self._open(log)
        return [source for source in sources if source.source_id in self.stands.get(log, ())]

    def candidates(self, log: LogFile) -> list[Source]:
        """Return all of them."""
        self._open(log)
        return list(self.sources)

    def is_in_place(self, source: Source) -> bool:
        """Whether it is said to be."""
        return source.source_id in self.home

    def others(self, log: LogFile, source: Source) -> Iterator[LogFile]:  # noqa: ARG002 - likewise
        """Yield all files in which anything stands, and the rotations."""
        yield from (other for other in (*self.stands, *self.rotations) if other != log)


class Failing(Bytes):
    """Bytes of a file that the system gives back with an error."""

    def _open(self, log: LogFile) -> None:
        if log in self.unreadable:
            raise LogUnreadable(log.path) from OSError(errno.EIO, "Input/output error")


def assigned(
    files: Mapping[LogFile, FileState],
    evidence: Bytes,
    claimed: Collection[int] = (),
    *,
    finished: bool = False,
    anew: bool = False,
) -> dict[LogFile, Assigned]:
    """Assign, in each order of the files: it makes no difference."""
    known = KnownSources(evidence.sources)
    found = assign(files, known, evidence, claimed, finished=finished, anew=anew)
    for order in permutations(files.items()):
        quiet = replace(evidence, opened=[])
        assert assign(dict(order), known, quiet, claimed, finished=finished, anew=anew) == found
    return found


def test_file_that_looks_as_it_did_is_not_opened() -> None:
    """Whatever its name is now, and though its copy is there, which begins the same."""
    known = source(1, A, state(7))
    evidence = Bytes([known], {A: [1], B: [1]})
    assert assigned({A: state(7)}, evidence) == {A: Assigned(known, is_unchanged=True)}
    assert assigned({C: state(7)}, evidence) == {C: Assigned(known, is_unchanged=True)}
    assert evidence.opened == []
    assert assigned({A: state(7), B: state(8)}, evidence)[B] == Assigned()
    assert A not in evidence.opened


@pytest.mark.parametrize("values", [{"state": "reading"}, {"unread_bytes": 3}], ids=["midway", "last line"])
def test_file_of_which_something_is_left_goes_on(values: dict[str, object]) -> None:
    """It looks as it did, and wasn't read to its end."""
    known = source(1, A, state(7), **values)
    evidence = Bytes([known], {A: [1]})
    assert assigned({A: state(7)}, evidence, finished=True) == {A: Assigned(known)}


def test_file_that_ends_otherwise_is_looked_at() -> None:
    """A time that was too fresh to trust says little."""
    known = source(1, A, state(7))
    evidence = Bytes([known], {A: [1]}, ends_otherwise=[A])
    assert assigned({A: state(7)}, evidence) == {A: Assigned(known)}
    rewritten = Bytes([known], {}, ends_otherwise=[A])
    assert assigned({A: state(7)}, rewritten) == {A: Assigned(rewritten=known)}


def test_files_made_anew_are_told_by_their_paths_where_all_is_read_again() -> None:
    """The longer one got the number of the shorter one, which it begins with."""
    short, long = source(1, A, state(7)), source(2, B, state(8))
    evidence = Bytes([short, long], {A: [1], B: [1, 2]})
    found = assigned({A: state(9), B: state(7, 300)}, evidence, anew=True)
    assert (found[A].source, found[B].source) == (short, long)


def test_of_two_sources_at_one_path_a_file_is_the_one_that_was_read_from_it() -> None:
    """A copy with one call changed, in the place of a log that went elsewhere, looks like either."""
    gone, own = source(1, A, state(7)), source(2, A, state(8))
    evidence = Bytes([gone, own], {A: [1, 2]})
    assert assigned({A: state(8)}, evidence, anew=True) == {A: Assigned(own)}


@pytest.mark.parametrize("anew", [False, True])
def test_file_that_could_not_be_read_is_no_source_and_not_new(anew: bool) -> None:
    """An error that comes once would make it a new source, with all that was read of it before."""
    known = source(1, A, state(7))
    evidence = Failing([known], {B: [1]}, unreadable=[B])
    found = assign({B: state(7, 200)}, KnownSources([known]), evidence, anew=anew)
    assert found[B].source is None
    assert isinstance(found[B].trouble, LogUnreadable)


def test_log_that_grew_is_its_source_beside_a_copy() -> None:
    """The copy grew, too, and all stands in both; the file is opened once."""
    known = source(1, A, state(7))
    evidence = Bytes([known], {A: [1], B: [1]})
    assert assigned({A: state(7, 200), B: state(8, 300)}, evidence) == {A: Assigned(known), B: Assigned()}
    alone = Bytes([known], {A: [1]})
    assert assign({A: state(7, 200)}, KnownSources([known]), alone) == {A: Assigned(known)}
    assert alone.opened == [A]


def test_cut_log_that_looks_as_it_did_is_its_source_beside_a_copy() -> None:
    """What is unfinished or damaged is opened again by each run, and is no new source because of a copy."""
    known = source(1, A, state(7), state="unfinished")
    evidence = Bytes([known], {A: [1], B: [1]})
    assert assigned({A: state(7), B: state(8)}, evidence) == {A: Assigned(known), B: Assigned()}


def test_source_in_a_file_that_is_not_named_is_left_to_it() -> None:
    """A copy of a log is read from its start, as a source of its own."""
    known = source(1, A, state(7))
    assert assigned({B: state(8)}, Bytes([known], {B: [1]}, home=[1])) == {B: Assigned()}


@pytest.mark.parametrize("number", [7, 8], ids=["renamed", "packed"])
def test_source_whose_file_is_gone_goes_on_where_it_stands(number: int) -> None:
    """A rotation: renamed, or packed into a new file; the new log of its name is another one."""
    known = source(1, A, state(7))
    evidence = Bytes([known], {B: [1]})
    assert assigned({A: state(9), B: state(number, 50, 6)}, evidence) == {A: Assigned(), B: Assigned(known)}


def test_source_that_stands_in_two_files_is_believed_of_neither() -> None:
    """One call in the middle may be another one in either; a rotation beside them counts as well."""
    known = source(1, A, state(7))
    two = Bytes([known], {B: [1], C: [1]})
    assert assigned({B: state(8), C: state(9)}, two) == {B: Assigned(), C: Assigned()}
    beside = Bytes([known], {B: [1], C: [1]}, rotations=[C])
    assert assigned({B: state(8)}, beside) == {B: Assigned()}
    touched = Bytes([known], {A: [1], B: [1]})
    assert assigned({A: state(7, 100, 6), B: state(8)}, touched) == {A: Assigned(), B: Assigned()}


def test_rewritten_log_is_new_and_its_copy_goes_on() -> None:
    """As copytruncate leaves them; what was read of the log is named."""
    known = source(1, A, state(7))
    evidence = Bytes([known], {B: [1]})
    assert assigned({A: state(7, 10), B: state(8)}, evidence) == {
        A: Assigned(rewritten=known),
        B: Assigned(known),
    }


def test_number_of_a_file_that_is_gone_says_nothing_of_another_path() -> None:
    """File systems give numbers out again: nothing was rewritten."""
    known = source(1, A, state(7))
    assert assigned({B: state(7, 10)}, Bytes([known], {})) == {B: Assigned()}
    rotation = LogFile("/logs/a.log.1", found_at=A.stored_path)
    assert assigned({rotation: state(7, 10)}, Bytes([known], {})) == {rotation: Assigned()}


def test_likeliest_source_is_taken() -> None:
    """Of its own file, then of its path, then not a replaced one, then the one that was read furthest."""
    own = source(1, C, state(7), offset=10, state="replaced")
    same_path = source(2, A, state(20), offset=20, state="replaced")
    whole = source(3, C, state(21), offset=30)
    shorter = source(4, C, state(22), offset=25)
    replaced = source(5, C, state(23), offset=40, state="replaced")
    left = [shorter, replaced, whole, same_path, own]
    for likeliest in (own, same_path, whole, shorter, replaced):
        evidence = Bytes(left, {A: [source.source_id for source in left]})
        assert assigned({A: state(7, 200)}, evidence)[A].source == likeliest
        left.remove(likeliest)


def test_source_is_claimed_once() -> None:
    """By one file, and by none where one of an earlier question claimed it."""
    known, other = source(1, A, state(7)), source(2, B, state(8))
    evidence = Bytes([known, other], {A: [1, 2], B: [1, 2]})
    found = assigned({A: state(7, 200), B: state(8, 200)}, evidence)
    assert found == {A: Assigned(known), B: Assigned(other)}
    gone = Bytes([known], {A: [1], C: [1]})
    assert assigned({C: state(9)}, gone, claimed=[1]) == {C: Assigned()}
    assert assigned({A: state(7, 200)}, gone, claimed=[1]) == {A: Assigned()}


def test_file_that_cannot_be_opened_is_no_reason_to_give_its_source_away() -> None:
    """Who reads it says so; nothing was rewritten, and a copy is no other's source."""
    known = source(1, A, state(7))
    evidence = Bytes([known], {B: [1]}, unreadable=[A], home=[1])
    assert assigned({A: state(7, 200), B: state(8)}, evidence) == {A: Assigned(), B: Assigned()}


def test_anew_each_file_has_one_source_and_no_doubt() -> None:
    """Nothing is unchanged; two copies of what is gone are no doubt, but one of them is it."""
    known = source(1, A, state(7))
    evidence = Bytes([known], {A: [1], B: [1]})
    assert assigned({A: state(7), B: state(8)}, evidence, anew=True) == {A: Assigned(known), B: Assigned()}
    gone = Bytes([known], {B: [1], C: [1]})
    found = assign({B: state(8), C: state(9)}, KnownSources([known]), gone, anew=True)
    assert found == {B: Assigned(known), C: Assigned()}


def test_without_sources_no_file_is_any() -> None:
    """The first ingest of a database."""
    assert assigned({A: state(7)}, Bytes([], {})) == {A: Assigned()}
