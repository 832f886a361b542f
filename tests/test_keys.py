"""Keys of events stand in the databases of people: computed another way, an event would be there twice.

Who wants other keys needs a migration.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import anchor_message, docker, event_message, json_line, logged
from faults.tables import events

GROUP = "2025122918400231ad479d1ee2481ffb0d600d"
"""What version 0.1.0 calls the group of `event_message()` at 18:40:02 UTC."""

AT = "2025-12-29 18:40:02"

FORMS: dict[str, Callable[[str], str]] = {
    "executor": lambda message: logged(message, at=AT),
    "json": lambda message: json_line(message, at=AT),
    "docker": lambda message: docker(logged(message, at=AT)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("before", "member"),
    [([], "@000000"), ([anchor_message("p1")], "e81665c97894ce91")],
    ids=["bare", "phase"],
)
def test_key_of_an_event_is_that_of_the_first_version(
    called: Tokentail, tmp_path: Path, form: Callable[[str], str], before: list[str], member: str
) -> None:
    """Second, content and phase, in whatever form a log has the line."""
    lines = [*before, event_message()]
    (tmp_path / "run.log").write_text("".join(form(line) + "\n" for line in lines), encoding="utf-8")
    called("ingest", "run.log", "--tz", "UTC")
    assert [event["event_key"] for event in events(tmp_path / "telemetry.db")] == [f"{GROUP}:{member}"]
