"""The metrics of an event, computed anew, at the numbers where they begin to have a meaning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import anchor_message, docker, event_message, json_line, logged
from faults.tables import opened

FORMS: dict[str, Callable[[str], str]] = {
    "executor": logged,
    "json": json_line,
    "docker": lambda message: docker(logged(message)),
}
NUMBERS = [(p, a) for p in (0, 1, 2, 5_000) for a in (0, 1, 2, 7_000)]


def metrics(predicted: int, actual: int) -> tuple[float | None, float | None, int | None]:
    """Compute SMAPE, waste and whether it was underestimated; none of them where a number is 0."""
    if not predicted or not actual:
        return None, None, None
    smape = 200 * abs(predicted - actual) / (predicted + actual)
    return pytest.approx(smape), pytest.approx(predicted / actual), int(actual > predicted)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("anchored", [False, True], ids=["bare", "anchored"])
def test_metrics_are_those_of_the_numbers(
    called: Tokentail, tmp_path: Path, form: Callable[[str], str], anchored: bool
) -> None:
    """In whatever form a log has the line, and with or without lines around it."""
    lines = []
    for number, (predicted, actual) in enumerate(NUMBERS):
        if anchored:
            lines.append(anchor_message(f"p{number}", output=actual))
        lines.append(event_message(predicted_output=predicted, actual_output=actual))
    (tmp_path / "run.log").write_text("".join(form(line) + "\n" for line in lines), encoding="utf-8")
    called("ingest", "run.log", "--tz", "UTC")
    with opened(tmp_path / "telemetry.db") as connection:
        rows = connection.execute(
            "SELECT predicted_output_tokens, actual_output_tokens, smape_percent, waste_ratio, "
            "underestimated FROM token_estimation_v2_events "
            "ORDER BY predicted_output_tokens, actual_output_tokens"
        ).fetchall()
    assert [tuple(row) for row in rows] == [(p, a, *metrics(p, a)) for p, a in NUMBERS]
