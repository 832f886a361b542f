"""The program with faults built in, as the environment asks: `python -m faults.program ingest ...`."""

from __future__ import annotations

import os

from ingest.cli import main

if __name__ == "__main__":
    if any(name.startswith("TOKENTAIL_FAULT") for name in os.environ):
        from faults import costs
        from faults.injection import install_from_environment

        install_from_environment()
        if file := os.environ.get(costs.COSTS):
            costs.install(file)
    main()
