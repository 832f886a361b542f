"""Our errors: each one is a sentence for a person, with the file and the next step in it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class TokentailError(Exception):
    """Something that a person can act on; anything else that is raised is a bug of ours.

    `code` names its kind, for notices of it.
    """

    code: ClassVar[str] = "error"

    @property
    def may_pass(self) -> bool:
        """Whether the next try may tell something else: an error of the device, not of rights or content."""
        cause = self.__cause__
        errors_that_stay = {None, errno.ENOENT, errno.EACCES, errno.EPERM}
        return isinstance(cause, OSError) and cause.errno not in errors_that_stay


class LogUnreadable(TokentailError):
    """A log file, or the rest of one, could not be read; the others can."""

    code = "unreadable"


class LogVanished(LogUnreadable):
    """A log file was there when it was looked for and is gone now."""

    code = "vanished"


class NotALog(LogUnreadable):
    """A file is something else altogether: a database, a program, a picture."""

    code = "not-a-log"


class LogUnfinished(TokentailError):
    """A compressed log ends before its own end: it is still being written, or was cut."""

    code = "unfinished"


class DatabaseBusy(TokentailError):
    """Another process holds the database, and the time to wait is over."""

    code = "database"


class DatabaseHeld(DatabaseBusy):
    """Another ingest has the database's lock: it is not this one's turn."""


class DatabaseUnusable(TokentailError):
    """The database cannot be used as it is: corrupt, newer, read-only, full, or not ours."""

    code = "database"


class NoDatabase(DatabaseUnusable):
    """There is no database where one is to be read or changed."""


class NoRoom(DatabaseUnusable):
    """A disk is full: it may be used again when somebody has freed some of it."""


class SchemaChanged(DatabaseUnusable):
    """Somebody changed a table or a column of ours; waiting doesn't help."""


class ClusterUnusable(TokentailError):
    """A cluster that was to read logs can't be reached, or can't be used, or is gone."""

    code = "cluster"


class UsageMistake(TokentailError):
    """The command was called with something that it cannot mean."""


class UnusableImport(TokentailError):
    """A file to import from can't be read or holds something else; nothing was changed."""


class MissingExtra(TokentailError):
    """A library that only some commands need is not installed; the message names the extra."""


class Unwritable(TokentailError):
    """A file can't be written; what was asked for was not done."""


class OutputLost(Unwritable):
    """Standard output can't be written: nothing more is to be tried on it."""


class UnusableEstimator(TokentailError):
    """An estimator to replay can't be imported, made or asked."""


class Rewritten(Exception):
    """A file became another one while it was read: the bytes that were read last are no longer there.

    Whoever reads it begins anew; no person meets it.
    """


@contextmanager
def damage_suppressed() -> Iterator[None]:
    """Let the damage of a log file end what is done with it; an error that may pass tells nothing of it."""
    try:
        yield
    except LogUnreadable as error:
        if error.may_pass:
            raise
