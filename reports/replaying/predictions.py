"""Predictions from a file: what some estimator said of each event, by the event's key."""

from __future__ import annotations

import json
from pathlib import Path

from ingest.errors import UnusableImport
from reports.replaying.estimator import EstimateFailed, token_count

NAMES = ("prediction", "predicted_output_tokens")
"""Keys under which a prediction may stand, in the order in which they are looked for; the second is an
export's."""


def read_predictions(file: Path) -> dict[str, int]:
    """Read NDJSON of `{"event_key": ..., "prediction": tokens}`; the last line on an event counts.

    Raises:
        UnusableImport: the file can't be read, or a line is something else; the message names it.
    """
    predictions = {}
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    key, tokens = _prediction(line, f"{file}:{number}")
                    predictions[key] = tokens
    except OSError as error:
        raise UnusableImport(
            f"--predictions {file}: it can't be read ({error.strerror}): name a file that can"
        ) from error
    except UnicodeDecodeError as error:
        raise UnusableImport(f"--predictions {file}: not UTF-8: write it anew in UTF-8") from error
    return predictions


def _prediction(line: str, where: str) -> tuple[str, int]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnusableImport(
            f'{where}: not JSON ({error}): write {{"event_key": ..., "prediction": tokens}}, one to a line'
        ) from error
    key = entry.get("event_key") if isinstance(entry, dict) else None
    value = next((entry[name] for name in NAMES if name in entry), None) if key else None
    if not isinstance(key, str) or value is None:
        raise UnusableImport(
            f'{where}: needs "event_key" (as `tokentail export --full` has it) and "prediction", in tokens'
        )
    try:
        return key, token_count(value)
    except EstimateFailed as error:
        raise UnusableImport(f"{where}: {error}") from error
