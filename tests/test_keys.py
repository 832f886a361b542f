"""Keys of events are stored in databases: computed in another way, an event would be there twice.

Who wants other keys needs a migration.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Tokentail
from event_lines import anchor_message, docker, event_message, json_line, logged
from faults.tables import events

STEM = "2025-12-29 18:40:02 5200 1157 de8c27d876819bcc"
"""What the key of `event_message()` at 18:40:02 UTC begins with."""

AT = "2025-12-29 18:40:02"

FORMS: dict[str, Callable[[str], str]] = {
    "executor": lambda message: logged(message, at=AT),
    "json": lambda message: json_line(message, at=AT),
    "docker": lambda message: docker(logged(message, at=AT)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("before", "member"),
    [([], "@000000"), ([anchor_message("p1")], "p1")],
    ids=["bare", "phase"],
)
def test_key_of_an_event_is_what_it_was(
    called: Tokentail, tmp_path: Path, form: Callable[[str], str], before: list[str], member: str
) -> None:
    """Second, numbers, content and phase, in whatever form a log has the line."""
    lines = [*before, event_message()]
    (tmp_path / "run.log").write_text("".join(form(line) + "\n" for line in lines), encoding="utf-8")
    called("ingest", "run.log", "--tz", "UTC")
    assert [event["event_key"] for event in events(tmp_path / "telemetry.db")] == [f"{STEM} {member}"]
