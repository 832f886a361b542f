"""How much memory a command's processes hold together. `memory COMMAND...`, on Linux.

What processes share is counted once (PSS: each has its part of it). It is looked at every 50 ms, so a
peak that is shorter may be missed; asking takes processor time, so this run's time is no measure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

EVERY_SECONDS = 0.05


def held_bytes(process: int) -> int:
    """Return the PSS of a process and all below it; none of one that is over."""
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
        children = [
            file.read_text(encoding="ascii") for file in Path(f"/proc/{process}/task").glob("*/children")
        ]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    own = next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return own + sum(held_bytes(int(child)) for found in children for child in found.split())


def main() -> None:
    """Run the command, and print the peak in the last line."""
    peak_bytes = 0
    with subprocess.Popen(sys.argv[1:]) as command:
        while command.poll() is None:
            peak_bytes = max(peak_bytes, held_bytes(command.pid))
            time.sleep(EVERY_SECONDS)
    print(json.dumps({"peak_bytes": peak_bytes}))
    sys.exit(command.returncode)


if __name__ == "__main__":
    main()
