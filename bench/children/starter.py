"""Start a command and time it: `starter RESULT COMMAND...`, with a peak of its own that hides few others.

The kernel counts what a process was before it became another program into its peak, so what starts
a competitor has to be small: run with `python -I -S`, and without a module that isn't needed.
"""

import os
import sys
import time


def main() -> None:
    """Run the command, write its numbers, leave with its exit code."""
    result, *command = sys.argv[1:]
    began = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - began
    with open(result, "w", encoding="ascii") as file:
        file.write(f"{wall} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}")
    sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    main()
