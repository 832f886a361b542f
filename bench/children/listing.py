"""The floor of a run that finds nothing new: walk a folder, look up each file. `listing FOLDER`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """List all files with their state, and look each up among those that are known."""
    known: dict[tuple[int, int], tuple[int, int]] = {}
    found = 0
    for folder, _, names in os.walk(sys.argv[1]):
        for name in names:
            state = os.stat(os.path.join(folder, name))
            found += known.get((state.st_dev, state.st_ino)) != (state.st_size, state.st_mtime_ns)
    print(found)


if __name__ == "__main__":
    main()
