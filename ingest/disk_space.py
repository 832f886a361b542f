"""Why there is no room for what is to be written: a full disk, or a limit on the size of files."""

from __future__ import annotations

import errno
import sys


def is_full(error: OSError | None) -> bool:
    """Whether the operating system says that a disk, or a person's share of it, is full."""
    return error is not None and error.errno in {errno.ENOSPC, errno.EDQUOT}


def largest_file() -> int | None:
    """Return how large this process may make a file, in bytes; `None`: as large as it likes."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - only where a write has failed; Windows has none

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def what_makes_room(error: OSError) -> str | None:
    """Return what to do about an error of the operating system, if it is about room."""
    if is_full(error):
        return "free some space"
    limit = largest_file() if error.errno == errno.EFBIG else None
    return None if limit is None else f"no file may be larger than {limit:,} bytes here: raise `ulimit -f`"
