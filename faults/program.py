"""The program with faults built in, as the environment asks: `python -m faults.program ingest ...`."""

from __future__ import annotations

from faults.injection import install_from_environment
from ingest.cli import main

if __name__ == "__main__":
    install_from_environment()
    main()
